//! Crons: create, get, change, delete, find and count.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use selvedge_model::Json;
use selvedge_model::cron::Cron;

use crate::error::{ApiError, ApiResult};
use crate::request::{CreateCron, ObjectBody, PatchCron, PathIds, SearchCrons, cron_filter};
use crate::routes::Edge;
use crate::search::pagination;
use crate::who::Who;

pub(crate) async fn create(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    CreateCron(new): CreateCron,
) -> ApiResult<JsonBody<Cron>> {
    Ok(JsonBody(edge.runtime.create_cron(&caller, new).await?))
}

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<JsonBody<Cron>> {
    let cron = edge.reads.cron(&caller.scope, path.cron()?).await?;
    cron.map(JsonBody)
        .ok_or_else(|| ApiError::not_found("Not Found"))
}

pub(crate) async fn patch(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    PatchCron { id, patch }: PatchCron,
) -> ApiResult<JsonBody<Cron>> {
    let max_bytes = edge.options.max_body_bytes;
    let changed = edge
        .runtime
        .patch_cron(&caller.scope, id, &patch, max_bytes);
    Ok(JsonBody(changed.await?))
}

pub(crate) async fn delete(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<StatusCode> {
    match edge
        .runtime
        .delete_cron(&caller.scope, path.cron()?)
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found("Not Found")),
    }
}

pub(crate) async fn search(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let SearchCrons { query, select } = SearchCrons::read(&fields)?;
    let (limit, offset) = (query.limit, query.offset);
    let page = edge.reads.search_crons(&caller.scope, query).await?;
    let headers = pagination(offset, limit, page.rows.len(), page.more);
    let rows: Vec<Json> = page.rows.iter().map(|row| select.of(row)).collect();
    Ok((headers, JsonBody(rows)).into_response())
}

pub(crate) async fn count(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<JsonBody<u64>> {
    let filter = cron_filter(&fields)?;
    Ok(JsonBody(
        edge.reads.count_crons(&caller.scope, filter).await?,
    ))
}
