//! When what was sent back should come again: one behind the other, none of it at once and none of it too late.

use std::time::Duration;

use selvedge_model::Timestamp;

/// The shortest and the longest that a delivery is put off: whoever is sent back costs a write each time, and a name that
/// recovers should have all of its deliveries soon.
pub(super) const MIN_PUT_OFF: Duration = Duration::from_millis(100);
pub(super) const MAX_PUT_OFF: Duration = Duration::from_mins(5);

/// The time of the last one that was sent back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Booking(Timestamp);

impl Default for Booking {
    fn default() -> Self {
        Self(Timestamp::from_micros(i64::MIN))
    }
}

impl Booking {
    /// When the next one should come: `each` after the one before and after `free`. Those that would come too late are
    /// spread over the second half of the longest time, so that they do not all come at once. `spread` is in `0.0..1.0`.
    pub(super) fn book(
        &mut self,
        free: Timestamp,
        each: Duration,
        spread: f64,
        now: Timestamp,
    ) -> Timestamp {
        let next = self.0.max(free).after(each);
        let latest = now.after(MAX_PUT_OFF);
        if next < latest {
            self.0 = next;
            return next.max(now.after(MIN_PUT_OFF));
        }
        self.0 = latest;
        now.after(MAX_PUT_OFF.mul_f64(f64::midpoint(1.0, spread)))
    }
}
