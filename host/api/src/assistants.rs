//! Assistants: get and search.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue};
use selvedge_model::Json;
use selvedge_storage::{AssistantQuery, AssistantSort};

use crate::error::{ApiError, ApiResult};
use crate::request::{OptionalObjectBody, PathIds, Selection};
use crate::routes::Edge;

/// The members that `select` may name.
const SELECTABLE: [&str; 10] = [
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "created_at",
    "updated_at",
    "metadata",
    "version",
];

pub(crate) async fn get(State(edge): State<Arc<Edge>>, path: PathIds) -> ApiResult<Response> {
    let assistant = edge.reads.assistant(path.assistant()?).await?;
    let assistant = assistant.ok_or_else(|| ApiError::not_found("Not Found"))?;
    Ok(JsonBody(assistant).into_response())
}

pub(crate) async fn search(
    State(edge): State<Arc<Edge>>,
    OptionalObjectBody(fields): OptionalObjectBody,
) -> ApiResult<Response> {
    let sort = [
        ("assistant_id", AssistantSort::AssistantId),
        ("created_at", AssistantSort::CreatedAt),
        ("updated_at", AssistantSort::UpdatedAt),
        ("name", AssistantSort::Name),
        ("graph_id", AssistantSort::GraphId),
    ];
    let query = AssistantQuery {
        metadata: fields
            .json("metadata")
            .map(|_| fields.object("metadata"))
            .transpose()?,
        graph_id: fields.string("graph_id")?,
        name: fields.string("name")?,
        sort_by: fields.word("sort_by", &sort)?.unwrap_or_default(),
        descending: fields
            .word("sort_order", &[("asc", false), ("desc", true)])?
            .unwrap_or(true),
        limit: fields.integer("limit", 10, 1, 1000)?,
        offset: fields.integer("offset", 0, 0, i32::MAX as u32)?,
    };
    let select = selection(fields.strings("select")?)?;
    let (limit, offset) = (query.limit, query.offset);
    let page = edge.reads.search_assistants(query).await?;
    let headers = pagination(offset, limit, page.rows.len(), page.more);
    let rows: Vec<Json> = page
        .rows
        .iter()
        .map(|assistant| select.of(assistant))
        .collect();
    Ok((headers, JsonBody(rows)).into_response())
}

fn selection(select: Option<Vec<String>>) -> ApiResult<Selection> {
    Selection::new(select, &SELECTABLE).map_err(|unknown| {
        let quoted = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            names.join(", ")
        };
        let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
        ApiError::invalid(format!(
            "{} is not one of {}",
            quoted(&unknown),
            quoted(&SELECTABLE)
        ))
    })
}

/// LangGraph's pagination headers: the "total" is one more than what has been shown as long as there is more.
fn pagination(offset: u32, limit: u32, rows: usize, more: bool) -> HeaderMap {
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
