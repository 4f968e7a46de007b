//! Why a cron is not created or changed, in LangGraph's words where it has some.

use selvedge_model::{CronId, ThreadId, Timestamp};
use selvedge_storage::StorageError;
use selvedge_webhook::Refusal;

use crate::assistants::ConfigurableAndContext;

/// Why a cron is not created or changed: the caller's choices.
#[derive(Debug, thiserror::Error)]
pub enum CronRefusal {
    /// The schedule cannot be read, or names no time that is still to come.
    #[error(
        "Invalid cron schedule: '{schedule:.100}'. Reason: {reason}. Ensure the schedule uses the standard cron format \
         (minute hour day_of_month month day_of_week). Example: '*/5 * * * *' for every 5 minutes."
    )]
    Schedule {
        /// What the caller wrote.
        schedule: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such time zone.
    #[error("Invalid timezone: '{0:.100}'. Use IANA timezone format (e.g. 'America/New_York').")]
    Zone(String),
    /// It would have ended before it begins.
    #[error("Invalid end_time: {0} is in the past.")]
    Ended(Timestamp),
    /// No such assistant.
    #[error("Assistant '{0}' not found")]
    NoAssistant(String),
    /// No such thread.
    #[error(
        "Thread with ID '{0}' not found. Please verify the ID is correct and the thread hasn't been deleted or expired."
    )]
    NoThread(ThreadId),
    /// No such cron.
    #[error("Cron '{0}' not found")]
    NoCron(CronId),
    /// `config.configurable` and `context` at once.
    #[error(transparent)]
    ConfigurableAndContext(#[from] ConfigurableAndContext),
    /// The webhook policy refuses the URL.
    #[error("{0}")]
    Webhook(Refusal),
    /// What has been changed about it, one time after another, is too much.
    #[error("The cron would be larger than {max_bytes} bytes (http.max_body_bytes)")]
    TooLarge {
        /// What its payload and its metadata may weigh together.
        max_bytes: usize,
    },
    /// The caller has as many as one may have.
    #[error(
        "You have {limit} crons, and nobody may have more (runtime.max_crons_per_caller). Delete some first."
    )]
    TooMany {
        /// `runtime.max_crons_per_caller`.
        limit: u64,
    },
    /// Storage said no.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
