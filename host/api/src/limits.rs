//! What one may have of the server: requests in a time, and whatever else there may be so many of at once. A caller is
//! an identity, whatever number of credentials it has.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use selvedge_model::Identity;

/// Callers whose requests are remembered at once. Beyond it those who have asked for nothing lately are forgotten, and
/// when there are none of those, new ones wait.
const MAX_REMEMBERED: usize = 100_000;
/// What a new caller is asked to wait then.
const WHILE_FULL: Duration = Duration::from_secs(1);

/// How many requests a caller may send: `http.rate_limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// In the long run.
    pub requests_per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// Lets requests pass at a rate. For each caller one point in time is kept: when all that they have asked for would have
/// been asked for at that rate.
pub(crate) struct Rate {
    /// Between two requests.
    interval: Duration,
    /// How far that time may be ahead.
    tolerance: Duration,
    due: Mutex<HashMap<Identity, Instant>>,
}

impl Rate {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let interval = Duration::from_secs(1) / limit.requests_per_second.max(1);
        Self {
            interval,
            tolerance: interval * limit.burst.max(1).saturating_sub(1),
            due: Mutex::default(),
        }
    }

    /// Counts a request, or says how long to wait before the next.
    pub(crate) fn take(&self, caller: &Identity) -> Result<(), Duration> {
        self.take_at(caller, Instant::now())
    }

    fn take_at(&self, caller: &Identity, now: Instant) -> Result<(), Duration> {
        let mut due = self.due.lock();
        if let Some(known) = due.get_mut(caller) {
            let earliest = *known - self.tolerance.min(known.duration_since(now));
            let wait = earliest.saturating_duration_since(now);
            if !wait.is_zero() {
                return Err(wait);
            }
            *known = (*known).max(now) + self.interval;
            return Ok(());
        }
        if due.len() >= MAX_REMEMBERED {
            due.retain(|_, due| *due > now);
        }
        if due.len() >= MAX_REMEMBERED {
            return Err(WHILE_FULL);
        }
        due.insert(caller.clone(), now + self.interval);
        Ok(())
    }
}

/// Counts what each of many has at once: streams and requests of a caller, connections from an address.
pub(crate) struct Shares<K: Eq + Hash> {
    max: usize,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K: Clone + Eq + Hash> Shares<K> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            taken: Arc::default(),
        }
    }

    /// One more for this one, until it is dropped; `None` when there are enough.
    pub(crate) fn take(&self, of: &K) -> Option<Share<K>> {
        let mut taken = self.taken.lock();
        match taken.get_mut(of) {
            Some(count) if *count >= self.max => return None,
            Some(count) => *count += 1,
            None if self.max == 0 => return None,
            None => {
                taken.insert(of.clone(), 1);
            }
        }
        Some(Share {
            of: of.clone(),
            taken: self.taken.clone(),
        })
    }
}

/// Something that is had.
pub(crate) struct Share<K: Eq + Hash> {
    of: K,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str) -> Identity {
        Identity::new(name).unwrap()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds_for_each_caller() {
        let rate = Rate::new(RateLimit {
            requests_per_second: 10,
            burst: 3,
        });
        let (ann, bob) = (identity("ann"), identity("bob"));
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        for _ in 0..3 {
            assert_eq!(rate.take_at(&ann, at(0)), Ok(()));
        }
        assert_eq!(rate.take_at(&ann, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(rate.take_at(&ann, at(60)), Err(Duration::from_millis(40)));
        assert_eq!(rate.take_at(&bob, at(60)), Ok(()));
        assert_eq!(rate.take_at(&ann, at(100)), Ok(()));
        assert_eq!(rate.take_at(&ann, at(150)), Err(Duration::from_millis(50)));
        // After a pause the whole burst is there again, and no more than that.
        for _ in 0..3 {
            assert_eq!(rate.take_at(&ann, at(60_000)), Ok(()));
        }
        assert!(rate.take_at(&ann, at(60_000)).is_err());
    }

    #[test]
    fn what_is_given_back_makes_room_for_another() {
        let streams = Shares::new(2);
        let (ann, bob) = (identity("ann"), identity("bob"));
        let (first, second) = (streams.take(&ann), streams.take(&ann));
        assert!(first.is_some() && second.is_some() && streams.take(&ann).is_none());
        assert!(streams.take(&bob).is_some());
        drop(first);
        assert!(streams.take(&ann).is_some());
        drop(second);
        assert!(streams.taken.lock().is_empty());
        assert!(Shares::new(0).take(&ann).is_none());
    }
}
