//! What is to be written down of claimed deliveries, and what storage has refused so far.
//!
//! A delivery stays claimed until something is written down of it, so a record that is dropped would keep it from
//! being tried until the next start; sending it again instead would make a duplicate each time. Hence what was refused
//! is kept and tried again. Pure: time comes in.

use std::time::Duration;

use selvedge_model::DeliveryId;
use selvedge_model::delivery::{Attempt, PutOff, Verdict};
use tokio::time::Instant;

/// Records that are kept at once. Nothing is claimed while there are so many: whatever is wrong is not one delivery's.
const MAX_REFUSED: usize = 1024;
/// How long storage is left alone with a record that it refused for a reason that passes, and with one that it refused
/// several times in a row.
const PAUSE_FOR_STORAGE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(300);

/// What is to be written down of a claimed delivery.
#[derive(Debug)]
pub(crate) enum Record {
    Attempt {
        id: DeliveryId,
        attempt: Attempt,
        verdict: Verdict,
    },
    /// It ends as exhausted without having been tried; what stands in for the attempt says why.
    Over { id: DeliveryId, attempt: Attempt },
    /// It was not tried.
    PutOff(PutOff),
}

/// The records that storage refused, each with the time at which it is offered again.
#[derive(Default)]
pub(crate) struct Refused(Vec<(Instant, Record)>);

impl Refused {
    /// A record that has not been offered yet is offered at once.
    pub fn offer(&mut self, record: Record, now: Instant) {
        self.0.push((now, record));
    }

    pub fn push(&mut self, record: Record, may_pass: bool, now: Instant) {
        let pause = match may_pass {
            true => PAUSE_FOR_STORAGE,
            false => PAUSE,
        };
        self.0.push((now + pause, record));
    }

    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX_REFUSED
    }

    /// When the next one is to be offered again.
    pub fn next_at(&self) -> Option<Instant> {
        self.0.iter().map(|(at, _)| *at).min()
    }

    /// Takes those whose time has come.
    pub fn take_due(&mut self, now: Instant) -> Vec<Record> {
        let due = self.0.extract_if(.., |(at, _)| *at <= now);
        due.map(|(_, record)| record).collect()
    }
}

#[cfg(test)]
mod tests {
    use selvedge_model::Timestamp;

    use super::*;

    fn record() -> Record {
        Record::PutOff(PutOff {
            id: DeliveryId::new(),
            until: Timestamp::from_micros(0),
            behind: true,
        })
    }

    #[test]
    fn what_was_refused_is_offered_again_after_a_pause_and_what_is_new_at_once() {
        let (mut refused, now) = (Refused::default(), Instant::now());
        assert_eq!(refused.next_at(), None);
        refused.push(record(), false, now);
        assert_eq!(refused.next_at(), Some(now + PAUSE));
        refused.push(record(), true, now);
        assert_eq!(refused.next_at(), Some(now + PAUSE_FOR_STORAGE));
        assert!(refused.take_due(now).is_empty());
        refused.offer(record(), now);
        assert_eq!(refused.take_due(now).len(), 1);
        assert_eq!(refused.take_due(now + PAUSE_FOR_STORAGE).len(), 1);
        assert_eq!(refused.take_due(now + PAUSE).len(), 1);
        assert_eq!(refused.next_at(), None);
    }

    #[test]
    fn there_is_a_bound_at_which_nothing_more_is_to_be_claimed() {
        let (mut refused, now) = (Refused::default(), Instant::now());
        for _ in 0..MAX_REFUSED {
            assert!(!refused.is_full());
            refused.push(record(), false, now);
        }
        assert!(refused.is_full());
    }
}
