//! A thread's state at a checkpoint, in LangGraph's form.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use selvedge_model::{CheckpointId, ThreadId};
use selvedge_runtime::threads::{TaskView, ThreadState};
use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::request::PathIds;
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
    let (thread, checkpoint) = (path.thread()?, path.checkpoint()?);
    let state = edge.runtime.thread_state(thread, Some(checkpoint)).await?;
    let state = state.ok_or_else(|| {
        ApiError::not_found(format!(
            "Checkpoint {checkpoint} not found on thread {thread}"
        ))
    })?;
    Ok(JsonBody(shown(thread, &state)).into_response())
}

fn shown(thread: ThreadId, state: &ThreadState) -> Value {
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
