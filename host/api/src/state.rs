//! A thread's state at a checkpoint, in LangGraph's form, and its change from outside.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use selvedge_model::{Caller, CheckpointId, Json, ThreadId};
use selvedge_runtime::state::UpdateError;
use selvedge_runtime::threads::ThreadState;
use serde_json::json;

use crate::error::{ApiError, ApiResult};
use crate::request::{NamedCheckpoint, ObjectBody, PathIds, StateChange};
use crate::routes::Edge;
use crate::snapshot::Snapshot;
use crate::threads::missing;
use crate::who::Who;

pub(crate) async fn newest(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<Response> {
    read_at(&edge, &caller, path.thread()?, "", None).await
}

pub(crate) async fn at_checkpoint(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<Response> {
    read_at(&edge, &caller, path.thread()?, "", Some(path.checkpoint()?)).await
}

/// As [`at_checkpoint`], for clients that have the checkpoint as an object.
pub(crate) async fn named(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let thread = path.thread()?;
    let checkpoint = NamedCheckpoint::required(&fields)?;
    read_at(&edge, &caller, thread, &checkpoint.namespace, checkpoint.id).await
}

async fn read_at(
    edge: &Edge,
    caller: &Caller,
    thread: ThreadId,
    namespace: &str,
    checkpoint: Option<CheckpointId>,
) -> ApiResult<Response> {
    let state = edge
        .runtime
        .thread_state(&caller.scope, thread, namespace, checkpoint)
        .await?;
    let state = state.ok_or_else(|| match checkpoint {
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
        .update_state(&caller.scope, thread, change.at, &change.update, told)
        .await?;
    let reference = json!({"thread_id": thread, "checkpoint_ns": "", "checkpoint_id": made});
    let answer = json!({"checkpoint": reference, "configurable": reference, "checkpoint_id": made});
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
            UpdateError::NoGraph(_) | UpdateError::NotServed { .. } | UpdateError::Refused(_) => {
                StatusCode::BAD_REQUEST
            }
            UpdateError::TooMuch { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            UpdateError::Busy(_) | UpdateError::Contended(_) => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}
