//! A run to be created: what the routes, the headers and the bodies say, as one typed request.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::HeaderMap;
use http::request::Parts;
use selvedge_model::run::{Breakpoints, Durability, MultitaskStrategy, StreamMode};
use selvedge_model::{CheckpointId, Json, ThreadId};
use selvedge_runtime::Tracer;
use selvedge_runtime::{AssistantRef, CreateRun, Place};

use super::{ArrayBody, Fields, ObjectBody, PathIds, command, stream_modes};
use crate::error::{ApiError, ApiResult};
use crate::routes::Edge;

/// LangGraph's bound on the length of a webhook's URL; the policy's own is narrower.
const LONGEST_WEBHOOK: usize = 65_536;
/// The longest `x-request-id` that is taken over. It is stored with every checkpoint of the run.
const LONGEST_REQUEST_ID: usize = 256;

/// The body of `POST …/runs`, `…/runs/stream` or `…/runs/wait`, on a thread or without one.
pub(crate) struct NewRun(pub(crate) CreateRun);

/// The body of `POST /runs/batch`: runs without a thread.
pub(crate) struct NewRuns(pub(crate) Vec<CreateRun>);

impl FromRequest<Arc<Edge>> for NewRuns {
    type Rejection = ApiError;

    async fn from_request(request: Request, edge: &Arc<Edge>) -> Result<Self, ApiError> {
        let request_id = request_id(request.headers());
        let ArrayBody(items) = ArrayBody::from_request(request, edge).await?;
        let items = items.iter().enumerate();
        items
            .map(|(position, fields)| {
                let read = read(fields, None, request_id.clone());
                read.map_err(|error| error.of_item(position))
            })
            .collect::<ApiResult<_>>()
            .map(Self)
    }
}

impl FromRequest<Arc<Edge>> for NewRun {
    type Rejection = ApiError;

    async fn from_request(request: Request, edge: &Arc<Edge>) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let path = PathIds::from_request_parts(&mut parts, edge).await?;
        let thread = path
            .thread_if_any()
            .map_err(|_| ApiError::invalid("Invalid thread ID"))?;
        let request_id = request_id(&parts.headers);
        let request = Request::from_parts(parts, body);
        let ObjectBody(fields) = ObjectBody::from_request(request, edge).await?;
        read(&fields, thread, request_id).map(Self)
    }
}

/// By which the caller finds a request again.
pub(crate) struct RequestId(pub(crate) String);

impl FromRequestParts<Arc<Edge>> for RequestId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Edge>) -> Result<Self, ApiError> {
        Ok(Self(request_id(&parts.headers)))
    }
}

/// A run that a command of the event protocol asks for: it shows everything that the protocol tells of, and is kept.
pub(crate) fn protocol_run(
    params: &Fields,
    thread: ThreadId,
    request_id: String,
) -> ApiResult<CreateRun> {
    const READ: [&str; 6] = [
        "assistant_id",
        "input",
        "command",
        "config",
        "metadata",
        "langsmith_tracer",
    ];
    let mut run = read(&params.only(&READ), Some(thread), request_id)?;
    let strategy = ["multitask_strategy", "multitaskStrategy"]
        .into_iter()
        .find_map(|name| params.json(name));
    if let Some(strategy) = strategy {
        // One that there is not is no reason to refuse the run, as in LangGraph.
        run.multitask_strategy = strategy.decode().unwrap_or_default();
    }
    run.place = Place::Thread {
        id: thread,
        create: true,
    };
    run.stream_mode = vec![
        StreamMode::Values,
        StreamMode::Updates,
        StreamMode::MessagesTuple,
        StreamMode::Tools,
        StreamMode::Custom,
        StreamMode::Tasks,
        StreamMode::Checkpoints,
    ];
    run.stream_subgraphs = true;
    run.stream_resumable = true;
    run.event_protocol = true;
    Ok(run)
}

/// The caller's `x-request-id`, or a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=LONGEST_REQUEST_ID).contains(&id.len()))
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}

fn read(fields: &Fields, thread: Option<ThreadId>, request_id: String) -> ApiResult<CreateRun> {
    // What has no meaning without a thread is not even looked at there, as in LangGraph.
    let (place, multitask_strategy, checkpoint_id) = match thread {
        Some(id) => (
            Place::Thread {
                id,
                create: creates_thread(fields)?,
            },
            multitask_strategy(fields)?,
            checkpoint(fields)?,
        ),
        None => (
            Place::Stateless {
                keep: keeps_thread(fields)?,
            },
            MultitaskStrategy::default(),
            None,
        ),
    };
    Ok(CreateRun {
        assistant: AssistantRef::parse(&fields.required_string("assistant_id")?),
        place,
        input: fields.json("input").cloned(),
        command: command::of_body(fields)?,
        answers: Vec::new(),
        checkpoint_id,
        metadata: fields.object("metadata")?,
        config: run_config(fields)?,
        context: fields
            .json("context")
            .map(|_| fields.object("context"))
            .transpose()?,
        webhook: webhook(fields)?,
        interrupt_before: breakpoints(fields, "interrupt_before")?,
        interrupt_after: breakpoints(fields, "interrupt_after")?,
        stream_mode: stream_modes::of_body(fields)?,
        stream_subgraphs: fields.boolean("stream_subgraphs")?.unwrap_or(false),
        stream_resumable: fields.boolean("stream_resumable")?.unwrap_or(false),
        event_protocol: false,
        feedback_keys: fields.strings("feedback_keys")?,
        tracer: tracer(fields)?,
        multitask_strategy,
        after: fields.seconds("after_seconds")?,
        durability: durability(fields)?,
        cancel_on_disconnect: cancels_on_disconnect(fields)?,
        request_id: Some(request_id),
        cron_id: None,
    })
}

fn cancels_on_disconnect(fields: &Fields) -> ApiResult<bool> {
    let cancel = fields.word("on_disconnect", &[("cancel", true), ("continue", false)])?;
    Ok(cancel.unwrap_or(false))
}

fn creates_thread(fields: &Fields) -> ApiResult<bool> {
    let create = fields.word("if_not_exists", &[("create", true), ("reject", false)])?;
    Ok(create.unwrap_or(false))
}

fn keeps_thread(fields: &Fields) -> ApiResult<bool> {
    let keep = fields.word("on_completion", &[("keep", true), ("delete", false)])?;
    Ok(keep.unwrap_or(false))
}

pub(super) fn multitask_strategy(fields: &Fields) -> ApiResult<MultitaskStrategy> {
    let strategies = [
        ("reject", MultitaskStrategy::Reject),
        ("rollback", MultitaskStrategy::Rollback),
        ("interrupt", MultitaskStrategy::Interrupt),
        ("enqueue", MultitaskStrategy::Enqueue),
    ];
    let chosen = fields.word("multitask_strategy", &strategies)?;
    Ok(chosen.unwrap_or_default())
}

/// `durability`, or the older `checkpoint_during` in its absence.
pub(super) fn durability(fields: &Fields) -> ApiResult<Durability> {
    let words = [
        ("sync", Durability::Sync),
        ("async", Durability::Async),
        ("exit", Durability::Exit),
    ];
    let during = match fields.boolean("checkpoint_during")? {
        Some(false) => Durability::Exit,
        _ => Durability::Async,
    };
    Ok(fields.word("durability", &words)?.unwrap_or(during))
}

/// `config`, an object with the parts that LangGraph's schema types.
pub(crate) fn run_config(fields: &Fields) -> ApiResult<Json> {
    let parts = fields.fields("config")?;
    parts.strings("tags")?;
    parts.object("configurable")?;
    parts.object("metadata")?;
    parts.integer("recursion_limit", 1, 1, u32::MAX)?;
    let mut members = fields.object("config")?.members().unwrap_or_default();
    // A part that is null is one that is not there.
    members.retain(|_, part| !part.is_null());
    Ok(Json::object(&members))
}

pub(super) fn webhook(fields: &Fields) -> ApiResult<Option<String>> {
    let url = fields.string("webhook")?;
    match url.as_deref().map(str::len) {
        Some(0) => Err(ApiError::invalid("webhook: \"\" should be non-empty")),
        Some(length) if length > LONGEST_WEBHOOK => Err(ApiError::invalid("webhook: is too long")),
        _ => Ok(url),
    }
}

pub(super) fn breakpoints(fields: &Fields, name: &str) -> ApiResult<Option<Breakpoints>> {
    fields.typed(name, "\"*\" or \"array\" of node names")
}

fn tracer(fields: &Fields) -> ApiResult<Option<Tracer>> {
    let parts = fields.fields("langsmith_tracer")?;
    let tracer = Tracer {
        project_name: parts.string("project_name")?,
        example_id: parts.string("example_id")?,
    };
    Ok(fields.json("langsmith_tracer").map(|_| tracer))
}

/// The checkpoint to take up again, in any of its three spellings. It is its id that says which, since a run is always of
/// the graph as a whole: by a checkpoint of a graph inside it, a run begins at that of the whole which the map beside it
/// names, as in LangGraph.
fn checkpoint(fields: &Fields) -> ApiResult<Option<CheckpointId>> {
    let configurable = fields.fields("config")?.fields("configurable")?;
    let checkpoint = fields.fields("checkpoint")?;
    let mut of_whole = None;
    for place in [&checkpoint, &configurable] {
        let namespace = place.string("checkpoint_ns")?.unwrap_or_default();
        let map = place.fields("checkpoint_map")?;
        if !namespace.is_empty() && of_whole.is_none() {
            of_whole = map.string("")?;
        }
    }
    let mut ids = [fields, &checkpoint, &configurable].into_iter();
    let named = ids.find_map(|place| place.string("checkpoint_id").transpose());
    let id = match of_whole {
        Some(id) => Some(id),
        None => named.transpose()?,
    };
    let read = |id: String| {
        id.parse()
            .map_err(|_| ApiError::invalid("Invalid checkpoint ID"))
    };
    id.map(read).transpose()
}
