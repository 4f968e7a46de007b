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
    pub(super) fn missed_before(&self) -> Timestamp {
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
    let before_all = just_before(due);
    if are_few(before_all, newest, when) {
        return due;
    }
    // Due times are whole seconds, so as many seconds hold no more. After `few` are as many or fewer, after `many` more.
    let mut back = Duration::from_secs(MOST_CAUGHT_UP as u64);
    let mut few = newest.before(back);
    let mut many = before_all;
    while newest.before(back * 2) > before_all {
        back *= 2;
        match are_few(newest.before(back), newest, when) {
            true => few = newest.before(back),
            false => {
                many = newest.before(back);
                break;
            }
        }
    }
    while many.until(few) > Duration::from_secs(1) {
        let middle = many.after(many.until(few) / 2);
        match are_few(middle, newest, when) {
            true => few = middle,
            false => many = middle,
        }
    }
    when.next_after(few).unwrap_or(newest)
}

/// Whether no more than [`MOST_CAUGHT_UP`] come after an instant, to the newest.
fn are_few(mut after: Timestamp, newest: Timestamp, when: &When) -> bool {
    for _ in 0..=MOST_CAUGHT_UP {
        match when.next_after(after).filter(|next| *next <= newest) {
            Some(next) => after = next,
            None => return true,
        }
    }
    false
}

/// The last instant before one.
pub(super) fn just_before(at: Timestamp) -> Timestamp {
    at.before(Duration::from_micros(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-22T{time}Z").parse().unwrap()
    }

    fn every_ten_seconds(end: Option<&str>) -> When {
        When::read("* * * * * */10", None, end.map(at)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The times, without the day.
    fn planned(plan: &Plan) -> (Vec<String>, Option<String>, Option<(String, String)>) {
        let time = |at: &Timestamp| at.to_string()[11..19].to_owned();
        (
            plan.fire.iter().map(time).collect(),
            plan.next.as_ref().map(time),
            plan.left_out
                .map(|(first, last)| (time(&first), time(&last))),
        )
    }

    fn expect(plan: &Plan, fire: &[&str], next: Option<&str>, left_out: Option<(&str, &str)>) {
        let (fired, follows, left) = planned(plan);
        assert_eq!(fired, fire);
        assert_eq!(follows.as_deref(), next);
        let left = left.as_ref().map(|(a, b)| (a.as_str(), b.as_str()));
        assert_eq!(left, left_out);
    }

    fn watch(now: &str, up_secs: u64) -> Watch {
        Watch {
            now: at(now),
            up: Duration::from_secs(up_secs),
        }
    }

    const ALL: [CatchUp; 3] = [CatchUp::One, CatchUp::All, CatchUp::None];

    #[test]
    fn what_is_in_time_or_a_little_late_fires_each_once() {
        let when = every_ten_seconds(None);
        for catch_up in ALL {
            let plan = plan(at("10:00:00"), &when, catch_up, watch("10:00:00", 100));
            expect(&plan, &["10:00:00"], Some("10:00:10"), None);
        }
        for catch_up in ALL {
            let plan = plan(at("10:00:00"), &when, catch_up, watch("10:00:25", 100));
            let late = ["10:00:00", "10:00:10", "10:00:20"];
            expect(&plan, &late, Some("10:00:30"), None);
        }
    }

    #[test]
    fn what_was_missed_while_nobody_was_there_is_for_catch_up_to_decide() {
        let when = every_ten_seconds(None);
        let missed = |catch_up| plan(at("09:59:30"), &when, catch_up, watch("10:00:05", 3));
        expect(&missed(CatchUp::One), &["10:00:00"], Some("10:00:10"), None);
        let all = ["09:59:30", "09:59:40", "09:59:50", "10:00:00"];
        expect(&missed(CatchUp::All), &all, Some("10:00:10"), None);
        expect(&missed(CatchUp::None), &[], Some("10:00:10"), None);
    }

    #[test]
    fn what_comes_after_the_start_fires_beside_what_was_missed() {
        let when = every_ten_seconds(None);
        let both = |catch_up| plan(at("09:59:30"), &when, catch_up, watch("10:00:12", 10));
        let one = ["10:00:00", "10:00:10"];
        expect(&both(CatchUp::One), &one, Some("10:00:20"), None);
        expect(&both(CatchUp::None), &["10:00:10"], Some("10:00:20"), None);
    }

    #[test]
    fn what_a_host_gets_to_much_too_late_is_missed_and_told() {
        let when = every_ten_seconds(None);
        let late = |catch_up| plan(at("09:58:00"), &when, catch_up, watch("10:00:05", 3_600));
        let in_time = [
            "09:59:10", "09:59:20", "09:59:30", "09:59:40", "09:59:50", "10:00:00",
        ];
        let mut one = vec!["09:59:00"];
        one.extend(in_time);
        let before = Some(("09:58:00", "09:58:50"));
        expect(&late(CatchUp::One), &one, Some("10:00:10"), before);
        let all = Some(("09:58:00", "09:59:00"));
        expect(&late(CatchUp::None), &in_time, Some("10:00:10"), all);
    }

    #[test]
    fn of_very_many_the_newest_are_caught_up_in_portions() {
        let when = every_ten_seconds(None);
        let watch = watch("10:00:05", 3);
        let mut due = at("05:00:00");
        let mut fired = Vec::new();
        loop {
            let plan = plan(due, &when, CatchUp::All, watch);
            assert!(plan.fire.len() <= MOST_AT_ONCE);
            let told = plan.left_out.is_some();
            assert_eq!(told, fired.is_empty(), "only the first time");
            fired.extend(plan.fire);
            due = plan.next.unwrap();
            if due > watch.now {
                break;
            }
        }
        assert_eq!(fired.len(), MOST_CAUGHT_UP);
        assert_eq!(fired.last(), Some(&at("10:00:00")));
        assert!(fired.is_sorted());
    }

    #[test]
    fn nothing_fires_behind_the_end() {
        let when = every_ten_seconds(Some("10:00:10"));
        for catch_up in ALL {
            let plan = plan(at("10:00:00"), &when, catch_up, watch("10:00:25", 100));
            expect(&plan, &["10:00:00", "10:00:10"], None, None);
        }
        // What was missed is not made up for once the end has come.
        for catch_up in ALL {
            let plan = plan(at("09:59:00"), &when, catch_up, watch("10:00:25", 3));
            expect(&plan, &[], None, None);
        }
        let plan = plan(at("09:59:00"), &when, CatchUp::One, watch("10:00:05", 3));
        expect(&plan, &["10:00:00"], Some("10:00:10"), None);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_missed() {
        let when = every_ten_seconds(None);
        // The host has been there for longer than this clock knows of.
        let plan = plan(
            at("10:00:00"),
            &when,
            CatchUp::None,
            watch("10:00:01", 99_999),
        );
        expect(&plan, &["10:00:00"], Some("10:00:10"), None);
    }
}
