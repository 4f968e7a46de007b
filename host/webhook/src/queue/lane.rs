//! What waits for one host, and how that host has been doing.

use std::collections::VecDeque;
use std::time::Duration;

use selvedge_model::Timestamp;
use selvedge_model::delivery::DueDelivery;

/// Deliveries that wait here for a host that takes them.
const MAX_WAITING: usize = 64;
/// What those may weigh together, bodies counted; a single delivery always fits.
const MAX_BYTES: usize = 8 << 20;
/// The same for a host that has taken nothing yet, or nothing lately: hundreds of those must not fill the queue.
const MAX_WAITING_UNPROVEN: usize = 8;
const MAX_BYTES_UNPROVEN: usize = 1 << 20;
/// What an attempt is thought to take at a host that has not answered yet.
const UNKNOWN_PACE: Duration = Duration::from_millis(10);
/// The longest that a delivery is put off for the sake of its host, so that a host that recovers has all of them soon.
const MAX_PUT_OFF: Duration = Duration::from_mins(5);
/// So many failures in a row open the circuit breaker: whatever is wrong is not one delivery's.
const BREAKS_AFTER: u32 = 5;
/// How long it stays open the first time; each failure after that doubles it, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How a host has been doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is known of it.
    Unknown,
    /// It answered the last time.
    Good,
    /// Its last attempts failed: so many in a row.
    Failing(u32),
}

/// What waits for one host.
pub(super) struct Lane {
    first: VecDeque<DueDelivery>,
    again: VecDeque<DueDelivery>,
    bytes: usize,
    /// When each attempt that is under way began.
    running: Vec<Timestamp>,
    standing: Standing,
    /// The circuit breaker: nothing is begun before this.
    paused_until: Option<Timestamp>,
    /// How long its last attempt took.
    pace: Duration,
    /// When the last of those that were sent back should come.
    booked: Timestamp,
}

impl Lane {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            first: VecDeque::new(),
            again: VecDeque::new(),
            bytes: 0,
            running: Vec::new(),
            standing: Standing::Unknown,
            paused_until: None,
            pace: UNKNOWN_PACE,
            booked: now,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.again.len()
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// When the breaker closes for what waits here.
    pub(super) fn pause_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.pause(now).filter(|_| self.len() > 0)
    }

    /// When the breaker closes, while it is open. A clock that was set back does not keep it open for longer.
    fn pause(&self, now: Timestamp) -> Option<Timestamp> {
        self.paused_until
            .filter(|end| *end > now && now.until(*end) <= LONGEST_PAUSE)
    }

    /// Whether it can be forgotten without harm: nothing waits, nothing is under way or on its way back.
    pub(super) fn is_idle(&self, now: Timestamp) -> bool {
        self.len() == 0
            && self.running.is_empty()
            && self.booked <= now
            && self.pause(now).is_none()
    }

    pub(super) fn has_first(&self) -> bool {
        !self.first.is_empty()
    }

    /// Whether one more of this size may wait here.
    pub(super) fn takes(&self, size: usize, now: Timestamp) -> bool {
        if self.pause(now).is_some() {
            return false;
        }
        let (waiting, bytes) = match self.standing {
            Standing::Good => (MAX_WAITING, MAX_BYTES),
            Standing::Unknown | Standing::Failing(_) => (MAX_WAITING_UNPROVEN, MAX_BYTES_UNPROVEN),
        };
        self.len() == 0 || (self.len() < waiting && self.bytes + size <= bytes)
    }

    pub(super) fn push(&mut self, due: DueDelivery) {
        self.bytes += due.delivery.body.len();
        if due.attempts == 0 {
            self.first.push_back(due);
        } else {
            self.again.push_back(due);
        }
    }

    /// Whether one more attempt may begin, as far as this host is concerned. Of one that is not known, and of one whose
    /// breaker has been open, a single attempt says enough.
    pub(super) fn may_begin(&self, per_host: usize, now: Timestamp) -> bool {
        let slots = match self.standing {
            Standing::Good => per_host,
            Standing::Failing(failures) if failures < BREAKS_AFTER => per_host,
            Standing::Unknown | Standing::Failing(_) => 1,
        };
        self.running.len() < slots && self.pause(now).is_none()
    }

    pub(super) fn begin(&mut self, now: Timestamp) -> Option<DueDelivery> {
        let due = self.first.pop_front().or_else(|| self.again.pop_front())?;
        self.bytes -= due.delivery.body.len();
        self.running.push(now);
        Some(due)
    }

    /// An attempt that began then is over.
    pub(super) fn end(&mut self, began: Timestamp) {
        if let Some(at) = self.running.iter().position(|other| *other == began) {
            self.running.swap_remove(at);
        }
    }

    /// What an attempt has shown of the host. How long the breaker stays open now, when it has just opened.
    pub(super) fn learn(
        &mut self,
        answers: bool,
        took: Duration,
        now: Timestamp,
    ) -> Option<Duration> {
        self.pace = took;
        if answers {
            if matches!(self.standing, Standing::Failing(_)) {
                // It has recovered: what comes now need not queue behind what was put off while it was down.
                self.paused_until = None;
                self.booked = now;
            }
            self.standing = Standing::Good;
            return None;
        }
        let failures = match self.standing {
            Standing::Failing(failures) => failures.saturating_add(1),
            Standing::Unknown | Standing::Good => 1,
        };
        self.standing = Standing::Failing(failures);
        let doublings = failures.checked_sub(BREAKS_AFTER)?;
        // What was under way when the breaker opened says nothing new.
        if self.pause(now).is_some() {
            self.standing = Standing::Failing(failures - 1);
            return None;
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings));
        let pause = pause.min(LONGEST_PAUSE);
        self.paused_until = Some(now.after(pause));
        Some(pause)
    }

    /// When one more should come again: behind all that wait here and all that were sent back before, at the pace of
    /// the last attempt or, when that one is slower, of the one that is under way.
    pub(super) fn book(&mut self, now: Timestamp, per_host: usize) -> Timestamp {
        let oldest = self.running.iter().map(|began| began.until(now)).max();
        let each = self
            .pace
            .max(oldest.unwrap_or_default())
            .div_f64(per_host as f64);
        let waiting = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let free = now.after(each.saturating_mul(waiting));
        let free = self.pause(now).map_or(free, |end| free.max(end));
        let next = self.booked.max(free).after(each);
        self.booked = next.min(now.after(MAX_PUT_OFF));
        self.booked
    }
}
