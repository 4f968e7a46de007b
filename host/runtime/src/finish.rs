//! The end of a run: status, last checkpoint, thread and delivery in one transaction, then everyone who waits.

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::Mutex;
use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::event::{EventKind, StoredEvent, StreamEvent};
use selvedge_model::run::{ClaimedRun, RunError, RunStatus};
use selvedge_model::thread::{Interrupt, ThreadOutcome, ThreadStatus};
use selvedge_model::{Json, RunId, Timestamp};
use selvedge_pregel::{End, EndKind};
use selvedge_storage::{Finish, LastEvent, LastWords, RunEnd, StepCommit, StorageError};
use selvedge_webhook::{Ended, FinalStatus};

use crate::Shared;
use crate::cancel::thread_status;
use crate::execute::commit::{Unstored, insist};
use crate::hub::threads::OwnedThread;
use crate::hub::{Ending, Finished, RunStream};
use crate::shown::lifecycle;

/// How a run ended, before it is written down.
pub(crate) struct How {
    status: RunStatus,
    thread_status: ThreadStatus,
    values: Json,
    outcome: ThreadOutcome,
    rest: StepCommit,
    cancelled: Option<CancelAction>,
    /// Nothing but the end itself is stored, and what is told of it: storage has refused the rest.
    bare: bool,
    /// Shown once the end is durable.
    last_events: Vec<StreamEvent>,
}

impl How {
    pub(crate) fn ended(end: End) -> Self {
        let error = match end.kind {
            EndKind::Failed(error) => Some(error),
            EndKind::Success | EndKind::Interrupted => None,
        };
        Self {
            // A run that stops at an interrupt is a success for LangGraph.
            status: if error.is_some() {
                RunStatus::Error
            } else {
                RunStatus::Success
            },
            thread_status: match (&error, end.next.is_empty()) {
                (Some(_), _) => ThreadStatus::Error,
                (None, false) => ThreadStatus::Interrupted,
                (None, true) => ThreadStatus::Idle,
            },
            values: end.values,
            outcome: ThreadOutcome {
                error,
                interrupts: end.interrupts,
            },
            rest: StepCommit::default(),
            cancelled: None,
            bare: false,
            last_events: Vec::new(),
        }
    }

    pub(crate) fn failed(error: RunError) -> Self {
        Self {
            status: RunStatus::Error,
            thread_status: ThreadStatus::Error,
            values: Json::null(),
            outcome: ThreadOutcome {
                error: Some(error),
                ..ThreadOutcome::default()
            },
            rest: StepCommit::default(),
            cancelled: None,
            bare: false,
            last_events: Vec::new(),
        }
    }

    /// What the run did could not be stored, so nothing of it is: its thread must not be busy for ever.
    pub(crate) fn unstorable() -> Self {
        let error = RunError::new("StorageFailed", "what the run did could not be stored");
        Self {
            bare: true,
            ..Self::failed(error)
        }
    }

    pub(crate) fn timed_out(values: Json) -> Self {
        Self {
            status: RunStatus::Timeout,
            ..Self::failed(RunError::new("TimeoutError", "")).with_values(values)
        }
    }

    pub(crate) fn with_values(self, values: Json) -> Self {
        Self { values, ..self }
    }

    /// Someone wanted it so. What it had done by then is in `values`.
    pub(crate) fn cancelled(
        wish: &CancelRequest,
        values: Json,
        thread_status: ThreadStatus,
    ) -> Self {
        Self {
            status: RunStatus::Interrupted,
            thread_status,
            values,
            cancelled: Some(wish.action),
            ..Self::failed(wish.error())
        }
    }

    /// The same after it had come to an end of its own, which does not count any more.
    fn cancelled_instead(self, wish: &CancelRequest) -> Self {
        let rests = self.thread_status == ThreadStatus::Idle;
        Self::cancelled(wish, self.values, thread_status(rests))
    }

    /// How webhooks say it.
    fn announced(&self) -> (FinalStatus, Cow<'_, Json>) {
        match self.cancelled {
            // Nothing is left of it.
            Some(CancelAction::Rollback) => (FinalStatus::Rollback, Cow::Owned(Json::null())),
            Some(CancelAction::Interrupt) | None => {
                (self.status.into(), Cow::Borrowed(&self.values))
            }
        }
    }

    /// With what the last step left: to be stored with the end, and to be shown after it.
    pub(crate) fn with_rest(self, rest: StepCommit, last_events: Vec<StreamEvent>) -> Self {
        Self {
            rest,
            last_events,
            ..self
        }
    }
}

/// Writes the end down and tells everyone who waits for it.
pub(crate) async fn finish(
    shared: &Arc<Shared>,
    claimed: &ClaimedRun,
    stream: &RunStream,
    mut how: How,
) {
    let now = Timestamp::now();
    let interrupts: Vec<Interrupt> = how.outcome.interrupts.values().flatten().cloned().collect();
    let (status, values) = how.announced();
    let delivery = shared.webhooks.delivery(&Ended {
        run: &claimed.run,
        status,
        started_at: Some(claimed.started_at),
        ended_at: now,
        values: &values,
        interrupts: &interrupts,
        error: how.outcome.error.as_ref(),
    });
    let has_delivery = delivery.is_some();
    let mut last_events = how.last_events.clone();
    if how.status == RunStatus::Error {
        last_events.extend(how.outcome.error.as_ref().map(error_event));
    }
    if stream.tells_of_the_end() {
        let error = how.outcome.error.as_ref();
        let asks = !interrupts.is_empty();
        last_events.push(lifecycle::ended(&claimed.run, how.status, asks, error));
        last_events.push(done_event(claimed.run.run_id));
    }
    let mut step = std::mem::take(&mut how.rest);
    if claimed.run.kwargs.resumable {
        // With ids before they are stored, and shown after it.
        if how.bare {
            stream.forget_unstored();
        }
        stream.hold();
        last_events.drain(..).for_each(|event| stream.push(event));
        step.events = stream.to_store();
    }
    let end = RunEnd {
        status: how.status,
        at: now,
        step,
        thread_status: how.thread_status,
        outcome: how.outcome.clone(),
        delivery,
        cancelled: how.cancelled,
    };
    let ended = insist(shared, || {
        shared.storage.finish_run(claimed.lease, end.clone())
    })
    .await;
    let run_id = claimed.run.run_id;
    let ending = match ended {
        Ok(Finish::CancelRequested(wish)) => {
            stream.retract();
            let last_events = std::mem::take(&mut how.last_events);
            let how = how
                .cancelled_instead(&wish)
                .with_rest(end.step, last_events);
            return Box::pin(finish(shared, claimed, stream, how)).await;
        }
        Ok(Finish::Ended) => {
            shared.ended.count(how.status);
            tracing::debug!(run = %run_id, status = how.status.as_str(), "run ended");
            stream.release();
            for event in last_events {
                stream.push(event);
            }
            Ending::Finished(Arc::new(Finished {
                status: how.status,
                values: how.values,
                interrupts,
                error: how.outcome.error,
            }))
        }
        Err(Unstored::Refused(StorageError::Fenced)) => Ending::Released,
        Err(Unstored::Refused(error)) if !how.bare => {
            tracing::error!(run = %run_id, %error, "the end of the run cannot be stored with what it did");
            stream.retract();
            return Box::pin(finish(shared, claimed, stream, How::unstorable())).await;
        }
        Err(error) => {
            tracing::error!(run = %run_id, %error, "the end of the run cannot be stored; it is recovered at the next start");
            Ending::Released
        }
    };
    stream.end(ending);
    shared.hub.close(run_id);
    if has_delivery {
        shared.webhooks.wake();
    }
}

/// What is to be said of runs that are cancelled before they began: they have no values of their own, and never started.
pub(crate) fn unbegun(shared: &Shared) -> LastWords {
    let webhooks = Arc::clone(&shared.webhooks);
    let threads = Arc::clone(&shared.hub.threads);
    LastWords::delivering(move |run, wish, now| {
        webhooks.delivery(&Ended {
            run,
            status: match wish.action {
                CancelAction::Interrupt => RunStatus::Interrupted.into(),
                CancelAction::Rollback => FinalStatus::Rollback,
            },
            started_at: None,
            ended_at: now,
            values: &Json::null(),
            interrupts: &[],
            error: Some(&wish.error()),
        })
    })
    .telling(move |run, owner, last| {
        threads.is_past(last.unwrap_or_default());
        let place = threads.announce(OwnedThread {
            thread: run.thread_id,
            owner: owner.cloned(),
        });
        let event = StoredEvent {
            id: place.id(),
            run: Some(run.run_id),
            event: lifecycle::ended(run, RunStatus::Interrupted, false, None),
        };
        let shown = Arc::new(event.event.clone());
        // Whoever shows it gives the place up, and so does the last who could have.
        let place = Mutex::new(Some(place));
        let show = move || {
            if let Some(place) = place.lock().take() {
                place.show(shown.clone());
            }
        };
        Some(LastEvent {
            event,
            show: Arc::new(show),
        })
    })
}

/// Puts a run that was cut off by a shutdown back to pending.
pub(crate) async fn release(shared: &Shared, claimed: &ClaimedRun) {
    let run = claimed.run.run_id;
    let released = shared
        .storage
        .release_run(claimed.lease, Timestamp::now())
        .await;
    match released {
        Ok(()) => tracing::info!(%run, "run put back to pending: it goes on after the restart"),
        // The next start finds it running and puts it back itself.
        Err(error) => tracing::warn!(%run, %error, "run left as running"),
    }
}

/// For those who watch the thread.
fn done_event(run: RunId) -> StreamEvent {
    StreamEvent {
        kind: EventKind::RunDone,
        namespace: String::new(),
        data: Json::from(serde_json::json!({"status": "run_done", "run_id": run})),
    }
}

fn error_event(error: &RunError) -> StreamEvent {
    StreamEvent {
        kind: EventKind::Error,
        namespace: String::new(),
        data: Json::written(error),
    }
}
