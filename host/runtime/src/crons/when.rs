//! A cron's schedule, time zone and end: its due times.

use selvedge_model::Timestamp;
use selvedge_model::cron::Cron;
use selvedge_schedule::{Schedule, Zone};

use super::CronRefusal;

/// The time zone of a schedule without one.
const DEFAULT_ZONE: &str = "UTC";

/// When a cron is due.
#[derive(Clone, Debug)]
pub(super) struct When {
    text: String,
    schedule: Schedule,
    zone: Zone,
    end: Option<Timestamp>,
}

impl When {
    /// Reads what a caller wrote.
    pub(super) fn read(
        schedule: &str,
        zone: Option<&str>,
        end: Option<Timestamp>,
    ) -> Result<Self, CronRefusal> {
        let parsed = schedule.parse::<Schedule>();
        let parsed = parsed.map_err(|refusal| refused(schedule, refusal.to_string()))?;
        let name = zone.unwrap_or(DEFAULT_ZONE);
        let zone = name.parse::<Zone>();
        Ok(Self {
            text: schedule.to_owned(),
            schedule: parsed,
            zone: zone.map_err(|_| CronRefusal::Zone(name.to_owned()))?,
            end,
        })
    }

    /// When a stored cron is due.
    pub(super) fn of(cron: &Cron) -> Result<Self, CronRefusal> {
        Self::read(&cron.schedule, cron.timezone.as_deref(), cron.end_time)
    }

    /// Refuses a schedule whose years have passed.
    pub(super) fn must_fire_after(&self, now: Timestamp) -> Result<(), CronRefusal> {
        match self.schedule.next_after(now, &self.zone) {
            Some(_) => Ok(()),
            None => Err(refused(
                &self.text,
                "the years that it names have passed".to_owned(),
            )),
        }
    }

    /// The next due time.
    pub(super) fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let due = self.schedule.next_after(after, &self.zone)?;
        self.allows(due)
    }

    /// The last due time after one instant and not after another.
    pub(super) fn last_between(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let until = self.end.map_or(until, |end| end.min(until));
        self.schedule.last_between(after, until, &self.zone)
    }

    /// A time, unless the end comes before it.
    pub(super) fn allows(&self, due: Timestamp) -> Option<Timestamp> {
        Some(due).filter(|due| self.end.is_none_or(|end| *due <= end))
    }

    /// Whether the end has come.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.end.is_some_and(|end| end < now)
    }
}

fn refused(schedule: &str, reason: String) -> CronRefusal {
    CronRefusal::Schedule {
        schedule: schedule.to_owned(),
        reason,
    }
}
