//! Text → [`Schedule`], or why not.

use std::str::FromStr;

use crate::days::{Days, DaysOfMonth, DaysOfWeek, LAST};
use crate::field::{Field, Values, number};
use crate::refusal::Refusal;
use crate::schedule::Schedule;

/// The longest schedule. Every minute of the hour, one by one, takes 169 bytes.
pub const MAX_SCHEDULE_BYTES: usize = 1024;

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl FromStr for Schedule {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_SCHEDULE_BYTES {
            return Err(Refusal::TooLong(text.len()));
        }
        let is_control = |character: char| character.is_control() && character != '\t';
        if let Some(place) = text.chars().position(is_control) {
            return Err(Refusal::ControlCharacter(place + 1));
        }
        let text = text.to_ascii_lowercase();
        let written: Vec<&str> = text.split_ascii_whitespace().collect();
        let fields = match written[..] {
            [nickname] if nickname.starts_with('@') => expand(nickname)?,
            _ => written,
        };
        let schedule = match fields[..] {
            [] => return Err(Refusal::Empty),
            [minute, hour, day, month, weekday] => {
                read([minute, hour, day, month, weekday, "0", "*"])
            }
            [minute, hour, day, month, weekday, second] => {
                read([minute, hour, day, month, weekday, second, "*"])
            }
            [minute, hour, day, month, weekday, second, year] => {
                read([minute, hour, day, month, weekday, second, year])
            }
            _ => return Err(Refusal::Fields(fields.len())),
        }?;
        if schedule.ever_fires() {
            Ok(schedule)
        } else {
            Err(Refusal::NeverFires)
        }
    }
}

fn expand(nickname: &str) -> Result<Vec<&'static str>, Refusal> {
    NICKNAMES
        .iter()
        .find(|(name, _)| *name == nickname)
        .map(|(_, fields)| fields.split(' ').collect())
        .ok_or_else(|| Refusal::Nickname(nickname.to_owned()))
}

fn read(fields: [&str; 7]) -> Result<Schedule, Refusal> {
    let [minute, hour, day, month, weekday, second, year] = fields;
    let [minutes, hours, months, seconds, years] = [
        (Field::Minute, minute),
        (Field::Hour, hour),
        (Field::Month, month),
        (Field::Second, second),
        (Field::Year, year),
    ]
    .map(|(field, text)| plain(field, text));
    let hours = hours?;
    let years = years?;
    Ok(Schedule {
        minutes: minutes?.bits(Field::Minute),
        every_hour: hours.all(Field::Hour),
        hours: hours.bits(Field::Hour),
        days: days(day, weekday)?,
        months: months?.bits(Field::Month),
        seconds: seconds?.bits(Field::Second),
        years: (!years.star).then(|| years.listed.into_iter().collect()),
    })
}

/// A field that has nothing but values, ranges and steps.
fn plain(field: Field, text: &str) -> Result<Values, Refusal> {
    if text.contains('?') {
        return Err(
            field.refuse("`?` is for the day of month and the day of week alone; write `*`")
        );
    }
    not_hashed(field, text)?;
    Values::read(field, text)
}

/// `h` and `r` are a value that is drawn: from the name of a job, which a schedule does not have, or each time that the
/// schedule is read.
fn not_hashed(field: Field, text: &str) -> Result<(), Refusal> {
    let drawn = |item: &str| {
        item.strip_prefix(['h', 'r'])
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '(']))
    };
    if text.split(',').any(drawn) {
        return Err(field.refuse(format!("`{text}` is drawn by lot; write a value")));
    }
    Ok(())
}

fn days(day: &str, weekday: &str) -> Result<Days, Refusal> {
    let (of_month, all_days) = days_of_month(day, weekday)?;
    let (of_week, all_weekdays) = days_of_week(weekday, day)?;
    Ok(Days {
        of_month,
        of_week,
        either: !all_days && !all_weekdays,
    })
}

/// What the day of month says, and whether it counts as saying nothing.
///
/// As croniter has it, a list with all the days says nothing only where the other field has a star: `1-31` beside `1`
/// is every day, since either may say so; beside `*/2` it is every second weekday.
fn days_of_month(text: &str, weekday: &str) -> Result<(DaysOfMonth, bool), Refusal> {
    const FIELD: Field = Field::DayOfMonth;
    let text = unquestioned(FIELD, text)?;
    not_hashed(FIELD, text)?;
    if let Some(day) = nearest(text)? {
        return Ok((DaysOfMonth::Nearest(day), false));
    }
    let mut values = Values::default();
    let mut last = false;
    for item in text.split(',') {
        match item {
            "l" => last = true,
            item => values.add(FIELD, item)?,
        }
    }
    let all = values.listed.len() + usize::from(last) == FIELD.size();
    let nothing = values.star || (all && weekday.contains('*'));
    let days = values.bits(FIELD);
    Ok((DaysOfMonth::Listed { days, last }, nothing))
}

/// The day of `15w` or `w15`, which stands alone.
fn nearest(text: &str) -> Result<Option<u8>, Refusal> {
    if !text.contains('w') {
        return Ok(None);
    }
    let day = text.strip_suffix('w').or_else(|| text.strip_prefix('w'));
    let day = day.and_then(number).filter(|day| (1..=31).contains(day));
    match day.map(u8::try_from) {
        Some(Ok(day)) => Ok(Some(day)),
        _ => Err(Field::DayOfMonth.refuse(format!(
            "`{text}` is not a nearest weekday; write one day and no list, as in `15W`"
        ))),
    }
}

/// What the day of week says, and whether it counts as saying nothing.
fn days_of_week(text: &str, day: &str) -> Result<(DaysOfWeek, bool), Refusal> {
    const FIELD: Field = Field::DayOfWeek;
    let text = unquestioned(FIELD, text)?;
    not_hashed(FIELD, text)?;
    let mut values = Values::default();
    let mut nth = [0_u8; 7];
    for item in text.split(',') {
        if let Some((weekdays, number)) = nth_of_month(item)? {
            for weekday in weekdays {
                nth[usize::from(weekday)] |= 1 << number;
            }
        } else {
            values.add(FIELD, item)?;
        }
    }
    let is_nth = |weekday: u16| nth[usize::from(weekday)] != 0;
    let mut named = values.listed.clone();
    named.extend((0..7).filter(|weekday| is_nth(*weekday)));
    // croniter counts a star beside the weekdays as one of them.
    let all = named.len() + usize::from(values.star) == FIELD.size();
    let nothing = values.star || (all && day.contains('*'));
    if nth == [0; 7] {
        let listed = u8::try_from(values.bits(FIELD)).unwrap_or(u8::MAX);
        return Ok((DaysOfWeek::Listed(listed), nothing));
    }
    if !all && values.listed.iter().any(|weekday| !is_nth(*weekday)) {
        return Err(FIELD.refuse(format!(
            "`{text}` has plain weekdays beside ones of the month; write a schedule for each"
        )));
    }
    Ok((DaysOfWeek::Nth(nth), nothing))
}

/// The weekdays of `fri#3`, `5#3` or `mon-fri#1` with their number in the month, or of `l5` with [`LAST`].
fn nth_of_month(item: &str) -> Result<Option<(Vec<u16>, u8)>, Refusal> {
    const FIELD: Field = Field::DayOfWeek;
    if let Some(weekday) = item.strip_prefix('l') {
        if number(weekday).is_none() {
            return Err(FIELD.refuse(format!(
                "`{item}` is not a last weekday; write its number behind it, as in `L5` for the last Friday"
            )));
        }
        return Ok(Some((vec![FIELD.value(weekday)?], LAST)));
    }
    let Some((weekdays, nth)) = item.split_once('#') else {
        return Ok(None);
    };
    let nth = match number(nth).map(u8::try_from) {
        Some(Ok(nth @ 1..=5)) => nth,
        _ => {
            return Err(FIELD.refuse(format!(
                "`{item}` is not a weekday of the month; write 1 to 5 after the `#`"
            )));
        }
    };
    let weekdays = match weekdays.split_once('-') {
        None => vec![FIELD.value(weekdays)?],
        Some((from, to)) if number(from).is_none() && number(to).is_none() => {
            FIELD.range(FIELD.value(from)?, FIELD.value(to)?, 1)
        }
        Some(_) => {
            return Err(FIELD.refuse(format!(
                "`{item}` has a range of numbers before the `#`; write names, as in `mon-fri#1`"
            )));
        }
    };
    Ok(Some((weekdays, nth)))
}

/// `?` is another `*` where it stands alone.
fn unquestioned(field: Field, text: &str) -> Result<&str, Refusal> {
    match text {
        "?" => Ok("*"),
        text if text.contains('?') => Err(field.refuse("`?` stands alone or not at all")),
        text => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Refusal {
        text.parse::<Schedule>().unwrap_err()
    }

    fn same(one: &str, other: &str) {
        let [one, other] = [one, other].map(|text| text.parse::<Schedule>().unwrap());
        assert_eq!(one, other);
    }

    #[test]
    fn a_refusal_names_the_field_and_says_what_would_be_right() {
        for (text, field, words) in [
            ("60 * * * *", Field::Minute, "0 to 59"),
            ("* 24 * * *", Field::Hour, "0 to 23"),
            ("* * 32 * *", Field::DayOfMonth, "1 to 31"),
            ("* * 15w,1 * *", Field::DayOfMonth, "15W"),
            ("* * * january *", Field::Month, "jan to dec"),
            ("* * * * 8", Field::DayOfWeek, "0 and 7 are Sunday"),
            ("* * * * lfri", Field::DayOfWeek, "L5"),
            ("* * * * 1#6", Field::DayOfWeek, "1 to 5"),
            ("* * * * 1,5#2", Field::DayOfWeek, "a schedule for each"),
            ("* * * * * 60", Field::Second, "0 to 59"),
            ("* * * * * 0 2100", Field::Year, "1970 to 2099"),
            ("*/0 * * * *", Field::Minute, "1 or more"),
            ("1,,2 * * * *", Field::Minute, "missing"),
            ("? * * * *", Field::Minute, "write `*`"),
            ("H * * * *", Field::Minute, "write a value"),
            ("R(0-9)/2 * * * *", Field::Minute, "write a value"),
        ] {
            let Refusal::Field {
                field: found,
                problem,
            } = refused(text)
            else {
                panic!("{text}: {}", refused(text));
            };
            assert_eq!(found, field, "{text}: {problem}");
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }

    #[test]
    fn what_has_no_fields_to_speak_of_is_refused_as_a_whole() {
        assert_eq!(refused(""), Refusal::Empty);
        assert_eq!(refused(" \t "), Refusal::Empty);
        assert_eq!(refused("* * * *"), Refusal::Fields(4));
        assert_eq!(refused("* * * * * * * *"), Refusal::Fields(8));
        assert_eq!(refused("@reboot"), Refusal::Nickname("@reboot".to_owned()));
        assert_eq!(refused("* * * *\u{0} *"), Refusal::ControlCharacter(8));
        assert_eq!(refused("* * * * *\n"), Refusal::ControlCharacter(10));
        assert_eq!(refused(&"*".repeat(100_000)), Refusal::TooLong(100_000));
    }

    #[test]
    fn days_that_no_month_has_are_refused() {
        for text in [
            "0 0 30 2 *",
            "0 0 30,31 feb *",
            "0 0 31 2,4,6,9,11 *",
            "0 0 29 2 * 0 2025-2027",
            "0 0 15W * *,sat#3",
        ] {
            assert_eq!(refused(text), Refusal::NeverFires, "{text}");
        }
        // Either of the two days is enough.
        assert!("0 0 30 2 1".parse::<Schedule>().is_ok());
    }

    #[test]
    fn spaces_tabs_and_capitals_do_not_matter() {
        same(" 0  9\t* JAN Mon-fri ", "0 9 * jan mon-fri");
        same("@Daily", "0 0 * * *");
        same("0 0 L * *", "0 0 l * *");
        same("0 0 15W * *", "0 0 w15 * *");
    }

    #[test]
    fn a_list_with_every_day_says_nothing_only_beside_a_star() {
        let either = |text: &str| text.parse::<Schedule>().unwrap().days.either;
        assert!(either("0 0 1-31 * 1"));
        assert!(!either("0 0 1-31 * */2"));
        assert!(either("0 0 */2 * 1"));
        assert!(!either("0 0 *,5 * 1"));
        assert!(!either("0 0 ? * 1"));
    }
}
