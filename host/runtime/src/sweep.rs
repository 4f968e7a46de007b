//! Threads whose time has come: a task that sleeps until the next is due, and does to it what its lifetime says.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::Timestamp;
use selvedge_model::thread::Ttl;
use selvedge_storage::StorageError;

use crate::Shared;

/// Threads of one write; others get their turn between two.
const BATCH: u32 = 100;
/// How long to leave storage alone after it failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// How long threads stay: `checkpointer.ttl`.
#[derive(Clone, Copy, Debug)]
pub struct ThreadTtl {
    /// Of threads that are created without a lifetime of their own (`strategy`, `default_ttl`); `None`: they stay.
    pub default: Option<Ttl>,
    /// The longest time between two passes (`sweep_interval_minutes`), and the shortest after one that was full.
    pub sweep_interval: Duration,
    /// Threads of one pass (`sweep_limit`).
    pub sweep_limit: u32,
}

impl Default for ThreadTtl {
    fn default() -> Self {
        Self {
            default: None,
            sweep_interval: Duration::from_mins(5),
            sweep_limit: 10_000,
        }
    }
}

/// Runs until a shutdown begins.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    loop {
        shared.alarm.looking();
        let next = next_pass(&shared).await;
        shared.alarm.planned(next.at);
        let sleep = Timestamp::now().until(next.at);
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = shared.alarm.rings(), if next.may_be_earlier => {}
            () = shared.draining() => return,
        }
    }
}

/// When to look again.
struct NextPass {
    at: Timestamp,
    /// Whether a thread may call for it before.
    may_be_earlier: bool,
}

async fn next_pass(shared: &Shared) -> NextPass {
    let interval = shared.options.thread_ttl.sweep_interval;
    let passed = pass(shared).await;
    let in_the_interval = Timestamp::now().after(interval);
    match passed {
        Ok(Passed::Whole { next_due }) => NextPass {
            at: next_due.map_or(in_the_interval, |due| due.min(in_the_interval)),
            may_be_earlier: true,
        },
        Ok(Passed::Full) => NextPass {
            at: in_the_interval,
            may_be_earlier: false,
        },
        Err(error) => {
            tracing::warn!(%error, "threads whose time has come cannot be swept; trying again");
            NextPass {
                at: Timestamp::now().after(PAUSE_AFTER_FAILURE),
                may_be_earlier: false,
            }
        }
    }
}

enum Passed {
    /// Nothing is left whose time has come.
    Whole { next_due: Option<Timestamp> },
    /// As many as one pass may take are gone.
    Full,
}

async fn pass(shared: &Shared) -> Result<Passed, StorageError> {
    let mut left = shared.options.thread_ttl.sweep_limit;
    while left > 0 && !shared.stopping() {
        let batch = left.min(BATCH);
        let swept = shared
            .storage
            .sweep_threads(Timestamp::now(), batch)
            .await?;
        let deleted = swept.gone.len() as u64;
        let done = deleted + swept.trimmed;
        for thread in swept.gone {
            shared.hub.thread_is_gone(thread);
        }
        if done > 0 {
            tracing::info!(
                deleted,
                trimmed = swept.trimmed,
                "threads whose time had come"
            );
        }
        if done < u64::from(batch) {
            return Ok(Passed::Whole {
                next_due: swept.next_due,
            });
        }
        left -= batch;
    }
    Ok(Passed::Full)
}
