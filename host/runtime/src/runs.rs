//! Reading runs, and waiting for them.

use std::future::Future;

use selvedge_model::event::EventId;
use selvedge_model::run::{Run, RunStatus};
use selvedge_model::{Json, RunId, Scope, ThreadId};
use selvedge_storage::{EventQuery, RunQuery, StorageError, Values};

use crate::hub::log::Replay;
use crate::hub::{Finished, Hub, Subscription};
use crate::{Options, Runtime};

/// A run that someone wants to follow.
pub enum Followed {
    /// It has not ended: here is its stream from now on.
    Live(Box<Run>, Subscription),
    /// It has ended.
    Ended(Box<Finished>),
}

/// The stream of a run from an event on.
pub struct Replayed {
    /// `None` for one that is gone, as a stateless run is once it has ended: its events stay a while.
    pub run: Option<Run>,
    /// What is kept, then what comes.
    pub events: Subscription,
}

impl Runtime {
    /// One run; `thread: None` finds it on any thread.
    pub async fn run(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        id: RunId,
    ) -> Result<Option<Run>, StorageError> {
        self.0.storage.run(scope, thread, id).await
    }

    /// The runs of a thread, newest first; `None` when there is no such thread.
    pub async fn list_runs(
        &self,
        scope: &Scope,
        query: RunQuery,
    ) -> Result<Option<Vec<Run>>, StorageError> {
        let thread = self
            .0
            .storage
            .thread(scope, query.thread_id, Values::Skip)
            .await?;
        match thread {
            Some(_) => self.0.storage.list_runs(scope, query).await.map(Some),
            None => Ok(None),
        }
    }

    /// Follows a run; `None` when there is no such run. It can be made to go with its follower: then it is cancelled
    /// when the subscription is dropped before the run has ended.
    pub async fn follow(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        id: RunId,
        cancel_on_disconnect: bool,
    ) -> Result<Option<Followed>, StorageError> {
        let shared = &self.0;
        let row = shared.storage.run(scope, thread, id);
        let Some((run, subscription)) = look(&shared.hub, &shared.options, id, row).await? else {
            return Ok(None);
        };
        if let Some(mut subscription) = subscription {
            if cancel_on_disconnect {
                subscription = subscription.on_a_leash(self.clone(), id);
            }
            return Ok(Some(Followed::Live(Box::new(run), subscription)));
        }
        let finished = self.what_is_left_of(&run).await?;
        Ok(finished.map(|finished| Followed::Ended(Box::new(finished))))
    }

    /// The stream of a run after an event: what is kept of it, then what comes; `None` when there is no such run and
    /// nothing is kept of one. A run that has not ended can be made to go with its reader, as in
    /// [`follow`](Self::follow).
    pub async fn replay(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        id: RunId,
        after: EventId,
        cancel_on_disconnect: bool,
    ) -> Result<Option<Replayed>, StorageError> {
        let shared = &self.0;
        let row = shared.storage.run(scope, thread, id);
        let (run, live) = match look(&shared.hub, &shared.options, id, row).await? {
            Some((run, live)) => (Some(run), live),
            None => (None, None),
        };
        let of = match &run {
            Some(run) => Some(run.thread_id),
            None => shared.storage.thread_of_events(scope, id).await?,
        };
        let Some(of) = of.filter(|of| thread.is_none_or(|thread| thread == *of)) else {
            return Ok(None);
        };
        let query = EventQuery {
            thread_id: of,
            run_id: Some(id),
            after: None,
            limit: 0,
        };
        let replay = Replay::new(shared.storage.clone(), scope.clone(), query, after);
        let live = match live {
            Some(live) if cancel_on_disconnect => live.on_a_leash(self.clone(), id),
            Some(live) => live,
            None => shared.hub.over(&shared.options),
        };
        Ok(Some(Replayed {
            run,
            events: live.after(replay),
        }))
    }

    /// What a run that ended before gave: its thread has it, unless both were deleted meanwhile.
    pub(crate) async fn what_is_left_of(
        &self,
        run: &Run,
    ) -> Result<Option<Finished>, StorageError> {
        let Some(thread) = self.thread(&Scope::Host, run.thread_id).await? else {
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

/// A run's row and, unless it has ended, its stream. The stream is joined before the row is looked at: so a run that
/// has not ended by then ends this very stream, whatever becomes of its row.
async fn look(
    hub: &Hub,
    options: &Options,
    id: RunId,
    row: impl Future<Output = Result<Option<Run>, StorageError>>,
) -> Result<Option<(Run, Option<Subscription>)>, StorageError> {
    let _visit = hub.visit(id);
    let subscription = hub.open(id, options).subscribe();
    let run = row.await?;
    Ok(run.map(|run| {
        let live = !run.status.is_terminal();
        (run, live.then_some(subscription))
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::hub::Ending;

    fn run(id: RunId, status: RunStatus) -> Run {
        serde_json::from_value(json!({
            "run_id": id, "thread_id": ThreadId::new(), "assistant_id": uuid::Uuid::nil(), "metadata": {},
            "status": status, "multitask_strategy": "enqueue",
            "created_at": selvedge_model::Timestamp::now(), "updated_at": selvedge_model::Timestamp::now(),
            "kwargs": {
                "input": null, "command": null, "config": {}, "context": {}, "stream_mode": ["values"],
                "interrupt_before": null, "interrupt_after": null, "webhook": null, "feedback_keys": null,
                "temporary": true, "subgraphs": false, "resumable": false, "checkpoint_during": true,
                "durability": "async",
            },
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_run_that_ends_while_it_is_looked_at_gives_its_end() {
        let (hub, options, id) = (Hub::default(), Options::default(), RunId::new());
        let execution = hub.open(id, &options);
        let row = async {
            // Read just before the end, which deletes the row and closes the stream.
            let row = run(id, RunStatus::Running);
            execution.end(Ending::Finished(Arc::new(Finished {
                status: RunStatus::Success,
                values: Json::from(json!({"foo": "x"})),
                interrupts: vec![],
                error: None,
            })));
            hub.close(id);
            Ok(Some(row))
        };
        let (_, subscription) = look(&hub, &options, id, row).await.unwrap().unwrap();
        match subscription.unwrap().ended().await {
            Ending::Finished(finished) => assert_eq!(finished.values.as_str(), r#"{"foo":"x"}"#),
            Ending::Released => panic!("the end was lost"),
        }
    }

    #[tokio::test]
    async fn looking_at_what_is_not_alive_leaves_nothing_behind() {
        let (hub, options, id) = (Hub::default(), Options::default(), RunId::new());
        let nothing = async { Ok(None) };
        assert!(look(&hub, &options, id, nothing).await.unwrap().is_none());
        let ended = async { Ok(Some(run(id, RunStatus::Success))) };
        let (_, subscription) = look(&hub, &options, id, ended).await.unwrap().unwrap();
        assert!(subscription.is_none());
        assert_eq!(hub.len(), 0);
    }
}
