//! `GET …/runs/{run}` and `GET /threads/{thread}/runs`.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use selvedge_model::{Caller, Json, ThreadId};
use selvedge_storage::Values;

use super::shown::Shown;
use crate::error::{ApiError, ApiResult};
use crate::request::{ListRuns, PathIds};
use crate::routes::Edge;
use crate::threads::missing;
use crate::who::Who;

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<Response> {
    let (thread, run) = (path.thread_if_any()?, path.run()?);
    let found = edge.runtime.run(&caller.scope, thread, run).await?;
    let Some(run) = found else {
        return Err(nowhere(&edge, &caller, thread).await?);
    };
    Ok(JsonBody(Shown::from(&run)).into_response())
}

/// What is said of a run that is not there: whether its thread is missing too.
async fn nowhere(edge: &Edge, caller: &Caller, thread: Option<ThreadId>) -> ApiResult<ApiError> {
    if let Some(id) = thread
        && edge
            .reads
            .thread(&caller.scope, id, Values::Skip)
            .await?
            .is_none()
    {
        return Ok(missing(id));
    }
    Ok(ApiError::not_found("Not Found"))
}

pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ListRuns { query, select }: ListRuns,
) -> ApiResult<Response> {
    let thread = query.thread_id;
    let runs = edge.runtime.list_runs(&caller.scope, query).await?;
    let runs = runs.ok_or_else(|| missing(thread))?;
    let shown: Vec<Json> = runs
        .iter()
        .map(|run| select.of(&Shown::from(run)))
        .collect();
    Ok(JsonBody(shown).into_response())
}
