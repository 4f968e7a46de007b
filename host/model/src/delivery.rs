//! A webhook that must arrive.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{DeliveryId, RunId, ThreadId, Timestamp};

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// To be tried, for the first time or again.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// Every attempt of the schedule failed.
    Exhausted,
    /// The policy refuses the address.
    Blocked,
    /// The receiver answered 410: it wants no more.
    Gone,
    /// Webhooks were switched off while it waited.
    Disabled,
}

impl DeliveryStatus {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Delivered,
        Self::Exhausted,
        Self::Blocked,
        Self::Gone,
        Self::Disabled,
    ];

    /// The word on the wire and in storage.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Blocked => "blocked",
            Self::Gone => "gone",
            Self::Disabled => "disabled",
        }
    }
}

impl FromStr for DeliveryStatus {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = Self::ALL.into_iter();
        all.find(|status| status.as_str() == text).ok_or(())
    }
}

/// A delivery as it is stored with the end of its run. It has its own bytes, so that deleting the run or its thread
/// does not touch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id, the receiver's `webhook-id`.
    pub id: DeliveryId,
    /// The run that ended.
    pub run_id: RunId,
    /// The thread of that run.
    pub thread_id: ThreadId,
    /// Where to, as the caller wrote it.
    pub url: String,
    /// What to post.
    pub body: Vec<u8>,
    /// Where in `body` the time of sending stands, to be written anew on each attempt; `None` when the operator's
    /// `allowed_fields` leave that member out. See [`stamp`].
    pub sent_at_offset: Option<u32>,
    /// When the run ended.
    pub created_at: Timestamp,
}

/// Writes the time of sending into a body. The text of a timestamp always has the same length.
pub fn stamp(body: &mut [u8], offset: Option<u32>, now: Timestamp) {
    let text = now.to_string();
    let Some(start) = offset.and_then(|o| usize::try_from(o).ok()) else {
        return;
    };
    if let Some(place) = body.get_mut(start..start + text.len()) {
        place.copy_from_slice(text.as_bytes());
    }
}

/// A delivery that is to be tried now, without what is to be sent: thousands of these may wait for their turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Where to, as the caller wrote it.
    pub url: String,
    /// When the run ended.
    pub created_at: Timestamp,
    /// When its schedule began: when the run ended, or when it was last to be delivered again.
    pub began_at: Timestamp,
    /// How many attempts there were.
    pub attempts: u32,
    /// How many of them count for the schedule, which begins anew when a delivery is to be delivered again.
    pub tries: u32,
}

/// A delivery that is not tried yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutOff {
    /// Which.
    pub id: DeliveryId,
    /// When it is due again.
    pub until: Timestamp,
    /// From now on it comes behind those that were never put off so, as a retry does.
    pub behind: bool,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// When it began.
    pub at: Timestamp,
    /// Where to, without the query.
    pub url: String,
    /// The address that was connected to.
    pub address: Option<SocketAddr>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// How long it took.
    pub duration: Duration,
    /// The first bytes of the answer, at most 4 KiB, made readable.
    pub response: Option<String>,
    /// What went wrong before or instead of an answer: a kind and a text.
    pub error: Option<String>,
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ends so; never `Pending`.
    End(DeliveryStatus),
    /// It is tried again then.
    RetryAt(Timestamp),
}
