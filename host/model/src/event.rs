//! What a stream of a run consists of, and what is kept of it for those who come back.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::run::StreamMode;
use crate::{Json, RunId};

/// One event of a run's stream. It is made once and shared by all its readers.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamEvent {
    /// What it shows.
    pub kind: EventKind,
    /// `""` for the root graph, else the path of the subgraph that it comes from, `node:task|…`.
    pub namespace: String,
    /// What happened.
    pub data: Json,
}

/// What an event shows, hence who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The run began: always first, always shown.
    Metadata,
    /// Shown to those who asked for the mode.
    Mode(StreamMode),
    /// Shown to those who asked for the mode `messages`, which has three kinds of events.
    Messages(MessagePart),
    /// The run failed: always shown.
    Error,
    /// A run of the thread has ended: shown in the stream of the thread alone.
    RunDone,
    /// A run of the thread begins or has ended, and how: for the event protocol, shown in no stream of runs.
    Lifecycle,
    /// The thread's state was changed by hand: shown in the stream of the thread alone.
    StateUpdate,
}

/// What an event of the mode `messages` tells of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessagePart {
    /// Where it comes from; before anything else of it.
    Metadata,
    /// All of it so far.
    Partial,
    /// All of it, where it did not come in pieces.
    Complete,
}

impl StreamEvent {
    /// The name in `event:` of a server-sent event, without the namespace.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind {
            EventKind::Metadata | EventKind::RunDone => "metadata",
            EventKind::Mode(StreamMode::MessagesTuple) => "messages",
            EventKind::Mode(mode) => mode.as_str(),
            EventKind::Messages(MessagePart::Metadata) => "messages/metadata",
            EventKind::Messages(MessagePart::Partial) => "messages/partial",
            EventKind::Messages(MessagePart::Complete) => "messages/complete",
            EventKind::Error => "error",
            EventKind::StateUpdate => "state_update",
            EventKind::Lifecycle => "lifecycle",
        }
    }
}

/// The `id:` of an event that is stored, `<ms>-<n>`: milliseconds since 1970, and a counter within them. Ids rise
/// strictly over all events of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Milliseconds since 1970.
    pub ms: i64,
    /// Tells apart those of one millisecond, of which there are [`EventId::PER_MS`].
    pub n: i64,
}

impl EventId {
    /// Ids that are given in one millisecond. A process that needs more of them is ahead of its clock for a while, so
    /// that the event protocol can make numbers of ids.
    pub const PER_MS: i64 = 128;

    /// Stands before every event.
    pub const BEFORE_ALL: Self = Self { ms: -1, n: -1 };

    /// The id of an event that happens at `now_ms`, after one with this id. A clock that was set back does not bring
    /// ids back.
    #[must_use]
    pub fn next(self, now_ms: i64) -> Self {
        if now_ms > self.ms {
            return Self { ms: now_ms, n: 0 };
        }
        match self.n.saturating_add(1) {
            n if n < Self::PER_MS => Self { ms: self.ms, n },
            _ => Self {
                ms: self.ms.saturating_add(1),
                n: 0,
            },
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.n)
    }
}

impl FromStr for EventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (ms, n) = text.split_once('-').unwrap_or((text, "0"));
        let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse::<i64>().map_err(|_| ()),
            false => Err(()),
        };
        Ok(Self {
            ms: number(ms)?,
            n: number(n)?,
        })
    }
}

/// An event that is kept for readers who come back for it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its place in the stream of its thread.
    pub id: EventId,
    /// The run that it belongs to; `None` for what happened to the thread itself.
    pub run: Option<RunId>,
    /// The event.
    pub event: StreamEvent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_whatever_the_clock_says() {
        let first = EventId::default().next(1_795_317_009_333);
        let second = first.next(1_795_317_009_333);
        let third = second.next(1_795_317_009_000);
        let fourth = third.next(1_795_317_009_334);
        let texts = [first, second, third, fourth].map(|id| id.to_string());
        assert_eq!(
            texts,
            [
                "1795317009333-0",
                "1795317009333-1",
                "1795317009333-2",
                "1795317009334-0"
            ]
        );
        assert!(first < second && second < third && third < fourth);
        assert_eq!(texts[2].parse(), Ok(third));
        assert_eq!("5".parse(), Ok(EventId { ms: 5, n: 0 }));
        let full = EventId {
            ms: 5,
            n: EventId::PER_MS - 1,
        };
        assert_eq!(full.next(3), EventId { ms: 6, n: 0 });
        for bad in [
            "",
            "-",
            "a-1",
            "1-",
            "+1-2",
            "1-2-3",
            "99999999999999999999-0",
        ] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }
}
