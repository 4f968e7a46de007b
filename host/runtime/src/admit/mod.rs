//! Admission: from what a caller asked for to a run that is durable, or a refusal.
//!
//! Everything that can be refused is refused here and not later: unknown assistants, a webhook that the policy does
//! not allow, options that contradict each other. Storage then accepts the run in one transaction, and claims it for
//! this process at once when a place is free, so that nothing polls between admission and execution.

pub(crate) mod assemble;
mod batch;
pub(crate) mod request;

use selvedge_model::assistant::Assistant;
use selvedge_model::cancel::CancelRequest;
use selvedge_model::run::{ClaimedRun, Run, RunStatus};
use selvedge_model::{AssistantId, Caller, Json, Scope, Timestamp};
use selvedge_storage::{Admission, NewRun, Refusal, StorageError, Values};

use crate::finish::unbegun;
use crate::hub::Subscription;
use crate::{Runtime, Shared, queue};
use assemble::{assemble, is_given, members, thread_need};
use request::{AdmitError, AssistantRef, CreateRun, Place};

/// A run that was accepted.
pub struct Accepted {
    /// The run as it was stored.
    pub run: Run,
    /// Its stream from the very beginning.
    pub stream: Subscription,
}

impl Runtime {
    /// Accepts a run, or says why not. When this answers `Ok`, the run is durable and will come to an end, whatever
    /// happens to this process.
    pub async fn create_run(
        &self,
        caller: &Caller,
        request: CreateRun,
    ) -> Result<Accepted, AdmitError> {
        let prepared = self.prepare(caller, &request).await?;
        // On a task of its own: a caller that goes away must not leave a claimed run that nobody executes.
        let (runtime, scope) = (self.clone(), caller.scope.clone());
        let on_a_leash = request.cancel_on_disconnect;
        let admission = tokio::spawn(async move {
            let mut accepted = runtime.admit(&scope, prepared).await?;
            if on_a_leash {
                let run = accepted.run.run_id;
                accepted.stream = accepted.stream.on_a_leash(runtime, run);
            }
            Ok(accepted)
        });
        admission
            .await
            .unwrap_or_else(|error| Err(StorageError::Failed(error.to_string()).into()))
    }

    /// The run that is asked for, to be offered to storage: not claimed, and not accepted yet.
    pub(crate) async fn prepare(
        &self,
        caller: &Caller,
        request: &CreateRun,
    ) -> Result<NewRun, AdmitError> {
        let shared = &self.0;
        if shared.stopping() {
            return Err(AdmitError::ShuttingDown);
        }
        // What the request itself shows to be wrong is said first, whatever else there is or is not.
        check(shared, request)?;
        let scope = &caller.scope;
        let assistant = find_assistant(shared, scope, &request.assistant).await?;
        let thread_metadata = thread_metadata(shared, scope, request.place).await?;
        check_checkpoint(shared, scope, request).await?;
        let now = Timestamp::now();
        Ok(NewRun {
            thread: thread_need(request, &assistant, shared.options.thread_ttl.default),
            run: assemble(caller, request, &assistant, &thread_metadata, now),
            answers: request.answers.clone(),
            claim_by: None,
            max_pending_runs: shared.options.max_pending_runs,
            share: shared.options.share,
            last_words: unbegun(shared),
        })
    }

    async fn admit(&self, scope: &Scope, mut new: NewRun) -> Result<Accepted, AdmitError> {
        let shared = &self.0;
        let run_id = new.run.run_id;
        // Opened before the run can start, so that its creator misses nothing.
        let stream = shared.hub.open(run_id, &shared.options).subscribe();
        let place = shared.queue.place_for_new_run();
        new.claim_by = place.is_some().then_some(new.run.updated_at);
        let refused = match shared.storage.admit_run(scope, new).await {
            Ok(Admission::Refused(refusal)) => self.refusal(refusal),
            Err(error) => AdmitError::Storage(error),
            Ok(accepted) => {
                let run = self.take_over(accepted, place).await?;
                return Ok(Accepted { run, stream });
            }
        };
        shared.hub.close(run_id);
        Err(refused)
    }

    /// Begins a run that storage has accepted, or leaves it to the dispatcher; the run as its creator is answered.
    pub(crate) async fn take_over(
        &self,
        admission: Admission,
        place: Option<queue::Place>,
    ) -> Result<Run, AdmitError> {
        let (run, superseded) = match admission {
            Admission::Claimed(claimed, superseded) => (self.begin(*claimed, place), superseded),
            Admission::Queued(run, superseded) => {
                self.0.queue.run_was_queued(place.is_none());
                drop(place);
                (*run, superseded)
            }
            Admission::Refused(refusal) => return Err(self.refusal(refusal)),
        };
        let wish = CancelRequest::superseded_by(run.run_id, run.multitask_strategy);
        if let Some(wish) = wish {
            self.make_known(&superseded, &wish).await;
        }
        Ok(run)
    }

    /// Executes a run that was claimed as it was admitted; the run as its creator is answered.
    fn begin(&self, claimed: ClaimedRun, place: Option<queue::Place>) -> Run {
        let mut run = claimed.run.clone();
        // LangGraph answers with the run as it was accepted.
        run.status = RunStatus::Pending;
        if let Some(place) = place {
            self.execute(claimed, place);
        }
        run
    }

    pub(crate) fn refusal(&self, refusal: Refusal) -> AdmitError {
        match refusal {
            Refusal::NoThread => AdmitError::NotFound,
            Refusal::NoQuestion(question) => AdmitError::NoQuestion(question),
            Refusal::Busy => AdmitError::Busy,
            Refusal::TooManyPending => AdmitError::TooManyPending {
                limit: self.0.options.max_pending_runs,
            },
            Refusal::TooManyPendingOfOwner => AdmitError::TooManyPendingOfCaller {
                limit: self
                    .0
                    .options
                    .share
                    .map_or(0, |share| share.max_pending_runs),
            },
        }
    }
}

fn check(shared: &Shared, request: &CreateRun) -> Result<(), AdmitError> {
    if let AssistantRef::Graph(name) = &request.assistant
        && shared.graphs.get(name).is_none()
    {
        return Err(unknown_graph(shared, name));
    }
    let resumes = request.command.as_ref().is_some_and(|c| c.resume.is_some());
    if resumes && matches!(request.place, Place::Stateless { .. }) {
        return Err(AdmitError::ResumeWithoutThread);
    }
    let configurable = members(&request.config).swap_remove("configurable");
    if is_given(configurable.as_ref()) && is_given(request.context.as_ref()) {
        return Err(AdmitError::ConfigurableAndContext);
    }
    if let Some(url) = &request.webhook {
        let webhooks = &shared.webhooks;
        let judged = match request.cron_id {
            // A due time is tried until its run is accepted; that is when it counts.
            Some(_) => webhooks.would_accept(url),
            None => webhooks.check(url),
        };
        judged.map_err(AdmitError::Webhook)?;
    }
    Ok(())
}

fn unknown_graph(shared: &Shared, name: &str) -> AdmitError {
    AdmitError::UnknownGraph {
        name: name.to_owned(),
        graphs: shared.graphs.ids().collect::<Vec<_>>().join(", "),
    }
}

async fn find_assistant(
    shared: &Shared,
    scope: &Scope,
    wanted: &AssistantRef,
) -> Result<Assistant, AdmitError> {
    // Callers may have changed or deleted a graph's default assistant: what is stored counts.
    let id = match wanted {
        AssistantRef::Graph(name) => AssistantId::default_of(name),
        AssistantRef::Id(id) => *id,
    };
    let stored = shared.storage.assistant(scope, id).await?;
    let served = stored.filter(|found| shared.graphs.get(&found.graph_id).is_some());
    served.ok_or(AdmitError::NotFound)
}

/// A run from a checkpoint that does not exist would begin on an empty state and leave it as the thread's newest.
async fn check_checkpoint(
    shared: &Shared,
    scope: &Scope,
    request: &CreateRun,
) -> Result<(), AdmitError> {
    let (Some(checkpoint), Place::Thread { id, .. }) = (request.checkpoint_id, request.place)
    else {
        return Ok(());
    };
    let saved = shared
        .storage
        .checkpoint(scope, id, "", Some(checkpoint))
        .await?;
    match saved {
        Some(_) => Ok(()),
        None => Err(AdmitError::NoCheckpoint {
            thread: id,
            checkpoint,
        }),
    }
}

/// The metadata that the thread contributes to its runs.
async fn thread_metadata(shared: &Shared, scope: &Scope, place: Place) -> Result<Json, AdmitError> {
    let empty = || Json::object::<&str>([]);
    let Place::Thread { id, create } = place else {
        return Ok(empty());
    };
    match shared.storage.thread(scope, id, Values::Skip).await? {
        Some(thread) => Ok(thread.metadata),
        None if create => Ok(empty()),
        None => Err(AdmitError::NotFound),
    }
}
