//! A cron: runs that begin at times which a schedule names.

use serde::{Deserialize, Serialize, Serializer};

use crate::{AssistantId, CronId, Json, ThreadId, Timestamp};

/// A cron as callers see it, members in LangGraph's order; the last two are ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cron {
    /// Its id.
    pub cron_id: CronId,
    /// The assistant that its runs are of.
    pub assistant_id: AssistantId,
    /// The thread that its runs are on; `None`: each has one of its own.
    pub thread_id: Option<ThreadId>,
    /// Who made it; empty without authentication.
    pub user_id: String,
    /// No due time after this one fires.
    #[serde(serialize_with = "without_fraction")]
    pub end_time: Option<Timestamp>,
    /// When it fires, in croniter's dialect.
    pub schedule: String,
    /// Where the clocks of the schedule are, an IANA name; `None`: UTC.
    pub timezone: Option<String>,
    /// What its runs are asked to do: the body that it was created with, an object.
    pub payload: Json,
    /// The due time that fires next; `None` when there is none any more.
    #[serde(serialize_with = "without_fraction")]
    pub next_run_date: Option<Timestamp>,
    /// An object.
    pub metadata: Json,
    /// What becomes of the thread of each run; `None` for a cron on a thread.
    pub on_run_completed: Option<OnRunCompleted>,
    /// Whether it fires.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a caller last changed it.
    pub updated_at: Timestamp,
    /// What becomes of due times that were missed.
    pub catch_up: CatchUp,
    /// Why a due time made no run, the last time that this happened.
    pub last_error: Option<CronError>,
}

/// What becomes of the thread of a stateless cron's run when that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRunCompleted {
    /// It goes.
    #[default]
    Delete,
    /// It stays.
    Keep,
}

/// What becomes of due times that passed while no host was there to see them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// The newest makes a run, as in LangGraph.
    #[default]
    One,
    /// Each makes a run.
    All,
    /// None does.
    None,
}

/// Why a due time made no run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CronError {
    /// When that was.
    pub time: Timestamp,
    /// The kind, in the style of [`RunError`](crate::run::RunError): `AssistantNotFound`, `ThreadBusy`, …
    pub error: String,
    /// What happened.
    pub message: String,
}

/// As Python writes a time: microseconds are left out where there are none.
fn without_fraction<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = time.map(|time| time.to_string().replace(".000000", ""));
    text.serialize(serializer)
}
