//! Which days of a month fire: what the day of month says, what the day of week says, and what both say together.

use jiff::civil::{Date, Weekday};

/// Bits 1 to 31: days of a month.
pub(crate) type Dates = u64;

/// In the place of a number in [`Weekdays::Nth`]: the last one of the month.
pub(crate) const LAST: u8 = 6;

/// What the day of month says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DaysOfMonth {
    /// These, and `L`.
    Listed { days: Dates, last: bool },
    /// The day from Monday to Friday that is nearest to this one, in the same month.
    Nearest(u8),
}

/// What the day of week says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DaysOfWeek {
    /// Bits 0 (Sunday) to 6.
    Listed(u8),
    /// For each weekday, bits 1 to 5 and [`LAST`]: its first to fifth and its last one of the month.
    Nth([u8; 7]),
}

/// The days that fire, as far as the two fields say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Days {
    pub of_month: DaysOfMonth,
    pub of_week: DaysOfWeek,
    /// Both fields leave days out: a day fires when either says so.
    pub either: bool,
}

impl Days {
    /// The days of a month that fire.
    ///
    /// Where both fields leave days out, `W` and `#` decide alone beside a plain list, and together they have to
    /// agree: croniter's reading, which its tests pin down for `1-7 JAN MON-FRI#1`.
    pub fn in_month(&self, first: Date) -> Dates {
        let by_date = self.of_month.in_month(first);
        let by_weekday = self.of_week.in_month(first);
        match (&self.of_month, &self.of_week) {
            (DaysOfMonth::Listed { .. }, DaysOfWeek::Listed(_)) if self.either => {
                by_date | by_weekday
            }
            (DaysOfMonth::Listed { .. }, DaysOfWeek::Nth(_)) if self.either => by_weekday,
            (DaysOfMonth::Nearest(_), DaysOfWeek::Listed(_)) if self.either => by_date,
            _ => by_date & by_weekday,
        }
    }
}

impl DaysOfMonth {
    fn in_month(&self, first: Date) -> Dates {
        let length = length(first);
        match self {
            Self::Listed { days, last } => {
                let last = if *last { 1 << length } else { 0 };
                (days | last) & days_up_to(length)
            }
            Self::Nearest(day) => 1 << nearest_weekday(first, (*day).min(length)),
        }
    }
}

impl DaysOfWeek {
    fn in_month(&self, first: Date) -> Dates {
        (0..7_u8)
            .map(|weekday| match self {
                Self::Listed(listed) if listed & (1 << weekday) == 0 => 0,
                Self::Listed(_) => weekdays(first, weekday),
                Self::Nth(nth) => chosen(weekdays(first, weekday), nth[usize::from(weekday)]),
            })
            .fold(0, |all, days| all | days)
    }
}

/// Of the days that have one weekday: the first to fifth, and the last, as far as they are asked for.
fn chosen(days: Dates, nth: u8) -> Dates {
    let first = days.trailing_zeros();
    let numbered = (1..=5)
        .filter(|number| nth & (1 << number) != 0)
        .fold(0, |all, number| all | 1 << (first + 7 * (number - 1)));
    let last = if nth & (1 << LAST) != 0 {
        1 << days.ilog2()
    } else {
        0
    };
    (numbered | last) & days
}

/// The days of a month that have a weekday, 0 being Sunday.
fn weekdays(first: Date, weekday: u8) -> Dates {
    const EVERY_SEVENTH: Dates = 1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28;
    let first_weekday = first.weekday().to_sunday_zero_offset().unsigned_abs();
    let day = 1 + (7 + weekday - first_weekday) % 7;
    (EVERY_SEVENTH << day) & days_up_to(length(first))
}

/// The day from Monday to Friday that is nearest to a day, without leaving the month.
fn nearest_weekday(first: Date, day: u8) -> u8 {
    let length = length(first);
    let days = |weekday: Weekday| weekdays(first, weekday.to_sunday_zero_offset().unsigned_abs());
    if days(Weekday::Saturday) & (1 << day) != 0 {
        if day > 1 { day - 1 } else { day + 2 }
    } else if days(Weekday::Sunday) & (1 << day) != 0 {
        if day < length { day + 1 } else { day - 2 }
    } else {
        day
    }
}

/// Bits 1 to the length of a month.
fn days_up_to(length: u8) -> Dates {
    (1 << (length + 1)) - 2
}

fn length(first: Date) -> u8 {
    first.days_in_month().unsigned_abs()
}
