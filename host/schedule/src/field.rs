//! The fields of a schedule, and what most of them consist of: a list of values, ranges and steps.

use std::collections::BTreeSet;
use std::fmt;

use crate::refusal::Refusal;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or a name.
    Month,
    /// 0 to 7, or a name; 0 and 7 are Sunday.
    DayOfWeek,
    /// 0 to 59.
    Second,
    /// 1970 to 2099.
    Year,
}

impl Field {
    /// The least and the greatest value. Sunday as 7 has become 0 where this is asked.
    pub(crate) const fn bounds(self) -> (u16, u16) {
        match self {
            Field::Minute | Field::Second => (0, 59),
            Field::Hour => (0, 23),
            Field::DayOfMonth => (1, 31),
            Field::Month => (1, 12),
            Field::DayOfWeek => (0, 6),
            Field::Year => (1970, 2099),
        }
    }

    /// How many values there are.
    pub(crate) const fn size(self) -> usize {
        let (least, greatest) = self.bounds();
        (greatest - least) as usize + 1
    }

    /// What can be written instead of numbers; the first stands for the least value.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Field::Month => &MONTHS,
            Field::DayOfWeek => &WEEKDAYS,
            _ => &[],
        }
    }

    pub(crate) fn refuse(self, problem: impl Into<String>) -> Refusal {
        Refusal::Field {
            field: self,
            problem: problem.into(),
        }
    }

    /// What is right in this field, for the end of a sentence.
    fn advice(self) -> &'static str {
        match self {
            Field::Minute | Field::Second => "write 0 to 59, or `*`",
            Field::Hour => "write 0 to 23, or `*`",
            Field::DayOfMonth => "write 1 to 31, `L` for the last day, or `*`",
            Field::Month => "write 1 to 12, jan to dec, or `*`",
            Field::DayOfWeek => "write 0 to 7 (0 and 7 are Sunday), sun to sat, or `*`",
            Field::Year => "write 1970 to 2099, or `*`",
        }
    }

    /// One value: a number or a name, in lower case.
    pub(crate) fn value(self, text: &str) -> Result<u16, Refusal> {
        let (least, greatest) = self.bounds();
        if let Some(place) = self.names().iter().position(|name| *name == text) {
            return Ok(least + u16::try_from(place).unwrap_or(0));
        }
        match number(text) {
            Some(7) if self == Field::DayOfWeek => Ok(0),
            Some(value) if (least..=greatest).contains(&value) => Ok(value),
            Some(_) => Err(self.refuse(format!("`{text}` is out of range; {}", self.advice()))),
            None if text.is_empty() => {
                Err(self.refuse(format!("a value is missing; {}", self.advice())))
            }
            None => Err(self.refuse(format!("`{text}` is not a value; {}", self.advice()))),
        }
    }

    /// The values from one to another, which may be the lesser one: then they go on behind the greatest value with the
    /// least.
    ///
    /// As croniter has it, two equal ends mean the whole cycle, and a step that leads over the greatest value goes one
    /// further than it should, unless it meets the least value exactly: hours `22-5/3` are 22, 2 and 5.
    pub(crate) fn range(self, low: u16, high: u16, step: u16) -> Vec<u16> {
        let (least, greatest) = self.bounds();
        let by = usize::from(step);
        if low == high {
            return (least..=greatest).step_by(by).collect();
        }
        if low < high {
            return (low..=high).step_by(by).collect();
        }
        let mut values: Vec<u16> = (low..=greatest).step_by(by).collect();
        let left = greatest - values.last().copied().unwrap_or(greatest);
        let skipped = if step > left + 1 { step - left } else { 0 };
        values.extend((least.saturating_add(skipped)..=high).step_by(by));
        values
    }

    /// One member of a list that is neither `*` alone nor special to its field.
    pub(crate) fn item(self, text: &str) -> Result<Vec<u16>, Refusal> {
        let (least, greatest) = self.bounds();
        let (base, step) = match text.split_once('/') {
            Some((base, step)) => (base, Some(self.step(step)?)),
            None => (text, None),
        };
        if base == "*" {
            return Ok(self.range(least, greatest, step.unwrap_or(1)));
        }
        if let Some((low, high)) = base.split_once('-') {
            let low = self.value(low)?;
            let high = match high {
                "l" if self == Field::DayOfMonth => greatest,
                high => self.value(high)?,
            };
            return Ok(self.range(low, high, step.unwrap_or(1)));
        }
        let value = self.value(base)?;
        match step {
            // With a step, a single value is where a range to the greatest one begins.
            Some(step) if value < greatest => Ok(self.range(value, greatest, step)),
            _ => Ok(vec![value]),
        }
    }

    fn step(self, text: &str) -> Result<u16, Refusal> {
        match number(text) {
            Some(0) => Err(self.refuse("a step of 0 leads nowhere; write 1 or more after the `/`")),
            Some(step) => Ok(step),
            None => Err(self.refuse(format!(
                "`/{text}` is not a step; write a number after the `/`"
            ))),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::DayOfMonth => "day of month",
            Field::Month => "month",
            Field::DayOfWeek => "day of week",
            Field::Second => "second",
            Field::Year => "year",
        })
    }
}

/// What the list of a field comes to.
#[derive(Debug, Default)]
pub(crate) struct Values {
    /// `*` is a member of the list, alone or beside others.
    pub star: bool,
    /// The members that are values, ranges and steps.
    pub listed: BTreeSet<u16>,
}

impl Values {
    /// Reads a list of a field that has nothing special.
    pub fn read(field: Field, text: &str) -> Result<Self, Refusal> {
        let mut values = Self::default();
        for item in text.split(',') {
            values.add(field, item)?;
        }
        Ok(values)
    }

    /// Adds one member of a list.
    pub fn add(&mut self, field: Field, item: &str) -> Result<(), Refusal> {
        match item {
            "*" => self.star = true,
            item => self.listed.extend(field.item(item)?),
        }
        Ok(())
    }

    /// Whether no value is left out.
    pub fn all(&self, field: Field) -> bool {
        self.star || self.listed.len() == field.size()
    }

    /// A bit for each value; the fields that are asked have values below 64.
    pub fn bits(&self, field: Field) -> u64 {
        let (least, greatest) = field.bounds();
        if self.star {
            return (least..=greatest).fold(0, |bits, value| bits | 1 << value);
        }
        self.listed.iter().fold(0, |bits, value| bits | 1 << value)
    }
}

/// Digits as a number; one that is too great for any field becomes the greatest there is.
pub(crate) fn number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_wrap_and_their_steps_count_on_as_croniter_counts() {
        assert_eq!(Field::Hour.range(22, 2, 1), [22, 23, 0, 1, 2]);
        assert_eq!(Field::Hour.range(22, 5, 3), [22, 2, 5]);
        assert_eq!(Field::Month.range(4, 1, 3), [4, 7, 10, 1]);
        assert_eq!(Field::DayOfWeek.range(5, 2, 2), [5, 0, 2]);
        assert_eq!(Field::Minute.range(5, 5, 15), [0, 15, 30, 45]);
        assert_eq!(Field::Minute.range(58, 3, u16::MAX), [58]);
    }

    #[test]
    fn a_value_with_a_step_goes_on_to_the_greatest_value() {
        assert_eq!(Field::Minute.item("50/5").unwrap(), [50, 55]);
        assert_eq!(Field::Minute.item("59/5").unwrap(), [59]);
        assert_eq!(Field::DayOfWeek.item("7/3").unwrap(), [0, 3, 6]);
        assert_eq!(Field::Month.item("oct/99999999").unwrap(), [10]);
    }
}
