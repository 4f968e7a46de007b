//! The snapshot after a super-step, and what changed since the one before.
//!
//! A [`Checkpoint`] is what an execution starts from; a [`CheckpointWrite`] is what it leaves behind. They differ
//! because a step writes only what it changed: the cost of a step must not grow with the length of a thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{CheckpointId, Json, TaskId, Timestamp};

/// Counts a channel's changes. The highest over all channels plus one is the next.
pub type Version = u64;

/// The value that a channel holds.
#[derive(Clone, Debug, PartialEq)]
pub enum ChannelValue {
    /// Replaced as a whole when it changes.
    Whole(Json),
    /// A list that mostly grows at its end, stored as what was added.
    List(Arc<Vec<Json>>),
}

impl ChannelValue {
    /// The value as one JSON text.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Whole(json) => json.clone(),
            Self::List(items) => Json::array(items.iter()),
        }
    }

    /// What its texts weigh.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Whole(json) => json.len(),
            Self::List(items) => items.iter().map(|item| item.len()).sum(),
        }
    }
}

/// Why a checkpoint was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// An input arrived.
    Input,
    /// A super-step ended.
    Loop,
    /// Someone updated the state from outside.
    Update,
    /// An earlier checkpoint was taken up again.
    Fork,
}

/// A whole snapshot.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Its id; later ones sort after earlier ones.
    pub id: CheckpointId,
    /// The one it came from.
    pub parent: Option<CheckpointId>,
    /// `""` for the root graph, else the path of the subgraph.
    pub namespace: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// −1 for the first input of a thread, then counting over all its runs.
    pub step: i64,
    /// Why it was made.
    pub source: Source,
    /// An object: run metadata and configuration that callers may filter by.
    pub metadata: Json,
    /// Version of each channel that was ever written, those that are empty now included.
    pub versions: BTreeMap<String, Version>,
    /// For each node, the versions of its triggers that it has reacted to.
    pub versions_seen: BTreeMap<String, BTreeMap<String, Version>>,
    /// The channels that the step which made this changed.
    pub updated_channels: Vec<String>,
    /// The channels that hold something.
    pub values: BTreeMap<String, ChannelValue>,
}

/// A write of a task that has ended within a step that has not.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingWrite {
    /// Who wrote.
    pub task: TaskId,
    /// Order within the task; negative for the algorithm's own entries.
    pub index: i32,
    /// Where to, or one of the algorithm's own: `__error__`, `__interrupt__`, `__resume__`, `__no_writes__`,
    /// `__begun__`.
    pub channel: String,
    /// What.
    pub value: Json,
}

/// A snapshot with the writes that have come since.
#[derive(Clone, Debug)]
pub struct SavedCheckpoint {
    /// The snapshot.
    pub checkpoint: Checkpoint,
    /// Ordered by task and index.
    pub pending: Vec<PendingWrite>,
}

impl SavedCheckpoint {
    /// What it weighs in an answer, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let values = self.checkpoint.values.values();
        let values: usize = values.map(ChannelValue::bytes).sum();
        let pending: usize = self.pending.iter().map(|write| write.value.len()).sum();
        self.checkpoint.metadata.len() + values + pending
    }
}

/// How a channel changed between a checkpoint and its parent.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It has a new value.
    Set(ChannelValue),
    /// Items were added at the end of the parent's list.
    Append(Vec<Json>),
    /// It holds nothing now.
    Clear,
}

impl Change {
    /// What its texts weigh.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Clear => 0,
            Self::Set(value) => value.bytes(),
            Self::Append(items) => items.iter().map(|item| item.len()).sum(),
        }
    }
}

/// What a step leaves behind. Channels that are not in `changes` are as they were in `parent`.
#[derive(Clone, Debug)]
pub struct CheckpointWrite {
    /// As in [`Checkpoint`].
    pub id: CheckpointId,
    /// As in [`Checkpoint`]; the changes are relative to this one.
    pub parent: Option<CheckpointId>,
    /// As in [`Checkpoint`].
    pub namespace: String,
    /// As in [`Checkpoint`].
    pub created_at: Timestamp,
    /// As in [`Checkpoint`].
    pub step: i64,
    /// As in [`Checkpoint`].
    pub source: Source,
    /// As in [`Checkpoint`].
    pub metadata: Json,
    /// As in [`Checkpoint`].
    pub versions: BTreeMap<String, Version>,
    /// As in [`Checkpoint`].
    pub versions_seen: BTreeMap<String, BTreeMap<String, Version>>,
    /// As in [`Checkpoint`].
    pub updated_channels: Vec<String>,
    /// What changed since `parent`.
    pub changes: BTreeMap<String, Change>,
}

impl CheckpointWrite {
    /// The snapshot that this makes of its parent: what storage will read back.
    #[must_use]
    pub fn onto(self, parent: Option<&Checkpoint>) -> Checkpoint {
        let mut values = parent.map(|p| p.values.clone()).unwrap_or_default();
        for (channel, change) in self.changes {
            match (change, values.get_mut(&channel)) {
                (Change::Append(items), Some(ChannelValue::List(list))) => {
                    Arc::make_mut(list).extend(items);
                }
                (Change::Append(items), _) => {
                    values.insert(channel, ChannelValue::List(Arc::new(items)));
                }
                (Change::Set(value), _) => {
                    values.insert(channel, value);
                }
                (Change::Clear, _) => {
                    values.remove(&channel);
                }
            }
        }
        Checkpoint {
            id: self.id,
            parent: self.parent,
            namespace: self.namespace,
            created_at: self.created_at,
            step: self.step,
            source: self.source,
            metadata: self.metadata,
            versions: self.versions,
            versions_seen: self.versions_seen,
            updated_channels: self.updated_channels,
            values,
        }
    }

    /// Takes the place of `earlier`, its parent, which will never be stored (durability `exit`).
    pub fn absorb(&mut self, earlier: CheckpointWrite) {
        let later = std::mem::replace(&mut self.changes, earlier.changes);
        for (channel, change) in later {
            let merged = match (self.changes.remove(&channel), change) {
                (Some(Change::Append(mut items)), Change::Append(more)) => {
                    items.extend(more);
                    Change::Append(items)
                }
                (Some(Change::Set(ChannelValue::List(items))), Change::Append(more)) => {
                    let mut items = Arc::unwrap_or_clone(items);
                    items.extend(more);
                    Change::Set(ChannelValue::List(Arc::new(items)))
                }
                (_, change) => change,
            };
            self.changes.insert(channel, merged);
        }
        self.parent = earlier.parent;
    }
}
