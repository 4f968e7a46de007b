//! The traits [`Reads`] and [`Storage`]: one method for each thing that must be atomic. What goes in and out of them
//! is in [`types`](crate::types); how it is kept is no concern of this file.

use async_trait::async_trait;
use selvedge_model::assistant::Assistant;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::delivery::{Attempt, Verdict};
use selvedge_model::run::{Lease, Run};
use selvedge_model::thread::Thread;
use selvedge_model::{AssistantId, CheckpointId, DeliveryId, RunId, ThreadId, Timestamp};

use crate::StorageError;
use crate::types::{
    Admission, AssistantQuery, Claims, DeliveryRecord, DueDeliveries, Insert, NewRun, NewThread,
    Page, Recovery, RunEnd, RunQuery, StepCommit, Values,
};

/// What can be looked at. Every read sees what was committed when it began, and changes nothing: whoever holds only
/// this cannot write.
#[async_trait]
pub trait Reads: Send + Sync + 'static {
    /// One assistant.
    async fn assistant(&self, id: AssistantId) -> Result<Option<Assistant>, StorageError>;
    /// Assistants that match, in the asked order, and whether there are more.
    async fn search_assistants(
        &self,
        query: AssistantQuery,
    ) -> Result<Page<Assistant>, StorageError>;
    /// One thread, with the values of its newest checkpoint when asked for.
    async fn thread(&self, id: ThreadId, values: Values) -> Result<Option<Thread>, StorageError>;
    /// A checkpoint with its pending writes: the named one, or the newest of the namespace.
    async fn checkpoint(
        &self,
        thread: ThreadId,
        namespace: &str,
        at: Option<CheckpointId>,
    ) -> Result<Option<SavedCheckpoint>, StorageError>;
    /// One run; `thread: None` finds it on any thread.
    async fn run(&self, thread: Option<ThreadId>, id: RunId) -> Result<Option<Run>, StorageError>;
    /// The runs of a thread, newest first. Refused with [`StorageError::TooLarge`] when they weigh too much together;
    /// a single one never does.
    async fn list_runs(&self, query: RunQuery) -> Result<Vec<Run>, StorageError>;
    /// How many runs were pending at the last commit. Asks nobody: it costs nothing.
    async fn count_pending_runs(&self) -> Result<u64, StorageError>;
    /// The deliveries of a run with their attempts.
    async fn deliveries_of_run(&self, run: RunId) -> Result<Vec<DeliveryRecord>, StorageError>;
    /// Whether the database answers and can still be written to.
    async fn check(&self) -> Result<(), StorageError>;
}

/// What storage promises beyond [`Reads`]. Every method is atomic: when it answers `Ok`, what it says is durable; when
/// it answers an error, nothing of it happened.
///
/// Dropping a future does not stop what it asked for. A claim whose answer nobody received holds until the process
/// ends, so whoever claims does so on a task that a caller who hangs up does not cancel.
#[async_trait]
pub trait Storage: Reads {
    // ------------------------------------------------------------------ assistants

    /// Makes the default assistants of the configured graphs exist as given. One that exists keeps its
    /// `created_at` and version unless it differs.
    async fn ensure_assistants(&self, defaults: Vec<Assistant>) -> Result<(), StorageError>;

    // ------------------------------------------------------------------ threads

    /// Creates a thread unless the id is taken. The thread comes without its values.
    async fn create_thread(&self, thread: NewThread) -> Result<Insert<Thread>, StorageError>;
    /// Deletes a thread with its runs and checkpoints; `None` when there is none. Deliveries stay. Answers with those
    /// of the runs that had not ended, so that whoever executes one or waits for one can be told: no other is
    /// admitted to the thread between the list and the deletion.
    async fn delete_thread(&self, id: ThreadId) -> Result<Option<Vec<RunId>>, StorageError>;

    // ------------------------------------------------------------------ runs

    /// Accepts a run: creates its thread when asked to, stamps the thread's metadata, marks it busy, stores the
    /// run, and (when nothing stands before it on its thread) claims it for the caller at once, so that a free
    /// worker need not look for it. Runs of other threads that wait for a worker do not stand before it.
    async fn admit_run(&self, run: NewRun) -> Result<Admission, StorageError>;
    /// Claims up to `limit` pending runs that may begin by `now`, oldest first, one per thread and none on a
    /// thread with a running run. Also says when the next one that is still too early may begin.
    async fn claim_runs(&self, now: Timestamp, limit: usize) -> Result<Claims, StorageError>;
    /// Saves what a running run has done so far. Refused with [`StorageError::Fenced`] when the lease is not the
    /// run's newest. Nothing is stored of a temporary run: after a crash it starts again from its input.
    async fn commit_step(&self, lease: Lease, step: StepCommit) -> Result<(), StorageError>;
    /// Ends a run: terminal status, last checkpoints, the thread's outcome and the delivery, or nothing of it.
    /// The thread's status becomes `busy` when other runs wait on it, else what `end` says. A temporary run and
    /// its rows are deleted. Fenced like [`commit_step`](Self::commit_step).
    async fn finish_run(&self, lease: Lease, end: RunEnd) -> Result<(), StorageError>;
    /// Puts a running run back to pending (shutdown); its attempt still counts. Fenced.
    async fn release_run(&self, lease: Lease, now: Timestamp) -> Result<(), StorageError>;

    // ------------------------------------------------------------------ deliveries

    /// Claims up to `limit` deliveries that are due by `now`, first attempts before retries, and says when the next one
    /// is due. Their bodies weigh some megabytes together and one more, so that there is always one when one is due.
    /// A claim holds until [`record_attempt`](Self::record_attempt) or the end of the process.
    async fn claim_deliveries(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<DueDeliveries, StorageError>;
    /// Gives a claimed delivery back: records an attempt and what becomes of the delivery. `attempt: None` does so
    /// without one: the delivery ends (`disabled`), or is put off and tried then.
    async fn record_attempt(
        &self,
        id: DeliveryId,
        attempt: Option<Attempt>,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<(), StorageError>;
    /// Deletes deliveries that ended before a time, with their bodies and attempts, those that ended first of all
    /// first, and says how many. As many as one write may take; whoever wants all gone asks again until it is 0.
    async fn prune_deliveries(&self, ended_before: Timestamp) -> Result<u64, StorageError>;

    // ------------------------------------------------------------------ life

    /// Voids the claims of a process that died: its running runs are pending again (those with `max_attempts`
    /// attempts behind them are returned instead, claimed, to be ended as failed), its deliveries are due at once,
    /// temporary runs start from their input.
    async fn recover(&self, now: Timestamp, max_attempts: u32) -> Result<Recovery, StorageError>;
    /// Finishes what is queued and closes; a copy of what is stored is whole from then on. Later calls fail with [`StorageError::Unavailable`].
    async fn close(&self);
}
