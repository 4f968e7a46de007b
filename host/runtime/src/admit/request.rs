//! What a caller asks for, checked for its form by the edge and not yet for its sense.

use std::time::Duration;

use selvedge_model::run::{Breakpoints, Command, Durability, MultitaskStrategy, StreamMode};
use selvedge_model::{AssistantId, CheckpointId, CronId, Json, ThreadId};
use selvedge_storage::StorageError;
use selvedge_webhook::Refusal;

/// A run to be created.
#[derive(Clone, Debug)]
pub struct CreateRun {
    /// Whom to run.
    pub assistant: AssistantRef,
    /// On which thread.
    pub place: Place,
    /// The input; `None` goes on where the thread stands.
    pub input: Option<Json>,
    /// Instructions in place of an input.
    pub command: Option<Command>,
    /// The ids of the questions of its thread that the command answers, where each is to be answered once: the run is
    /// accepted only if all of them wait for an answer that no other run brings. Without any, whatever is asked by then
    /// is answered.
    pub answers: Vec<String>,
    /// An earlier checkpoint to take up again.
    pub checkpoint_id: Option<CheckpointId>,
    /// An object.
    pub metadata: Json,
    /// An object: `tags`, `recursion_limit`, `configurable`, `metadata`.
    pub config: Json,
    /// An object.
    pub context: Option<Json>,
    /// Where the completed Run is posted.
    pub webhook: Option<String>,
    /// Stop before these nodes.
    pub interrupt_before: Option<Breakpoints>,
    /// Stop after these nodes.
    pub interrupt_after: Option<Breakpoints>,
    /// What the stream shows.
    pub stream_mode: Vec<StreamMode>,
    /// Whether it shows subgraphs.
    pub stream_subgraphs: bool,
    /// Whether it is stored.
    pub stream_resumable: bool,
    /// Whether the stream is there for the event protocol alone.
    pub event_protocol: bool,
    /// Names under which feedback could be given.
    pub feedback_keys: Option<Vec<String>>,
    /// Where LangSmith would file the run.
    pub tracer: Option<Tracer>,
    /// What to do about others on the thread.
    pub multitask_strategy: MultitaskStrategy,
    /// Not before this has passed.
    pub after: Duration,
    /// When checkpoints become durable.
    pub durability: Durability,
    /// Whether it goes with whoever created it: it is cancelled when [`Accepted::stream`](crate::admit::Accepted) is
    /// dropped before it has ended.
    pub cancel_on_disconnect: bool,
    /// The caller's `x-request-id`, or one that was made for it; `None` for a run that a cron makes.
    pub request_id: Option<String>,
    /// The cron that makes it.
    pub cron_id: Option<CronId>,
}

impl CreateRun {
    /// A run of which nothing else is asked. `request_id` is the caller's, or one that was made for it.
    #[must_use]
    pub fn new(assistant: AssistantRef, place: Place, request_id: String) -> Self {
        let empty = || Json::object::<&str>([]);
        Self {
            assistant,
            place,
            input: None,
            command: None,
            answers: Vec::new(),
            checkpoint_id: None,
            metadata: empty(),
            config: empty(),
            context: None,
            webhook: None,
            interrupt_before: None,
            interrupt_after: None,
            stream_mode: vec![StreamMode::Values],
            stream_subgraphs: false,
            stream_resumable: false,
            event_protocol: false,
            feedback_keys: None,
            tracer: None,
            multitask_strategy: MultitaskStrategy::default(),
            after: Duration::ZERO,
            durability: Durability::default(),
            cancel_on_disconnect: false,
            request_id: Some(request_id),
            cron_id: None,
        }
    }
}

/// `langsmith_tracer`: kept with the run for graphs that trace themselves; the host sends nothing there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracer {
    /// LangSmith's project.
    pub project_name: Option<String>,
    /// LangSmith's example.
    pub example_id: Option<String>,
}

/// An assistant as callers name it: by its id, or by a graph's name, which means that graph's default assistant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssistantRef {
    /// By id.
    Id(AssistantId),
    /// By graph.
    Graph(String),
}

impl AssistantRef {
    /// Reads what a caller wrote.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Graph(text.to_owned()), Self::Id)
    }
}

/// Where a run takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a thread.
    Thread {
        /// Which.
        id: ThreadId,
        /// Create it when it does not exist (`if_not_exists: create`).
        create: bool,
    },
    /// Nowhere: a thread of its own that nobody else uses.
    Stateless {
        /// Keep that thread when the run ends (`on_completion: keep`).
        keep: bool,
    },
}

/// Why a run is not accepted: the caller's choices.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// No graph of that name.
    #[error(
        "Invalid assistant: '{name}'. Must be either:\n- A valid assistant UUID, or\n- One of the registered graphs: {graphs}"
    )]
    UnknownGraph {
        /// What the caller named.
        name: String,
        /// What there is.
        graphs: String,
    },
    /// No such assistant, or no such thread.
    #[error("Thread or assistant not found.")]
    NotFound,
    /// No such checkpoint.
    #[error("Checkpoint {checkpoint} not found on thread {thread}")]
    NoCheckpoint {
        /// The thread.
        thread: ThreadId,
        /// What the caller named.
        checkpoint: CheckpointId,
    },
    /// This question does not wait for an answer, or not any more.
    #[error("Unknown or already-consumed interrupt: {0}")]
    NoQuestion(String),
    /// `config.configurable` and `context` at once.
    #[error(
        "Cannot specify both configurable and context. Prefer setting context alone. Context was introduced in \
         LangGraph 0.6.0 and is the long term planned replacement for configurable."
    )]
    ConfigurableAndContext,
    /// An answer to an interrupt without the thread that asked.
    #[error("You must provide a thread_id when resuming.")]
    ResumeWithoutThread,
    /// The webhook policy refuses the URL.
    #[error("{0}")]
    Webhook(Refusal),
    /// The thread is busy and the run did not want to wait.
    #[error(
        "Thread is already running a task. Wait for it to finish or choose a different multitask strategy."
    )]
    Busy,
    /// Too many runs are pending.
    #[error("Too many runs are pending ({limit}). Try again later.")]
    TooManyPending {
        /// `runtime.max_pending_runs`.
        limit: u64,
    },
    /// Too many runs of the caller's are pending.
    #[error(
        "Too many of your runs are pending ({limit}, runtime.max_pending_runs_per_caller). Try again later."
    )]
    TooManyPendingOfCaller {
        /// `runtime.max_pending_runs_per_caller`.
        limit: u64,
    },
    /// The server is stopping.
    #[error("The server is shutting down.")]
    ShuttingDown,
    /// Storage said no.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
