//! Crons: creating, changing and deleting them, and firing those that are due.
//!
//! | module | job |
//! |---|---|
//! | `refusal` | why a cron is not created or changed |
//! | `when` | a cron's schedule, time zone and end, read; its due times |
//! | `payload` | what a cron asks of its runs: from a body to what is kept, and from that to a run |
//! | `plan` | which due times make runs now, of those that came, that came late and that were missed. Pure |
//! | `scheduler` | the task that sleeps until a cron is due |
//! | `fire` | due times become runs |
//! | `last_error` | what a cron says of due times that made none |
//!
//! A due time is claimed and its run admitted in one transaction, see
//! [`Storage::fire_crons`](selvedge_storage::Storage::fire_crons).

mod fire;
mod last_error;
mod payload;
mod plan;
mod refusal;
mod scheduler;
mod when;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use selvedge_model::cron::{CatchUp, Cron, OnRunCompleted};
use selvedge_model::time::Clock;
use selvedge_model::{AssistantId, Caller, CronId, Identity, Json, Scope, ThreadId, Timestamp};
use selvedge_storage::{CronInsert, CronReplace, StorageError};

use crate::admit::assemble::without_reserved;
use crate::admit::request::AssistantRef;
use crate::alarm::Alarm;
use crate::{Runtime, Shared};
pub use refusal::CronRefusal;
pub(crate) use scheduler::schedule;
use when::When;

/// How often a change is made again because the cron fired or was changed meanwhile.
const MOST_TRIES: u32 = 10;

/// What the room keeps of crons between two looks at storage.
pub(crate) struct Crons {
    clock: Arc<dyn Clock>,
    /// Since when due times are seen: before, they are missed.
    up_since: Instant,
    alarm: Alarm,
    fired: AtomicU64,
    errors: AtomicU64,
}

impl Crons {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            up_since: Instant::now(),
            alarm: Alarm::default(),
            fired: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }

    /// Due times that made a run, and those that could not, since the process began.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        (read(&self.fired), read(&self.errors))
    }
}

/// A cron to be created.
#[derive(Clone, Debug)]
pub struct NewCron {
    /// Whom to run.
    pub assistant: AssistantRef,
    /// On which thread; `None`: each run on one of its own.
    pub thread: Option<ThreadId>,
    /// When.
    pub schedule: String,
    /// Where the schedule's clocks are.
    pub timezone: Option<String>,
    /// No due time after this one fires.
    pub end_time: Option<Timestamp>,
    /// What becomes of the threads of runs without one.
    pub on_run_completed: OnRunCompleted,
    /// Whether it fires.
    pub enabled: bool,
    /// What becomes of missed due times.
    pub catch_up: CatchUp,
    /// An object.
    pub metadata: Json,
    /// All that the caller sent, an object: what the runs are asked to do.
    pub body: Json,
}

/// What is to be different about a cron. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct CronPatch {
    /// When.
    pub schedule: Option<String>,
    /// Where the schedule's clocks are.
    pub timezone: Option<String>,
    /// Its end; `Some(None)` takes it away.
    pub end_time: Option<Option<Timestamp>>,
    /// Of a cron without a thread.
    pub on_run_completed: Option<OnRunCompleted>,
    /// Whether it fires.
    pub enabled: Option<bool>,
    /// What becomes of missed due times.
    pub catch_up: Option<CatchUp>,
    /// Merged into the old one.
    pub metadata: Option<Json>,
    /// All that the caller sent: its members take the place of the payload's.
    pub body: Json,
}

impl Runtime {
    /// Creates a cron. It is its creator's, and so are its runs.
    pub async fn create_cron(&self, creator: &Caller, new: NewCron) -> Result<Cron, CronRefusal> {
        let shared = &self.0;
        let cron_id = CronId::new();
        payload::check_webhook(shared, &new.body)?;
        payload::check_context(&new.body)?;
        let assistant_id = self
            .assistant_of_cron(&creator.scope, &new.assistant)
            .await?;
        let when = When::read(&new.schedule, new.timezone.as_deref(), new.end_time)?;
        let now = shared.crons.clock.now();
        when.must_fire_after(now)?;
        must_come(new.end_time, now)?;
        let cron = Cron {
            cron_id,
            assistant_id,
            thread_id: new.thread,
            user_id: creator
                .scope
                .owner()
                .map_or_else(String::new, Identity::to_string),
            end_time: new.end_time,
            next_run_date: when.next_after(now),
            schedule: new.schedule,
            timezone: new.timezone,
            payload: payload::kept(&new.body, cron_id, assistant_id),
            metadata: without_reserved(&new.metadata),
            on_run_completed: new.thread.is_none().then_some(new.on_run_completed),
            enabled: new.enabled,
            created_at: now,
            updated_at: now,
            catch_up: new.catch_up,
            last_error: None,
        };
        match shared
            .storage
            .create_cron(creator, cron.clone(), shared.options.share)
            .await?
        {
            CronInsert::Created => {
                shared.announce_cron(&cron);
                Ok(cron)
            }
            CronInsert::NoAssistant => Err(CronRefusal::NoAssistant(cron.assistant_id.to_string())),
            CronInsert::NoThread => Err(CronRefusal::NoThread(new.thread.unwrap_or_default())),
            CronInsert::TooMany => Err(CronRefusal::TooMany {
                limit: shared.options.share.map_or(0, |share| share.max_crons),
            }),
        }
    }

    /// Changes a cron, unless that makes it larger than `max_bytes`: a body has a bound, and the sum of many has none.
    pub async fn patch_cron(
        &self,
        scope: &Scope,
        id: CronId,
        patch: &CronPatch,
        max_bytes: usize,
    ) -> Result<Cron, CronRefusal> {
        let shared = &self.0;
        for _ in 0..MOST_TRIES {
            let Some(seen) = shared.storage.cron(scope, id).await? else {
                return Err(CronRefusal::NoCron(id));
            };
            let now = shared.crons.clock.now();
            let cron = patched(shared, &seen, patch, now)?;
            let bytes = |cron: &Cron| cron.payload.len() + cron.metadata.len();
            if bytes(&cron) > max_bytes.max(bytes(&seen)) {
                return Err(CronRefusal::TooLarge { max_bytes });
            }
            match shared
                .storage
                .replace_cron(scope, seen, cron.clone())
                .await?
            {
                CronReplace::Done => {
                    shared.announce_cron(&cron);
                    return Ok(cron);
                }
                CronReplace::Gone => return Err(CronRefusal::NoCron(id)),
                CronReplace::Stale => {}
            }
        }
        Err(StorageError::Overloaded.into())
    }

    /// Deletes a cron; `false` when there is none. Runs that it made stay.
    pub async fn delete_cron(&self, scope: &Scope, id: CronId) -> Result<bool, StorageError> {
        self.0.storage.delete_cron(scope, id).await
    }

    async fn assistant_of_cron(
        &self,
        scope: &Scope,
        wanted: &AssistantRef,
    ) -> Result<AssistantId, CronRefusal> {
        let (id, name) = match wanted {
            AssistantRef::Graph(name) => (AssistantId::default_of(name), name.clone()),
            AssistantRef::Id(id) => (*id, id.to_string()),
        };
        match self.0.storage.assistant(scope, id).await? {
            Some(assistant) => Ok(assistant.assistant_id),
            None => Err(CronRefusal::NoAssistant(name)),
        }
    }
}

impl Shared {
    /// Storage has a cron that is new or different.
    fn announce_cron(&self, cron: &Cron) {
        if let Some(due) = cron.next_run_date.filter(|_| cron.enabled) {
            self.crons.alarm.set(due);
        }
    }
}

fn patched(
    shared: &Shared,
    seen: &Cron,
    patch: &CronPatch,
    now: Timestamp,
) -> Result<Cron, CronRefusal> {
    let mut cron = Cron {
        schedule: patch
            .schedule
            .clone()
            .unwrap_or_else(|| seen.schedule.clone()),
        timezone: patch.timezone.clone().or_else(|| seen.timezone.clone()),
        end_time: patch.end_time.unwrap_or(seen.end_time),
        payload: payload::merged(seen, &patch.body),
        on_run_completed: seen
            .on_run_completed
            .map(|before| patch.on_run_completed.unwrap_or(before)),
        enabled: patch.enabled.unwrap_or(seen.enabled),
        catch_up: patch.catch_up.unwrap_or(seen.catch_up),
        // Later than before, also when two changes come in the same microsecond: it says which cron was seen.
        updated_at: now.max(seen.updated_at.after(Duration::from_micros(1))),
        ..seen.clone()
    };
    // A webhook that the policy does not allow any more is told when it is due, and keeps nobody from another change.
    payload::check_webhook(shared, &patch.body)?;
    payload::check_context(&cron.payload)?;
    if let Some(added) = &patch.metadata {
        cron.metadata = payload::shallow(&seen.metadata, &without_reserved(added));
    }
    let when = When::of(&cron)?;
    if patch.schedule.is_some() {
        when.must_fire_after(now)?;
    }
    must_come(patch.end_time.flatten(), now)?;
    // What is due and has not fired yet stays due, unless it is of another schedule.
    let same_schedule = (&cron.schedule, &cron.timezone) == (&seen.schedule, &seen.timezone);
    let goes_on = same_schedule && (seen.enabled || !cron.enabled);
    cron.next_run_date = match seen.next_run_date.filter(|_| goes_on) {
        Some(due) => when.allows(due),
        None => when.next_after(now),
    };
    Ok(cron)
}

/// Refuses an end that has passed.
fn must_come(end: Option<Timestamp>, now: Timestamp) -> Result<(), CronRefusal> {
    match end.filter(|end| *end <= now) {
        Some(end) => Err(CronRefusal::Ended(end)),
        None => Ok(()),
    }
}
