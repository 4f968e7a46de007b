//! Threads: create, get, delete.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use selvedge_model::thread::{Thread, ThreadOutcome, ThreadStatus};
use selvedge_model::{Json, ThreadId, Timestamp};
use selvedge_runtime::state::Update;
use selvedge_storage::Insert;
use serde::Serialize;

use crate::error::{ApiError, ApiResult};
use crate::request::{OptionalObjectBody, PathIds, ThreadParts, parse_id, supersteps};
use crate::routes::Edge;

pub(crate) async fn create(
    State(edge): State<Arc<Edge>>,
    OptionalObjectBody(fields): OptionalObjectBody,
) -> ApiResult<Response> {
    let id = match fields.string("thread_id")? {
        Some(text) => parse_id(&text, "thread")?,
        None => ThreadId::new(),
    };
    if fields.json("ttl").is_some() {
        return Err(ApiError::unsupported("ttl"));
    }
    let supersteps = supersteps(&fields)?;
    let keep_existing = fields
        .word("if_exists", &[("raise", false), ("do_nothing", true)])?
        .unwrap_or(false);
    match edge
        .runtime
        .create_thread(id, fields.object("metadata")?)
        .await?
    {
        Insert::Created(_) if !supersteps.is_empty() => lead(&edge, id, &supersteps).await,
        Insert::Created(thread) => Ok(shown(&thread, false)),
        Insert::Exists(thread) if keep_existing => Ok(shown(&thread, false)),
        Insert::Exists(_) => Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("Thread with ID {id} already exists"),
        )),
    }
}

/// Leads a new thread through the super-steps that its creator asked for. When that cannot be, there is no thread
/// either, so that the caller can try again with the same id.
async fn lead(edge: &Edge, id: ThreadId, supersteps: &[Vec<Update>]) -> ApiResult<Response> {
    for updates in supersteps {
        if let Err(error) = edge.runtime.update_state(id, None, updates).await {
            edge.runtime.delete_thread(id).await?;
            return Err(error.into());
        }
    }
    let thread = edge.runtime.thread(id).await?.ok_or_else(|| missing(id))?;
    Ok(shown(&thread, false))
}

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    path: PathIds,
    ThreadParts { ttl }: ThreadParts,
) -> ApiResult<Response> {
    let id = path.thread()?;
    let thread = edge.runtime.thread(id).await?.ok_or_else(|| missing(id))?;
    Ok(shown(&thread, ttl))
}

pub(crate) async fn delete(State(edge): State<Arc<Edge>>, path: PathIds) -> ApiResult<Response> {
    let id = path.thread()?;
    if edge.runtime.delete_thread(id).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(missing(id))
    }
}

pub(crate) fn missing(id: ThreadId) -> ApiError {
    ApiError::not_found(format!("Thread with ID {id} not found"))
}

/// A thread as callers see it: `error` and `interrupts` appear once a run has ended on it.
#[derive(Serialize)]
struct Shown<'a> {
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
    /// Only when it was asked for, and then `null`: no thread has one in this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<()>,
}

fn shown(thread: &Thread, ttl: bool) -> Response {
    JsonBody(Shown {
        thread_id: thread.thread_id,
        created_at: thread.created_at,
        updated_at: thread.updated_at,
        state_updated_at: thread.state_updated_at,
        metadata: &thread.metadata,
        status: thread.status,
        config: &thread.config,
        values: thread.values.as_ref(),
        outcome: thread.outcome.as_ref(),
        ttl: ttl.then_some(()),
    })
    .into_response()
}
