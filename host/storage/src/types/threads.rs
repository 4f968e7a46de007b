//! Threads and their history.

use std::collections::BTreeMap;

use selvedge_model::thread::{ThreadOutcome, ThreadStatus, Ttl};
use selvedge_model::{CheckpointId, Identity, Json, RunId, ThreadId, Timestamp};

use super::StepCommit;

/// A thread to be created.
#[derive(Clone, Debug)]
pub struct NewThread {
    /// Its id.
    pub thread_id: ThreadId,
    /// An object.
    pub metadata: Json,
    /// Now.
    pub created_at: Timestamp,
    /// When it goes by itself.
    pub ttl: Option<Ttl>,
}

/// Whether a read of a thread puts its values together, which costs reading its newest checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Yes.
    Include,
    /// No; `Thread::values` is `None`.
    Skip,
}

/// What is to be different about a thread.
#[derive(Clone, Debug)]
pub struct ThreadPatch {
    /// Merged into the old one.
    pub metadata: Option<Json>,
    /// In place of the old one.
    pub ttl: Option<Ttl>,
    /// Now.
    pub now: Timestamp,
}

/// Which threads.
#[derive(Clone, Debug, Default)]
pub struct ThreadFilter {
    /// Among these.
    pub ids: Option<Vec<ThreadId>>,
    /// An object that the metadata must contain.
    pub metadata: Option<Json>,
    /// An object that the values must contain. Reads the values of each thread that passes the other conditions.
    pub values: Option<Json>,
    /// With this status.
    pub status: Option<ThreadStatus>,
}

/// Which threads to find.
#[derive(Clone, Debug)]
pub struct ThreadQuery {
    /// That match this.
    pub filter: ThreadFilter,
    /// What to sort by.
    pub sort_by: ThreadSort,
    /// Largest first.
    pub descending: bool,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
    /// Whether they come with their values.
    pub values: Values,
}

/// What threads can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThreadSort {
    /// By id.
    ThreadId,
    /// By the name of the status.
    Status,
    /// By age.
    CreatedAt,
    /// By last change.
    #[default]
    UpdatedAt,
    /// By last change of the values.
    StateUpdatedAt,
}

/// How much of a thread goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prune {
    /// All of it.
    Delete,
    /// Its checkpoints but the newest, and the newest of each graph inside it that may still go on. A thread with a run that has not ended is left alone.
    KeepLatest,
}

/// What was pruned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Threads.
    pub threads: u64,
    /// Those of them that are gone as a whole.
    pub gone: Vec<GoneThread>,
}

/// A thread that was deleted, for those who are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneThread {
    /// Its id, which anybody may take now.
    pub thread_id: ThreadId,
    /// Whose it was; `None`: nobody's.
    pub owner: Option<Identity>,
    /// Its runs that had not ended.
    pub unended: Vec<RunId>,
}

/// What was done about threads whose time had come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Threads that were deleted; none had a run that had not ended.
    pub gone: Vec<GoneThread>,
    /// Threads that have only their newest checkpoint now.
    pub trimmed: u64,
    /// When the time of the next one comes; it may have come already when the pass was full. `None` when no thread at
    /// rest has a lifetime.
    pub next_due: Option<Timestamp>,
}

/// A change of a thread's state from outside its runs.
#[derive(Clone, Debug)]
pub struct ThreadUpdate {
    /// What to store.
    pub step: StepCommit,
    /// Whose state: `""` for the root graph, else the path of a nested one. What a thread says of itself is about its
    /// root graph, so then `status` and `outcome` do not count.
    pub namespace: String,
    /// The thread's status then.
    pub status: ThreadStatus,
    /// What the thread says of its runs then.
    pub outcome: ThreadOutcome,
    /// The newest checkpoint of the namespace that this was made for; `None`: there was none.
    pub expected_newest: Option<CheckpointId>,
    /// Merged into the thread's metadata (`graph_id`, `assistant_id`).
    pub metadata: Option<Json>,
    /// Now.
    pub now: Timestamp,
}

/// What came of changing a thread's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// It is done.
    Done,
    /// There is no such thread.
    NoThread,
    /// A run is pending or running: these.
    Busy(Vec<RunId>),
    /// The thread has another newest checkpoint than the one that was expected. Look again.
    Stale,
}

/// Which checkpoints of a thread to list, newest first.
#[derive(Clone, Debug)]
pub struct HistoryQuery {
    /// Of this thread.
    pub thread_id: ThreadId,
    /// Of this namespace, `""` for the root graph.
    pub namespace: String,
    /// Older than this one.
    pub before: Option<CheckpointId>,
    /// An object that the metadata must contain, `source`, `step` and `parents` counted among its members.
    pub metadata: Option<Json>,
    /// At most so many.
    pub limit: u32,
}

/// What a thread takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadStorage {
    /// Checkpoints without their values.
    pub checkpoints: Usage,
    /// Values, in all their versions that are kept.
    pub channel_values: Usage,
    /// The same by channel.
    pub by_channel: BTreeMap<String, Usage>,
    /// Writes of tasks.
    pub pending_writes: Usage,
}

/// Rows and their texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many.
    pub count: u64,
    /// Their length in bytes.
    pub bytes: u64,
}
