//! What goes in and out of [`Storage`](crate::Storage): plain data, but for [`LastWords`].

mod assistants;
mod cancel;
mod crons;
mod deliveries;
mod events;
mod items;
mod threads;

use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::checkpoint::{Change, CheckpointWrite, PendingWrite};
use selvedge_model::delivery::NewDelivery;
use selvedge_model::event::StoredEvent;
use selvedge_model::run::{ClaimedRun, Run, RunStatus};
use selvedge_model::thread::{ThreadOutcome, ThreadStatus, Ttl};
use selvedge_model::{CheckpointId, Json, ThreadId, Timestamp};

pub use assistants::*;
pub use cancel::*;
pub use crons::*;
pub use deliveries::*;
pub use events::*;
pub use items::*;
pub use threads::*;

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
    /// The id was taken, by something that is not within the scope.
    Taken,
}

/// A run to be accepted. Its `multitask_strategy` says what becomes of other runs of its thread.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The run, status `pending`.
    pub run: Run,
    /// What must hold of its thread.
    pub thread: ThreadNeed,
    /// The ids of the questions of its thread that it answers. It is refused unless each of them waits for an answer that
    /// no other run brings.
    pub answers: Vec<String>,
    /// Claim it at once when nothing stands before it and it may begin by this time.
    pub claim_by: Option<Timestamp>,
    /// Refuse when so many runs are pending already.
    pub max_pending_runs: u64,
    /// And within this of what its owner may have.
    pub share: Option<Share>,
    /// For those that its strategy ends without their having begun.
    pub last_words: LastWords,
}

impl NewRun {
    /// What its texts weigh.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let kwargs = &self.run.kwargs;
        let command = kwargs.command.as_ref();
        let parts = command.map(|command| [&command.update, &command.resume, &command.goto]);
        let command = parts.into_iter().flatten().flatten().map(Json::len);
        self.run.metadata.len()
            + kwargs.input.len()
            + kwargs.config.len()
            + kwargs.context.len()
            + command.sum::<usize>()
    }
}

/// What one owner may have at once. Where nobody is told from anybody there is none in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Pending runs.
    pub max_pending_runs: u64,
    /// Running runs; others wait.
    pub max_running_runs: u64,
    /// Crons.
    pub max_crons: u64,
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
        /// Of the new thread.
        ttl: Option<Ttl>,
    },
}

/// What came of asking for a run.
#[derive(Clone, Debug)]
pub enum Admission {
    /// Accepted and claimed: execute it now. The others of its thread that it cancelled had not begun.
    Claimed(Box<ClaimedRun>, Cancelled),
    /// Accepted: it waits for its time or its turn. What it cancelled on its thread.
    Queued(Box<Run>, Cancelled),
    /// Not accepted, and nothing was changed.
    Refused(Refusal),
}

/// What came of asking for several runs at once.
#[derive(Clone, Debug)]
pub enum Batch {
    /// All were accepted, in their order; none of these is a refusal.
    Accepted(Vec<Admission>),
    /// One was not, and so none was.
    Refused {
        /// The position of the first that was not.
        position: usize,
        /// Why.
        refusal: Refusal,
    },
}

/// Why a run is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The thread does not exist, or is not within the scope.
    NoThread,
    /// This question does not wait for an answer, or not any more.
    NoQuestion(String),
    /// The thread is busy and the run did not want to wait.
    Busy,
    /// Too many runs are pending.
    TooManyPending,
    /// Too many of its owner's are.
    TooManyPendingOfOwner,
}

/// Runs that were claimed.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// To be executed now.
    pub runs: Vec<ClaimedRun>,
    /// When the next pending run that is too early may begin.
    pub next_due: Option<Timestamp>,
    /// So many runs had to be passed over that others were not looked at: ask again.
    pub unfinished: bool,
}

/// What a running run has done since the last commit.
#[derive(Clone, Debug, Default)]
pub struct StepCommit {
    /// New checkpoints, oldest first.
    pub checkpoints: Vec<CheckpointWrite>,
    /// Writes of finished tasks, by the checkpoint that they belong to.
    pub pending: Vec<PendingCommit>,
    /// Events to be kept, in the order of their ids; of a temporary run too.
    pub events: Vec<StoredEvent>,
}

impl StepCommit {
    /// What its texts weigh.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let changes =
            |write: &CheckpointWrite| write.changes.values().map(Change::bytes).sum::<usize>();
        let checkpoints = self
            .checkpoints
            .iter()
            .map(|write| write.metadata.len() + changes(write));
        let pending = self.pending.iter().flat_map(|commit| &commit.writes);
        let events = self.events.iter().map(|stored| stored.event.data.len());
        checkpoints.sum::<usize>()
            + pending.map(|write| write.value.len()).sum::<usize>()
            + events.sum::<usize>()
    }
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
    /// Whether this carries out a wish to cancel the run. With `Rollback` the run's row goes, and so does all that it
    /// left on its thread: `step`'s checkpoints are not stored, `thread_status` and the outcome's interrupts do not
    /// count, because the thread is as it was before the run; only the outcome's error stays.
    pub cancelled: Option<CancelAction>,
}

/// What came of ending a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Finish {
    /// It has ended.
    Ended,
    /// Nothing was stored: someone wants it cancelled, and this was no such end. End it so.
    CancelRequested(CancelRequest),
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

/// What was found of a process that died.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// Runs that are pending again.
    pub requeued: u64,
    /// Runs that have had all their attempts, claimed, to be ended as failed.
    pub exhausted: Vec<ClaimedRun>,
    /// Runs that someone wanted cancelled, claimed, to be ended so.
    pub cancelled: Vec<ClaimedRun>,
    /// Deliveries that are due again.
    pub deliveries: u64,
}
