//! Cancelling runs.

use std::fmt;
use std::sync::Arc;

use selvedge_model::cancel::CancelRequest;
use selvedge_model::delivery::NewDelivery;
use selvedge_model::event::{EventId, StoredEvent};
use selvedge_model::run::Run;
use selvedge_model::{Identity, RunId, ThreadId, Timestamp};

/// Which runs to cancel, and how.
#[derive(Clone, Debug)]
pub struct CancelRuns {
    /// Which.
    pub which: WhichRuns,
    /// How.
    pub request: CancelRequest,
    /// For those that end by it without having begun.
    pub last_words: LastWords,
    /// Now.
    pub now: Timestamp,
}

type Deliver = dyn Fn(&Run, &CancelRequest, Timestamp) -> Option<NewDelivery> + Send + Sync;
type Tell = dyn Fn(&Run, Option<&Identity>, Option<EventId>) -> Option<LastEvent> + Send + Sync;

/// What there is to say of a run that ends without having begun: a delivery, and the last event of its stream.
///
/// Which runs those are is known only within the unit that ends them, and end, delivery and event become true together:
/// so it is asked there, on the thread that writes, and must neither wait nor fail. It is asked only for runs with a
/// webhook, and for those whose stream is kept.
#[derive(Clone)]
pub struct LastWords {
    deliver: Arc<Deliver>,
    tell: Arc<Tell>,
}

impl LastWords {
    /// Makes deliveries so, and no events.
    pub fn delivering(
        deliver: impl Fn(&Run, &CancelRequest, Timestamp) -> Option<NewDelivery> + Send + Sync + 'static,
    ) -> Self {
        Self {
            deliver: Arc::new(deliver),
            tell: Arc::new(|_, _, _| None),
        }
    }

    /// And makes the last event of a kept stream so: of the run, of whose it is, and of the last event that is stored of
    /// its thread.
    #[must_use]
    pub fn telling(
        self,
        tell: impl Fn(&Run, Option<&Identity>, Option<EventId>) -> Option<LastEvent>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            tell: Arc::new(tell),
            ..self
        }
    }

    pub(crate) fn delivery(
        &self,
        run: &Run,
        request: &CancelRequest,
        now: Timestamp,
    ) -> Option<NewDelivery> {
        (self.deliver)(run, request, now)
    }

    pub(crate) fn event(
        &self,
        run: &Run,
        owner: Option<&Identity>,
        last: Option<EventId>,
    ) -> Option<LastEvent> {
        (self.tell)(run, owner, last)
    }
}

/// Nothing is said.
impl Default for LastWords {
    fn default() -> Self {
        Self::delivering(|_, _, _| None)
    }
}

impl fmt::Debug for LastWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastWords")
    }
}

/// The last event of a run that ended without having begun.
#[derive(Clone)]
pub struct LastEvent {
    /// Stored with the end.
    pub event: StoredEvent,
    /// Shows it. Dropped where the end does not come to be.
    pub show: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for LastEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LastEvent").field(&self.event).finish()
    }
}

impl PartialEq for LastEvent {
    fn eq(&self, other: &Self) -> bool {
        self.event == other.event
    }
}

/// Runs that have not ended.
#[derive(Clone, Debug)]
pub enum WhichRuns {
    /// Those of these that have not; `thread: None` finds them on any thread, and temporary ones.
    Named {
        /// Of this thread.
        thread: Option<ThreadId>,
        /// These.
        ids: Vec<RunId>,
    },
    /// All that are pending.
    Pending,
    /// All that are running.
    Running,
    /// All.
    All,
}

/// What came of cancelling runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cancelled {
    /// They had not begun and have ended as `interrupted`; a temporary one is gone.
    pub ended: Vec<RunId>,
    /// They had not begun and are gone.
    pub deleted: Vec<RunId>,
    /// They had begun: whoever executes one is to end it so, and until then the wish stays with the run. One that waits
    /// to be taken up again is claimed for that.
    pub marked: Vec<RunId>,
    /// What was stored of those that ended, to be shown now that it is durable.
    pub told: Vec<LastEvent>,
    /// One call cancels a bounded number of runs, and there are more.
    pub more: bool,
}

impl Cancelled {
    /// Whether there was nothing to cancel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.deleted.is_empty() && self.marked.is_empty()
    }
}
