//! Due times become runs: in portions, each of which is one write, so that others get their turn between two.
//!
//! What is due now comes first. What was missed comes after it, a few crons at a time, and leaves callers their half of
//! the queue. A cron or a run that storage fails at is told by that cron, and stands in the way of no other.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream;
use selvedge_model::cron::CronError;
use selvedge_model::{Caller, CronId, Timestamp};
use selvedge_storage::{CronRun, CronTick, DueCron, Refusal, StorageError, Ticked};

use super::last_error::{beside, failure, left_out, not_admitted, unstorable};
use super::payload;
use super::plan::{Watch, just_before, plan};
use super::when::When;
use crate::Runtime;
use crate::admit::request::{AdmitError, CreateRun};

/// Crons that are looked at together.
const CRONS_AT_ONCE: u32 = 100;
/// The same of those that are due since longer than it is in time.
const MISSED_AT_ONCE: u32 = 10;
/// Runs that are prepared at once: each has to read its assistant and its thread.
const PREPARED_AT_ONCE: usize = 16;
/// Due times of one write.
const TICKS_AT_ONCE: usize = 100;
/// What the runs of one write weigh together, the last of them aside.
const MAX_TICK_BYTES: usize = 8 << 20;
/// Before any due time.
const EARLIEST: Timestamp = Timestamp::from_micros(i64::MIN);

/// How far a pass over the crons that are due has come.
pub(super) enum Passed {
    /// None is left that is due.
    Whole { next_due: Option<Timestamp> },
    /// What is left was missed, and has to wait until fewer runs are pending.
    Behind { next_due: Option<Timestamp> },
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

/// What is to become of a due time.
struct Planned {
    /// Without its run.
    tick: CronTick,
    run: Option<Wanted>,
}

/// The run that a due time makes.
struct Wanted {
    due: Timestamp,
    creator: Arc<Caller>,
    request: Arc<CreateRun>,
}

/// What is written together.
#[derive(Default)]
struct Portion {
    ticks: Vec<CronTick>,
    bytes: usize,
}

impl Portion {
    fn push(&mut self, tick: CronTick) {
        self.bytes += tick.run.as_ref().map_or(0, |made| made.run.bytes());
        self.ticks.push(tick);
    }

    fn is_full(&self) -> bool {
        self.ticks.len() >= TICKS_AT_ONCE || self.bytes >= MAX_TICK_BYTES
    }

    fn take(&mut self) -> Vec<CronTick> {
        mem::take(self).ticks
    }
}

impl Runtime {
    /// Fires what is due until nothing is.
    pub(super) async fn fire_due_crons(&self) -> Result<Passed, StorageError> {
        match self.pass().await {
            Ok(passed) => Ok(passed),
            Err(Halt::Crowded) => Ok(Passed::Crowded),
            Err(Halt::Stopping) => Ok(Passed::Stopping),
            Err(Halt::Failed(error)) => Err(error),
        }
    }

    async fn pass(&self) -> Result<Passed, Halt> {
        let shared = &self.0;
        while !shared.stopping() {
            let watch = Watch {
                now: shared.crons.clock.now(),
                up: shared.crons.up_since.elapsed(),
            };
            let in_time = watch.missed_before()..=watch.now;
            let due = shared.storage.due_crons(in_time, CRONS_AT_ONCE).await?;
            if !due.crons.is_empty() {
                self.fire(&due.crons, watch, usize::MAX).await?;
                continue;
            }
            let before = EARLIEST..=just_before(watch.missed_before());
            let missed = shared.storage.due_crons(before, MISSED_AT_ONCE).await?;
            let next_due = due.next_due;
            if missed.crons.is_empty() {
                return Ok(Passed::Whole { next_due });
            }
            let room = self.room_for_missed().await?;
            if room == 0 {
                return Ok(Passed::Behind { next_due });
            }
            self.fire(&missed.crons, watch, room).await?;
        }
        Ok(Passed::Stopping)
    }

    /// How many runs may be made of what was missed: half of what may be pending is for callers and for crons that are
    /// in time.
    async fn room_for_missed(&self) -> Result<usize, StorageError> {
        let half = self.0.options.max_pending_runs.div_ceil(2);
        let pending = self.0.storage.count_pending_runs().await?;
        Ok(usize::try_from(half.saturating_sub(pending)).unwrap_or(usize::MAX))
    }

    /// Makes due times of these crons pass, no more than `most`.
    async fn fire(&self, crons: &[DueCron], watch: Watch, most: usize) -> Result<(), Halt> {
        let mut planned = Vec::new();
        for cron in crons {
            planned.extend(planned_of(cron, watch));
            // Planning waits for nothing: others get their turn between two crons.
            tokio::task::yield_now().await;
        }
        planned.truncate(most);
        let prepared = stream::iter(planned).map(|planned| self.prepared(planned, watch.now));
        let mut prepared = prepared.buffered(PREPARED_AT_ONCE);
        let mut portion = Portion::default();
        while let Some(tick) = prepared.next().await {
            portion.push(tick?);
            if portion.is_full() {
                self.let_pass(portion.take()).await?;
            }
        }
        self.let_pass(portion.take()).await
    }

    async fn prepared(&self, planned: Planned, now: Timestamp) -> Result<CronTick, Halt> {
        let Planned { mut tick, run } = planned;
        let Some(wanted) = run else {
            return Ok(tick);
        };
        match self.prepare(&wanted.creator, &wanted.request).await {
            Ok(run) => {
                tick.run = Some(CronRun {
                    due: wanted.due,
                    scope: wanted.creator.scope.clone(),
                    run: Box::new(run),
                });
            }
            Err(AdmitError::ShuttingDown) => return Err(Halt::Stopping),
            Err(AdmitError::Storage(error)) if error.may_pass() => return Err(error.into()),
            Err(refused) => {
                if let AdmitError::Storage(error) = &refused {
                    tracing::error!(cron = %tick.cron_id, %error, "a cron's run cannot be prepared");
                }
                tick.error = Some(beside(tick.error, not_admitted(now, &refused)));
            }
        }
        Ok(tick)
    }

    /// Makes due times pass. When storage fails at them together, each is tried alone, and those that it fails at then
    /// pass without a run.
    async fn let_pass(&self, ticks: Vec<CronTick>) -> Result<(), Halt> {
        if ticks.is_empty() {
            return Ok(());
        }
        match self.settle(ticks.clone()).await {
            Err(Halt::Failed(error)) if !error.may_pass() => {}
            settled => return settled,
        }
        for tick in ticks {
            let mut without = without_run(&tick);
            match self.settle(vec![tick]).await {
                Err(Halt::Failed(error)) if !error.may_pass() => {
                    tracing::error!(cron = %without.cron_id, %error, "a cron's run cannot be stored");
                    let failed = unstorable(self.0.crons.clock.now());
                    without.error = Some(beside(without.error, failed));
                    self.settle(vec![without]).await?;
                }
                settled => settled?,
            }
        }
        Ok(())
    }

    /// Makes due times pass in one write, and begins the runs that they make. Those that are refused pass in a second.
    async fn settle(&self, mut ticks: Vec<CronTick>) -> Result<(), Halt> {
        let shared = &self.0;
        let mut places = Vec::with_capacity(ticks.len());
        let webhook = |tick: &CronTick| tick.run.as_ref()?.run.run.kwargs.webhook.clone();
        let webhooks: Vec<Option<String>> = ticks.iter().map(webhook).collect();
        for tick in &mut ticks {
            places.push(tick.run.as_mut().and_then(|made| {
                let place = shared.queue.place_for_new_run();
                made.run.claim_by = place.is_some().then_some(made.run.run.updated_at);
                place
            }));
        }
        let asked: Vec<CronTick> = ticks.iter().map(without_run).collect();
        let ticked = shared.storage.fire_crons(ticks).await?;
        let mut refusals: HashMap<CronId, CronError> = HashMap::new();
        let mut refused = Vec::new();
        let mut crowded = false;
        let ticked = asked.into_iter().zip(ticked);
        for ((mut asked, ticked), (place, webhook)) in ticked.zip(places.into_iter().zip(webhooks))
        {
            match ticked {
                Ticked::Fired(admission) => {
                    shared.crons.fired.fetch_add(1, Ordering::Relaxed);
                    self.note(&asked);
                    // It was judged before; now it counts, where refusals are only reported.
                    let _ = webhook.map(|url| shared.webhooks.check(&url));
                    // Never a refusal: that is the next case.
                    let _ = self.take_over(admission, place).await;
                }
                Ticked::Passed => self.note(&asked),
                Ticked::Refused(Refusal::TooManyPending) => crowded = true,
                Ticked::Refused(refusal) => {
                    let error = not_admitted(shared.crons.clock.now(), &self.refusal(refusal));
                    refusals.insert(asked.cron_id, error.clone());
                    asked.error = Some(beside(asked.error, error));
                    refused.push(asked);
                }
                // Stale only because the one before it was refused, as this one would be.
                Ticked::Stale => {
                    if let Some(error) = refusals.get(&asked.cron_id) {
                        asked.error = Some(error.clone());
                        refused.push(asked);
                    }
                }
            }
        }
        if !refused.is_empty() {
            let passed = shared.storage.fire_crons(refused.clone()).await?;
            let passed = refused.iter().zip(passed);
            passed
                .filter(|(_, ticked)| matches!(ticked, Ticked::Passed))
                .for_each(|(tick, _)| self.note(tick));
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

/// The due times of a cron that have come, in their order.
fn planned_of(due: &DueCron, watch: Watch) -> Vec<Planned> {
    let DueCron { cron, creator } = due;
    let Some(due) = cron.next_run_date else {
        return Vec::new();
    };
    let passing = |seen_due, next, error| Planned {
        tick: CronTick {
            cron_id: cron.cron_id,
            seen_update: cron.updated_at,
            seen_due,
            next,
            run: None,
            error,
        },
        run: None,
    };
    // What was accepted once, an earlier version may have read otherwise. Without a schedule there is no next date
    // until somebody changes it.
    let when = match When::of(cron) {
        Ok(when) => when,
        Err(refusal) => {
            let error = failure(watch.now, "InvalidSchedule", refusal.to_string());
            return vec![passing(due, None, Some(error))];
        }
    };
    let request = match payload::run_of(cron) {
        Ok(request) => Arc::new(request),
        Err(error) => {
            let error = failure(watch.now, "InvalidPayload", error.to_string());
            return vec![passing(due, when.next_after(watch.now), Some(error))];
        }
    };
    let plan = plan(due, &when, cron.catch_up, watch);
    let mut error = plan.left_out.map(|which| left_out(watch.now, which));
    if plan.fire.is_empty() {
        return vec![passing(due, plan.next, error)];
    }
    let creator = Arc::new(creator.clone());
    let mut seen_due = due;
    let mut planned = Vec::with_capacity(plan.fire.len());
    for (position, at) in plan.fire.iter().enumerate() {
        let next = plan.fire.get(position + 1).copied().or(plan.next);
        planned.push(Planned {
            run: Some(Wanted {
                due: *at,
                creator: creator.clone(),
                request: request.clone(),
            }),
            ..passing(seen_due, next, error.take())
        });
        seen_due = next.unwrap_or(seen_due);
    }
    planned
}

fn without_run(tick: &CronTick) -> CronTick {
    CronTick {
        cron_id: tick.cron_id,
        seen_update: tick.seen_update,
        seen_due: tick.seen_due,
        next: tick.next,
        run: None,
        error: tick.error.clone(),
    }
}
