//! A run: one execution of a graph, from its admission to its end.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cancel::CancelRequest;
use crate::{AssistantId, Identity, Json, RunId, ThreadId, Timestamp};

/// Where a run stands, in LangGraph's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Accepted, not begun.
    Pending,
    /// A worker has it.
    Running,
    /// The graph failed.
    Error,
    /// The graph ended, or stopped at an interrupt.
    Success,
    /// It took longer than a run may.
    Timeout,
    /// It was cancelled.
    Interrupted,
}

impl RunStatus {
    /// Whether nothing more will happen to the run.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Error => "error",
            Self::Success => "success",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
        }
    }
}

impl std::str::FromStr for RunStatus {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [
            Self::Pending,
            Self::Running,
            Self::Error,
            Self::Success,
            Self::Timeout,
            Self::Interrupted,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or(())
    }
}

/// What a new run does about others on its thread that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MultitaskStrategy {
    /// The new run is refused.
    Reject,
    /// The others are cancelled and what they did is undone.
    Rollback,
    /// The others are cancelled and what they did stays.
    Interrupt,
    /// The new run waits its turn.
    #[default]
    Enqueue,
}

/// When checkpoints become durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Before the next super-step begins.
    Sync,
    /// While the next super-step runs; nothing external leaves before.
    #[default]
    Async,
    /// Only when the run ends or stops.
    Exit,
}

/// What a caller wants to see of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamMode {
    /// The whole state after each step.
    Values,
    /// What each task wrote.
    Updates,
    /// Messages, accumulated.
    Messages,
    /// Messages, chunk by chunk.
    MessagesTuple,
    /// Tasks starting and ending.
    Tasks,
    /// Checkpoints.
    Checkpoints,
    /// LangChain's event stream.
    Events,
    /// Tasks and checkpoints.
    Debug,
    /// Whatever nodes emit.
    Custom,
    /// Tools that are called.
    Tools,
}

impl StreamMode {
    /// All modes.
    pub const ALL: [StreamMode; 10] = [
        Self::Values,
        Self::Updates,
        Self::Messages,
        Self::MessagesTuple,
        Self::Tasks,
        Self::Checkpoints,
        Self::Events,
        Self::Debug,
        Self::Custom,
        Self::Tools,
    ];

    /// The word in requests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Values => "values",
            Self::Updates => "updates",
            Self::Messages => "messages",
            Self::MessagesTuple => "messages-tuple",
            Self::Tasks => "tasks",
            Self::Checkpoints => "checkpoints",
            Self::Events => "events",
            Self::Debug => "debug",
            Self::Custom => "custom",
            Self::Tools => "tools",
        }
    }
}

/// Which nodes a run stops at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breakpoints {
    /// `"*"`.
    All,
    /// These.
    Nodes(Vec<String>),
}

impl Breakpoints {
    /// Whether a node is one of them.
    #[must_use]
    pub fn contains(&self, node: &str) -> bool {
        match self {
            Self::All => true,
            Self::Nodes(nodes) => nodes.iter().any(|n| n == node),
        }
    }
}

impl Serialize for Breakpoints {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("*"),
            Self::Nodes(nodes) => nodes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Breakpoints {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Word(String),
            Nodes(Vec<String>),
        }
        match Form::deserialize(deserializer) {
            Ok(Form::Word(word)) if word == "*" => Ok(Self::All),
            Ok(Form::Nodes(nodes)) if nodes == ["*"] => Ok(Self::All),
            Ok(Form::Nodes(nodes)) => Ok(Self::Nodes(nodes)),
            _ => Err(serde::de::Error::custom(
                "must be \"*\" or a list of node names",
            )),
        }
    }
}

/// Instructions to a graph in place of an input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// State writes to apply first: an object, or a list of `[key, value]` pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Json>,
    /// The answer to `interrupt()`, or a map from interrupt ids to answers. `Some(null)` is an answer.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub resume: Option<Json>,
    /// A node name, a `Send` object `{node, input}`, or a list of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goto: Option<Json>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// What a run was asked to do: the `kwargs` of the Run object, members in LangGraph's order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunKwargs {
    /// The input, or `null`.
    pub input: Json,
    /// Instructions in place of an input.
    pub command: Option<Command>,
    /// Configuration as the graph sees it: `tags`, `recursion_limit`, `configurable`, `metadata`.
    pub config: Json,
    /// Static context as the graph sees it.
    pub context: Json,
    /// What the stream shows.
    pub stream_mode: Vec<StreamMode>,
    /// Stop before these nodes.
    pub interrupt_before: Option<Breakpoints>,
    /// Stop after these nodes.
    pub interrupt_after: Option<Breakpoints>,
    /// Where the completed Run is posted.
    pub webhook: Option<String>,
    /// Names under which feedback could be given.
    pub feedback_keys: Option<Vec<String>>,
    /// Stateless and deleted when it ends: no checkpoints.
    pub temporary: bool,
    /// Whether the stream shows subgraphs.
    pub subgraphs: bool,
    /// Whether the stream is stored so that it can be read again.
    pub resumable: bool,
    /// Whether it is there for the event protocol alone, which tells no more of a checkpoint than where it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub event_protocol: bool,
    /// LangGraph's older spelling of `durability`, for clients that read it.
    pub checkpoint_during: bool,
    /// When checkpoints become durable.
    pub durability: Durability,
}

/// A run as callers see it, members in LangGraph's order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub run_id: RunId,
    /// Its thread; a temporary one for stateless runs.
    pub thread_id: ThreadId,
    /// The assistant that it runs.
    pub assistant_id: AssistantId,
    /// An object.
    pub metadata: Json,
    /// Where it stands.
    pub status: RunStatus,
    /// What was asked for.
    pub kwargs: RunKwargs,
    /// What it does about others on its thread.
    pub multitask_strategy: MultitaskStrategy,
    /// When it was accepted, or when it may begin (`after_seconds`).
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The right to write to a run, given to whoever claimed it. A claim of the same run later has a higher fence, and
/// storage refuses writes under a lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The run.
    pub run_id: RunId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// Higher for each claim of the run.
    pub fence: i64,
}

/// A run that is to be executed, or ended, now.
#[derive(Clone, Debug)]
pub struct ClaimedRun {
    /// The run, status `running`.
    pub run: Run,
    /// The right to write to it.
    pub lease: Lease,
    /// 1 for the first execution, higher after crashes.
    pub attempt: u32,
    /// When the first execution began.
    pub started_at: Timestamp,
    /// Someone wanted it cancelled before this claim: it is to be ended so, and not executed.
    pub cancel: Option<CancelRequest>,
    /// Whom it belongs to: its store is theirs.
    pub owner: Option<Identity>,
}

/// Why a run failed: LangGraph's `{"error": kind, "message": text}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The kind, a class name in LangGraph: `GraphRecursionError`, `ValueError`, …
    #[serde(rename = "error")]
    pub kind: String,
    /// What happened.
    pub message: String,
}

impl RunError {
    /// From its two parts.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

/// How long a run's whole life may be bounded by default: LangGraph's `BG_JOB_TIMEOUT_SECS`.
pub const DEFAULT_RUN_TIMEOUT: Duration = Duration::from_secs(86_400);
