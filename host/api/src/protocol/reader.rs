//! A thread's events as the protocol has them: those that are kept, from the first on, then those that come.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::event::{EventId, StreamEvent};
use selvedge_model::{Scope, ThreadId};
use selvedge_protocol::event::Address;
use selvedge_protocol::{Event, Translator};
use selvedge_runtime::Runtime;
use selvedge_runtime::hub::{Next, Subscription};

use crate::error::ApiResult;

/// No connection is told of the end of a run before it is so old; one that takes commands, before so long after the last.
///
/// The JavaScript client asks first for what it always wants to know, and at once for what its user wants besides. It
/// takes the end for the end of both: what it is about to be told of the second would be lost. One round trip is what it
/// needs.
pub(super) const SETTLING: Duration = Duration::from_millis(150);

/// Reads a thread.
pub(crate) struct Reader {
    runtime: Runtime,
    scope: Scope,
    thread: ThreadId,
    events: Subscription,
    translator: Translator,
    last: EventId,
    /// Where this reader was when it last had to come back.
    came_back_at: Option<EventId>,
}

impl Reader {
    /// The thread may be one that its caller has yet to make.
    pub(crate) async fn open(
        runtime: &Runtime,
        scope: &Scope,
        thread: ThreadId,
    ) -> ApiResult<Self> {
        let beginning = EventId::BEFORE_ALL;
        let events = runtime.watch_thread(scope, thread, Some(beginning)).await?;
        Ok(Self {
            runtime: runtime.clone(),
            scope: scope.clone(),
            thread,
            events,
            translator: Translator::default(),
            last: beginning,
            came_back_at: None,
        })
    }

    pub(crate) fn translator(&self) -> &Translator {
        &self.translator
    }

    /// What of the next event is wanted; `None` when the server stops, or the events cannot be read, or some are lost.
    pub(crate) async fn next(
        &mut self,
        wants: &(dyn Fn(u64, &Address) -> bool + Sync),
    ) -> Option<Vec<Event>> {
        loop {
            match self.events.next().await {
                Next::Event(id, event) => return Some(self.take(id, &event, wants)),
                Next::Lagged => self.come_back().await?,
                Next::Ended(_) => return None,
            }
        }
    }

    /// The same of those that are kept; `None` when there are no more of them.
    pub(crate) async fn next_kept(
        &mut self,
        wants: &(dyn Fn(u64, &Address) -> bool + Sync),
    ) -> Option<Vec<Event>> {
        match self.events.next_kept().await? {
            Next::Event(id, event) => Some(self.take(id, &event, wants)),
            Next::Lagged | Next::Ended(_) => None,
        }
    }

    fn take(
        &mut self,
        id: Option<EventId>,
        event: &Arc<StreamEvent>,
        wants: &dyn Fn(u64, &Address) -> bool,
    ) -> Vec<Event> {
        // A thread's events all have ids.
        let id = id.unwrap_or(self.last);
        self.last = self.last.max(id);
        self.translator.take(id, event, wants)
    }

    /// A reader that was too slow goes on with what was kept meanwhile. One that gets nowhere is sent away, and so is one
    /// for which something is missing: it must not take what follows for all that there was.
    async fn come_back(&mut self) -> Option<()> {
        let gets_nowhere = self.came_back_at.replace(self.last) == Some(self.last);
        if gets_nowhere || self.events.has_lost_events() {
            return None;
        }
        let watching = self
            .runtime
            .watch_thread(&self.scope, self.thread, Some(self.last));
        match watching.await {
            Ok(events) => self.events = events,
            Err(error) => {
                tracing::warn!(%error, "a thread's events cannot be read");
                return None;
            }
        }
        Some(())
    }
}
