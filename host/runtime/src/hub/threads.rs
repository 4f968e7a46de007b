//! The streams of threads that somebody watches, and the clock that gives events their ids.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use selvedge_model::event::{EventId, EventKind, StoredEvent, StreamEvent};
use selvedge_model::{Json, ThreadId, Timestamp};
use selvedge_storage::{EventQuery, StorageError};

use super::log::Replay;
use crate::hub::{Ending, RunStream, Subscription};
use crate::{Options, Runtime};

/// All watched threads.
#[derive(Default)]
pub(crate) struct ThreadHub {
    /// The last id that was given: ids rise over the whole process, and so over each thread.
    clock: Mutex<EventId>,
    /// How many read a thread's stream; without any a run's events cost nothing more.
    watching: AtomicUsize,
    streams: Mutex<HashMap<ThreadId, Arc<RunStream>>>,
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

    pub(crate) fn is_watched(&self) -> bool {
        self.watching.load(Ordering::Relaxed) > 0
    }

    /// Shows an event to those who watch the thread. It gets an id there, if it has none.
    pub(crate) fn show(&self, thread: ThreadId, id: Option<EventId>, event: &Arc<StreamEvent>) {
        let stream = self.streams.lock().get(&thread).cloned();
        if let Some(stream) = stream {
            stream.push_with_id(id.unwrap_or_else(|| self.next_id()), event);
        }
    }

    pub(crate) fn release_all(&self) {
        for stream in self.streams.lock().values() {
            stream.end(Ending::Released);
        }
    }

    fn watch(self: &Arc<Self>, thread: ThreadId, options: &Options) -> Subscription {
        let mut streams = self.streams.lock();
        let stream = streams
            .entry(thread)
            .or_insert_with(|| Arc::new(RunStream::new(options, Arc::default())));
        self.watching.fetch_add(1, Ordering::Relaxed);
        stream.subscribe().watching(Watch {
            hub: self.clone(),
            thread,
        })
    }
}

/// Ends by forgetting the thread's stream, if nobody reads it any more.
pub(crate) struct Watch {
    hub: Arc<ThreadHub>,
    thread: ThreadId,
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
    /// Tells those who watch a thread, and those who come back to it, that its state was changed by hand. The change
    /// is durable by then; only a crash right after it leaves it untold.
    pub async fn tell_state_update(
        &self,
        thread: ThreadId,
        data: Json,
    ) -> Result<(), StorageError> {
        let shared = &self.0;
        let last = shared.storage.last_event_id(thread).await?;
        shared.hub.threads.is_past(last.unwrap_or_default());
        let id = shared.hub.threads.next_id();
        let event = StreamEvent {
            kind: EventKind::StateUpdate,
            namespace: String::new(),
            data,
        };
        let stored = StoredEvent {
            id,
            run: None,
            event: event.clone(),
        };
        shared
            .storage
            .append_thread_events(thread, vec![stored])
            .await?;
        shared.hub.threads.show(thread, Some(id), &Arc::new(event));
        Ok(())
    }

    /// The stream of a thread, whether there is one or not: the events of all its runs from now on, or from what is
    /// kept after an event. It does not end before this process does.
    #[must_use]
    pub fn watch_thread(&self, thread: ThreadId, after: Option<EventId>) -> Subscription {
        let shared = &self.0;
        let subscription = shared.hub.threads.watch(thread, &shared.options);
        let Some(after) = after else {
            return subscription;
        };
        let query = EventQuery {
            thread_id: thread,
            run_id: None,
            after: None,
            limit: 0,
        };
        let replay = Replay::new(shared.storage.clone(), query, after);
        subscription.after(replay.with(shared.hub.unstored_of(thread)))
    }
}
