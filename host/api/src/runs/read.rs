//! `GET …/runs/{run}` and `GET /threads/{thread}/runs`.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use selvedge_model::Json;

use super::shown::Shown;
use crate::error::{ApiError, ApiResult};
use crate::request::{ListRuns, PathIds};
use crate::routes::Edge;
use crate::threads::missing;

pub(crate) async fn get(State(edge): State<Arc<Edge>>, path: PathIds) -> ApiResult<Response> {
    let (thread, run) = (path.thread_if_any()?, path.run()?);
    let run = edge.runtime.run(thread, run).await?;
    let run = run.ok_or_else(|| ApiError::not_found("Not Found"))?;
    Ok(JsonBody(Shown::from(&run)).into_response())
}

pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    ListRuns { query, select }: ListRuns,
) -> ApiResult<Response> {
    let thread = query.thread_id;
    let runs = edge.runtime.list_runs(query).await?;
    let runs = runs.ok_or_else(|| missing(thread))?;
    let shown: Vec<Json> = runs
        .iter()
        .map(|run| select.of(&Shown::from(run)))
        .collect();
    Ok(JsonBody(shown).into_response())
}
