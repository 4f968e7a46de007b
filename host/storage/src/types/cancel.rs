//! Cancelling runs.

use selvedge_model::cancel::CancelRequest;
use selvedge_model::{RunId, ThreadId, Timestamp};

/// Which runs to cancel, and how.
#[derive(Clone, Debug)]
pub struct CancelRuns {
    /// Which.
    pub which: WhichRuns,
    /// How.
    pub request: CancelRequest,
    /// Now.
    pub now: Timestamp,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cancelled {
    /// They had not begun and have ended as `interrupted`; a temporary one is gone.
    pub ended: Vec<RunId>,
    /// They had not begun and are gone.
    pub deleted: Vec<RunId>,
    /// They had begun: whoever executes one is to end it so, and until then the wish stays with the run. One that waits
    /// to be taken up again is claimed for that.
    pub marked: Vec<RunId>,
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
