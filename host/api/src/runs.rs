//! Runs: create, stream, wait, get, list.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use selvedge_model::delivery::Attempt;
use selvedge_model::run::{
    Breakpoints, Command, Durability, MultitaskStrategy, Run, RunStatus, StreamMode,
};
use selvedge_model::{CheckpointId, RunId, ThreadId};
use selvedge_runtime::admit::Accepted;
use selvedge_runtime::{AssistantRef, CreateRun, Place};
use selvedge_storage::{DeliveryRecord, RunQuery};
use serde_json::{Value, json};

use crate::body::ObjectBody;
use crate::error::{ApiError, ApiResult};
use crate::fields::Fields;
use crate::routes::Edge;
use crate::threads::{missing, parse_id as parse_thread_id};
use crate::{sse, waiting};

/// The stream modes that this version speaks.
pub(crate) const STREAM_MODES: [StreamMode; 4] = [
    StreamMode::Values,
    StreamMode::Updates,
    StreamMode::MessagesTuple,
    StreamMode::Custom,
];

pub(crate) async fn create(
    State(edge): State<Arc<Edge>>,
    Path(thread): Path<String>,
    headers: HeaderMap,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let accepted = on_thread(&edge, &thread, &headers, &fields).await?;
    Ok(created(&accepted.run))
}

pub(crate) async fn stream(
    State(edge): State<Arc<Edge>>,
    Path(thread): Path<String>,
    headers: HeaderMap,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let accepted = on_thread(&edge, &thread, &headers, &fields).await?;
    let location = run_path(&accepted.run, "/stream");
    let filter = sse::Filter::of_run(&accepted.run);
    Ok(located(
        sse::response(accepted.stream, filter),
        &accepted.run,
        &location,
    ))
}

pub(crate) async fn wait(
    State(edge): State<Arc<Edge>>,
    Path(thread): Path<String>,
    headers: HeaderMap,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let accepted = on_thread(&edge, &thread, &headers, &fields).await?;
    let location = run_path(&accepted.run, "/join");
    Ok(located(
        waiting::response(accepted.stream).await,
        &accepted.run,
        &location,
    ))
}

pub(crate) async fn create_stateless(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let accepted = stateless(&edge, &headers, &fields).await?;
    Ok(created(&accepted.run))
}

pub(crate) async fn stream_stateless(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let accepted = stateless(&edge, &headers, &fields).await?;
    let location = run_path(&accepted.run, "/stream");
    let filter = sse::Filter::of_run(&accepted.run);
    Ok(located(
        sse::response(accepted.stream, filter),
        &accepted.run,
        &location,
    ))
}

pub(crate) async fn wait_stateless(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let accepted = stateless(&edge, &headers, &fields).await?;
    let location = run_path(&accepted.run, "/join");
    Ok(located(
        waiting::response(accepted.stream).await,
        &accepted.run,
        &location,
    ))
}

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Path((thread, run)): Path<(String, String)>,
) -> ApiResult<Response> {
    let (thread, run) = (parse_thread_id(&thread)?, parse_run_id(&run)?);
    found(edge.runtime.run(Some(thread), run).await?)
}

pub(crate) async fn get_stateless(
    State(edge): State<Arc<Edge>>,
    Path(run): Path<String>,
) -> ApiResult<Response> {
    let run = parse_run_id(&run)?;
    found(edge.runtime.run(None, run).await?)
}

pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Path(thread): Path<String>,
    RawQuery(query): RawQuery,
) -> ApiResult<Response> {
    let thread_id = parse_thread_id(&thread)?;
    let query = list_query(thread_id, query.as_deref().unwrap_or_default())?;
    let runs = edge.runtime.list_runs(query).await?;
    let runs = runs.ok_or_else(|| missing(thread_id))?;
    Ok(JsonBody(runs).into_response())
}

/// What became of a run's webhook.
pub(crate) async fn deliveries(
    State(edge): State<Arc<Edge>>,
    Path(run): Path<String>,
) -> ApiResult<Response> {
    let records = edge.reads.deliveries_of_run(parse_run_id(&run)?).await?;
    let shown: Vec<Value> = records.iter().map(shown_delivery).collect();
    Ok(JsonBody(shown).into_response())
}

fn shown_delivery(record: &DeliveryRecord) -> Value {
    let attempts: Vec<Value> = record.attempts.iter().map(shown_attempt).collect();
    json!({
        "delivery_id": record.id,
        "run_id": record.run_id,
        "url": record.url,
        "status": record.status,
        "created_at": record.created_at,
        "next_attempt_at": record.next_attempt_at,
        "attempts": attempts,
    })
}

fn shown_attempt(attempt: &Attempt) -> Value {
    json!({
        "number": attempt.number,
        "at": attempt.at,
        "url": attempt.url,
        "address": attempt.address,
        "status": attempt.status,
        "duration_ms": attempt.duration.as_secs_f64() * 1000.0,
        "response": attempt.response,
        "error": attempt.error,
    })
}

fn list_query(thread_id: ThreadId, query: &str) -> ApiResult<RunQuery> {
    let mut wanted = RunQuery {
        thread_id,
        status: None,
        limit: 10,
        offset: 0,
    };
    let number = |value: &str| {
        value.parse::<u32>().map_err(|_| {
            let text = format!("invalid literal for int() with base 10: '{value}'");
            ApiError::new(http::StatusCode::BAD_REQUEST, text)
        })
    };
    for (name, value) in query_pairs(query) {
        match name.as_str() {
            "limit" => wanted.limit = number(&value)?,
            "offset" => wanted.offset = number(&value)?,
            "status" => {
                let status: RunStatus = value
                    .parse()
                    .map_err(|()| ApiError::invalid(format!("{value:?} is not a run status")))?;
                wanted.status = Some(status);
            }
            _ => {}
        }
    }
    if !(1..=1000).contains(&wanted.limit) {
        return Err(ApiError::invalid("limit must be between 1 and 1000"));
    }
    Ok(wanted)
}

/// The pairs of a query string, decoded.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned()
}

pub(crate) fn parse_run_id(text: &str) -> ApiResult<RunId> {
    text.parse()
        .map_err(|_| ApiError::invalid("Invalid run ID: must be a UUID"))
}

async fn on_thread(
    edge: &Edge,
    thread: &str,
    headers: &HeaderMap,
    fields: &Fields,
) -> ApiResult<Accepted> {
    let id = thread
        .parse()
        .map_err(|_| ApiError::invalid("Invalid thread ID"))?;
    let create = fields
        .word("if_not_exists", &[("create", true), ("reject", false)])?
        .unwrap_or(false);
    let request = read(fields, headers, Place::Thread { id, create })?;
    Ok(edge.runtime.create_run(request).await?)
}

async fn stateless(edge: &Edge, headers: &HeaderMap, fields: &Fields) -> ApiResult<Accepted> {
    let keep = fields
        .word("on_completion", &[("keep", true), ("delete", false)])?
        .unwrap_or(false);
    let request = read(fields, headers, Place::Stateless { keep })?;
    Ok(edge.runtime.create_run(request).await?)
}

fn read(fields: &Fields, headers: &HeaderMap, place: Place) -> ApiResult<CreateRun> {
    refuse_what_comes_later(fields)?;
    let durability = [
        ("sync", Durability::Sync),
        ("async", Durability::Async),
        ("exit", Durability::Exit),
    ];
    let strategies = [
        ("reject", MultitaskStrategy::Reject),
        ("rollback", MultitaskStrategy::Rollback),
        ("interrupt", MultitaskStrategy::Interrupt),
        ("enqueue", MultitaskStrategy::Enqueue),
    ];
    let during = match fields.boolean("checkpoint_during")? {
        Some(false) => Durability::Exit,
        _ => Durability::Async,
    };
    Ok(CreateRun {
        assistant: AssistantRef::parse(&fields.required_string("assistant_id")?),
        place,
        input: fields.json("input").cloned(),
        command: command(fields)?,
        checkpoint_id: checkpoint(fields)?,
        metadata: fields.object("metadata")?,
        config: config(fields)?,
        context: fields
            .json("context")
            .map(|_| fields.object("context"))
            .transpose()?,
        webhook: webhook(fields)?,
        interrupt_before: fields
            .typed::<Breakpoints>("interrupt_before", "\"*\" or \"array\" of node names")?,
        interrupt_after: fields
            .typed::<Breakpoints>("interrupt_after", "\"*\" or \"array\" of node names")?,
        stream_mode: stream_modes(fields)?,
        stream_subgraphs: fields.boolean("stream_subgraphs")?.unwrap_or(false),
        stream_resumable: false,
        feedback_keys: fields.strings("feedback_keys")?,
        multitask_strategy: fields
            .word("multitask_strategy", &strategies)?
            .unwrap_or_default(),
        after: fields.seconds("after_seconds")?,
        durability: fields.word("durability", &durability)?.unwrap_or(during),
        request_id: Some(request_id(headers)),
    })
}

/// Options that would change what happens and that this version does not carry out are refused, not ignored.
fn refuse_what_comes_later(fields: &Fields) -> ApiResult<()> {
    let asked =
        |name: &str, value: &str| fields.json(name).is_some_and(|json| json.as_str() == value);
    let refused = [
        ("on_disconnect", "\"cancel\""),
        ("stream_resumable", "true"),
        ("multitask_strategy", "\"interrupt\""),
        ("multitask_strategy", "\"rollback\""),
    ];
    match refused.into_iter().find(|(name, value)| asked(name, value)) {
        Some((name, value)) => Err(ApiError::invalid(format!(
            "{name}: {value} is not supported by this version of Selvedge yet"
        ))),
        None => Ok(()),
    }
}

/// `config`, an object with the parts that LangGraph's schema types.
fn config(fields: &Fields) -> ApiResult<selvedge_model::Json> {
    let config = fields.object("config")?;
    if let Some(parts) = Fields::of(&config) {
        parts.strings("tags")?;
        parts.object("configurable")?;
        parts.object("metadata")?;
        parts.integer("recursion_limit", 1, 1, u32::MAX)?;
    }
    Ok(config)
}

fn command(fields: &Fields) -> ApiResult<Option<Command>> {
    // serde would read an array as a struct, member by member.
    fields.object("command")?;
    fields.typed("command", "\"object\" {update, resume, goto}")
}

fn webhook(fields: &Fields) -> ApiResult<Option<String>> {
    /// LangGraph's schema.
    const LONGEST: usize = 65_536;
    let url = fields.string("webhook")?;
    match url.as_deref().map(str::len) {
        Some(0) => Err(ApiError::invalid("webhook: \"\" should be non-empty")),
        Some(length) if length > LONGEST => Err(ApiError::invalid("webhook: is too long")),
        _ => Ok(url),
    }
}

fn checkpoint(fields: &Fields) -> ApiResult<Option<CheckpointId>> {
    let id = match (fields.string("checkpoint_id")?, fields.json("checkpoint")) {
        (Some(id), _) => Some(id),
        (None, Some(_)) => Fields::of(&fields.object("checkpoint")?)
            .unwrap_or_default()
            .string("checkpoint_id")?,
        (None, None) => None,
    };
    id.map(|id| {
        id.parse()
            .map_err(|_| ApiError::invalid("Invalid checkpoint ID: must be a UUID"))
    })
    .transpose()
}

fn stream_modes(fields: &Fields) -> ApiResult<Vec<StreamMode>> {
    let Some(asked) = fields.json("stream_mode") else {
        return Ok(vec![StreamMode::Values]);
    };
    let names: Vec<String> = match asked.decode::<String>() {
        Ok(one) => vec![one],
        Err(_) => asked.decode().map_err(|_| {
            ApiError::invalid("stream_mode: is neither a string nor an array of strings")
        })?,
    };
    names.iter().map(|name| stream_mode(name)).collect()
}

pub(crate) fn stream_mode(name: &str) -> ApiResult<StreamMode> {
    if let Some(mode) = STREAM_MODES.into_iter().find(|mode| mode.as_str() == name) {
        return Ok(mode);
    }
    let known = STREAM_MODES.map(StreamMode::as_str).join(", ");
    Err(ApiError::invalid(
        if StreamMode::ALL.iter().any(|mode| mode.as_str() == name) {
            format!(
                "stream_mode: {name:?} is not supported by this version of Selvedge yet; it has {known}"
            )
        } else {
            format!("stream_mode: {name:?} is not one of {known}")
        },
    ))
}

fn request_id(headers: &HeaderMap) -> String {
    headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}

fn found(run: Option<Run>) -> ApiResult<Response> {
    let run = run.ok_or_else(|| ApiError::not_found("Not Found"))?;
    Ok(JsonBody(run).into_response())
}

fn created(run: &Run) -> Response {
    let mut response = JsonBody(run).into_response();
    set(&mut response, header::CONTENT_LOCATION, &run_path(run, ""));
    response
}

/// Says where the run is, and where its outcome can be asked for again.
fn located(mut response: Response, run: &Run, location: &str) -> Response {
    set(&mut response, header::LOCATION, location);
    set(&mut response, header::CONTENT_LOCATION, &run_path(run, ""));
    response
}

/// The path of a run. A stateless one that is deleted when it ends has no thread that anyone could ask for.
fn run_path(run: &Run, rest: &str) -> String {
    if run.kwargs.temporary {
        format!("/runs/{}{rest}", run.run_id)
    } else {
        format!("/threads/{}/runs/{}{rest}", run.thread_id, run.run_id)
    }
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
