//! From a request and what it refers to, to the run as it is stored: which metadata, configuration and context win.

use std::time::Duration;

use indexmap::IndexMap;
use selvedge_model::assistant::Assistant;
use selvedge_model::run::{Durability, Run, RunKwargs, RunStatus};
use selvedge_model::thread::Ttl;
use selvedge_model::{Caller, Identity, Json, RunId, ThreadId, Timestamp};
use selvedge_storage::ThreadNeed;
use serde_json::{Value, json};

use super::request::{CreateRun, Place};

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
    CONTEXT_PROVIDED,
];

/// Says in `configurable` that it mirrors a `context` that the caller gave, and not the other way round.
pub(crate) const CONTEXT_PROVIDED: &str = "__context_provided__";

/// Tells a graph which cron its run is of.
pub(crate) const CRON_ID: &str = "cron_id";

/// What graphs find in `configurable` of their run, beside what callers set and the members above.
pub(crate) const FACTS: [&str; 7] = [
    "run_id",
    "thread_id",
    "graph_id",
    "assistant_id",
    "user_id",
    CRON_ID,
    "checkpoint_id",
];

/// Members that callers cannot set in metadata (LangGraph's list).
const RESERVED_METADATA: [&str; 5] = [
    "thread_id",
    "assistant_id",
    "run_id",
    "cron_id",
    "counters_since_delta_snapshot",
];

pub(crate) type Members = IndexMap<String, Json>;

/// The run that a request asks for.
pub(crate) fn assemble(
    caller: &Caller,
    request: &CreateRun,
    assistant: &Assistant,
    thread_metadata: &Json,
    now: Timestamp,
) -> Run {
    let run_id = RunId::new();
    let (thread_id, temporary) = match request.place {
        Place::Thread { id, .. } => (id, false),
        Place::Stateless { keep } => (ThreadId::new(), !keep),
    };
    let mut config = members(&assistant.config);
    let assistant_configurable = config.shift_remove("configurable");
    let mut asked = members(&request.config);
    let asked_configurable = asked.shift_remove("configurable");
    let asked_metadata = asked.shift_remove("metadata");
    config.extend(asked);

    let metadata = run_metadata(request, assistant, thread_metadata, asked_metadata.as_ref());
    let context = context(request, assistant, asked_configurable.as_ref());
    let mut configurable = assistant_configurable
        .as_ref()
        .map_or_else(Members::new, members);
    configurable.extend(without(
        members(asked_configurable.as_ref().unwrap_or(&context)),
        &RESERVED_CONFIGURABLE,
    ));
    if is_given(request.context.as_ref()) {
        configurable.insert(CONTEXT_PROVIDED.into(), Json::from(json!(true)));
    }
    configurable.extend(facts(caller, request, assistant, run_id, thread_id, now));
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
            input: request.input.clone().unwrap_or_else(Json::null),
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
            event_protocol: request.event_protocol,
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
        config.map_or_else(Members::new, members),
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
    let asked = request.context.as_ref().or(configurable);
    let asked = asked.map_or_else(Members::new, members);
    context.extend(without(asked, &RESERVED_CONFIGURABLE));
    Json::object(&context)
}

/// The members of `configurable` that the server sets itself.
fn facts(
    caller: &Caller,
    request: &CreateRun,
    assistant: &Assistant,
    run_id: RunId,
    thread_id: ThreadId,
    now: Timestamp,
) -> Members {
    let identity = caller.scope.owner().map_or("", Identity::as_str);
    let mut facts = vec![
        ("langgraph_auth_user", user(caller)),
        ("langgraph_auth_user_id", json!(identity)),
        (
            "langgraph_auth_permissions",
            json!(caller.permissions.as_ref()),
        ),
        ("langgraph_request_id", json!(request.request_id)),
    ];
    if let Some(tracer) = &request.tracer {
        facts.push(("__langsmith_project__", json!(tracer.project_name)));
        facts.push(("__langsmith_example_id__", json!(tracer.example_id)));
    }
    if let Some(cron) = request.cron_id {
        facts.push((CRON_ID, json!(cron)));
    }
    facts.extend([
        ("__request_start_time_ms__", json!(now.as_millis())),
        ("__after_seconds__", seconds(request.after)),
        ("run_id", json!(run_id)),
        ("thread_id", json!(thread_id)),
        ("graph_id", json!(assistant.graph_id)),
        ("assistant_id", json!(assistant.assistant_id)),
        ("user_id", json!(identity)),
    ]);
    let member = |(name, value): (&str, Value)| (name.to_owned(), Json::from(value));
    facts.into_iter().map(member).collect()
}

/// What graphs are told of whoever asks; `null` where nobody had to say who they are.
fn user(caller: &Caller) -> Value {
    let Some(identity) = caller.scope.owner().map(Identity::as_str) else {
        return Value::Null;
    };
    json!({
        "identity": identity,
        "is_authenticated": true,
        "display_name": identity,
        "permissions": caller.permissions.as_ref(),
    })
}

/// A whole number of seconds is written as one.
fn seconds(duration: Duration) -> Value {
    match duration.subsec_nanos() {
        0 => json!(duration.as_secs()),
        _ => json!(duration.as_secs_f64()),
    }
}

/// What the run needs of its thread, and what it leaves there for later runs.
pub(crate) fn thread_need(
    request: &CreateRun,
    assistant: &Assistant,
    default_ttl: Option<Ttl>,
) -> ThreadNeed {
    let stamp = Json::from(json!({
        "graph_id": assistant.graph_id,
        "assistant_id": assistant.assistant_id,
    }));
    let config = Json::object(&last_config(request, assistant));
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
                ttl: default_ttl,
            }
        }
        Place::Stateless { keep: false } => ThreadNeed::None,
    }
}

/// What a thread says of how its newest run was configured: `configurable` as far as it came from the assistant.
fn last_config(request: &CreateRun, assistant: &Assistant) -> Members {
    let mut config = members(&assistant.config);
    let configurable = config.shift_remove("configurable");
    config.extend(members(&request.config));
    config.retain(|name, _| matches!(name.as_str(), "tags" | "recursion_limit" | "metadata"));
    if let Some(metadata) = config.get_mut("metadata") {
        *metadata = without_reserved(metadata);
    }
    let configurable = configurable.unwrap_or_else(|| Json::object::<&str>([]));
    config.insert("configurable".into(), configurable);
    config
}

/// Metadata of a caller's, without the members that the server sets.
pub(crate) fn without_reserved(metadata: &Json) -> Json {
    Json::object(&without(members(metadata), &RESERVED_METADATA))
}

/// The members of what the edge or storage knows to be an object.
pub(crate) fn members(json: &Json) -> Members {
    debug_assert!(json.is_object(), "not an object: {json}");
    json.members().unwrap_or_default()
}

/// Whether a caller gave an object with anything in it.
pub(crate) fn is_given(object: Option<&Json>) -> bool {
    object.is_some_and(|object| !members(object).is_empty())
}

pub(crate) fn without(mut members: Members, reserved: &[&str]) -> Members {
    members.retain(|name, _| !reserved.contains(&name.as_str()));
    members
}
