//! What has become of attempts since the process began, counted as it happens.

use std::sync::atomic::{AtomicU64, Ordering};

pub use selvedge_egress::Reported;
use selvedge_model::delivery::{DeliveryStatus, Verdict};

/// The counters. Each is on its own: nobody reads them to decide anything.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    ended: [AtomicU64; DeliveryStatus::ALL.len()],
    failed: AtomicU64,
    breaker_opened: AtomicU64,
}

/// What the counters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries that ended, by how: each status once, in the order of [`DeliveryStatus::ALL`].
    pub ended: [(DeliveryStatus, u64); DeliveryStatus::ALL.len()],
    /// Attempts that failed, whether or not there was another.
    pub failed: u64,
    /// How often a host was left alone for a while because it failed again and again.
    pub breaker_opened: u64,
    /// How many runs were admitted with a URL that the policy would have refused, had it not been in report mode.
    pub reported: Reported,
}

impl Counts {
    /// How many ended so.
    #[must_use]
    pub fn ended_as(&self, status: DeliveryStatus) -> u64 {
        let mut ended = self.ended.iter();
        ended
            .find(|(known, _)| *known == status)
            .map_or(0, |(_, count)| *count)
    }
}

impl Counters {
    pub fn attempt(&self, verdict: Verdict) {
        let has_failed = match verdict {
            Verdict::RetryAt(_) => true,
            Verdict::End(end) => {
                self.ended(end);
                matches!(end, DeliveryStatus::Exhausted | DeliveryStatus::Gone)
            }
        };
        self.failed
            .fetch_add(u64::from(has_failed), Ordering::Relaxed);
    }

    /// A delivery ended so, by an attempt or without one.
    pub fn ended(&self, end: DeliveryStatus) {
        let all = DeliveryStatus::ALL.iter().zip(&self.ended);
        for (_, count) in all.filter(|(status, _)| **status == end) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn breaker_opened(&self) {
        self.breaker_opened.fetch_add(1, Ordering::Relaxed);
    }

    /// What the counters say, with what the policy has counted.
    pub fn read(&self, reported: Reported) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut ended = DeliveryStatus::ALL.map(|status| (status, 0));
        for ((_, count), counter) in ended.iter_mut().zip(&self.ended) {
            *count = of(counter);
        }
        Counts {
            ended,
            failed: of(&self.failed),
            breaker_opened: of(&self.breaker_opened),
            reported,
        }
    }
}

#[cfg(test)]
mod tests {
    use selvedge_model::Timestamp;

    use super::*;

    #[test]
    fn each_attempt_counts_as_what_it_came_to() {
        let counters = Counters::default();
        for verdict in [
            Verdict::RetryAt(Timestamp::from_micros(0)),
            Verdict::End(DeliveryStatus::Exhausted),
            Verdict::End(DeliveryStatus::Delivered),
            Verdict::End(DeliveryStatus::Delivered),
            Verdict::End(DeliveryStatus::Blocked),
        ] {
            counters.attempt(verdict);
        }
        counters.ended(DeliveryStatus::Exhausted);
        counters.breaker_opened();
        let counts = counters.read(Reported::default());
        let ended = DeliveryStatus::ALL.map(|status| counts.ended_as(status));
        // In the order of `DeliveryStatus::ALL`; the one that was not tried is no failed attempt.
        assert_eq!(ended, [0, 2, 2, 1, 0, 0]);
        assert_eq!((counts.failed, counts.breaker_opened), (2, 1));
    }
}
