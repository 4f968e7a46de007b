//! The store: items by namespace and key, searched by their values.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use selvedge_model::item::FoundItem;
use serde::Serialize;
use serde_json::json;

use crate::error::ApiResult;
use crate::request::{DeleteItem, GetItem, ListNamespaces, ObjectBody, PutItem, SearchItems};
use crate::routes::Edge;
use crate::who::Who;

pub(crate) async fn put(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<StatusCode> {
    let PutItem(item) = PutItem::read(&fields)?;
    edge.runtime.put_item(&caller.scope, item).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    wanted: GetItem,
) -> ApiResult<Response> {
    let item = edge
        .runtime
        .item(&caller.scope, wanted.namespace, wanted.key, wanted.refresh)
        .await?;
    Ok(JsonBody(item).into_response())
}

pub(crate) async fn delete(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<StatusCode> {
    let item = DeleteItem::read(&fields)?;
    edge.runtime
        .delete_item(&caller.scope, item.namespace, item.key)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn search(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let SearchItems(search) = SearchItems::read(&fields)?;
    let found = edge.runtime.search_items(&caller.scope, search).await?;
    Ok(JsonBody(Items { items: found.rows }).into_response())
}

/// Written as it is, and not by way of a `Value`, which would round the numbers in the items.
#[derive(Serialize)]
struct Items {
    items: Vec<FoundItem>,
}

pub(crate) async fn namespaces(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let ListNamespaces(query) = ListNamespaces::read(&fields)?;
    let namespaces = edge.runtime.list_namespaces(&caller.scope, query).await?;
    Ok(JsonBody(json!({"namespaces": namespaces})).into_response())
}
