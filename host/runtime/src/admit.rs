//! Admission: from what a caller asked for to a run that is durable, or a refusal.
//!
//! Everything that can be refused is refused here and not later: unknown assistants, a webhook that the policy does
//! not allow, options that contradict each other. Storage then accepts the run in one transaction, and claims it for
//! this process at once when a place is free, so that nothing polls between admission and execution.

use indexmap::IndexMap;
use selvedge_model::assistant::Assistant;
use selvedge_model::run::{Durability, MultitaskStrategy, Run, RunKwargs, RunStatus};
use selvedge_model::{Json, RunId, ThreadId, Timestamp};
use selvedge_storage::{Admission, NewRun, ThreadNeed, Values};
use serde_json::json;

use crate::hub::Subscription;
use crate::request::{AdmitError, AssistantRef, CreateRun, Place};
use crate::{Runtime, Shared};

/// Members that callers cannot set in `configurable` and `context` (LangGraph's list).
pub(crate) const RESERVED_CONFIGURABLE: [&str; 13] = [
    "langgraph_auth_user",
    "langgraph_auth_user_id",
    "langgraph_auth_permissions",
    "langgraph_request_id",
    "__langsmith_project__",
    "__langsmith_example_id__",
    "__request_start_time_ms__",
    "__after_seconds__",
    "__otel_traceparent__",
    "__otel_tracestate__",
    "__dd_trace_headers__",
    "__pregel_node_finished",
    "__context_provided__",
];

/// Members that callers cannot set in metadata (LangGraph's list).
const RESERVED_METADATA: [&str; 5] = [
    "thread_id",
    "assistant_id",
    "run_id",
    "cron_id",
    "counters_since_delta_snapshot",
];

/// A run that was accepted.
pub struct Accepted {
    /// The run as it was stored.
    pub run: Run,
    /// Its stream from the very beginning.
    pub stream: Subscription,
}

type Members = IndexMap<String, Json>;

impl Runtime {
    /// Accepts a run, or says why not. When this answers `Ok`, the run is durable and will come to an end, whatever
    /// happens to this process.
    pub async fn create_run(&self, request: CreateRun) -> Result<Accepted, AdmitError> {
        let shared = &self.0;
        if shared.stopping() {
            return Err(AdmitError::ShuttingDown);
        }
        let assistant = find_assistant(shared, &request.assistant).await?;
        check(shared, &request)?;
        let (thread_metadata, thread_config) = thread_parts(shared, request.place).await?;
        check_checkpoint(shared, &request).await?;
        let now = Timestamp::now();
        let run = assemble(&request, &assistant, &thread_metadata, &thread_config, now);
        let thread = thread_need(&request, &assistant);
        // On a task of its own: a caller that goes away must not leave a claimed run that nobody executes.
        let runtime = self.clone();
        let admission = tokio::spawn(async move { runtime.admit(run, thread, now).await });
        admission.await.unwrap_or(Err(AdmitError::ShuttingDown))
    }

    async fn admit(
        &self,
        run: Run,
        thread: ThreadNeed,
        now: Timestamp,
    ) -> Result<Accepted, AdmitError> {
        let shared = &self.0;
        let run_id = run.run_id;
        // Opened before the run can start, so that its creator misses nothing.
        let stream = shared.hub.open(run_id, &shared.options).subscribe();
        let place = shared.queue.place_for_new_run();
        let admission = shared
            .storage
            .admit_run(NewRun {
                thread,
                reject_if_busy: run.multitask_strategy == MultitaskStrategy::Reject,
                claim_by: place.is_some().then_some(now),
                max_pending_runs: shared.options.max_pending_runs,
                run,
            })
            .await;
        let refused = match admission {
            Ok(Admission::Claimed(claimed)) => {
                let mut run = claimed.run.clone();
                // LangGraph answers with the run as it was accepted.
                run.status = RunStatus::Pending;
                if let Some(place) = place {
                    self.execute(*claimed, place);
                }
                return Ok(Accepted { run, stream });
            }
            Ok(Admission::Queued(run)) => {
                shared.queue.run_was_queued(place.is_none());
                drop(place);
                return Ok(Accepted { run: *run, stream });
            }
            Ok(Admission::NoThread) => AdmitError::NotFound,
            Ok(Admission::Busy) => AdmitError::Busy,
            Ok(Admission::TooManyPending) => AdmitError::TooManyPending {
                limit: shared.options.max_pending_runs,
            },
            Err(error) => AdmitError::Storage(error),
        };
        shared.hub.close(run_id);
        Err(refused)
    }
}

async fn find_assistant(shared: &Shared, wanted: &AssistantRef) -> Result<Assistant, AdmitError> {
    match wanted {
        AssistantRef::Graph(name) => match shared.graphs.get(name) {
            Some(graph) => Ok(graph.default_assistant.clone()),
            None => Err(AdmitError::UnknownGraph {
                name: name.clone(),
                graphs: shared.graphs.ids().collect::<Vec<_>>().join(", "),
            }),
        },
        AssistantRef::Id(id) => match shared.graphs.of_default_assistant(*id) {
            Some(graph) => Ok(graph.default_assistant.clone()),
            None => {
                let stored = shared.storage.assistant(*id).await?;
                let served = stored.filter(|found| shared.graphs.get(&found.graph_id).is_some());
                served.ok_or(AdmitError::NotFound)
            }
        },
    }
}

fn check(shared: &Shared, request: &CreateRun) -> Result<(), AdmitError> {
    let resumes = request.command.as_ref().is_some_and(|c| c.resume.is_some());
    if resumes && matches!(request.place, Place::Stateless { .. }) {
        return Err(AdmitError::ResumeWithoutThread);
    }
    let configurable = members(&request.config).swap_remove("configurable");
    let given = |json: &Option<Json>| json.as_ref().is_some_and(|j| !members(j).is_empty());
    if given(&configurable) && given(&request.context) {
        return Err(AdmitError::ConfigurableAndContext);
    }
    if let Some(url) = &request.webhook {
        shared.webhooks.check(url).map_err(AdmitError::Webhook)?;
    }
    Ok(())
}

/// A run from a checkpoint that does not exist would begin on an empty state and leave it as the thread's newest.
async fn check_checkpoint(shared: &Shared, request: &CreateRun) -> Result<(), AdmitError> {
    let (Some(checkpoint), Place::Thread { id, .. }) = (request.checkpoint_id, request.place)
    else {
        return Ok(());
    };
    let saved = shared.storage.checkpoint(id, "", Some(checkpoint)).await?;
    match saved {
        Some(_) => Ok(()),
        None => Err(AdmitError::NoCheckpoint {
            thread: id,
            checkpoint,
        }),
    }
}

/// The metadata and configuration that the thread contributes to its runs.
async fn thread_parts(shared: &Shared, place: Place) -> Result<(Json, Json), AdmitError> {
    let empty = || Json::from(json!({}));
    let Place::Thread { id, create } = place else {
        return Ok((empty(), empty()));
    };
    match shared.storage.thread(id, Values::Skip).await? {
        Some(thread) => Ok((thread.metadata, thread.config)),
        None if create => Ok((empty(), empty())),
        None => Err(AdmitError::NotFound),
    }
}

fn assemble(
    request: &CreateRun,
    assistant: &Assistant,
    thread_metadata: &Json,
    thread_config: &Json,
    now: Timestamp,
) -> Run {
    let run_id = RunId::new();
    let (thread_id, temporary) = match request.place {
        Place::Thread { id, .. } => (id, false),
        Place::Stateless { keep } => (ThreadId::new(), !keep),
    };
    let mut config = members(&assistant.config);
    let assistant_configurable = config.swap_remove("configurable").unwrap_or_default();
    config.extend(members(thread_config));
    config.swap_remove("configurable");
    let mut asked = members(&request.config);
    let asked_configurable = asked.swap_remove("configurable");
    let asked_metadata = asked.swap_remove("metadata");
    config.extend(asked);

    let metadata = run_metadata(request, assistant, thread_metadata, asked_metadata.as_ref());
    let context = context(request, assistant, asked_configurable.as_ref());
    let mut configurable = members(&assistant_configurable);
    configurable.extend(without(
        members(asked_configurable.as_ref().unwrap_or(&context)),
        &RESERVED_CONFIGURABLE,
    ));
    configurable.extend(facts(request, assistant, run_id, thread_id, now));
    if let Some(checkpoint) = request.checkpoint_id {
        configurable.insert(
            "checkpoint_id".into(),
            Json::string(&checkpoint.to_string()),
        );
    }
    config.insert("configurable".into(), Json::object(&configurable));
    config.insert("metadata".into(), metadata.clone());

    Run {
        run_id,
        thread_id,
        assistant_id: assistant.assistant_id,
        metadata,
        status: RunStatus::Pending,
        kwargs: RunKwargs {
            input: request.input.clone().unwrap_or_default(),
            command: request.command.clone(),
            config: Json::object(&config),
            context,
            stream_mode: request.stream_mode.clone(),
            interrupt_before: request.interrupt_before.clone(),
            interrupt_after: request.interrupt_after.clone(),
            webhook: request.webhook.clone(),
            feedback_keys: request.feedback_keys.clone(),
            temporary,
            subgraphs: request.stream_subgraphs,
            resumable: request.stream_resumable,
            checkpoint_during: request.durability != Durability::Exit,
            durability: request.durability,
        },
        multitask_strategy: request.multitask_strategy,
        created_at: now.after(request.after),
        updated_at: now,
    }
}

/// assistant ⊕ thread ⊕ config.metadata ⊕ request ⊕ what the server knows; later members win.
fn run_metadata(
    request: &CreateRun,
    assistant: &Assistant,
    thread: &Json,
    config: Option<&Json>,
) -> Json {
    let mut metadata = members(&assistant.metadata);
    metadata.extend(members(thread));
    metadata.extend(without(
        config.map(members).unwrap_or_default(),
        &RESERVED_METADATA,
    ));
    metadata.extend(without(members(&request.metadata), &RESERVED_METADATA));
    metadata.insert("graph_id".into(), Json::string(&assistant.graph_id));
    metadata.insert(
        "assistant_id".into(),
        Json::string(&assistant.assistant_id.to_string()),
    );
    Json::object(&metadata)
}

/// `context` and `configurable` mirror each other: giving one gives the other.
fn context(request: &CreateRun, assistant: &Assistant, configurable: Option<&Json>) -> Json {
    let mut context = members(&assistant.context);
    let asked = request.context.as_ref().or(configurable).map(members);
    context.extend(without(asked.unwrap_or_default(), &RESERVED_CONFIGURABLE));
    Json::object(&context)
}

/// The members of `configurable` that the server sets itself.
fn facts(
    request: &CreateRun,
    assistant: &Assistant,
    run_id: RunId,
    thread_id: ThreadId,
    now: Timestamp,
) -> [(String, Json); 11] {
    let member = |name: &str, value: serde_json::Value| (name.to_owned(), Json::from(value));
    [
        member("langgraph_auth_user", json!(null)),
        member("langgraph_auth_user_id", json!("")),
        member("langgraph_auth_permissions", json!([])),
        member("langgraph_request_id", json!(request.request_id)),
        member("__request_start_time_ms__", json!(now.as_millis())),
        member("__after_seconds__", json!(request.after.as_secs_f64())),
        member("run_id", json!(run_id)),
        member("thread_id", json!(thread_id)),
        member("graph_id", json!(assistant.graph_id)),
        member("assistant_id", json!(assistant.assistant_id)),
        member("user_id", json!("")),
    ]
}

fn thread_need(request: &CreateRun, assistant: &Assistant) -> ThreadNeed {
    let stamp = Json::from(json!({
        "graph_id": assistant.graph_id,
        "assistant_id": assistant.assistant_id,
    }));
    let asked = members(&request.config);
    let shared_members = asked
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "tags" | "recursion_limit"));
    let config = Json::object(shared_members);
    match request.place {
        Place::Thread { create: false, .. } => ThreadNeed::Existing {
            metadata: stamp,
            config,
        },
        Place::Thread { create: true, .. } | Place::Stateless { keep: true } => {
            let mut metadata = without(members(&request.metadata), &RESERVED_METADATA);
            metadata.extend(members(&stamp));
            ThreadNeed::Create {
                metadata: Json::object(&metadata),
                config,
            }
        }
        Place::Stateless { keep: false } => ThreadNeed::None,
    }
}

/// Metadata of a caller's, without the members that the server sets.
pub(crate) fn without_reserved(metadata: &Json) -> Json {
    Json::object(&without(members(metadata), &RESERVED_METADATA))
}

fn members(json: &Json) -> Members {
    json.members().unwrap_or_default()
}

fn without(mut members: Members, reserved: &[&str]) -> Members {
    members.retain(|name, _| !reserved.contains(&name.as_str()));
    members
}
