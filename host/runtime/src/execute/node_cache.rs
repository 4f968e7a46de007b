//! What nodes wrote, kept for the next time that they get the same input: LangGraph's cache policy.
//!
//! Kept in memory, shared by all runs of the process, and bounded by `runtime.node_cache_bytes`; what is used least goes
//! first. A node is the same when its component, graph and name are, with what the graph was built for, and its input is
//! the text that it is given. What a node wrote for one owner is used for no other. So a node that depends on anything else
//! (the clock, a configuration that its graph was not built for) should not have such a policy.

use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;
use selvedge_model::{Identity, Json};
use selvedge_pregel::{Work, Writes};
use sha2::{Digest, Sha256};

use crate::graphs::Part;

/// What an entry costs beside what it holds.
const OVERHEAD_BYTES: usize = 256;

/// The writes of nodes by their inputs.
pub(crate) struct NodeCache(Cache<Key, Kept>);

/// Of everything that decides what a node writes. Too wide to be met twice by chance or on purpose.
type Key = [u8; 32];

#[derive(Clone)]
struct Kept {
    writes: Writes,
    ttl: Option<Duration>,
}

/// Where what a task writes is kept.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    key: Key,
    ttl: Option<Duration>,
}

impl NodeCache {
    pub(crate) fn new(max_bytes: u64) -> Self {
        let weigh = |_: &Key, kept: &Kept| {
            let bytes = kept.writes.bytes().saturating_add(OVERHEAD_BYTES);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(weigh)
            .expire_after(Lifetime)
            .build();
        Self(cache)
    }

    /// Where the writes of this task are kept, if its node has a cache policy. A task that was given answers has no such
    /// place, nor has one with a graph inside it that was: they are not part of its input.
    pub(crate) fn slot(part: &Part, owner: Option<&Identity>, work: &Work) -> Option<Slot> {
        let task = work.task.as_ref()?;
        let policy = task.cache.as_ref()?;
        if work.is_answered() {
            return None;
        }
        let setting = part.setting().map_or("", Json::as_str);
        let mut hash = Sha256::new();
        for part in [
            part.component.digest(),
            &part.name,
            &task.name,
            work.input().as_str(),
            owner.map_or("", Identity::as_str),
            setting,
        ] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Some(Slot {
            key: hash.finalize().into(),
            ttl: policy.ttl(),
        })
    }

    /// Whether a task need not run.
    pub(crate) fn knows(&self, part: &Part, owner: Option<&Identity>, work: &Work) -> bool {
        Self::slot(part, owner, work).is_some_and(|slot| self.0.contains_key(&slot.key))
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<Writes> {
        self.0.get(&slot.key).map(|kept| kept.writes)
    }

    pub(crate) fn keep(&self, slot: Slot, writes: &Writes) {
        let kept = Kept {
            writes: writes.clone(),
            ttl: slot.ttl,
        };
        self.0.insert(slot.key, kept);
    }
}

/// Each entry has the lifetime of its node's policy, from when it was last written.
struct Lifetime;

impl Expiry<Key, Kept> for Lifetime {
    fn expire_after_create(&self, _: &Key, kept: &Kept, _: Instant) -> Option<Duration> {
        kept.ttl
    }

    fn expire_after_update(
        &self,
        _: &Key,
        kept: &Kept,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        kept.ttl
    }
}
