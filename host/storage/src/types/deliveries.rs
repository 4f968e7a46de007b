//! Webhook deliveries.

use selvedge_model::delivery::{Attempt, DeliveryStatus, DueDelivery};
use selvedge_model::{DeliveryId, RunId, ThreadId, Timestamp};

/// Deliveries that were claimed.
#[derive(Clone, Debug, Default)]
pub struct DueDeliveries {
    /// To be tried now.
    pub deliveries: Vec<DueDelivery>,
    /// There may be more that are due: as many were taken as were asked for.
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
    /// The thread of that run.
    pub thread_id: ThreadId,
    /// Where to, without the query: a token there is between the caller who set the webhook and the receiver.
    pub url: String,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it is tried next, while pending.
    pub next_attempt_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How many attempts there were.
    pub attempt_count: u32,
    /// The attempts, oldest first; of many the newest, in a list only the last.
    pub attempts: Vec<Attempt>,
}

/// Which deliveries to list.
#[derive(Clone, Debug)]
pub struct DeliveryQuery {
    /// Of this run.
    pub run_id: Option<RunId>,
    /// With this status.
    pub status: Option<DeliveryStatus>,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

/// What is still to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbox {
    /// How many are pending.
    pub pending: u64,
    /// When the run of the oldest of them ended.
    pub oldest: Option<Timestamp>,
    /// When the first of their attempts is due, or was and has not come to an end.
    pub due: Option<Timestamp>,
}

/// Which deliveries are to be delivered again.
#[derive(Clone, Debug)]
pub struct Redeliver {
    /// Those that ended so.
    pub statuses: Vec<DeliveryStatus>,
    /// Not earlier than this.
    pub since: Timestamp,
    /// And before this: so those that end again meanwhile are not taken again.
    pub before: Timestamp,
}
