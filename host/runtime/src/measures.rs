//! What the operator's metrics say of runs, their tasks and their webhooks.

use std::sync::atomic::{AtomicU64, Ordering};

use selvedge_model::Timestamp;
use selvedge_model::run::RunStatus;
pub use selvedge_sandbox::Measures as TaskMeasures;
use selvedge_storage::{CronFilter, StorageError};
pub use selvedge_webhook::Counts;

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

/// How it stands at this moment.
#[derive(Clone, Debug)]
pub struct Measures {
    /// Runs that ended since the process began, by how they ended; a run that was rolled back was interrupted.
    pub ended: [(RunStatus, u64); ENDS.len()],
    /// Runs that wait, for a place, for their thread or for their time.
    pub pending: u64,
    /// Runs that are executed.
    pub running: usize,
    /// Runs that can be executed at once.
    pub places: usize,
    /// Crons that fire.
    pub crons: u64,
    /// Due times of crons that made a run since the process began.
    pub crons_fired: u64,
    /// Those that made none although they should have.
    pub cron_errors: u64,
    /// Tasks in the sandbox.
    pub tasks: TaskMeasures,
    /// What has become of attempts to deliver webhooks.
    pub webhooks: Counts,
    /// Deliveries that are pending.
    pub outbox: u64,
    /// How long ago the run of the oldest of them ended, in seconds; 0 when there is none.
    pub oldest_secs: f64,
}

impl Runtime {
    /// Reads the counters, and asks storage what waits.
    pub async fn measures(&self) -> Result<Measures, StorageError> {
        let shared = &self.0;
        let outbox = shared.storage.outbox().await?;
        let age = outbox
            .oldest
            .map(|oldest| oldest.until(Timestamp::now()).as_secs_f64());
        let mut ended = ENDS.map(|status| (status, 0));
        for ((_, count), counter) in ended.iter_mut().zip(&shared.ended.0) {
            *count = counter.load(Ordering::Relaxed);
        }
        let (running, places) = shared.queue.taken();
        let enabled = CronFilter {
            enabled: Some(true),
            ..CronFilter::default()
        };
        let (crons_fired, cron_errors) = shared.crons.counts();
        Ok(Measures {
            ended,
            pending: shared.storage.count_pending_runs().await?,
            running,
            places,
            crons: shared.storage.count_crons(enabled).await?,
            crons_fired,
            cron_errors,
            tasks: shared.sandbox.measures(),
            webhooks: shared.webhooks.counts(),
            outbox: outbox.pending,
            oldest_secs: age.unwrap_or_default(),
        })
    }
}
