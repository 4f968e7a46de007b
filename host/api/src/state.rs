//! A thread's state at a checkpoint, in LangGraph's form, and its change from outside.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use selvedge_model::{CheckpointId, Json, ThreadId};
use selvedge_runtime::state::UpdateError;
use selvedge_runtime::threads::{TaskView, ThreadState};
use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::request::{ObjectBody, PathIds, StateChange, named_checkpoint};
use crate::routes::Edge;
use crate::threads::missing;

pub(crate) async fn newest(State(edge): State<Arc<Edge>>, path: PathIds) -> ApiResult<Response> {
    let thread = path.thread()?;
    let state = edge.runtime.thread_state(thread, None).await?;
    let state = state.ok_or_else(|| missing(thread))?;
    Ok(JsonBody(shown(thread, &state)).into_response())
}

pub(crate) async fn at_checkpoint(
    State(edge): State<Arc<Edge>>,
    path: PathIds,
) -> ApiResult<Response> {
    read_at(&edge, path.thread()?, path.checkpoint()?).await
}

/// As [`at_checkpoint`], for clients that have the checkpoint as an object.
pub(crate) async fn named(
    State(edge): State<Arc<Edge>>,
    path: PathIds,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let thread = path.thread()?;
    match named_checkpoint(&fields)? {
        Some(checkpoint) => read_at(&edge, thread, checkpoint).await,
        None => newest(State(edge), path).await,
    }
}

async fn read_at(edge: &Edge, thread: ThreadId, checkpoint: CheckpointId) -> ApiResult<Response> {
    let state = edge.runtime.thread_state(thread, Some(checkpoint)).await?;
    let state = state.ok_or_else(|| {
        ApiError::not_found(format!(
            "Checkpoint {checkpoint} not found on thread {thread}"
        ))
    })?;
    Ok(JsonBody(shown(thread, &state)).into_response())
}

pub(crate) async fn update(
    State(edge): State<Arc<Edge>>,
    path: PathIds,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let thread = path.thread()?;
    let change = StateChange::read(&fields)?;
    let made = edge
        .runtime
        .update_state(thread, change.at, &[change.update])
        .await?;
    if let Some(state) = edge.runtime.thread_state(thread, Some(made)).await? {
        let told = json!({"state": shown(thread, &state), "thread_id": thread});
        edge.runtime
            .tell_state_update(thread, Json::from(told))
            .await?;
    }
    let reference = json!({"thread_id": thread, "checkpoint_ns": "", "checkpoint_id": made});
    let answer = json!({"checkpoint": reference, "configurable": reference, "checkpoint_id": made});
    Ok(JsonBody(answer).into_response())
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        let status = match error {
            UpdateError::Storage(error) => return Self::from(error),
            UpdateError::NoThread(_) | UpdateError::NoCheckpoint { .. } => StatusCode::NOT_FOUND,
            UpdateError::NoGraph(_) | UpdateError::NotServed { .. } | UpdateError::Refused(_) => {
                StatusCode::BAD_REQUEST
            }
            UpdateError::Busy(_) | UpdateError::Contended(_) => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}

pub(crate) fn shown(thread: ThreadId, state: &ThreadState) -> Value {
    let view = &state.view;
    let checkpoint = state.saved.as_ref().map(|saved| &saved.checkpoint);
    let id = checkpoint.map(|c| c.id);
    let parent = checkpoint.and_then(|c| c.parent);
    let reference =
        |id: CheckpointId| json!({"checkpoint_id": id, "thread_id": thread, "checkpoint_ns": ""});
    json!({
        "values": view.values,
        "next": view.next,
        "tasks": view.tasks.iter().map(task).collect::<Vec<_>>(),
        "metadata": checkpoint.map(|_| &view.metadata),
        "created_at": checkpoint.map(|c| c.created_at),
        "checkpoint": id.map(reference),
        "parent_checkpoint": parent.map(reference),
        "interrupts": view.interrupts().collect::<Vec<_>>(),
        "checkpoint_id": id,
        "parent_checkpoint_id": parent,
    })
}

fn task(task: &TaskView) -> Value {
    json!({
        "id": task.id,
        "name": task.name,
        "path": task.path,
        "error": task.error_text(),
        "interrupts": task.interrupts,
        "checkpoint": null,
        "state": null,
        "result": task.result,
    })
}
