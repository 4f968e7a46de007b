//! Crons, and the due times at which they make runs.

use selvedge_model::cron::{Cron, CronError};
use selvedge_model::{AssistantId, Caller, CronId, Json, Scope, ThreadId, Timestamp};

use super::{Admission, NewRun, Refusal};

/// Which crons.
#[derive(Clone, Debug, Default)]
pub struct CronFilter {
    /// Of this assistant.
    pub assistant_id: Option<AssistantId>,
    /// On this thread.
    pub thread_id: Option<ThreadId>,
    /// Those that fire, or those that do not.
    pub enabled: Option<bool>,
    /// An object that the metadata must contain.
    pub metadata: Option<Json>,
}

/// Which crons to find.
#[derive(Clone, Debug)]
pub struct CronQuery {
    /// That match this.
    pub filter: CronFilter,
    /// What to sort by. A cron that has no such value stands last, or first when the largest do.
    pub sort_by: CronSort,
    /// Largest first.
    pub descending: bool,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

/// What crons can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CronSort {
    /// By id.
    CronId,
    /// By assistant.
    AssistantId,
    /// By thread.
    ThreadId,
    /// By the due time that fires next.
    NextRunDate,
    /// By their end.
    EndTime,
    /// By age.
    #[default]
    CreatedAt,
    /// By last change.
    UpdatedAt,
}

/// What came of storing a new cron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CronInsert {
    /// It is there.
    Created,
    /// Its assistant is not.
    NoAssistant,
    /// Its thread is not.
    NoThread,
    /// Its creator has their share of crons.
    TooMany,
}

/// What came of putting a cron in the place of what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CronReplace {
    /// It is done.
    Done,
    /// There is no such cron any more.
    Gone,
    /// It was changed, or fired, since it was looked at. Look again.
    Stale,
}

/// A cron that is due.
#[derive(Clone, Debug)]
pub struct DueCron {
    /// The cron.
    pub cron: Cron,
    /// Who made it, and asks for its runs.
    pub creator: Caller,
}

/// Crons that are due.
#[derive(Clone, Debug, Default)]
pub struct DueCrons {
    /// Those that are due longest first.
    pub crons: Vec<DueCron>,
    /// When the next one is due that is not among them; that may be now.
    pub next_due: Option<Timestamp>,
}

/// One due time of a cron, and what is to come of it.
#[derive(Clone, Debug)]
pub struct CronTick {
    /// Whose.
    pub cron_id: CronId,
    /// The cron's `updated_at` when this was planned.
    pub seen_update: Timestamp,
    /// The cron's `next_run_date` when this was planned.
    pub seen_due: Timestamp,
    /// Its `next_run_date` from now on.
    pub next: Option<Timestamp>,
    /// The run to be admitted.
    pub run: Option<CronRun>,
    /// Its `last_error` from now on; `None` leaves it as it is.
    pub error: Option<CronError>,
}

/// A run that a due time makes.
#[derive(Clone, Debug)]
pub struct CronRun {
    /// The due time that it is for; there is never a second run for it.
    pub due: Timestamp,
    /// On whose behalf it is admitted: that of the cron's creator.
    pub scope: Scope,
    /// The run.
    pub run: Box<NewRun>,
}

/// What came of a due time.
#[derive(Clone, Debug)]
pub enum Ticked {
    /// Its run is accepted, and the cron has its next date.
    Fired(Admission),
    /// The cron has its next date, and no run was made: none was asked for, or there was one for this time already.
    Passed,
    /// Its run was not accepted, and nothing was changed.
    Refused(Refusal),
    /// The cron has been changed, stopped or deleted since it was looked at, or somebody else was faster; nothing was
    /// changed.
    Stale,
}
