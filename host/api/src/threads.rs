//! Threads: create, get, change, delete, copy, prune, measure.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use selvedge_model::thread::{Thread, ThreadOutcome, ThreadStatus, TtlStrategy};
use selvedge_model::{Json, ThreadId, Timestamp};
use selvedge_storage::{Insert, Prune, Usage};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{ApiError, ApiResult};
use crate::request::{
    ObjectBody, PathIds, Selection, ThreadParts, parse_id, supersteps, thread_ttl,
    wants_nothing_back,
};
use crate::routes::Edge;
use crate::who::Who;

pub(crate) async fn create(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let id = match fields.string("thread_id")? {
        Some(text) => parse_id(&text, "thread")?,
        None => ThreadId::new(),
    };
    let supersteps = supersteps(&fields)?;
    let keep_existing = fields
        .word("if_exists", &[("raise", false), ("do_nothing", true)])?
        .unwrap_or(false);
    match edge
        .runtime
        .create_thread(
            &caller.scope,
            id,
            fields.object("metadata")?,
            thread_ttl(&fields)?,
            supersteps,
        )
        .await?
    {
        Insert::Created(thread) => Ok(JsonBody(shown(&thread)).into_response()),
        Insert::Exists(thread) if keep_existing => Ok(JsonBody(shown(&thread)).into_response()),
        Insert::Exists(_) | Insert::Taken => Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("Thread with ID {id} already exists"),
        )),
    }
}

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    ThreadParts { ttl }: ThreadParts,
) -> ApiResult<Response> {
    let id = path.thread()?;
    let thread = edge
        .runtime
        .thread(&caller.scope, id)
        .await?
        .ok_or_else(|| missing(id))?;
    let ttl = ShownTtl::of(&thread).filter(|_| ttl);
    Ok(JsonBody(Shown {
        ttl,
        ..shown(&thread)
    })
    .into_response())
}

pub(crate) async fn delete(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<Response> {
    let id = path.thread()?;
    if edge.runtime.delete_thread(&caller.scope, id).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(missing(id))
    }
}

pub(crate) async fn patch(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    headers: HeaderMap,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let id = path.thread()?;
    let (metadata, ttl) = (fields.object_if_any("metadata")?, thread_ttl(&fields)?);
    let nothing = || ApiError::not_found("Not Found");
    if !edge
        .runtime
        .patch_thread(&caller.scope, id, metadata, ttl)
        .await?
    {
        return Err(nothing());
    }
    if wants_nothing_back(&headers) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let thread = edge
        .runtime
        .thread(&caller.scope, id)
        .await?
        .ok_or_else(nothing)?;
    Ok(JsonBody(shown(&thread)).into_response())
}

pub(crate) async fn copy(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<Response> {
    let original = path.thread()?;
    let copy = edge.runtime.copy_thread(&caller.scope, original).await?;
    let copy = copy.ok_or_else(|| missing(original))?;
    Ok(JsonBody(without_values().of(&shown(&copy))).into_response())
}

/// A copy's values have not been put together.
fn without_values() -> Selection {
    Selection::all_of(&[
        "thread_id",
        "created_at",
        "updated_at",
        "state_updated_at",
        "metadata",
        "status",
        "config",
        "error",
        "interrupts",
    ])
}

pub(crate) async fn prune(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<JsonBody<Value>> {
    let strategies = [
        ("delete", Prune::Delete),
        ("keep_latest", Prune::KeepLatest),
    ];
    let how = fields
        .word("strategy", &strategies)?
        .unwrap_or(Prune::Delete);
    let ids = fields
        .strings("thread_ids")?
        .ok_or_else(|| ApiError::invalid("\"thread_ids\" is a required property"))?;
    let ids: Vec<ThreadId> = ids
        .iter()
        .map(|id| parse_id(id, "thread"))
        .collect::<ApiResult<_>>()?;
    let pruned = edge.runtime.prune_threads(&caller.scope, ids, how).await?;
    Ok(JsonBody(json!({"pruned_count": pruned})))
}

pub(crate) async fn storage(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<JsonBody<Value>> {
    let id = path.thread()?;
    let taken = edge.reads.thread_storage(&caller.scope, id).await?;
    let taken = taken.ok_or_else(|| missing(id))?;
    let usage = |usage: Usage| json!({"count": usage.count, "bytes": usage.bytes});
    let (checkpoints, values, writes) = (
        taken.checkpoints,
        taken.channel_values,
        taken.pending_writes,
    );
    let by_channel: Map<String, Value> = taken
        .by_channel
        .into_iter()
        .map(|(name, u)| (name, json!({"versions": u.count, "bytes": u.bytes})))
        .collect();
    Ok(JsonBody(json!({
        "thread_id": id,
        "total_bytes": checkpoints.bytes + values.bytes + writes.bytes,
        "checkpoints": usage(checkpoints),
        "channel_values": {"count": values.count, "bytes": values.bytes, "by_channel": by_channel},
        "pending_writes": usage(writes),
    })))
}

pub(crate) fn missing(id: ThreadId) -> ApiError {
    ApiError::not_found(format!("Thread with ID {id} not found"))
}

/// A thread as callers see it: `error` and `interrupts` appear once a run has ended on it.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    thread_id: ThreadId,
    created_at: Timestamp,
    updated_at: Timestamp,
    state_updated_at: Timestamp,
    metadata: &'a Json,
    status: ThreadStatus,
    config: &'a Json,
    values: Option<&'a Json>,
    #[serde(flatten)]
    outcome: Option<&'a ThreadOutcome>,
    /// Only when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<ShownTtl>,
}

/// When a thread goes by itself.
#[derive(Serialize)]
struct ShownTtl {
    strategy: TtlStrategy,
    ttl_minutes: Json,
    expires_at: Timestamp,
}

impl ShownTtl {
    fn of(thread: &Thread) -> Option<Self> {
        thread.ttl.map(|ttl| Self {
            strategy: ttl.strategy,
            ttl_minutes: in_minutes(ttl.after),
            expires_at: thread.updated_at.after(ttl.after),
        })
    }
}

/// A whole number of minutes is written as one.
fn in_minutes(duration: Duration) -> Json {
    let whole = Duration::from_mins(duration.as_secs() / 60);
    if whole == duration {
        Json::written(&(duration.as_secs() / 60))
    } else {
        Json::written(&(duration.as_secs_f64() / 60.0))
    }
}

pub(crate) fn shown(thread: &Thread) -> Shown<'_> {
    Shown {
        thread_id: thread.thread_id,
        created_at: thread.created_at,
        updated_at: thread.updated_at,
        state_updated_at: thread.state_updated_at,
        metadata: &thread.metadata,
        status: thread.status,
        config: &thread.config,
        values: thread.values.as_ref(),
        outcome: thread.outcome.as_ref(),
        ttl: None,
    }
}
