//! Due times become runs: in batches, each of which is one write, so that others get their turn between two.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use selvedge_model::Timestamp;
use selvedge_model::cron::{Cron, CronError};
use selvedge_storage::{CronRun, CronTick, Refusal, StorageError, Ticked};

use super::payload;
use super::plan::{LATEST, MOST_CAUGHT_UP, Watch, plan};
use super::when::When;
use crate::Runtime;
use crate::admit::request::AdmitError;

/// Crons that are looked at together.
const CRONS_AT_ONCE: u32 = 100;
/// Due times of one write.
const TICKS_AT_ONCE: usize = 100;

/// How far a pass over the crons that are due has come.
pub(super) enum Passed {
    /// None is left that is due.
    Whole { next_due: Option<Timestamp> },
    /// Too many runs are pending: what is due has to wait.
    Crowded,
    /// The server is stopping.
    Stopping,
}

/// What cuts a pass short.
enum Halt {
    Crowded,
    Stopping,
    Failed(StorageError),
}

impl From<StorageError> for Halt {
    fn from(error: StorageError) -> Self {
        Self::Failed(error)
    }
}

impl Runtime {
    /// Fires what is due until nothing is.
    pub(super) async fn fire_due_crons(&self) -> Result<Passed, StorageError> {
        let shared = &self.0;
        while !shared.stopping() {
            let now = shared.crons.clock.now();
            let due = shared.storage.due_crons(now, CRONS_AT_ONCE).await?;
            if due.crons.is_empty() {
                return Ok(Passed::Whole {
                    next_due: due.next_due,
                });
            }
            match self.fire(&due.crons, now).await {
                Ok(()) => {}
                Err(Halt::Crowded) => return Ok(Passed::Crowded),
                Err(Halt::Stopping) => return Ok(Passed::Stopping),
                Err(Halt::Failed(error)) => return Err(error),
            }
        }
        Ok(Passed::Stopping)
    }

    async fn fire(&self, crons: &[Cron], now: Timestamp) -> Result<(), Halt> {
        let watch = Watch {
            now,
            up: self.0.crons.up_since.elapsed(),
        };
        let ticks = join_all(crons.iter().map(|cron| self.ticks_of(cron, watch))).await;
        let ticks: Vec<Vec<CronTick>> = ticks.into_iter().collect::<Result<_, Halt>>()?;
        let mut ticks: Vec<CronTick> = ticks.into_iter().flatten().collect();
        while !ticks.is_empty() {
            let rest = ticks.split_off(ticks.len().min(TICKS_AT_ONCE));
            self.let_pass(ticks).await?;
            ticks = rest;
        }
        Ok(())
    }

    /// The due times of a cron that have come, in their order, with the runs that they make.
    async fn ticks_of(&self, cron: &Cron, watch: Watch) -> Result<Vec<CronTick>, Halt> {
        let Some(due) = cron.next_run_date else {
            return Ok(Vec::new());
        };
        let passing = |next, error| CronTick {
            cron_id: cron.cron_id,
            seen_update: cron.updated_at,
            seen_due: due,
            next,
            run: None,
            error,
        };
        // An earlier version may have read them otherwise; without a next date, such a cron is not looked at again.
        let (when, request) = match (When::of(cron), payload::run_of(cron)) {
            (Ok(when), Ok(request)) => (when, request),
            (Err(refusal), _) => {
                let error = failure(watch.now, "InvalidSchedule", refusal.to_string());
                return Ok(vec![passing(None, Some(error))]);
            }
            (_, Err(error)) => {
                let error = failure(watch.now, "InvalidPayload", error.to_string());
                return Ok(vec![passing(None, Some(error))]);
            }
        };
        let plan = plan(due, &when, cron.catch_up, watch);
        let mut error = plan.left_out.map(|which| left_out(watch.now, which));
        if plan.fire.is_empty() {
            return Ok(vec![passing(plan.next, error)]);
        }
        let mut ticks: Vec<CronTick> = Vec::with_capacity(plan.fire.len());
        for (position, at) in plan.fire.iter().enumerate() {
            let run = match self.prepare(&request).await {
                Ok(run) => Some(CronRun {
                    due: *at,
                    run: Box::new(run),
                }),
                Err(AdmitError::ShuttingDown) => return Err(Halt::Stopping),
                Err(AdmitError::Storage(error)) => return Err(error.into()),
                Err(refused) => {
                    error = Some(not_admitted(watch.now, &refused));
                    None
                }
            };
            ticks.push(CronTick {
                seen_due: ticks.last().and_then(|before| before.next).unwrap_or(due),
                run,
                ..passing(
                    plan.fire.get(position + 1).copied().or(plan.next),
                    error.take(),
                )
            });
        }
        Ok(ticks)
    }

    /// Makes due times of crons pass, and begins the runs that they make.
    async fn let_pass(&self, mut ticks: Vec<CronTick>) -> Result<(), Halt> {
        let shared = &self.0;
        let mut places = Vec::with_capacity(ticks.len());
        for tick in &mut ticks {
            places.push(tick.run.as_mut().and_then(|made| {
                let place = shared.queue.place_for_new_run();
                made.run.claim_by = place.is_some().then_some(made.run.run.updated_at);
                place
            }));
        }
        let asked = ticks.clone();
        let ticked = shared.storage.fire_crons(ticks).await?;
        let mut refused = Vec::new();
        let mut crowded = false;
        for ((asked, ticked), place) in asked.into_iter().zip(ticked).zip(places) {
            match ticked {
                Ticked::Fired(admission) => {
                    shared.crons.fired.fetch_add(1, Ordering::Relaxed);
                    self.note(&asked);
                    // Never a refusal: that is the next case.
                    let _ = self.take_over(admission, place).await;
                }
                Ticked::Passed => self.note(&asked),
                Ticked::Refused(Refusal::TooManyPending) => crowded = true,
                Ticked::Refused(refusal) => refused.push(CronTick {
                    run: None,
                    error: Some(not_admitted(
                        shared.crons.clock.now(),
                        &self.refusal(refusal),
                    )),
                    ..asked
                }),
                Ticked::Stale => {}
            }
        }
        if !refused.is_empty() {
            refused.iter().for_each(|tick| self.note(tick));
            shared.storage.fire_crons(refused).await?;
        }
        match crowded {
            true => Err(Halt::Crowded),
            false => Ok(()),
        }
    }

    /// Counts a due time that made no run, and tells the operator.
    fn note(&self, tick: &CronTick) {
        if let Some(CronError { error, message, .. }) = &tick.error {
            self.0.crons.errors.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(cron = %tick.cron_id, due = %tick.seen_due, error, "a cron made no run: {message}");
        }
    }
}

fn failure(time: Timestamp, error: &str, message: String) -> CronError {
    CronError {
        time,
        error: error.to_owned(),
        message,
    }
}

fn left_out(now: Timestamp, (first, last): (Timestamp, Timestamp)) -> CronError {
    failure(
        now,
        "Missed",
        format!(
            "Due times from {first} to {last} made no run: they came more than {} seconds too late, or more than \
             {MOST_CAUGHT_UP} were missed.",
            LATEST.as_secs()
        ),
    )
}

fn not_admitted(now: Timestamp, refused: &AdmitError) -> CronError {
    let kind = match refused {
        AdmitError::NotFound | AdmitError::UnknownGraph { .. } => "NotFound",
        AdmitError::Busy => "Busy",
        AdmitError::Webhook(_) => "WebhookRefused",
        _ => "Invalid",
    };
    failure(now, kind, refused.to_string())
}
