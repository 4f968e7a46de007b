//! The streams of the runs that live in this process: an event is made once and shared by all its readers.
//!
//! A stream is a bounded list of events with one wake-up for all readers, each of which has a cursor of its own. A
//! `tokio::sync::broadcast` channel would do the same and drop events from under a slow reader without a word; here
//! a reader that falls too far behind is told.
//!
//! The events of a resumable run have ids and go to its [`log`](crate::log) as well; those of a thread that somebody
//! watches go to the thread's stream.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use selvedge_model::cancel::CancelRequest;
use selvedge_model::event::{EventId, StoredEvent, StreamEvent};
use selvedge_model::run::{ClaimedRun, RunError, RunStatus};
use selvedge_model::thread::Interrupt;
use selvedge_model::{Json, RunId, ThreadId};
use tokio::sync::{Notify, watch};

use crate::leash::Leash;
use crate::log::{Log, Replay, Told};
use crate::thread_hub::{ThreadHub, Watch};
use crate::{Options, Runtime};

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
    pub(crate) fn unstored_of(&self, thread: ThreadId) -> Vec<Told> {
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
    readers: usize,
    ending: Option<Ending>,
    /// Whose execution writes here.
    run: Option<(ThreadId, RunId)>,
    /// Of a resumable run.
    log: Option<Log>,
}

/// An event that some readers have still to read.
struct Held {
    id: Option<EventId>,
    event: Arc<StreamEvent>,
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
        inner.run = Some((claimed.run.thread_id, claimed.run.run_id));
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
        let mut id = None;
        if let Some(log) = &mut inner.log {
            // Under the lock, so that events are shown in the order of their ids.
            let next = self.threads.next_id();
            id = Some(next);
            if log.add(next, &event) {
                self.full.notify_one();
            }
            if log.is_held() {
                return;
            }
        }
        self.show(&mut inner, id, &event);
    }

    /// Gives an event to everyone who reads.
    fn show(&self, inner: &mut Inner, id: Option<EventId>, event: &Arc<StreamEvent>) {
        if self.threads.is_watched()
            && let Some((thread, _)) = inner.run
        {
            self.threads.show(thread, id, event);
        }
        self.give(inner, id, event);
    }

    fn give(&self, inner: &mut Inner, id: Option<EventId>, event: &Arc<StreamEvent>) {
        if inner.readers == 0 {
            inner.first += 1;
            return;
        }
        inner.bytes += event.data.len();
        let unread = inner.readers;
        inner.events.push_back(Held {
            id,
            event: event.clone(),
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
    pub(crate) fn push_with_id(&self, id: EventId, event: &Arc<StreamEvent>) {
        self.give(&mut self.inner.lock(), Some(id), event);
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
        for told in held {
            self.show(&mut inner, Some(told.id), &told.event);
        }
    }

    /// Takes back what was held and will not be shown: the end came out otherwise.
    pub(crate) fn retract(&self) {
        if let Some(log) = &mut self.inner.lock().log {
            log.retract();
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

    fn unstored(&self) -> Vec<Told> {
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

    fn is_of(&self, thread: ThreadId) -> bool {
        self.inner.lock().run.is_some_and(|(of, _)| of == thread)
    }

    pub(crate) fn has_readers(&self) -> bool {
        self.inner.lock().readers > 0
    }

    /// Ends the stream. What `ending` says must be durable.
    pub(crate) fn end(&self, ending: Ending) {
        self.inner.lock().ending.get_or_insert(ending);
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

    fn is_unwanted(&self) -> bool {
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
        Subscription {
            stream: self.clone(),
            cursor,
            leash: None,
            replay: None,
            after: None,
            _watch: None,
        }
    }
}

/// A reader of a run's stream, or of a thread's.
pub struct Subscription {
    stream: Arc<RunStream>,
    cursor: u64,
    /// When the run is to go with this reader.
    leash: Option<Leash>,
    /// What was kept, to be read before what comes.
    replay: Option<Box<Replay>>,
    /// The last event of the replay: what is live has those before it again.
    after: Option<EventId>,
    _watch: Option<Watch>,
}

impl Subscription {
    /// The run is cancelled when this reader goes away before it has ended.
    pub(crate) fn on_a_leash(mut self, runtime: Runtime, run: RunId) -> Self {
        self.leash = Some(Leash::new(runtime, run, self.stream.clone()));
        self
    }

    /// With what was kept before it. Events that come while that is read are not missed.
    pub(crate) fn after(mut self, replay: Replay) -> Self {
        let unstored = self.stream.unstored();
        self.replay = Some(Box::new(replay.with(unstored)));
        self
    }

    pub(crate) fn watching(mut self, watch: Watch) -> Self {
        self._watch = Some(watch);
        self
    }

    /// Waits for the next event, or the end.
    pub async fn next(&mut self) -> Next {
        if let Some(replay) = &mut self.replay {
            match replay.next().await {
                Ok(Some(told)) => return Next::Event(Some(told.id), told.event),
                Ok(None) => {
                    self.after = Some(replay.last());
                    self.replay = None;
                }
                Err(error) => {
                    tracing::warn!(%error, "kept events cannot be read");
                    return Next::Lagged;
                }
            }
        }
        let stream = self.stream.clone();
        loop {
            let changed = stream.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that nothing that happens in between is missed.
            changed.as_mut().enable();
            while let Some(next) = self.ready() {
                match next {
                    Next::Event(Some(id), _) if self.after.is_some_and(|after| id <= after) => {}
                    next => return next,
                }
            }
            changed.await;
        }
    }

    /// The next event when there is one already.
    fn ready(&mut self) -> Option<Next> {
        let mut inner = self.stream.inner.lock();
        if self.cursor < inner.first {
            // It is sent away, and may come back: it did not leave.
            if let Some(leash) = self.leash.take() {
                leash.untie();
            }
            return Some(Next::Lagged);
        }
        let index = inner.index(self.cursor);
        let Some(held) = inner.events.get_mut(index) else {
            return inner.ending.clone().map(Next::Ended);
        };
        held.unread -= 1;
        let (id, event) = (held.id, held.event.clone());
        self.cursor += 1;
        inner.forget_what_was_read();
        Some(Next::Event(id, event))
    }

    /// Waits for the end alone: no event is kept for this reader any more.
    pub async fn ended(mut self) -> Ending {
        let stream = self.stream.clone();
        // Held on to until the end, while the rest of this reader goes.
        let _leash = self.leash.take();
        drop(self);
        stream.ended().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut inner = self.stream.inner.lock();
        inner.readers -= 1;
        let unread = inner.index(self.cursor);
        for held in inner.events.iter_mut().skip(unread) {
            held.unread -= 1;
        }
        inner.forget_what_was_read();
    }
}

#[cfg(test)]
mod tests {
    use selvedge_model::event::EventKind;

    use super::*;

    fn event(n: u64) -> StreamEvent {
        StreamEvent {
            kind: EventKind::Metadata,
            namespace: String::new(),
            data: Json::from(serde_json::json!(n)),
        }
    }

    fn stream(max_events: usize) -> Arc<RunStream> {
        let options = Options {
            max_stream_events: max_events,
            ..Options::default()
        };
        Hub::default().open(RunId::new(), &options)
    }

    #[tokio::test]
    async fn every_reader_sees_every_event_in_order_and_then_the_end() {
        let stream = stream(100);
        let mut readers = [stream.subscribe(), stream.subscribe()];
        for n in 0..10 {
            stream.push(event(n));
        }
        stream.end(Ending::Released);
        for reader in &mut readers {
            for n in 0..10 {
                match reader.next().await {
                    Next::Event(_, event) => assert_eq!(event.data.as_str(), n.to_string()),
                    other => panic!("{other:?}"),
                }
            }
            assert!(matches!(reader.next().await, Next::Ended(Ending::Released)));
        }
    }

    #[tokio::test]
    async fn a_reader_that_falls_too_far_behind_is_told_and_others_are_not_harmed() {
        let stream = stream(3);
        let mut slow = stream.subscribe();
        let mut quick = stream.subscribe();
        for n in 0..5 {
            stream.push(event(n));
            assert!(matches!(quick.next().await, Next::Event(..)));
        }
        assert!(matches!(slow.next().await, Next::Lagged));
        stream.end(Ending::Released);
        assert!(matches!(slow.ended().await, Ending::Released));
        assert!(matches!(quick.next().await, Next::Ended(_)));
    }

    #[tokio::test]
    async fn a_late_reader_sees_what_comes_after_it() {
        let stream = stream(100);
        stream.push(event(0));
        let mut reader = stream.subscribe();
        stream.push(event(1));
        match reader.next().await {
            Next::Event(_, event) => assert_eq!(event.data.as_str(), "1"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_visit_leaves_a_stream_only_where_someone_reads_or_writes() {
        let (hub, options, run) = (Hub::default(), Options::default(), RunId::new());
        {
            let _visit = hub.visit(run);
            let _reader = hub.open(run, &options).subscribe();
        }
        assert_eq!(hub.len(), 0);
        let visit = hub.visit(run);
        let reader = hub.open(run, &options).subscribe();
        drop(visit);
        assert_eq!(hub.len(), 1);
        drop(reader);
        let writer = hub.open(run, &options);
        drop(hub.visit(run));
        assert_eq!(hub.len(), 1);
        drop(writer);
    }

    #[tokio::test]
    async fn a_wish_waits_for_the_execution_that_has_not_begun() {
        let (hub, options, run) = (Hub::default(), Options::default(), RunId::new());
        let wish = CancelRequest {
            action: selvedge_model::cancel::CancelAction::Rollback,
            message: "wanted".to_owned(),
        };
        hub.open(run, &options).cancel(&wish);
        // Someone looks at the run and goes away.
        {
            let _visit = hub.visit(run);
            let _reader = hub.open(run, &options).subscribe();
        }
        let execution = hub.open(run, &options);
        assert_eq!(execution.cancelled().await, wish);
    }

    #[tokio::test]
    async fn what_everyone_has_read_is_not_kept() {
        let stream = stream(100);
        let (mut one, two) = (stream.subscribe(), stream.subscribe());
        let held = || stream.inner.lock().events.len();
        for n in 0..3 {
            stream.push(event(n));
        }
        assert!(matches!(one.next().await, Next::Event(..)));
        assert_eq!(held(), 3);
        drop(two);
        assert_eq!(held(), 2);
        let waits = tokio::spawn(one.ended());
        tokio::task::yield_now().await;
        assert_eq!(held(), 0);
        stream.end(Ending::Released);
        assert!(matches!(waits.await.unwrap(), Ending::Released));
    }
}
