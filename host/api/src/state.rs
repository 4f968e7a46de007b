//! A thread's state at a checkpoint, in LangGraph's form, and its change from outside.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use selvedge_model::{Caller, Json, ThreadId};
use selvedge_runtime::state::{At, UpdateError};
use selvedge_runtime::threads::ThreadState;
use serde_json::json;

use crate::error::{ApiError, ApiResult};
use crate::request::{ObjectBody, PathIds, Query, StateChange, required_checkpoint};
use crate::routes::Edge;
use crate::snapshot::{Reference, Snapshot};
use crate::threads::missing;
use crate::who::Who;

pub(crate) async fn newest(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    query: Query,
) -> ApiResult<Response> {
    let newest = At::default();
    read_at(
        &edge,
        &caller,
        path.thread()?,
        &newest,
        query.flag("subgraphs"),
    )
    .await
}

pub(crate) async fn at_checkpoint(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    query: Query,
) -> ApiResult<Response> {
    let at = At {
        checkpoint: Some(path.checkpoint()?),
        ..At::default()
    };
    read_at(&edge, &caller, path.thread()?, &at, query.flag("subgraphs")).await
}

/// As [`at_checkpoint`], for clients that have the checkpoint as an object.
pub(crate) async fn named(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let thread = path.thread()?;
    let at = required_checkpoint(&fields)?;
    let inside = fields.boolean("subgraphs")?.unwrap_or(false);
    read_at(&edge, &caller, thread, &at, inside).await
}

async fn read_at(
    edge: &Edge,
    caller: &Caller,
    thread: ThreadId,
    at: &At,
    inside: bool,
) -> ApiResult<Response> {
    let state = edge
        .runtime
        .thread_state(&caller.scope, thread, &at.namespace, at.checkpoint, inside)
        .await?;
    let state = state.ok_or_else(|| match at.checkpoint {
        None => missing(thread),
        Some(checkpoint) => ApiError::not_found(format!(
            "Checkpoint {checkpoint} not found on thread {thread}"
        )),
    })?;
    Ok(JsonBody(Snapshot::new(thread, &state)).into_response())
}

pub(crate) async fn update(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let thread = path.thread()?;
    let change = StateChange::read(&fields)?;
    let made = edge
        .runtime
        .update_state(&caller.scope, thread, &change.at, &change.update, told)
        .await?;
    let made = Reference::of(thread, &made).map(|made| made.as_configuration());
    let id = made.as_ref().map(|made| made["checkpoint_id"].clone());
    let answer = json!({"checkpoint": made, "configurable": made, "checkpoint_id": id});
    Ok(JsonBody(answer).into_response())
}

/// An update, for those who watch the thread.
fn told(thread: ThreadId, state: &ThreadState) -> Json {
    Json::object([
        ("state", &Json::written(&Snapshot::new(thread, state))),
        ("thread_id", &Json::written(&thread)),
    ])
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        let status = match error {
            UpdateError::Storage(error) => return Self::from(error),
            UpdateError::NoThread(_) | UpdateError::NoCheckpoint { .. } => StatusCode::NOT_FOUND,
            UpdateError::NoGraph(_)
            | UpdateError::NotServed { .. }
            | UpdateError::NoSubgraph(_)
            | UpdateError::Refused(_) => StatusCode::BAD_REQUEST,
            UpdateError::TooMuch { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            UpdateError::Busy(_) | UpdateError::Contended(_) => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}
