//! A thread's history, newest first.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use selvedge_model::{Caller, ThreadId};

use crate::error::ApiResult;
use crate::request::{History, ObjectBody, PathIds, Query};
use crate::routes::Edge;
use crate::snapshot::Snapshot;
use crate::threads::missing;
use crate::who::Who;

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    query: Query,
) -> ApiResult<Response> {
    let thread = path.thread()?;
    read(&edge, &caller, thread, History::of_query(thread, &query)?).await
}

pub(crate) async fn post(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let thread = path.thread()?;
    read(&edge, &caller, thread, History::of_body(thread, &fields)?).await
}

async fn read(
    edge: &Edge,
    caller: &Caller,
    thread: ThreadId,
    asked: History,
) -> ApiResult<Response> {
    let states = edge.runtime.history(&caller.scope, asked.query).await?;
    let states = states.ok_or_else(|| missing(thread))?;
    let snapshot = |state| Snapshot::new(thread, state);
    let states: Vec<Snapshot<'_>> = states.iter().map(snapshot).collect();
    Ok(JsonBody(states).into_response())
}
