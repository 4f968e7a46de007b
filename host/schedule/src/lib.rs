//! When a cron fires: what a schedule says, and the next time after an instant in a time zone.
//!
//! | module | job |
//! |---|---|
//! | [`parse`] | text → [`Schedule`], or why not |
//! | [`field`] | the seven fields, and the lists of values, ranges and steps that they consist of |
//! | [`days`] | which days of a month fire: dates, weekdays, and what both together mean |
//! | [`schedule`] | the next time after an instant |
//! | [`zone`] | IANA time zones as stretches between two changes of their clocks |
//! | [`refusal`] | why a text is no schedule |
//!
//! The dialect is that of Python's croniter 7, because a cron that moves here from LangGraph has to fire when it did
//! there; `docs/crons.md` has it as a table. The room is pure: no clock, no I/O, the rules of the time zones are part
//! of the program, so that every host of one version says the same.
//!
//! # When clocks are changed
//!
//! A schedule names times on the wall. An instant fires when the wall shows such a time, and it depends on nothing
//! else: not on where one starts to look, not on what fired before.
//!
//! * A time that comes twice fires twice. croniter means it so, also for `30 1 * * *`; its own tests ask for both.
//! * A time that is skipped fires as soon as clocks show a time again, once for all that were skipped, at its own
//!   second (02:59:30 becomes 03:00:30). Where every hour is named (`*`, `*/1`, `0-23`), it does not: the next hour
//!   comes soon enough. This, too, is croniter's rule.
//!
//! croniter looks for the next time on the wall first and for its instant afterwards, and so it breaks these rules of
//! its own: it leaves out times that come again. Where it does, of what is recorded, is listed in
//! `tests/croniter/forgotten.txt`; each kind, with what is right, stands in `docs/crons.md` and in `tests/croniter.rs`.
#![forbid(unsafe_code)]

mod days;
mod field;
mod parse;
mod refusal;
mod schedule;
mod zone;

pub use field::Field;
pub use parse::MAX_SCHEDULE_BYTES;
pub use refusal::Refusal;
pub use schedule::{LONGEST_WAIT_YEARS, Schedule};
pub use zone::{UnknownZone, Zone};
