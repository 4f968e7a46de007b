//! What is kept of a resumable run's stream for readers who come back, on its way to storage.
//!
//! An event gets its id when it is pushed and is shown at once, so that keeping costs a token no time. It is stored
//! with the next commit of the run, at the latest with the one that makes durable what it tells of. So a crash can undo
//! events that were shown, together with the progress that they told of; the next attempt tells it again, under ids
//! that are greater. What a crash cannot do is to leave progress whose events are gone. Only a commit that must be
//! durable before it is shown (durability `sync`, the end of the run) holds its events back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use selvedge_model::event::{EventId, EventKind, StoredEvent, StreamEvent};
use selvedge_model::{RunId, Scope, Timestamp};
use selvedge_storage::{EventQuery, Storage, StorageError};

use super::threads::Announcement;
use crate::Shared;

/// So many events do not wait for the next step of their run to be stored.
const STORED_BY_ITSELF_EVENTS: usize = 256;
/// The same in bytes.
const STORED_BY_ITSELF_BYTES: usize = 256 << 10;
/// Stored events that a reader reads at once.
const PAGE_EVENTS: u32 = 256;

/// How often it is looked for what was kept long enough.
const SWEEPS_EVERY: Duration = Duration::from_secs(10);

/// Deletes what was kept for `resumable_ttl` after the end, until this process stops.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    let ttl = shared.options.resumable_ttl;
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEPS_EVERY.min(ttl)) => {}
            () = shared.draining() => return,
        }
        // A sweep deletes a few logs at a time.
        while let Ok(1..) = shared
            .storage
            .sweep_events(Timestamp::now().before(ttl))
            .await
        {}
    }
}

/// An event with its id.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) id: EventId,
    pub(crate) event: Arc<StreamEvent>,
    /// Whether storage has it, or will have it.
    pub(crate) is_kept: bool,
}

/// An event that may not be shown yet. The thread's stream keeps its place, so that nothing with a higher id is shown
/// before it.
pub(crate) struct HeldBack {
    pub(crate) place: Announcement,
    pub(crate) event: Arc<StreamEvent>,
}

/// The events of one run that storage does not have yet.
pub(crate) struct Log {
    run: RunId,
    unstored: VecDeque<Told>,
    bytes: usize,
    /// The last of `unstored`, while they may not be shown yet.
    held: Option<Vec<HeldBack>>,
    max_events: usize,
    max_bytes: usize,
}

impl Log {
    pub(crate) fn new(run: RunId, max_events: usize, max_bytes: usize) -> Self {
        Self {
            run,
            unstored: VecDeque::new(),
            bytes: 0,
            held: None,
            max_events,
            max_bytes,
        }
    }

    /// Says whether the log should be stored soon. When storage takes nothing for so long that the bounds of a stream
    /// are reached, the oldest events are given up.
    pub(crate) fn add(&mut self, id: EventId, event: &Arc<StreamEvent>) -> bool {
        let told = Told {
            id,
            event: event.clone(),
            is_kept: true,
        };
        self.bytes += event.data.len();
        self.unstored.push_back(told);
        while self.unstored.len() > self.max_events
            || (self.bytes > self.max_bytes && self.unstored.len() > 1)
        {
            self.drop_oldest();
        }
        self.unstored.len() >= STORED_BY_ITSELF_EVENTS || self.bytes >= STORED_BY_ITSELF_BYTES
    }

    /// The same of an event that may not be shown yet.
    pub(crate) fn hold_back(&mut self, place: Announcement, event: Arc<StreamEvent>) -> bool {
        let is_full = self.add(place.id(), &event);
        let held = self.held.get_or_insert_default();
        held.push(HeldBack { place, event });
        is_full
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.unstored.pop_front() {
            self.bytes -= oldest.event.data.len();
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    pub(crate) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    pub(crate) fn release(&mut self) -> Vec<HeldBack> {
        self.held.take().unwrap_or_default()
    }

    pub(crate) fn retract(&mut self) {
        let held = self.held.take().unwrap_or_default();
        let first = held.first().map(|held| held.place.id());
        while let (Some(first), Some(last)) = (first, self.unstored.back())
            && last.id >= first
        {
            self.bytes -= last.event.data.len();
            self.unstored.pop_back();
        }
    }

    /// Except that the run began.
    pub(crate) fn forget_unstored(&mut self) {
        let is_left = |told: &Told| told.event.kind == EventKind::Lifecycle;
        self.unstored.retain(is_left);
        self.bytes = self.unstored.iter().map(|told| told.event.data.len()).sum();
    }

    pub(crate) fn has_unstored(&self) -> bool {
        !self.unstored.is_empty()
    }

    /// Those of them that may be shown.
    pub(crate) fn unstored(&self) -> Vec<Told> {
        let first_held = self.held.as_ref().and_then(|held| held.first());
        let may_be_shown = |told: &&Told| first_held.is_none_or(|held| told.id < held.place.id());
        self.unstored.iter().filter(may_be_shown).cloned().collect()
    }

    pub(crate) fn to_store(&self) -> Vec<StoredEvent> {
        let stored = |told: &Told| StoredEvent {
            id: told.id,
            run: Some(self.run),
            event: told.event.as_ref().clone(),
        };
        self.unstored.iter().map(stored).collect()
    }

    pub(crate) fn stored(&mut self, up_to: EventId) {
        while self.unstored.front().is_some_and(|told| told.id <= up_to) {
            self.drop_oldest();
        }
    }
}

/// What is kept after an event: what storage has, then what is on its way there.
pub(crate) struct Replay {
    storage: Arc<dyn Storage>,
    scope: Scope,
    query: EventQuery,
    page: VecDeque<StoredEvent>,
    more: bool,
    unstored: VecDeque<Told>,
    last: EventId,
    /// The reader is told of events from this one on as they come.
    until: Option<EventId>,
}

impl Replay {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        scope: Scope,
        mut query: EventQuery,
        after: EventId,
    ) -> Self {
        query.limit = PAGE_EVENTS;
        Self {
            storage,
            scope,
            query,
            page: VecDeque::new(),
            more: true,
            unstored: VecDeque::new(),
            last: after,
            until: None,
        }
    }

    /// Only what is before this event.
    pub(crate) fn until(mut self, id: EventId) -> Self {
        self.until = Some(id);
        self
    }

    /// With what storage does not have. Storage is read after this is taken, so that what gets there in between is
    /// in both, and told once.
    pub(crate) fn with(mut self, unstored: Vec<Told>) -> Self {
        self.unstored.extend(unstored);
        self
    }

    /// The id from which on events were not told.
    pub(crate) fn end(&self) -> EventId {
        self.until.unwrap_or(EventId {
            ms: self.last.ms,
            n: self.last.n.saturating_add(1),
        })
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Told>, StorageError> {
        let next = self.next_of_all().await?;
        Ok(next.filter(|told| self.until.is_none_or(|until| told.id < until)))
    }

    async fn next_of_all(&mut self) -> Result<Option<Told>, StorageError> {
        loop {
            if let Some(stored) = self.page.pop_front() {
                self.last = stored.id;
                return Ok(Some(Told {
                    id: stored.id,
                    event: Arc::new(stored.event),
                    is_kept: true,
                }));
            }
            if !self.more {
                break;
            }
            let mut query = self.query.clone();
            query.after = Some(self.last);
            let page = self.storage.events(&self.scope, query).await?;
            self.page = page.rows.into();
            self.more = page.more;
        }
        while let Some(told) = self.unstored.pop_front() {
            if told.id > self.last {
                self.last = told.id;
                return Ok(Some(told));
            }
        }
        Ok(None)
    }
}
