//! The streams of threads that somebody watches, and the clock that gives events their ids.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use selvedge_model::event::{EventId, StreamEvent};
use selvedge_model::{Identity, Scope, ThreadId, Timestamp};
use selvedge_storage::{EventQuery, StorageError, Values};

use super::announced::Announced;
use super::log::{Replay, Told};
use crate::hub::{Ending, RunStream, Subscription};
use crate::{Options, Runtime};

/// A thread while it belongs to somebody. Who watches or runs one that is deleted is not there for whoever takes its id
/// next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OwnedThread {
    pub(crate) thread: ThreadId,
    /// `None`: nobody.
    pub(crate) owner: Option<Identity>,
}

/// All watched threads.
#[derive(Default)]
pub(crate) struct ThreadHub {
    /// The last id that was given: ids rise over the whole process, and so over each thread.
    clock: Mutex<EventId>,
    /// How many read a thread's stream; without any a run's events cost nothing more.
    watching: AtomicUsize,
    streams: Mutex<HashMap<OwnedThread, Arc<RunStream>>>,
    /// What waits for events that have an id and are not durable yet. Locked before `streams`.
    announced: Mutex<HashMap<OwnedThread, Announced>>,
}

impl ThreadHub {
    pub(crate) fn next_id(&self) -> EventId {
        let mut last = self.clock.lock();
        *last = last.next(Timestamp::now().as_millis());
        *last
    }

    /// Ids come after this one, which an earlier process gave: its clock may have been ahead.
    pub(crate) fn is_past(&self, id: EventId) {
        let mut last = self.clock.lock();
        *last = id.max(*last);
    }

    /// No id that was given so far is greater.
    pub(crate) fn last_given(&self) -> EventId {
        let now = EventId {
            ms: Timestamp::now().as_millis(),
            n: EventId::PER_MS,
        };
        now.max(*self.clock.lock())
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watching.load(Ordering::Relaxed) > 0
    }

    /// Shows an event to those who watch the thread. It gets an id there, if it has none because it is not kept. Behind
    /// an event that was announced with a lower id it waits for that.
    pub(crate) fn show(&self, thread: &OwnedThread, id: Option<EventId>, event: &Arc<StreamEvent>) {
        let mut announced = self.announced.lock();
        let Some(stream) = self.stream_of(thread) else {
            return;
        };
        let told = Told {
            id: id.unwrap_or_else(|| self.next_id()),
            event: event.clone(),
            is_kept: id.is_some(),
        };
        match announced.get_mut(thread) {
            Some(announced) => push(&stream, announced.pass(told)),
            None => stream.push_told(&told),
        }
    }

    /// Gives an id to an event that will be shown once it is durable: what the thread shows meanwhile waits for that,
    /// so that ids rise over its stream.
    pub(crate) fn announce(self: &Arc<Self>, thread: OwnedThread) -> Announcement {
        let mut announced = self.announced.lock();
        let id = self.next_id();
        announced.entry(thread.clone()).or_default().add(id);
        Announcement {
            hub: self.clone(),
            thread,
            id,
            event: None,
        }
    }

    fn conclude(&self, thread: &OwnedThread, id: EventId, event: Option<Arc<StreamEvent>>) {
        let mut announced = self.announced.lock();
        let told = event.map(|event| Told {
            id,
            event,
            is_kept: true,
        });
        let ready = match announced.get_mut(thread) {
            Some(of_thread) => of_thread.conclude(id, told),
            // Its place was given up meanwhile.
            None => told.into_iter().collect(),
        };
        if announced.get(thread).is_some_and(Announced::is_empty) {
            announced.remove(thread);
        }
        if let Some(stream) = self.stream_of(thread) {
            push(&stream, ready);
        }
    }

    fn stream_of(&self, thread: &OwnedThread) -> Option<Arc<RunStream>> {
        self.streams.lock().get(thread).cloned()
    }

    /// Ends the stream of a thread that is gone.
    pub(super) fn end(&self, thread: &OwnedThread) {
        if let Some(stream) = self.streams.lock().remove(thread) {
            stream.end(Ending::Released);
        }
    }

    pub(crate) fn release_all(&self) {
        for stream in self.streams.lock().values() {
            stream.end(Ending::Released);
        }
    }

    /// A reader of the thread's stream, and the id from which on it is told of events: all that have lower ones were
    /// shown before it came, and are stored or on their way there, as far as they are kept.
    pub(super) fn watch(
        self: &Arc<Self>,
        thread: OwnedThread,
        options: &Options,
    ) -> (Subscription, EventId) {
        let announced = self.announced.lock();
        let first_open = announced.get(&thread).and_then(Announced::first_open);
        let from = first_open.unwrap_or_else(|| self.next_id());
        let mut streams = self.streams.lock();
        let stream = streams
            .entry(thread.clone())
            .or_insert_with(|| Arc::new(RunStream::new(options, Arc::default())));
        self.watching.fetch_add(1, Ordering::Relaxed);
        let subscription = stream.subscribe().watching(Watch {
            hub: self.clone(),
            thread,
        });
        (subscription, from)
    }
}

fn push(stream: &RunStream, events: Vec<Told>) {
    for told in events {
        stream.push_told(&told);
    }
}

/// The place of an event in a thread's stream, held until it is known whether it came to be.
pub(crate) struct Announcement {
    hub: Arc<ThreadHub>,
    thread: OwnedThread,
    id: EventId,
    event: Option<Arc<StreamEvent>>,
}

impl Announcement {
    pub(crate) fn id(&self) -> EventId {
        self.id
    }

    /// Shows the event, which is durable by now.
    pub(crate) fn show(mut self, event: Arc<StreamEvent>) {
        self.event = Some(event);
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.hub.conclude(&self.thread, self.id, self.event.take());
    }
}

/// Ends by forgetting the thread's stream, if nobody reads it any more.
pub(crate) struct Watch {
    hub: Arc<ThreadHub>,
    thread: OwnedThread,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.hub.watching.fetch_sub(1, Ordering::Relaxed);
        let mut streams = self.hub.streams.lock();
        if streams
            .get(&self.thread)
            .is_some_and(|stream| !stream.has_readers())
        {
            streams.remove(&self.thread);
        }
    }
}

impl Runtime {
    /// No event that was told of so far has a greater id, unless the system's clock has been set back since.
    #[must_use]
    pub fn last_event_id_given(&self) -> EventId {
        self.0.hub.threads.last_given()
    }

    /// The stream of a thread: the events of all its runs from now on, or from what is kept after an event. It ends when the
    /// thread is deleted, or this process ends.
    ///
    /// A thread that is not there, or not for this caller, is the same to them: they wait for one of their own.
    pub async fn watch_thread(
        &self,
        scope: &Scope,
        thread: ThreadId,
        after: Option<EventId>,
    ) -> Result<Subscription, StorageError> {
        let shared = &self.0;
        let found = shared.storage.thread(scope, thread, Values::Skip).await?;
        let owner = match found {
            Some(found) => found.owner,
            None => scope.owner().cloned(),
        };
        let owned = OwnedThread { thread, owner };
        // What this reader is told later has greater ids than what it finds.
        let last = shared.storage.last_event_id(thread).await?;
        shared.hub.threads.is_past(last.unwrap_or_default());
        let (subscription, from) = shared.hub.threads.watch(owned.clone(), &shared.options);
        let Some(after) = after else {
            return Ok(subscription);
        };
        let query = EventQuery {
            thread_id: thread,
            run_id: None,
            after: None,
            limit: 0,
        };
        let replay = Replay::new(shared.storage.clone(), scope.clone(), query, after)
            .until(from)
            .with(shared.hub.unstored_of(&owned));
        Ok(subscription.after(replay))
    }
}
