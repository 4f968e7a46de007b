//! What the operator's metrics say of runs, their tasks and their webhooks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use selvedge_index::Counts as IndexCounts;
use selvedge_model::Timestamp;
use selvedge_model::run::RunStatus;
pub use selvedge_sandbox::Measures as TaskMeasures;
use selvedge_storage::{PendingItems, StorageError};
pub use selvedge_webhook::counts::{Counts, Reported};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Runtime;

/// How runs end.
const ENDS: [RunStatus; 4] = [
    RunStatus::Success,
    RunStatus::Error,
    RunStatus::Timeout,
    RunStatus::Interrupted,
];

/// Runs that ended, counted as it happens.
#[derive(Default)]
pub(crate) struct Ended([AtomicU64; ENDS.len()]);

impl Ended {
    pub(crate) fn count(&self, status: RunStatus) {
        for (_, counter) in ENDS.iter().zip(&self.0).filter(|(end, _)| **end == status) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How old what is said of storage may be. Counting costs storage time, and anybody may ask for metrics.
const MAX_AGE: Duration = Duration::from_secs(1);

/// What storage said last, and when.
#[derive(Default)]
pub(crate) struct LastWaiting(Mutex<Option<(Instant, Waiting)>>);

/// How it stands at this moment.
#[derive(Clone, Debug)]
pub struct Measures {
    /// Runs that ended since the process began, by how they ended; a run that was rolled back was interrupted.
    pub ended: [(RunStatus, u64); ENDS.len()],
    /// What waits in storage; `None` when storage does not say.
    pub waiting: Option<Waiting>,
    /// Runs that are executed.
    pub running: usize,
    /// Runs that can be executed at once.
    pub places: usize,
    /// Due times of crons that made a run since the process began.
    pub crons_fired: u64,
    /// Those that made none although they should have.
    pub cron_errors: u64,
    /// Tasks in the sandbox.
    pub tasks: TaskMeasures,
    /// What has become of attempts to deliver webhooks.
    pub webhooks: Counts,
    /// What has become of the store's items, where there is an index.
    pub index: Option<IndexCounts>,
}

/// What waits in storage, or did a second ago.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Runs that wait, for a place, for their thread or for their time.
    pub runs: u64,
    /// Crons that are enabled.
    pub crons: u64,
    /// Deliveries that are pending.
    pub deliveries: u64,
    /// How long ago the run of the oldest of them ended, in seconds; 0 when there is none.
    pub oldest_secs: f64,
    /// For how long the one that is due longest has been due and not come to the end of an attempt, in seconds; 0 when
    /// none is due.
    pub overdue_secs: f64,
    /// Items of the store without vectors, where there is or was an index.
    pub items: PendingItems,
}

impl Runtime {
    /// Reads the counters, and asks storage what waits. When storage fails, the counters are what an operator needs.
    pub async fn measures(&self) -> Measures {
        let shared = &self.0;
        let waiting = self.waiting().await.inspect_err(|error| {
            tracing::warn!(%error, "metrics without what waits in storage");
        });
        let mut ended = ENDS.map(|status| (status, 0));
        for ((_, count), counter) in ended.iter_mut().zip(&shared.ended.0) {
            *count = counter.load(Ordering::Relaxed);
        }
        let (running, places) = shared.queue.taken();
        let (crons_fired, cron_errors) = shared.crons.counts();
        Measures {
            ended,
            waiting: waiting.ok(),
            running,
            places,
            crons_fired,
            cron_errors,
            tasks: shared.sandbox.measures(),
            webhooks: shared.webhooks.counts(),
            index: shared.index.as_ref().map(|index| index.counts()),
        }
    }

    async fn waiting(&self) -> Result<Waiting, StorageError> {
        // Whoever comes while storage is asked waits for that answer, and asks no second time.
        let mut last = self.0.last_waiting.0.lock().await;
        if let Some((at, waiting)) = *last
            && at.elapsed() < MAX_AGE
        {
            return Ok(waiting);
        }
        let storage = &self.0.storage;
        let outbox = storage.outbox().await?;
        let now = Timestamp::now();
        let secs_since = |time: Option<Timestamp>| {
            let age = time.map(|time| time.until(now));
            age.unwrap_or_default().as_secs_f64()
        };
        let waiting = Waiting {
            runs: storage.count_pending_runs().await?,
            crons: storage.count_enabled_crons().await?,
            deliveries: outbox.pending,
            oldest_secs: secs_since(outbox.oldest),
            overdue_secs: secs_since(outbox.due),
            items: storage.count_pending_items().await?,
        };
        *last = Some((Instant::now(), waiting));
        Ok(waiting)
    }
}
