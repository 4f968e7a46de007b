//! The streams of the runs that live in this process: an event is made once and shared by all its readers.
//!
//! A stream is a bounded list of events with one wake-up for all readers, each of which has a cursor of its own. A
//! `tokio::sync::broadcast` channel would do the same and drop events from under a slow reader without a word; here
//! a reader that falls too far behind is told.
//!
//! The events of a resumable run have ids and go to its [`log`] as well; those of a thread that somebody
//! watches go to the thread's stream, in the order of their ids also where one is [`announced`] before it is durable.

mod announced;
pub(crate) mod log;
mod reader;
mod stream;
#[cfg(test)]
mod tests;
pub(crate) mod threads;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use selvedge_model::event::{EventId, StreamEvent};
use selvedge_model::run::{RunError, RunStatus};
use selvedge_model::thread::Interrupt;
use selvedge_model::{Json, RunId};
use selvedge_storage::GoneThread;

use crate::Options;
use log::Told;
pub use reader::Subscription;
pub(crate) use stream::RunStream;
use threads::{OwnedThread, ThreadHub};

/// How a run ended, for those who waited for it.
#[derive(Clone, Debug)]
pub enum Ending {
    /// It has a terminal status, which is durable by now.
    Finished(Arc<Finished>),
    /// This process stops; the run goes on after the restart.
    Released,
}

/// What a finished run gives to those who waited.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Terminal.
    pub status: RunStatus,
    /// The state at the end.
    pub values: Json,
    /// The questions that wait for an answer.
    pub interrupts: Vec<Interrupt>,
    /// Why it failed.
    pub error: Option<RunError>,
}

/// What a reader gets next.
#[derive(Clone, Debug)]
pub enum Next {
    /// An event, and its id where it has one.
    Event(Option<EventId>, Arc<StreamEvent>),
    /// There were events that this reader was too slow for; it gets nothing more.
    Lagged,
    /// Nothing more will come.
    Ended(Ending),
}

/// All streams by run.
#[derive(Default)]
pub(crate) struct Hub {
    streams: Mutex<HashMap<RunId, Arc<RunStream>>>,
    pub(crate) threads: Arc<ThreadHub>,
}

impl Hub {
    /// The stream of a run, made when nobody has asked for it before. A run's execution and its readers meet here,
    /// whoever comes first.
    pub(crate) fn open(&self, run: RunId, options: &Options) -> Arc<RunStream> {
        self.streams
            .lock()
            .entry(run)
            .or_insert_with(|| Arc::new(RunStream::new(options, self.threads.clone())))
            .clone()
    }

    /// Forgets a stream; its readers keep it until they are through.
    pub(crate) fn close(&self, run: RunId) {
        self.streams.lock().remove(&run);
    }

    /// For whoever opens a stream without knowing whether there is such a run.
    pub(crate) fn visit(&self, run: RunId) -> Visit<'_> {
        Visit { hub: self, run }
    }

    /// The stream of a run that has ended: nothing comes.
    pub(crate) fn over(&self, options: &Options) -> Subscription {
        let stream = Arc::new(RunStream::new(options, self.threads.clone()));
        stream.end(Ending::Released);
        stream.subscribe()
    }

    /// The events of a thread's runs that storage does not have yet.
    fn unstored_of(&self, thread: &OwnedThread) -> Vec<Told> {
        let streams = self.streams.lock();
        let of_thread = streams.values().filter(|stream| stream.is_of(thread));
        let mut unstored: Vec<Told> = of_thread.flat_map(|stream| stream.unstored()).collect();
        drop(streams);
        unstored.sort_by_key(|told| told.id);
        unstored
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.streams.lock().len()
    }

    fn close_unused(&self, run: RunId) {
        let mut streams = self.streams.lock();
        if streams
            .get(&run)
            .is_some_and(|stream| Arc::strong_count(stream) == 1 && !stream.is_unwanted())
        {
            streams.remove(&run);
        }
    }

    /// The stream of a run, when anyone reads it or writes to it.
    pub(crate) fn find(&self, run: RunId) -> Option<Arc<RunStream>> {
        self.streams.lock().get(&run).cloned()
    }

    /// Ends the stream of a run that was deleted. Its execution, when there is one, sees that too and stops.
    pub(crate) fn release(&self, run: RunId) {
        if let Some(stream) = self.streams.lock().remove(&run) {
            stream.end(Ending::Released);
        }
    }

    /// Ends the streams of a thread that was deleted, and of its runs.
    pub(crate) fn thread_is_gone(&self, thread: GoneThread) {
        for run in thread.unended {
            self.release(run);
        }
        self.threads.end(&OwnedThread {
            thread: thread.thread_id,
            owner: thread.owner,
        });
    }

    /// Ends all streams: this process stops.
    pub(crate) fn release_all(&self) {
        for (_, stream) in self.streams.lock().drain() {
            stream.end(Ending::Released);
        }
        self.threads.release_all();
    }
}

/// Ends by forgetting the stream, if nobody reads it and nothing writes to it by then: that of a run which is not
/// alive. Made before the stream is opened, so that it outlives the reader that it is made for.
pub(crate) struct Visit<'a> {
    hub: &'a Hub,
    run: RunId,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.hub.close_unused(self.run);
    }
}
