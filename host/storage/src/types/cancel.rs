//! Cancelling runs.

use std::fmt;
use std::sync::Arc;

use selvedge_model::cancel::CancelRequest;
use selvedge_model::delivery::NewDelivery;
use selvedge_model::event::StoredEvent;
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
    pub deliveries: MakeDelivery,
    /// Now.
    pub now: Timestamp,
}

type Make = dyn Fn(&Run, &CancelRequest, Timestamp) -> Option<NewDelivery> + Send + Sync;
type Tell = dyn Fn(&Run, &CancelRequest, Timestamp) -> Option<StoredEvent> + Send + Sync;

/// What is to be delivered for a run that ends without having begun, and what its stream tells of that.
///
/// Which runs those are is known only within the unit that ends them, and end, delivery and event become true together:
/// so it is asked there, on the thread that writes, and must neither wait nor fail. It is asked only for runs with a
/// webhook, and for those whose stream is kept.
#[derive(Clone)]
pub struct MakeDelivery {
    make: Arc<Make>,
    tell: Arc<Tell>,
}

impl MakeDelivery {
    /// Makes deliveries so.
    pub fn new(
        make: impl Fn(&Run, &CancelRequest, Timestamp) -> Option<NewDelivery> + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Arc::new(make),
            tell: Arc::new(|_, _, _| None),
        }
    }

    /// Makes the last event of a kept stream so.
    #[must_use]
    pub fn telling(
        self,
        tell: impl Fn(&Run, &CancelRequest, Timestamp) -> Option<StoredEvent> + Send + Sync + 'static,
    ) -> Self {
        Self {
            tell: Arc::new(tell),
            ..self
        }
    }

    pub(crate) fn make(
        &self,
        run: &Run,
        request: &CancelRequest,
        now: Timestamp,
    ) -> Option<NewDelivery> {
        (self.make)(run, request, now)
    }

    pub(crate) fn tell(
        &self,
        run: &Run,
        request: &CancelRequest,
        now: Timestamp,
    ) -> Option<StoredEvent> {
        (self.tell)(run, request, now)
    }
}

/// Nothing is delivered.
impl Default for MakeDelivery {
    fn default() -> Self {
        Self::new(|_, _, _| None)
    }
}

impl fmt::Debug for MakeDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MakeDelivery")
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
    /// What was stored of those that ended, to be shown to whoever watches their threads.
    pub told: Vec<ToldEnd>,
    /// One call cancels a bounded number of runs, and there are more.
    pub more: bool,
}

/// The stored end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct ToldEnd {
    /// The run's thread.
    pub thread_id: ThreadId,
    /// Whose that is.
    pub owner: Option<Identity>,
    /// What is told.
    pub event: StoredEvent,
}

impl Cancelled {
    /// Whether there was nothing to cancel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.deleted.is_empty() && self.marked.is_empty()
    }
}
