//! Which due times make runs now.
//!
//! A due time that comes while the host is there makes a run, also when the host is a little late. One that passed
//! while no host was there was *missed*, and so was one that a host is later for than [`LATEST`]: because the machine
//! slept, or its clock was set forward, or so much was pending all the time. What becomes of those is the cron's
//! `catch_up`.

use std::time::Duration;

use selvedge_model::Timestamp;
use selvedge_model::cron::CatchUp;

use super::when::When;

/// How late a run is made as if it were in time.
pub(super) const LATEST: Duration = Duration::from_secs(60);
/// Missed due times that `catch_up: all` makes runs for; of more, the newest.
pub(super) const MOST_CAUGHT_UP: usize = 1_000;
/// Due times of one cron that are planned at once, so that no cron keeps others waiting; the next are planned after
/// these.
const MOST_AT_ONCE: usize = 100;

/// What becomes of the due times of one cron that have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// These make runs, in this order.
    pub(super) fire: Vec<Timestamp>,
    /// The due time after them; it may have come, too.
    pub(super) next: Option<Timestamp>,
    /// The first and the last of those that make no run although they should have.
    pub(super) left_out: Option<(Timestamp, Timestamp)>,
}

/// Since when there is somebody to see due times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) now: Timestamp,
    /// How long the host has been there.
    pub(super) up: Duration,
}

impl Watch {
    /// What was due before this was missed.
    fn missed_before(&self) -> Timestamp {
        self.now.before(self.up.min(LATEST))
    }

    /// Whether the host was there when something was due.
    fn saw(&self, due: Timestamp) -> bool {
        due >= self.now.before(self.up)
    }
}

/// Plans for a cron whose `due` time has come.
pub(super) fn plan(due: Timestamp, when: &When, catch_up: CatchUp, watch: Watch) -> Plan {
    let missed_before = watch.missed_before();
    let mut plan = Plan {
        fire: Vec::new(),
        next: Some(due),
        left_out: None,
    };
    if due < missed_before {
        // Due times are whole seconds, but time is counted in microseconds.
        let last = just_before(missed_before);
        plan.next = when.next_after(last);
        let newest = when.last_between(due, last).unwrap_or(due);
        match catch_up {
            // Too late is too late.
            _ if when.has_ended(watch.now) => {}
            CatchUp::None => plan.left_out = Some((due, newest)).filter(|_| watch.saw(newest)),
            CatchUp::One => {
                plan.fire.push(newest);
                let before = when.last_between(due, just_before(newest)).unwrap_or(due);
                let any = due < newest && watch.saw(before);
                plan.left_out = any.then_some((due, before));
            }
            CatchUp::All => {
                let first = newest_of_many(due, newest, when);
                if first > due {
                    let before = when.last_between(due, just_before(first)).unwrap_or(due);
                    plan.left_out = Some((due, before));
                }
                plan.next = Some(first);
            }
        }
    }
    while let Some(due) = plan.next
        && due <= watch.now
        && plan.fire.len() < MOST_AT_ONCE
    {
        plan.fire.push(due);
        plan.next = when.next_after(due);
    }
    plan
}

/// Where to begin so that no more than [`MOST_CAUGHT_UP`] are left to the newest.
fn newest_of_many(due: Timestamp, newest: Timestamp, when: &When) -> Timestamp {
    let mut at = due;
    for _ in 0..MOST_CAUGHT_UP {
        match when.next_after(at).filter(|next| *next <= newest) {
            Some(next) => at = next,
            None => return due,
        }
    }
    let mut first = newest;
    for _ in 1..MOST_CAUGHT_UP {
        match when.last_between(due, just_before(first)) {
            Some(before) => first = before,
            None => return due,
        }
    }
    first
}

fn just_before(at: Timestamp) -> Timestamp {
    at.before(Duration::from_micros(1))
}
