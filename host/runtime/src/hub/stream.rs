//! The events of one run, or of one thread: a bounded list, one wake-up for all readers.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use selvedge_model::RunId;
use selvedge_model::cancel::CancelRequest;
use selvedge_model::event::{EventId, StoredEvent, StreamEvent};
use selvedge_model::run::ClaimedRun;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, watch};

use super::log::{HeldBack, Log, Told};
use super::reader::Subscription;
use super::threads::{OwnedThread, ThreadHub};
use super::{Ending, Next};
use crate::Options;

/// The events of one run, or of one thread.
pub(crate) struct RunStream {
    inner: Mutex<Inner>,
    changed: Notify,
    /// Apart from `changed`, so that an event does not wake those who wait for the end alone.
    over: Notify,
    /// Someone wants the run cancelled. It is here because a wish may come while the run is being claimed, before its
    /// execution has begun: whoever opens the stream later finds it.
    wish: watch::Sender<Option<CancelRequest>>,
    /// The log wants to be stored.
    full: Notify,
    threads: Arc<ThreadHub>,
    max_events: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Inner {
    events: VecDeque<Held>,
    bytes: usize,
    /// The number of the first event in `events`.
    first: u64,
    /// A reader who is not there yet has missed events that are kept nowhere.
    lost_before: u64,
    readers: usize,
    ending: Option<Ending>,
    /// Whose execution writes here.
    run: Option<(OwnedThread, RunId)>,
    /// Of a resumable run.
    log: Option<Log>,
}

/// An event that some readers have still to read.
struct Held {
    id: Option<EventId>,
    event: Arc<StreamEvent>,
    is_kept: bool,
    unread: usize,
}

impl Inner {
    /// Drops the events that everyone has read.
    fn forget_what_was_read(&mut self) {
        while self.events.front().is_some_and(|held| held.unread == 0) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.events.pop_front() {
            self.bytes -= oldest.event.data.len();
            self.first += 1;
            if oldest.unread > 0 && !oldest.is_kept {
                self.lost_before = self.first;
            }
        }
    }

    fn index(&self, cursor: u64) -> usize {
        usize::try_from(cursor.saturating_sub(self.first)).unwrap_or(usize::MAX)
    }
}

impl RunStream {
    pub(crate) fn new(options: &Options, threads: Arc<ThreadHub>) -> Self {
        Self {
            inner: Mutex::default(),
            changed: Notify::new(),
            over: Notify::new(),
            wish: watch::Sender::new(None),
            full: Notify::new(),
            threads,
            max_events: options.max_stream_events.max(1),
            max_bytes: options.max_stream_bytes,
        }
    }

    /// Before the first event of an execution.
    pub(crate) fn begin(&self, claimed: &ClaimedRun) {
        let mut inner = self.inner.lock();
        let thread = OwnedThread {
            thread: claimed.run.thread_id,
            owner: claimed.owner.clone(),
        };
        inner.run = Some((thread, claimed.run.run_id));
        if claimed.run.kwargs.resumable {
            let log = Log::new(claimed.run.run_id, self.max_events, self.max_bytes);
            inner.log.get_or_insert(log);
        }
    }

    /// Adds an event. Without readers nobody will ever see it, so it is dropped at once, unless it is kept.
    pub(crate) fn push(&self, event: StreamEvent) {
        let mut inner = self.inner.lock();
        let watched = self.threads.is_watched();
        if inner.readers == 0 && inner.log.is_none() && !watched {
            inner.first += 1;
            return;
        }
        let event = Arc::new(event);
        let id = match &mut *inner {
            Inner {
                log: Some(log),
                run: Some((thread, _)),
                ..
            } if log.is_held() => {
                let place = self.threads.announce(thread.clone());
                if log.hold_back(place, event) {
                    self.full.notify_one();
                }
                return;
            }
            Inner { log: Some(log), .. } => {
                // Under the lock, so that events are shown in the order of their ids.
                let id = self.threads.next_id();
                if log.add(id, &event) {
                    self.full.notify_one();
                }
                Some(id)
            }
            Inner { log: None, .. } => None,
        };
        self.show(&mut inner, id, &event);
    }

    /// Gives an event to everyone who reads.
    fn show(&self, inner: &mut Inner, id: Option<EventId>, event: &Arc<StreamEvent>) {
        if self.threads.is_watched()
            && let Some((thread, _)) = &inner.run
        {
            self.threads.show(thread, id, event);
        }
        self.give(inner, id, event, id.is_some());
    }

    fn give(
        &self,
        inner: &mut Inner,
        id: Option<EventId>,
        event: &Arc<StreamEvent>,
        is_kept: bool,
    ) {
        if inner.readers == 0 {
            inner.first += 1;
            return;
        }
        inner.bytes += event.data.len();
        let unread = inner.readers;
        inner.events.push_back(Held {
            id,
            event: event.clone(),
            is_kept,
            unread,
        });
        while inner.events.len() > self.max_events
            || (inner.bytes > self.max_bytes && inner.events.len() > 1)
        {
            inner.drop_oldest();
        }
        self.changed.notify_waiters();
    }

    /// An event of a thread's stream, whose runs have logs of their own.
    pub(super) fn push_told(&self, told: &Told) {
        let mut inner = self.inner.lock();
        self.give(&mut inner, Some(told.id), &told.event, told.is_kept);
    }

    /// Whether somebody wants to know when the run is over: who comes back for its events, or watches its thread.
    pub(crate) fn tells_of_the_end(&self) -> bool {
        self.threads.is_watched() || self.inner.lock().log.is_some()
    }

    /// From now on events are kept and not shown, until [`release`](Self::release). Of no effect on a run that is not
    /// resumable.
    pub(crate) fn hold(&self) {
        if let Some(log) = &mut self.inner.lock().log {
            log.hold();
        }
    }

    /// Shows what was held back, in order.
    pub(crate) fn release(&self) {
        let mut inner = self.inner.lock();
        let held = inner.log.as_mut().map(Log::release).unwrap_or_default();
        for HeldBack { place, event } in held {
            let id = place.id();
            place.show(event.clone());
            self.give(&mut inner, Some(id), &event, true);
        }
    }

    /// Takes back what was held and will not be shown: the end came out otherwise.
    pub(crate) fn retract(&self) {
        if let Some(log) = &mut self.inner.lock().log {
            log.retract();
        }
    }

    /// Gives up what storage does not have, which it has refused, except that the run began.
    pub(crate) fn forget_unstored(&self) {
        if let Some(log) = &mut self.inner.lock().log {
            log.retract();
            log.forget_unstored();
        }
    }

    /// The events that storage does not have yet, as storage takes them.
    pub(crate) fn to_store(&self) -> Vec<StoredEvent> {
        let inner = self.inner.lock();
        inner.log.as_ref().map(Log::to_store).unwrap_or_default()
    }

    /// Whether there are any.
    pub(crate) fn has_unstored(&self) -> bool {
        let inner = self.inner.lock();
        inner.log.as_ref().is_some_and(Log::has_unstored)
    }

    pub(super) fn unstored(&self) -> Vec<Told> {
        let inner = self.inner.lock();
        inner.log.as_ref().map(Log::unstored).unwrap_or_default()
    }

    /// Storage has the events up to this one.
    pub(crate) fn stored(&self, up_to: EventId) {
        if let Some(log) = &mut self.inner.lock().log {
            log.stored(up_to);
        }
    }

    /// Waits until there are so many events to be stored that they should not wait for the next step.
    pub(crate) async fn wants_storing(&self) {
        self.full.notified().await;
    }

    /// How many events are held for readers.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.inner.lock().events.len()
    }

    pub(super) fn is_of(&self, thread: &OwnedThread) -> bool {
        let inner = self.inner.lock();
        inner.run.as_ref().is_some_and(|(of, _)| of == thread)
    }

    pub(crate) fn has_readers(&self) -> bool {
        self.inner.lock().readers > 0
    }

    /// Ends the stream. What `ending` says must be durable.
    pub(crate) fn end(&self, ending: Ending) {
        let mut inner = self.inner.lock();
        inner.ending.get_or_insert(ending);
        // What is still held will not be shown: others need not wait for it.
        if let Some(log) = &mut inner.log {
            log.retract();
        }
        drop(inner);
        self.changed.notify_waiters();
        self.over.notify_waiters();
    }

    /// Tells the execution, whether it has begun or not, that someone wants the run cancelled.
    pub(crate) fn cancel(&self, wish: &CancelRequest) {
        self.wish.send_modify(|known| {
            known.get_or_insert_with(|| wish.clone());
        });
    }

    /// Waits until someone wants the run cancelled.
    pub(crate) async fn cancelled(&self) -> CancelRequest {
        let mut wish = self.wish.subscribe();
        loop {
            if let Some(wish) = wish.borrow_and_update().clone() {
                return wish;
            }
            // The sender lives in `self`, so this cannot fail.
            let _ = wish.changed().await;
        }
    }

    pub(super) fn is_unwanted(&self) -> bool {
        self.wish.borrow().is_some()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.inner.lock().ending.is_some()
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) -> Ending {
        loop {
            let over = self.over.notified();
            tokio::pin!(over);
            // Registered before the look, so that an end in between is not missed.
            over.as_mut().enable();
            let ending = self.inner.lock().ending.clone();
            if let Some(ending) = ending {
                return ending;
            }
            over.await;
        }
    }

    /// A reader of everything from now on.
    pub(crate) fn subscribe(self: &Arc<Self>) -> Subscription {
        let mut inner = self.inner.lock();
        inner.readers += 1;
        let cursor = inner.first + inner.events.len() as u64;
        drop(inner);
        Subscription::new(self.clone(), cursor)
    }

    /// The next event for a reader who is there, or the end; `None` when there is nothing yet.
    pub(super) fn next_at(&self, cursor: &mut u64) -> Option<Next> {
        let mut inner = self.inner.lock();
        if *cursor < inner.first {
            return Some(Next::Lagged);
        }
        let index = inner.index(*cursor);
        let Some(held) = inner.events.get_mut(index) else {
            return inner.ending.clone().map(Next::Ended);
        };
        held.unread -= 1;
        let (id, event) = (held.id, held.event.clone());
        *cursor += 1;
        inner.forget_what_was_read();
        Some(Next::Event(id, event))
    }

    /// Whether a reader who was there has missed events that are kept nowhere.
    pub(super) fn has_lost(&self, cursor: u64) -> bool {
        cursor < self.inner.lock().lost_before
    }

    /// A reader who was there reads no more.
    pub(super) fn leave(&self, cursor: u64) {
        let mut inner = self.inner.lock();
        inner.readers -= 1;
        let unread = inner.index(cursor);
        for held in inner.events.iter_mut().skip(unread) {
            held.unread -= 1;
        }
        inner.forget_what_was_read();
    }

    /// Wakes up when something has been added, or the stream has ended.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}
