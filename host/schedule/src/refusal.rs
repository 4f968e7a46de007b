//! Why a text is no schedule: which field, what is wrong with it, and what would be right.

use crate::field::Field;
use crate::parse::MAX_SCHEDULE_BYTES;

/// Why a text is no schedule. Its words are for whoever wrote the schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than any schedule has to be.
    #[error("a schedule has at most {MAX_SCHEDULE_BYTES} bytes, and this has {0}")]
    TooLong(usize),
    /// Something that no crontab has, and that no log should show.
    #[error(
        "character {0} is a control character; write fields that are separated by spaces or tabs"
    )]
    ControlCharacter(usize),
    /// Nothing at all.
    #[error("it is empty; write five fields, as in `*/5 * * * *` for every five minutes")]
    Empty,
    /// Neither five, six nor seven fields.
    #[error(
        "it has {0} field(s); write five: minute, hour, day of month, month, day of week; a sixth is the second, \
         a seventh the year"
    )]
    Fields(usize),
    /// `@reboot` and the like.
    #[error(
        "`{0}` is not known; write @yearly, @annually, @monthly, @weekly, @daily, @midnight or @hourly"
    )]
    Nickname(String),
    /// One of the fields is wrong.
    #[error("{field}: {problem}")]
    Field {
        /// Which one.
        field: Field,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// Right in every field, but there is no such day.
    #[error("it never fires: no month that it names has such a day")]
    NeverFires,
}
