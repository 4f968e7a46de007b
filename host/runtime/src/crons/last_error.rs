//! What a cron says of due times that made no run, for whoever looks at it.

use selvedge_model::Timestamp;
use selvedge_model::cron::CronError;

use super::plan::{LATEST, MOST_CAUGHT_UP};
use crate::admit::request::AdmitError;

pub(super) fn failure(time: Timestamp, error: &str, message: String) -> CronError {
    CronError {
        time,
        error: error.to_owned(),
        message,
    }
}

/// Of due times from the first to the last of these.
pub(super) fn left_out(now: Timestamp, (first, last): (Timestamp, Timestamp)) -> CronError {
    failure(
        now,
        "Missed",
        format!(
            "Due times from {first} to {last} made no run: they came more than {} seconds too late, or more than \
             {MOST_CAUGHT_UP} were missed.",
            LATEST.as_secs()
        ),
    )
}

/// Of a run that is not accepted.
pub(super) fn not_admitted(now: Timestamp, refused: &AdmitError) -> CronError {
    let kind = match refused {
        AdmitError::NotFound | AdmitError::UnknownGraph { .. } => "NotFound",
        AdmitError::Busy => "Busy",
        AdmitError::TooManyPendingOfCaller { .. } => "TooManyPending",
        AdmitError::Webhook(_) => "WebhookRefused",
        AdmitError::Storage(_) => return unstorable(now),
        _ => "Invalid",
    };
    failure(now, kind, refused.to_string())
}

/// Of a run that storage fails at. What exactly it says is for the operator.
pub(super) fn unstorable(now: Timestamp) -> CronError {
    let message = "Storage failed at the run; the server's log says more.";
    failure(now, "StorageFailed", message.to_owned())
}

/// A new error beside one that nobody was told of yet.
pub(super) fn beside(earlier: Option<CronError>, mut error: CronError) -> CronError {
    if let Some(earlier) = earlier {
        error.message = format!("{} {}", error.message, earlier.message);
    }
    error
}
