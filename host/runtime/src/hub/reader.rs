//! Readers of streams: what was kept before, then what comes, each at its own pace.

use std::sync::Arc;

use selvedge_model::RunId;
use selvedge_model::event::EventId;

use super::log::Replay;
use super::stream::RunStream;
use super::threads::Watch;
use super::{Ending, Next};
use crate::Runtime;
use crate::cancel::leash::Leash;

/// A reader of a run's stream, or of a thread's.
pub struct Subscription {
    stream: Arc<RunStream>,
    cursor: u64,
    /// When the run is to go with this reader.
    leash: Option<Leash>,
    /// What was kept, to be read before what comes.
    replay: Option<Box<Replay>>,
    /// Where the replay ended: what is live may have events before it again.
    from: Option<EventId>,
    _watch: Option<Watch>,
}

impl Subscription {
    /// Of everything from this place of the stream on, where the stream counts it as a reader.
    pub(super) fn new(stream: Arc<RunStream>, cursor: u64) -> Self {
        Self {
            stream,
            cursor,
            leash: None,
            replay: None,
            from: None,
            _watch: None,
        }
    }

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

    /// The next of the events that were kept before this reader came; `None` once there are no more of them.
    pub async fn next_kept(&mut self) -> Option<Next> {
        let replay = self.replay.as_mut()?;
        match replay.next().await {
            Ok(Some(told)) => Some(Next::Event(Some(told.id), told.event)),
            Ok(None) => {
                self.from = Some(replay.end());
                self.replay = None;
                None
            }
            Err(error) => {
                tracing::warn!(%error, "kept events cannot be read");
                self.send_away();
                Some(Next::Lagged)
            }
        }
    }

    /// Waits for the next event, or the end.
    pub async fn next(&mut self) -> Next {
        if let Some(next) = self.next_kept().await {
            return next;
        }
        let stream = self.stream.clone();
        loop {
            let changed = stream.changed();
            tokio::pin!(changed);
            // Registered before the look, so that nothing that happens in between is missed.
            changed.as_mut().enable();
            while let Some(next) = self.ready() {
                match next {
                    Next::Event(Some(id), _) if self.from.is_some_and(|from| id < from) => {}
                    next => return next,
                }
            }
            changed.await;
        }
    }

    /// The next event when there is one already.
    fn ready(&mut self) -> Option<Next> {
        let next = self.stream.next_at(&mut self.cursor);
        if let Some(Next::Lagged) = next {
            self.send_away();
        }
        next
    }

    /// Whether some of the events that this reader was too slow for are not kept: it cannot come back for them.
    #[must_use]
    pub fn has_lost_events(&self) -> bool {
        self.stream.has_lost(self.cursor)
    }

    /// A reader who is sent away may come back: it did not leave.
    fn send_away(&mut self) {
        if let Some(leash) = self.leash.take() {
            leash.untie();
        }
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
        self.stream.leave(self.cursor);
    }
}
