//! What holds for every text and every instant.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use proptest::prelude::*;
use selvedge_model::Timestamp;
use selvedge_schedule::{LONGEST_WAIT_YEARS, Schedule, Zone};

const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/Santiago",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
];

/// What clocks on the wall show.
fn wall(zone: &Zone, at: Timestamp) -> DateTime {
    let instant = jiff::Timestamp::from_microsecond(at.as_micros()).expect("within the calendar");
    let offset = Offset::from_seconds(zone.offset_seconds(at)).expect("less than a day");
    offset.to_datetime(instant)
}

fn seconds(at: i64) -> Timestamp {
    Timestamp::from_micros(at * 1_000_000)
}

fn zone() -> impl Strategy<Value = Zone> {
    prop::sample::select(&ZONES[..]).prop_map(|name| name.parse().expect("an IANA name"))
}

/// 2000 to 2050, in microseconds.
fn instant() -> impl Strategy<Value = Timestamp> {
    (946_684_800_000_000_i64..2_524_608_000_000_000).prop_map(Timestamp::from_micros)
}

/// A list of values, and `*` for none.
fn listed(values: std::ops::RangeInclusive<i8>) -> impl Strategy<Value = BTreeSet<i8>> {
    prop::collection::btree_set(values, 0..4)
}

fn written(values: &BTreeSet<i8>) -> String {
    if values.is_empty() {
        return "*".to_owned();
    }
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    values.join(",")
}

fn has(values: &BTreeSet<i8>, value: i8) -> bool {
    values.is_empty() || values.contains(&value)
}

/// Lists of plain values: what they mean can be told without reading a schedule.
#[derive(Clone, Debug)]
struct Plain {
    seconds: BTreeSet<i8>,
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    days: BTreeSet<i8>,
    months: BTreeSet<i8>,
    weekdays: BTreeSet<i8>,
}

impl Plain {
    fn strategy() -> impl Strategy<Value = Self> {
        (
            listed(0..=59),
            listed(0..=59),
            listed(0..=23),
            // Every month has these.
            listed(1..=28),
            listed(1..=12),
            listed(0..=6),
        )
            .prop_map(|(seconds, minutes, hours, days, months, weekdays)| Self {
                seconds,
                minutes,
                hours,
                days,
                months,
                weekdays,
            })
    }

    fn schedule(&self) -> Schedule {
        let fields = [
            &self.minutes,
            &self.hours,
            &self.days,
            &self.months,
            &self.weekdays,
            &self.seconds,
        ];
        let text = fields.map(written).join(" ");
        text.parse().expect("a schedule")
    }

    fn names_day(&self, at: DateTime) -> bool {
        let date = has(&self.days, at.day());
        let weekday = has(&self.weekdays, at.weekday().to_sunday_zero_offset());
        let day = if self.days.is_empty() || self.weekdays.is_empty() {
            date && weekday
        } else {
            date || weekday
        };
        day && has(&self.months, at.month())
    }

    fn names(&self, at: DateTime) -> bool {
        self.names_day(at)
            && has(&self.hours, at.hour())
            && has(&self.minutes, at.minute())
            && has(&self.seconds, at.second())
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = text.parse::<Schedule>();
        let _ = text.parse::<Zone>();
    }

    #[test]
    fn what_looks_like_a_schedule_is_refused_or_fires_later_and_within_the_longest_wait(
        text in "[0-9]{1,2}([-/,#][0-9a-z*]{1,3}){0,2}( [0-9LW*?#/,-]{1,4}){3} ([0-7]([#/-][1-5])?|[*]|L5|mon-fri#1)",
        after in instant(),
        zone in zone(),
    ) {
        if let Ok(schedule) = text.parse::<Schedule>() {
            let next = schedule.next_after(after, &zone).expect("it has no year");
            prop_assert!(next > after);
            let years = wall(&zone, next).year() - wall(&zone, after).year();
            prop_assert!(years <= LONGEST_WAIT_YEARS, "{years} years");
        }
    }

    #[test]
    fn the_next_time_is_one_that_the_fields_name(plain in Plain::strategy(), after in instant(), zone in zone()) {
        let next = plain.schedule().next_after(after, &zone).expect("it has no year");
        prop_assert!(next > after);
        let at = wall(&zone, next);
        // A time that was skipped is made up for within the first minute after the change.
        let changed = zone.offset_seconds(next) > zone.offset_seconds(seconds(next.as_micros() / 1_000_000 - 60));
        prop_assert!(plain.names(at) || (changed && !plain.hours.is_empty()), "{at}");
    }

    #[test]
    fn nothing_that_the_fields_name_is_left_out(plain in Plain::strategy(), after in instant(), zone in zone()) {
        let plain = Plain { seconds: BTreeSet::from([0]), ..plain };
        let next = plain.schedule().next_after(after, &zone).expect("it has no year");
        let begin = after.as_micros().div_euclid(60_000_000) + 1;
        let two_days = 2 * 24 * 60;
        for minute in (begin..begin + two_days).take_while(|minute| seconds(minute * 60) < next) {
            prop_assert!(!plain.names(wall(&zone, seconds(minute * 60))), "{minute}");
        }
    }

    #[test]
    fn the_last_time_between_two_instants_is_the_last_of_those_that_follow_each_other(
        plain in Plain::strategy(), after in instant(), zone in zone(), times in 0_usize..50, more in 0_i64..2_000_000,
    ) {
        let schedule = plain.schedule();
        let mut last = None;
        for _ in 0..times {
            last = schedule.next_after(last.unwrap_or(after), &zone);
        }
        let following = schedule.next_after(last.unwrap_or(after), &zone).expect("it has no year");
        let until = last.unwrap_or(after).as_micros() + more;
        let until = Timestamp::from_micros(until.min(following.as_micros() - 1));
        prop_assert_eq!(schedule.last_between(after, until, &zone), last);
    }

    #[test]
    fn where_one_begins_to_look_changes_nothing(plain in Plain::strategy(), after in instant(), zone in zone(), part in 0.0..1.0) {
        let schedule = plain.schedule();
        let next = schedule.next_after(after, &zone).expect("it has no year");
        let between = next.as_micros() - after.as_micros() - 1;
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "any instant between will do")]
        let between = Timestamp::from_micros(after.as_micros() + (between as f64 * part) as i64);
        prop_assert_eq!(schedule.next_after(between, &zone), Some(next));
    }
}
