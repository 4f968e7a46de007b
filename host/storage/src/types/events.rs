//! Events that are kept.

use selvedge_model::event::EventId;
use selvedge_model::{RunId, ThreadId};

/// Which stored events to read, in the order of their ids.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Of this thread; of a temporary run, the one that its Run names.
    pub thread_id: ThreadId,
    /// Of this run; `None`: of the whole thread.
    pub run_id: Option<RunId>,
    /// After this one.
    pub after: Option<EventId>,
    /// At most so many. Fewer come when they are large; `Page::more` says so.
    pub limit: u32,
}
