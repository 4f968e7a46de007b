//! Reading runs, and waiting for them.

use selvedge_model::run::{Run, RunStatus};
use selvedge_model::{Json, RunId, ThreadId};
use selvedge_storage::{RunQuery, StorageError, Values};

use crate::Runtime;
use crate::hub::{Finished, Subscription};

/// A run that someone wants to follow.
pub enum Followed {
    /// It has not ended: here is its stream from now on.
    Live(Box<Run>, Subscription),
    /// It has ended.
    Ended(Box<Finished>),
}

impl Runtime {
    /// One run; `thread: None` finds it on any thread.
    pub async fn run(
        &self,
        thread: Option<ThreadId>,
        id: RunId,
    ) -> Result<Option<Run>, StorageError> {
        self.0.storage.run(thread, id).await
    }

    /// The runs of a thread, newest first; `None` when there is no such thread.
    pub async fn list_runs(&self, query: RunQuery) -> Result<Option<Vec<Run>>, StorageError> {
        let thread = self.0.storage.thread(query.thread_id, Values::Skip).await?;
        match thread {
            Some(_) => self.0.storage.list_runs(query).await.map(Some),
            None => Ok(None),
        }
    }

    /// Follows a run; `None` when there is no such run.
    pub async fn follow(
        &self,
        thread: Option<ThreadId>,
        id: RunId,
    ) -> Result<Option<Followed>, StorageError> {
        let shared = &self.0;
        // Subscribed first: a run that has not ended at the look ends this very stream, whatever becomes of its row.
        let _visit = shared.hub.visit(id);
        let subscription = shared.hub.open(id, &shared.options).subscribe();
        let Some(run) = shared.storage.run(thread, id).await? else {
            return Ok(None);
        };
        if !run.status.is_terminal() {
            return Ok(Some(Followed::Live(Box::new(run), subscription)));
        }
        let finished = self.what_is_left_of(&run).await?;
        Ok(finished.map(|finished| Followed::Ended(Box::new(finished))))
    }

    /// What a run that ended before gave: its thread has it, unless both were deleted meanwhile.
    async fn what_is_left_of(&self, run: &Run) -> Result<Option<Finished>, StorageError> {
        let Some(thread) = self.thread(run.thread_id).await? else {
            return Ok(None);
        };
        let outcome = thread.outcome.unwrap_or_default();
        Ok(Some(Finished {
            status: run.status,
            values: thread.values.unwrap_or_else(Json::null),
            interrupts: outcome.interrupts.into_values().flatten().collect(),
            error: outcome.error.filter(|_| run.status == RunStatus::Error),
        }))
    }
}
