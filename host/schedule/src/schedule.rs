//! The next time after an instant.

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};
use selvedge_model::Timestamp as Instant;

use crate::days::{Dates, Days};
use crate::zone::{Stretch, Zone};

/// The longest that a schedule without a year waits: the first to fifth of a weekday on 29 February, around a year that
/// is divisible by 100 and no leap year. croniter gives up after 50.
pub const LONGEST_WAIT_YEARS: i16 = 40;

const MINUTE_SECONDS: i64 = 60;

/// When a cron fires. It is read from text: see [`std::str::FromStr`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Bits 0 to 59.
    pub(crate) minutes: u64,
    /// Bits 0 to 23.
    pub(crate) hours: u64,
    /// No hour is left out, hence a time that is skipped is not made up for.
    pub(crate) every_hour: bool,
    pub(crate) days: Days,
    /// Bits 1 to 12.
    pub(crate) months: u64,
    /// Bits 0 to 59.
    pub(crate) seconds: u64,
    /// In order; `None` for every year.
    pub(crate) years: Option<Vec<u16>>,
}

impl Schedule {
    /// The first time after an instant, in whole seconds. `None` where the years that it names have passed, or the
    /// calendar ends (in the year 9999).
    #[must_use]
    pub fn next_after(&self, after: Instant, zone: &Zone) -> Option<Instant> {
        let second = after.as_micros().div_euclid(1_000_000);
        let earliest = Timestamp::from_second(second + 1).ok()?;
        // A time that was skipped can fire up to a minute after clocks were changed.
        let from = Timestamp::from_second(second - MINUTE_SECONDS).ok()?;
        let found = zone
            .stretches(from)
            .take_while(|stretch| !self.is_over(stretch))
            .find_map(|stretch| self.first_in(&stretch, earliest))?;
        Some(Instant::from_micros(found.as_microsecond()))
    }

    /// The last time after an instant and not after another; `None` where there is none between them.
    #[must_use]
    pub fn last_between(&self, after: Instant, until: Instant, zone: &Zone) -> Option<Instant> {
        let found = |from| self.next_after(from, zone).filter(|at| *at <= until);
        // Between `low` and `until` is a time, and between `high` and `until` is none. Times are whole seconds, so when
        // the two are a second apart, the first time after `low` is the last.
        let mut low = after;
        let mut last = found(low)?;
        let mut high = until;
        while high.as_micros() - low.as_micros() > 1_000_000 {
            let middle =
                Instant::from_micros(low.as_micros() + (high.as_micros() - low.as_micros()) / 2);
            match found(middle) {
                Some(at) => (low, last) = (middle, at),
                None => high = middle,
            }
        }
        Some(last)
    }

    /// Whether any day of the calendar is one of this schedule's.
    pub(crate) fn ever_fires(&self) -> bool {
        // After 400 years the calendar repeats itself, weekdays included.
        let years = match &self.years {
            Some(years) => years.clone(),
            None => (2000..2400).collect(),
        };
        years.into_iter().any(|year| {
            let first_of_month = |month| Date::new(i16::try_from(year).ok()?, month, 1).ok();
            (1..=12)
                .filter_map(first_of_month)
                .any(|first| self.days_of(first) != 0)
        })
    }

    /// Whether no year that it names is left.
    fn is_over(&self, stretch: &Stretch) -> bool {
        let year = stretch.offset.to_datetime(stretch.begin).year();
        let last = self.years.as_ref().and_then(|years| years.last());
        last.is_some_and(|last| i32::from(year) > i32::from(*last))
    }

    /// The first time within a stretch that is not before `earliest`.
    fn first_in(&self, stretch: &Stretch, earliest: Timestamp) -> Option<Timestamp> {
        let made_up = self
            .made_up_in(stretch)
            .filter(|at| (earliest..stretch.end).contains(at));
        if made_up.is_some() {
            return made_up;
        }
        let from = stretch.begin.max(earliest);
        let local = |at| stretch.offset.to_datetime(at);
        let found = self.first_between(local(from), local(stretch.end))?;
        stretch.offset.to_timestamp(found).ok()
    }

    /// When a time fires that was skipped by the change of clocks before this stretch.
    fn made_up_in(&self, stretch: &Stretch) -> Option<Timestamp> {
        if self.every_hour || stretch.before >= stretch.offset {
            return None;
        }
        let begin = stretch.before.to_datetime(stretch.begin);
        let end = stretch.offset.to_datetime(stretch.begin);
        let skipped = self.first_between(begin, end)?;
        let missing = end.duration_since(skipped).as_secs();
        let minutes = missing.div_euclid(MINUTE_SECONDS) + i64::from(missing % MINUTE_SECONDS != 0);
        let moved = SignedDuration::from_secs(minutes * MINUTE_SECONDS);
        let at = skipped.checked_add(moved).ok()?;
        stretch.offset.to_timestamp(at).ok()
    }

    /// The first time on the wall from one (included) to another (excluded).
    fn first_between(&self, from: DateTime, until: DateTime) -> Option<DateTime> {
        let today = from.date();
        let fires_today = self.date_from(today, today).is_some();
        let found = match fires_today.then(|| self.time_from(from.time())).flatten() {
            Some(time) => today.to_datetime(time),
            None => {
                let date = self.date_from(today.tomorrow().ok()?, until.date())?;
                date.to_datetime(self.time_from(Time::midnight())?)
            }
        };
        (found < until).then_some(found)
    }

    /// The first day that fires from one to another, both included.
    fn date_from(&self, mut from: Date, until: Date) -> Option<Date> {
        while from <= until {
            let days = self.days_of(from.first_of_month()) & (Dates::MAX << from.day());
            if days != 0 {
                let day = i8::try_from(days.trailing_zeros()).ok()?;
                let date = Date::new(from.year(), from.month(), day).ok()?;
                return (date <= until).then_some(date);
            }
            from = from.last_of_month().tomorrow().ok()?;
        }
        None
    }

    /// The days of a month that fire.
    fn days_of(&self, first: Date) -> Dates {
        let named = |years: &Vec<u16>| {
            u16::try_from(first.year()).is_ok_and(|year| years.binary_search(&year).is_ok())
        };
        let in_time =
            self.months & (1 << first.month()) != 0 && self.years.as_ref().is_none_or(named);
        if in_time {
            self.days.in_month(first)
        } else {
            0
        }
    }

    /// The first time of a day from one on.
    fn time_from(&self, from: Time) -> Option<Time> {
        let (hour, minute, second) = (from.hour(), from.minute(), from.second());
        let named = |bits: u64, value: i8| bits & (1 << value) != 0;
        let first_second = first_bit(self.seconds, 0)?;
        if named(self.hours, hour) {
            if named(self.minutes, minute)
                && let Some(second) = first_bit(self.seconds, second)
            {
                return Time::new(hour, minute, second, 0).ok();
            }
            if let Some(minute) = first_bit(self.minutes, minute + 1) {
                return Time::new(hour, minute, first_second, 0).ok();
            }
        }
        // Not this hour, or it has nothing left.
        let hour = first_bit(self.hours, hour + i8::from(named(self.hours, hour)))?;
        Time::new(hour, first_bit(self.minutes, 0)?, first_second, 0).ok()
    }
}

/// The least bit from one on.
fn first_bit(bits: u64, from: i8) -> Option<i8> {
    let rest = bits & u64::MAX.checked_shl(u32::from(from.unsigned_abs()))?;
    (rest != 0).then(|| i8::try_from(rest.trailing_zeros()).unwrap_or(i8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, zone: &str, after: &str) -> Option<Instant> {
        let schedule: Schedule = schedule.parse().unwrap();
        schedule.next_after(after.parse().unwrap(), &zone.parse().unwrap())
    }

    fn at(time: &str) -> Option<Instant> {
        Some(time.parse().unwrap())
    }

    #[test]
    fn the_next_time_is_later_than_the_instant_even_by_a_microsecond() {
        let just_before = next("0 9 * * *", "UTC", "2026-11-23T08:59:59.999999Z");
        assert_eq!(just_before, at("2026-11-23T09:00:00Z"));
        let exactly = next("0 9 * * *", "UTC", "2026-11-23T09:00:00Z");
        assert_eq!(exactly, at("2026-11-24T09:00:00Z"));
    }

    #[test]
    fn a_skipped_time_is_made_up_for_when_clocks_show_a_time_again() {
        let (zone, before) = ("Europe/Berlin", "2026-03-29T00:59:00Z");
        assert_eq!(next("30 2 * * *", zone, before), at("2026-03-29T01:00:00Z"));
        let with_second = next("59 2 * * * 30", zone, before);
        assert_eq!(with_second, at("2026-03-29T01:00:30Z"));
        // Also when one begins to look after the change.
        let between = next("59 2 * * * 30", zone, "2026-03-29T01:00:10Z");
        assert_eq!(between, at("2026-03-29T01:00:30Z"));
    }

    #[test]
    fn a_skipped_time_is_left_out_where_every_hour_is_named() {
        for hours in ["*", "*/1", "0-23"] {
            let schedule = format!("30 {hours} * * *");
            let next = next(&schedule, "Europe/Berlin", "2026-03-29T00:59:00Z");
            assert_eq!(next, at("2026-03-29T01:30:00Z"), "{schedule}");
        }
    }

    #[test]
    fn a_day_that_a_zone_never_had_is_made_up_for_on_the_next() {
        let next = next("0 12 30 12 *", "Pacific/Apia", "2011-12-30T00:00:00Z");
        // Midnight of 31 December, at 14 hours before UTC.
        assert_eq!(next, at("2011-12-30T10:00:00Z"));
    }

    #[test]
    fn years_that_have_passed_have_no_next_time() {
        assert_eq!(
            next("0 0 1 1 * 0 2020-2026", "UTC", "2026-06-01T00:00:00Z"),
            None
        );
        assert_eq!(next("* * * * *", "UTC", "9999-12-31T23:59:59Z"), None);
    }

    #[test]
    fn the_longest_wait_is_as_long_as_it_says() {
        // 29 February is a Monday in 2072 and then, since 2100 is no leap year, in 2112; a Saturday in 2076 and 2116.
        let next = next("0 0 * 2 sat#5", "UTC", "2076-03-01T00:00:00Z").unwrap();
        let years = 2076 + i64::from(LONGEST_WAIT_YEARS);
        assert!(
            next.to_string().starts_with(&format!("{years}-02-29")),
            "{next}"
        );
    }
}
