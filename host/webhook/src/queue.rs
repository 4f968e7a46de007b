//! Who is next: deliveries that were claimed and not begun, in a lane for each name.
//!
//! A name (host and port of a URL) has a few slots, and so has an address, whatever names lead to it. Slots go round the
//! names, three first attempts to one retry while both wait. What waits is small: the body is read once a delivery has
//! its slot. What a name cannot take soon goes back to storage with the time at which it should have got there, so that
//! a name with a hundred thousand deliveries takes no room from the others.
//!
//! Whatever bad receivers do, there are slots for those that answer:
//! - Names that fail share a quarter of all slots, and names of which nothing is known half of them, one each.
//! - All names of one domain that do not answer are as one name: a wildcard is no thousand receivers.
//! - An attempt at a name that used to answer and takes long no longer counts, up to as many as there are slots; and
//!   when it fails in the end the name is on probation, with those that fail, for a while.
//! - A name that fails again and again is left alone for a while (`lane`). Its deliveries are put off, until their
//!   schedule should long have been over: then that is their end, unless this process has only just begun.
//!
//! Pure: no clock, no I/O.

mod booking;
mod lane;
mod names;
mod shares;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use selvedge_model::delivery::{DueDelivery, PutOff};
use selvedge_model::{DeliveryId, Timestamp};

use booking::Booking;
use lane::{BREAKS_AFTER, Class, Lane, MAX_WAITING_UNPROVEN};
use names::{Family, authority, family};
use shares::{Taken, UNKNOWN_SHARE};

/// Deliveries that wait in all, each a few hundred bytes. Half of that is for names with little that waits, so that a few
/// with much leave room for the others.
const MAX_WAITING: usize = 2048;
/// How many of those may be for names that do not answer, in all and of one domain.
const MAX_UNPROVEN: usize = 512;
const MAX_UNPROVEN_OF_FAMILY: usize = 64;
/// Names that are remembered; of the idle ones half are forgotten when there would be more.
const MAX_NAMES: usize = 4096;
/// An attempt that has taken so long is slow: it holds nobody up any more who waits for a slot.
pub(crate) const SLOW_AFTER: Duration = Duration::from_secs(2);
/// What an attempt is thought to take at a name that does not answer, where there are too many of those.
const UNPROVEN_PACE: Duration = Duration::from_secs(1);
/// First attempts that go before a retry which could go as well.
const FIRST_BEFORE_RETRY: u32 = 3;
/// For so long after its start a process ends nothing unasked, whatever is overdue: it may have been away itself, and
/// receivers that were away for the same reason may come back later. No longer, since what is for receivers that never
/// come back has to end also where processes are replaced every day.
const GRACE_AFTER_START: Duration = Duration::from_hours(6);

/// What the operator limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Attempts under way at all names together; slow ones come on top, up to as many again.
    pub in_all: usize,
    /// Attempts under way at one name, and at one address.
    pub per_host: usize,
    /// How long after the end of a run the first attempt is made.
    pub first_delay: Duration,
    /// How long after the beginning of its schedule a delivery is still put off.
    pub patience: Duration,
}

impl Limits {
    /// Attempts under way at the very most.
    pub fn hard(&self) -> usize {
        self.in_all.saturating_mul(2)
    }
}

/// What became of an offer.
#[derive(Debug, PartialEq)]
pub(crate) enum Offer {
    /// It waits here.
    Taken,
    /// It has to come again then; `behind` what was never put off so, unless it was only too early.
    Later { until: Timestamp, behind: bool },
    /// Its schedule should long be over, and whom it is for has not answered for long.
    Over,
}

/// One attempt, from its turn to its end. The delivery's id would not do: as soon as an attempt is recorded the next one
/// of the same delivery may be due, and begin before the queue is told of the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(u64);

/// A delivery whose turn it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    pub id: DeliveryId,
    pub ticket: Ticket,
    /// How many attempts there were, and how many of them count for the schedule.
    pub attempts: u32,
    pub tries: u32,
}

/// What an attempt has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Whether the host answers, and how long the attempt took; `None` when it did not get as far.
    pub answers: Option<(bool, Duration)>,
    /// Where its connection went.
    pub address: Option<SocketAddr>,
}

/// A name is left alone from now on.
#[derive(Debug, PartialEq)]
pub(crate) struct Opened {
    pub name: Arc<str>,
    pub pause: Duration,
}

/// An attempt under way.
struct Running {
    name: Arc<str>,
    began: Timestamp,
}

pub(crate) struct Queue {
    limits: Limits,
    /// Before this nothing is ended unasked.
    grace_until: Timestamp,
    lanes: HashMap<Arc<str>, Lane>,
    /// Names with something waiting, the one whose turn it is first.
    turns: VecDeque<Arc<str>>,
    running: HashMap<Ticket, Running>,
    last_ticket: Ticket,
    /// What waits for names that do not answer, by domain.
    families: HashMap<Arc<str>, Family>,
    waiting: usize,
    unproven: usize,
    /// When those should come for whom there was no room among the unproven.
    overflow: Booking,
    /// First attempts since the last retry.
    firsts: u32,
    back: Vec<PutOff>,
}

impl Queue {
    /// The queue of a process that starts now.
    pub fn new(limits: Limits, now: Timestamp) -> Self {
        Self {
            limits,
            grace_until: now.after(limits.patience.min(GRACE_AFTER_START)),
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            running: HashMap::new(),
            last_ticket: Ticket::default(),
            families: HashMap::new(),
            waiting: 0,
            unproven: 0,
            overflow: Booking::default(),
            firsts: 0,
            back: Vec::new(),
        }
    }

    /// Takes a claimed delivery, or says when it should come again.
    pub fn offer(&mut self, due: &DueDelivery, now: Timestamp) -> Offer {
        let start = due.created_at.after(self.limits.first_delay);
        if due.attempts == 0 && now < start {
            return Offer::Later {
                until: start,
                behind: false,
            };
        }
        let name: Arc<str> = authority(&due.url).into();
        self.make_room();
        let lane = self.lanes.entry(Arc::clone(&name));
        let lane = lane.or_insert_with(|| Lane::new(family(&name), now));
        let is_proven = lane.class(now) == Class::Proven;
        let room = match lane.len() < MAX_WAITING_UNPROVEN {
            true => MAX_WAITING,
            false => MAX_WAITING / 2,
        };
        let takes = self.waiting < room && lane.takes(self.limits.per_host, now);
        if takes && (is_proven || self.has_room_for_unproven(&name)) {
            self.push(name, due, !is_proven, now);
            return Offer::Taken;
        }
        let end = due.began_at.after(self.limits.patience);
        if now >= end.max(self.grace_until) && !is_proven && self.is_hopeless(&name, now) {
            return Offer::Over;
        }
        Offer::Later {
            until: self.book(&name, due.id, now),
            behind: true,
        }
    }

    /// The next delivery to try, its slots taken.
    pub fn next(&mut self, now: Timestamp) -> Option<Turn> {
        let taken = Taken::of(&self.running, &self.lanes, &self.limits, now);
        if taken.is_all() {
            return None;
        }
        let wants_retry = self.firsts >= FIRST_BEFORE_RETRY;
        let mut other = None;
        let mut wanted = None;
        for (position, name) in self.turns.iter().enumerate() {
            let Some(lane) = self.lanes.get(name) else {
                continue;
            };
            if !taken.leave_one_for(lane, now) {
                continue;
            }
            if lane.has(wants_retry) {
                wanted = Some(position);
                break;
            }
            other = other.or(Some(position));
        }
        let name = self.turns.remove(wanted.or(other)?)?;
        let lane = self.lanes.get_mut(&name)?;
        let (mut turn, is_unproven) = lane.begin(wants_retry, now)?;
        self.last_ticket.0 += 1;
        turn.ticket = self.last_ticket;
        let family = Arc::clone(lane.family());
        if lane.len() > 0 {
            self.turns.push_back(Arc::clone(&name));
        }
        self.left(&family, is_unproven);
        self.firsts = match turn.attempts {
            0 => self.firsts.saturating_add(1),
            _ => 0,
        };
        self.running
            .insert(turn.ticket, Running { name, began: now });
        Some(turn)
    }

    /// When something may begin that may not now, although no attempt has ended: a breaker closes, or an attempt turns
    /// out to be slow.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        if self.waiting == 0 {
            return None;
        }
        let lanes = self.turns.iter().filter_map(|name| self.lanes.get(name));
        let ends = lanes.filter_map(|lane| lane.pause_end(now));
        let slow = self.running.values().map(|one| one.began.after(SLOW_AFTER));
        ends.chain(slow.filter(|at| *at > now)).min()
    }

    /// Gives the slots of an attempt back. Which name is left alone from now on, when its breaker has just opened. What
    /// waits for a name that answers no more goes [back](Self::take_back).
    pub fn done(&mut self, ticket: Ticket, seen: Seen, now: Timestamp) -> Option<Opened> {
        let Running { name, began } = self.running.remove(&ticket)?;
        let lane = self.lanes.get_mut(&name)?;
        lane.end(began, seen.address, now);
        let (answers, took) = seen.answers?;
        let pause = lane.learn(answers, took, now);
        if let Some(family) = self.families.get_mut(lane.family()) {
            family.learn(answers);
        }
        if !answers {
            self.send_back(&name, now);
        }
        Some(Opened {
            name,
            pause: pause?,
        })
    }

    /// What waited here and has to come again.
    pub fn take_back(&mut self) -> Vec<PutOff> {
        std::mem::take(&mut self.back)
    }

    fn send_back(&mut self, name: &str, now: Timestamp) {
        while let Some(lane) = self.lanes.get_mut(name)
            && let Some((id, is_unproven)) = lane.pop_surplus()
        {
            let family = Arc::clone(lane.family());
            self.left(&family, is_unproven);
            let until = self.book(name, id, now);
            self.back.push(PutOff {
                id,
                until,
                behind: true,
            });
        }
    }

    /// One waits no more.
    fn left(&mut self, family: &str, is_unproven: bool) {
        self.waiting -= 1;
        if is_unproven {
            self.unproven -= 1;
            if let Some(family) = self.families.get_mut(family) {
                family.waiting -= 1;
            }
        }
    }

    fn push(&mut self, name: Arc<str>, due: &DueDelivery, is_unproven: bool, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&name) else {
            return;
        };
        let turn = Turn {
            id: due.id,
            ticket: Ticket::default(),
            attempts: due.attempts,
            tries: due.tries,
        };
        lane.push(turn, is_unproven, now);
        if is_unproven {
            self.unproven += 1;
            let family = self.families.entry(Arc::clone(lane.family()));
            family.or_default().waiting += 1;
        }
        if lane.len() == 1 {
            self.turns.push_back(name);
        }
        self.waiting += 1;
    }

    fn has_room_for_unproven(&self, name: &str) -> bool {
        self.unproven < MAX_UNPROVEN && !self.is_family_full(name)
    }

    fn is_family_full(&self, name: &str) -> bool {
        let lane = self.lanes.get(name);
        let family = lane.and_then(|lane| self.families.get(lane.family()));
        family.is_some_and(|family| family.waiting >= MAX_UNPROVEN_OF_FAMILY)
    }

    /// Whether a name that does not answer is not asked either, or will not be soon: its breaker has opened, or it is one
    /// of so many that a place among them is rare. What has only just begun to fail, or is only not known yet, is hoped
    /// for.
    fn is_hopeless(&self, name: &str, now: Timestamp) -> bool {
        let Some(lane) = self.lanes.get(name) else {
            return false;
        };
        let family = self.families.get(lane.family());
        let is_family_broken = family.is_some_and(|family| family.failures >= BREAKS_AFTER);
        !lane.has_answered_lately(now)
            && (lane.is_broken() || is_family_broken || self.unproven >= MAX_UNPROVEN)
    }

    /// When a delivery should come again: behind what was sent back before for the same reason.
    fn book(&mut self, name: &str, id: DeliveryId, now: Timestamp) -> Timestamp {
        let spread = spread(id);
        let is_family_full = self.is_family_full(name);
        let Some(lane) = self.lanes.get_mut(name) else {
            return now.after(UNPROVEN_PACE);
        };
        let Limits {
            in_all, per_host, ..
        } = self.limits;
        let is_proven = lane.class(now) == Class::Proven;
        let mut at = lane.book(per_host.min(in_all), spread, now);
        if is_proven {
            return at;
        }
        if is_family_full && let Some(family) = self.families.get_mut(lane.family()) {
            let each = UNPROVEN_PACE.div_f64(per_host as f64);
            at = at.max(family.booking.book(now, each, spread, now));
        }
        if self.unproven >= MAX_UNPROVEN {
            let each = UNPROVEN_PACE.div_f64((in_all / UNKNOWN_SHARE).max(1) as f64);
            at = at.max(self.overflow.book(now, each, spread, now));
        }
        at
    }

    /// Forgets names before there are too many: those that never answered first, then those that were not used for
    /// longest.
    fn make_room(&mut self) {
        if self.families.len() >= MAX_NAMES {
            self.families.retain(|_, family| family.waiting > 0);
        }
        if self.lanes.len() < MAX_NAMES {
            return;
        }
        let idle = self.lanes.iter().filter(|(_, lane)| lane.is_idle());
        let mut idle: Vec<_> = idle
            .map(|(name, lane)| (lane.worth(), Arc::clone(name)))
            .collect();
        idle.sort_unstable();
        for (_, name) in idle.iter().take(idle.len().div_ceil(2)) {
            self.lanes.remove(name);
        }
    }
}

/// A number in `0.0..1.0` that is another one for each delivery.
fn spread(id: DeliveryId) -> f64 {
    let [.., a, b] = *id.0.as_bytes();
    f64::from(u16::from_be_bytes([a, b])) / 65_536.0
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
