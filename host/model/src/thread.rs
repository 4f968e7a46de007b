//! A thread: the state that runs of one conversation share.

use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::run::RunError;
use crate::{Identity, Json, TaskId, ThreadId, Timestamp};

/// Where a thread stands, in LangGraph's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThreadStatus {
    /// Nothing to do.
    #[default]
    Idle,
    /// A run is pending or running.
    Busy,
    /// The last checkpoint has nodes to run next.
    Interrupted,
    /// The last run failed.
    Error,
}

impl ThreadStatus {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Interrupted => "interrupted",
            Self::Error => "error",
        }
    }
}

/// A question that a node asked by `interrupt()`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interrupt {
    /// What was asked.
    pub value: Json,
    /// By which it can be answered; the same when the node runs again.
    pub id: String,
}

impl Interrupt {
    /// As streams and outcomes of runs show it. There LangGraph adds which answers are good, which no graph says here;
    /// threads and their states do without.
    #[must_use]
    pub fn shown(&self) -> Json {
        Json::object([
            ("value", &self.value),
            ("id", &Json::string(&self.id)),
            ("response_schema", &Json::null()),
        ])
    }
}

/// What happens to a thread that nobody has touched for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// What.
    pub strategy: TtlStrategy,
    /// How long after its last update.
    pub after: Duration,
}

/// What happens to a thread whose time has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TtlStrategy {
    /// It is deleted.
    #[default]
    Delete,
    /// It keeps its newest checkpoint only.
    KeepLatest,
}

/// A thread as callers see it.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its id.
    pub thread_id: ThreadId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
    /// When its values last changed.
    pub state_updated_at: Timestamp,
    /// An object.
    pub metadata: Json,
    /// Where it stands.
    pub status: ThreadStatus,
    /// An object: how its newest run was configured. Later runs do not take it over.
    pub config: Json,
    /// The author's channels at the newest checkpoint, or `None` without one.
    pub values: Option<Json>,
    /// What the runs left behind; `None` while none has ended.
    pub outcome: Option<ThreadOutcome>,
    /// `None`: it stays until someone deletes it.
    pub ttl: Option<Ttl>,
    /// Whom it belongs to; `None`: nobody. Callers are not told.
    pub owner: Option<Identity>,
}

/// What the last run left behind on its thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThreadOutcome {
    /// Why it failed.
    pub error: Option<RunError>,
    /// The questions that wait for an answer, by the task that asked.
    pub interrupts: IndexMap<TaskId, Vec<Interrupt>>,
}
