//! Reading runs, and waiting for them.

use selvedge_model::run::{Run, RunStatus};
use selvedge_model::{RunId, ThreadId};
use selvedge_storage::{RunQuery, StorageError, Values};

use crate::Runtime;
use crate::hub::{Finished, Subscription};

/// A run that someone wants to follow.
pub enum Followed {
    /// It has not ended: here is its stream from now on.
    Live(Box<Run>, Subscription),
    /// It has ended.
    Ended(Box<Run>, Box<Finished>),
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
        // Looked for first: a stream is made only for a run that there is.
        match shared.storage.run(thread, id).await? {
            None => return Ok(None),
            Some(run) if run.status.is_terminal() => return self.ended(run).await.map(Some),
            Some(_) => {}
        }
        // And again once subscribed: what ends after this look ends the stream.
        let subscription = shared.hub.open(id, &shared.options).subscribe();
        let run = shared.storage.run(thread, id).await;
        if let Ok(Some(run)) = run {
            if !run.status.is_terminal() {
                return Ok(Some(Followed::Live(Box::new(run), subscription)));
            }
            drop(subscription);
            shared.hub.close_unused(id);
            return self.ended(run).await.map(Some);
        }
        drop(subscription);
        shared.hub.close_unused(id);
        run.map(|_| None)
    }

    async fn ended(&self, run: Run) -> Result<Followed, StorageError> {
        let finished = self.what_is_left_of(&run).await?;
        Ok(Followed::Ended(Box::new(run), Box::new(finished)))
    }

    /// What a run that ended before gave: its thread has it.
    async fn what_is_left_of(&self, run: &Run) -> Result<Finished, StorageError> {
        let thread = self.thread(run.thread_id).await?;
        let (values, outcome) = thread.map_or((None, None), |t| (t.values, t.outcome));
        let outcome = outcome.unwrap_or_default();
        Ok(Finished {
            status: run.status,
            values: values.unwrap_or_default(),
            interrupts: outcome.interrupts.into_values().flatten().collect(),
            error: outcome.error.filter(|_| run.status == RunStatus::Error),
        })
    }
}
