//! What goes in and out of [`Storage`](crate::Storage): plain data.

use selvedge_model::checkpoint::{CheckpointWrite, PendingWrite};
use selvedge_model::delivery::{Attempt, DeliveryStatus, DueDelivery, NewDelivery};
use selvedge_model::run::{ClaimedRun, Run, RunStatus};
use selvedge_model::thread::{ThreadOutcome, ThreadStatus};
use selvedge_model::{CheckpointId, DeliveryId, Json, RunId, ThreadId, Timestamp};

/// Rows of a search.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether more match.
    pub more: bool,
}

/// What came of an insert.
#[derive(Clone, Debug)]
pub enum Insert<T> {
    /// It is new.
    Created(T),
    /// The id was taken, by this.
    Exists(T),
}

/// Which assistants to find.
#[derive(Clone, Debug)]
pub struct AssistantQuery {
    /// An object that the metadata must contain.
    pub metadata: Option<Json>,
    /// Exactly this graph.
    pub graph_id: Option<String>,
    /// A part of the name, in any case.
    pub name: Option<String>,
    /// What to sort by.
    pub sort_by: AssistantSort,
    /// Largest first.
    pub descending: bool,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

/// What assistants can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AssistantSort {
    /// By id.
    AssistantId,
    /// By age.
    #[default]
    CreatedAt,
    /// By last change.
    UpdatedAt,
    /// By name.
    Name,
    /// By graph.
    GraphId,
}

/// A thread to be created.
#[derive(Clone, Debug)]
pub struct NewThread {
    /// Its id.
    pub thread_id: ThreadId,
    /// An object.
    pub metadata: Json,
    /// Now.
    pub created_at: Timestamp,
}

/// Whether a read of a thread puts its values together, which costs reading its newest checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Yes.
    Include,
    /// No; `Thread::values` is `None`.
    Skip,
}

/// A run to be accepted.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The run, status `pending`.
    pub run: Run,
    /// What must hold of its thread.
    pub thread: ThreadNeed,
    /// Refuse when another run of the thread has not ended (`multitask_strategy: reject`).
    pub reject_if_busy: bool,
    /// Claim it at once when nothing stands before it and it may begin by this time.
    pub claim_by: Option<Timestamp>,
    /// Refuse when so many runs are pending already.
    pub max_pending_runs: u64,
}

/// What must hold of the thread of a new run.
#[derive(Clone, Debug)]
pub enum ThreadNeed {
    /// The run is temporary: it needs no thread row at all.
    None,
    /// The thread must exist; these members are merged into its metadata and config.
    Existing {
        /// `graph_id` and `assistant_id`.
        metadata: Json,
        /// `tags`, `recursion_limit`, … that later runs share.
        config: Json,
    },
    /// The thread is created when it does not exist (`if_not_exists: create`, stateless runs that are kept).
    Create {
        /// As in `Existing`; merged, or the new thread's.
        metadata: Json,
        /// As in `Existing`.
        config: Json,
    },
}

/// What came of asking for a run.
#[derive(Clone, Debug)]
pub enum Admission {
    /// Accepted and claimed: execute it now.
    Claimed(Box<ClaimedRun>),
    /// Accepted: it waits for its time or its turn.
    Queued(Box<Run>),
    /// The thread does not exist.
    NoThread,
    /// The thread is busy and the run did not want to wait.
    Busy,
    /// Too many runs are pending.
    TooManyPending,
}

/// Runs that were claimed.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// To be executed now.
    pub runs: Vec<ClaimedRun>,
    /// When the next pending run that is too early may begin.
    pub next_due: Option<Timestamp>,
}

/// What a running run has done since the last commit.
#[derive(Clone, Debug, Default)]
pub struct StepCommit {
    /// New checkpoints, oldest first.
    pub checkpoints: Vec<CheckpointWrite>,
    /// Writes of finished tasks, by the checkpoint that they belong to.
    pub pending: Vec<PendingCommit>,
}

/// Writes of finished tasks.
#[derive(Clone, Debug)]
pub struct PendingCommit {
    /// The checkpoint that the tasks ran on.
    pub checkpoint: CheckpointId,
    /// Its namespace.
    pub namespace: String,
    /// The writes; the same task and index again replaces the earlier one.
    pub writes: Vec<PendingWrite>,
}

/// How a run ends.
#[derive(Clone, Debug)]
pub struct RunEnd {
    /// Terminal.
    pub status: RunStatus,
    /// When it ended.
    pub at: Timestamp,
    /// What was not committed yet.
    pub step: StepCommit,
    /// The thread's status when no other run waits on it.
    pub thread_status: ThreadStatus,
    /// What the run leaves on its thread.
    pub outcome: ThreadOutcome,
    /// The webhook to deliver.
    pub delivery: Option<NewDelivery>,
}

/// Which runs to list.
#[derive(Clone, Debug)]
pub struct RunQuery {
    /// Of this thread.
    pub thread_id: ThreadId,
    /// With this status.
    pub status: Option<RunStatus>,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

/// Deliveries that were claimed.
#[derive(Clone, Debug, Default)]
pub struct DueDeliveries {
    /// To be tried now.
    pub deliveries: Vec<DueDelivery>,
    /// There may be more that are due: as many were taken as were asked for, or as one claim may weigh.
    pub more: bool,
    /// When the next one is due that was not due yet.
    pub next_due: Option<Timestamp>,
}

/// A delivery as it stands.
#[derive(Clone, Debug)]
pub struct DeliveryRecord {
    /// Its id.
    pub id: DeliveryId,
    /// The run it is about.
    pub run_id: RunId,
    /// Where to.
    pub url: String,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it is tried next, while pending.
    pub next_attempt_at: Option<Timestamp>,
    /// Every attempt, oldest first.
    pub attempts: Vec<Attempt>,
}

/// What was found of a process that died.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// Runs that are pending again.
    pub requeued: u64,
    /// Runs that have had all their attempts, claimed, to be ended as failed.
    pub exhausted: Vec<ClaimedRun>,
    /// Deliveries that are due again.
    pub deliveries: u64,
}
