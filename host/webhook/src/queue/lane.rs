//! What waits for one name, and how that name has been doing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use selvedge_model::{DeliveryId, Timestamp};

use super::booking::Booking;
use super::{FIRST_BEFORE_RETRY, SLOW_AFTER, Turn};

/// A name that answers has so much work waiting here as it did lately in this time, within these bounds.
const HORIZON: Duration = Duration::from_secs(2);
const MIN_WAITING: usize = 64;
const MAX_WAITING: usize = 1024;
/// The same for a name that has taken nothing yet, or nothing lately.
pub(super) const MAX_WAITING_UNPROVEN: usize = 8;
/// What an attempt is thought to take at a name that has not answered yet.
const UNKNOWN_PACE: Duration = Duration::from_millis(10);
/// So many failures in a row open the circuit breaker: whatever is wrong is not one delivery's.
pub(super) const BREAKS_AFTER: u32 = 5;
/// How long it stays open the first time; each failure after that doubles it, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a name that answers counts as failing after an attempt that was slow and failed: what it can hold up by
/// answering once in a while is little.
const PROBATION: Duration = Duration::from_mins(5);
/// How long after an answer a name is still hoped for, however it fails now.
const HOPE: Duration = Duration::from_hours(1);

/// How a name has been doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing is known of it.
    Unknown,
    /// It answered the last time.
    Good,
    /// Its last attempts failed: so many in a row.
    Failing(u32),
}

/// With whom a name shares slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Unknown,
    Proven,
    Failing,
}

/// What waits for one name.
pub(super) struct Lane {
    family: Arc<str>,
    first: VecDeque<Waiting>,
    again: VecDeque<Waiting>,
    /// First attempts since the last retry.
    firsts: u32,
    /// When each attempt that is under way began.
    running: Vec<Timestamp>,
    standing: Standing,
    /// Where its last connection went.
    address: Option<SocketAddr>,
    /// When an attempt last was slow and failed.
    hung_at: Option<Timestamp>,
    /// The circuit breaker: nothing is begun before this.
    paused_until: Option<Timestamp>,
    /// How long its last attempt took.
    pace: Duration,
    booking: Booking,
    answered_at: Option<Timestamp>,
    used_at: Timestamp,
}

struct Waiting {
    turn: Turn,
    /// The name did not answer when this was taken.
    is_unproven: bool,
}

impl Lane {
    pub(super) fn new(family: &str, now: Timestamp) -> Self {
        Self {
            family: family.into(),
            first: VecDeque::new(),
            again: VecDeque::new(),
            firsts: 0,
            running: Vec::new(),
            standing: Standing::Unknown,
            address: None,
            hung_at: None,
            paused_until: None,
            pace: UNKNOWN_PACE,
            booking: Booking::default(),
            answered_at: None,
            used_at: now,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.again.len()
    }

    pub(super) fn family(&self) -> &Arc<str> {
        &self.family
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub(super) fn class(&self, now: Timestamp) -> Class {
        match self.standing {
            Standing::Unknown => Class::Unknown,
            Standing::Failing(_) => Class::Failing,
            Standing::Good if self.is_on_probation(now) => Class::Failing,
            Standing::Good => Class::Proven,
        }
    }

    fn is_on_probation(&self, now: Timestamp) -> bool {
        self.hung_at.is_some_and(|at| at.until(now) < PROBATION)
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

    /// Whether it can be forgotten: nothing waits and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.len() == 0 && self.running.is_empty()
    }

    /// Those that are worth least are forgotten first.
    pub(super) fn worth(&self) -> (bool, Timestamp) {
        (self.answered_at.is_some(), self.used_at)
    }

    /// Whether it fails again and again, so that its breaker is open, or closed for a single attempt.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.standing, Standing::Failing(failures) if failures >= BREAKS_AFTER)
    }

    pub(super) fn has_answered_lately(&self, now: Timestamp) -> bool {
        self.answered_at.is_some_and(|at| at.until(now) < HOPE)
    }

    /// Whether a retry waits here, or a first attempt.
    pub(super) fn has(&self, retry: bool) -> bool {
        match retry {
            true => !self.again.is_empty(),
            false => !self.first.is_empty(),
        }
    }

    /// Whether one more may wait here.
    pub(super) fn takes(&self, per_host: usize, now: Timestamp) -> bool {
        let room = match self.class(now) {
            Class::Proven => {
                let each = self
                    .pace
                    .div_f64(per_host as f64)
                    .max(Duration::from_micros(1));
                let lately = HORIZON.as_micros() / each.as_micros().max(1);
                usize::try_from(lately)
                    .unwrap_or(MAX_WAITING)
                    .clamp(MIN_WAITING, MAX_WAITING)
            }
            Class::Unknown | Class::Failing => MAX_WAITING_UNPROVEN,
        };
        self.len() < room && self.pause(now).is_none()
    }

    pub(super) fn push(&mut self, turn: Turn, is_unproven: bool, now: Timestamp) {
        self.used_at = now;
        let lane = match turn.attempts {
            0 => &mut self.first,
            _ => &mut self.again,
        };
        lane.push_back(Waiting { turn, is_unproven });
    }

    /// The last of those that wait here, when they are more than may wait for a name that does not answer, and whether it
    /// was taken while it did not.
    pub(super) fn pop_surplus(&mut self) -> Option<(DeliveryId, bool)> {
        if self.len() <= MAX_WAITING_UNPROVEN {
            return None;
        }
        let last = self.again.pop_back().or_else(|| self.first.pop_back())?;
        Some((last.turn.id, last.is_unproven))
    }

    /// Attempts that may be under way here. Of a name that is not known, and of one whose breaker has been open, a
    /// single one says enough.
    fn slots(&self, per_host: usize) -> usize {
        match self.standing {
            Standing::Good => per_host,
            Standing::Failing(failures) if failures < BREAKS_AFTER => per_host,
            Standing::Unknown | Standing::Failing(_) => 1,
        }
    }

    /// Whether one more attempt may begin, as far as this name is concerned.
    pub(super) fn may_begin(&self, per_host: usize, now: Timestamp) -> bool {
        self.running.len() < self.slots(per_host) && self.pause(now).is_none()
    }

    /// The next to be tried, and whether it was taken while the name did not answer. A retry comes when it is wanted, or
    /// after several first attempts here, so that none waits for ever.
    pub(super) fn begin(&mut self, wants_retry: bool, now: Timestamp) -> Option<(Turn, bool)> {
        let wants_retry = wants_retry || self.firsts >= FIRST_BEFORE_RETRY;
        let (wanted, other) = match wants_retry {
            true => (&mut self.again, &mut self.first),
            false => (&mut self.first, &mut self.again),
        };
        let Waiting { turn, is_unproven } = wanted.pop_front().or_else(|| other.pop_front())?;
        self.firsts = match turn.attempts {
            0 => self.firsts.saturating_add(1),
            _ => 0,
        };
        self.running.push(now);
        Some((turn, is_unproven))
    }

    /// An attempt that began then is over.
    pub(super) fn end(&mut self, began: Timestamp, address: Option<SocketAddr>, now: Timestamp) {
        self.used_at = now;
        self.address = address.or(self.address);
        if let Some(at) = self.running.iter().position(|other| *other == began) {
            self.running.swap_remove(at);
        }
    }

    /// What an attempt has shown of the name. How long the breaker stays open now, when it has just opened.
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
                self.booking = Booking::default();
            }
            self.standing = Standing::Good;
            self.answered_at = Some(now);
            return None;
        }
        if took >= SLOW_AFTER {
            self.hung_at = Some(now);
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
    pub(super) fn book(&mut self, per_host: usize, spread: f64, now: Timestamp) -> Timestamp {
        let oldest = self.running.iter().map(|began| began.until(now)).max();
        let each = self
            .pace
            .max(oldest.unwrap_or_default())
            .div_f64(self.slots(per_host).max(1) as f64);
        let waiting = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let free = now.after(each.saturating_mul(waiting));
        let free = self.pause(now).map_or(free, |end| free.max(end));
        self.booking.book(free, each, spread, now)
    }
}
