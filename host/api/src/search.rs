//! Finding and counting assistants and threads.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue};
use selvedge_model::Json;

use crate::error::ApiResult;
use crate::request::{ObjectBody, SearchAssistants, SearchThreads, thread_filter};
use crate::routes::Edge;
use crate::threads;
use crate::who::Who;

pub(crate) async fn assistants(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let SearchAssistants { query, select } = SearchAssistants::read(&fields)?;
    let (limit, offset) = (query.limit, query.offset);
    let page = edge.reads.search_assistants(&caller.scope, query).await?;
    let headers = pagination(offset, limit, page.rows.len(), page.more);
    let rows: Vec<Json> = page.rows.iter().map(|row| select.of(row)).collect();
    Ok((headers, JsonBody(rows)).into_response())
}

pub(crate) async fn count_assistants(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<JsonBody<u64>> {
    let SearchAssistants { query, .. } = SearchAssistants::read(&fields)?;
    Ok(JsonBody(
        edge.reads.count_assistants(&caller.scope, query).await?,
    ))
}

pub(crate) async fn threads(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let SearchThreads {
        query,
        select,
        extract,
    } = SearchThreads::read(&fields)?;
    let (limit, offset) = (query.limit, query.offset);
    let page = edge.runtime.search_threads(&caller.scope, query).await?;
    let headers = pagination(offset, limit, page.rows.len(), page.more);
    let rows: Vec<Json> = page
        .rows
        .iter()
        .map(|thread| {
            let row = select.of(&threads::shown(thread));
            extract.add_to(row, thread)
        })
        .collect();
    Ok((headers, JsonBody(rows)).into_response())
}

pub(crate) async fn count_threads(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<JsonBody<u64>> {
    let filter = thread_filter(&fields)?;
    Ok(JsonBody(
        edge.reads.count_threads(&caller.scope, filter).await?,
    ))
}

/// LangGraph's pagination headers: the "total" is one more than what has been shown as long as there is more.
pub(crate) fn pagination(offset: u32, limit: u32, rows: usize, more: bool) -> HeaderMap {
    let next = u64::from(offset) + u64::from(limit);
    let total = if more {
        next + 1
    } else {
        u64::from(offset) + rows as u64
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-pagination-total", HeaderValue::from(total));
    if more {
        headers.insert("x-pagination-next", HeaderValue::from(next));
    }
    headers
}
