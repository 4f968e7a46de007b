//! What became of webhooks, and delivering them again, which LangGraph does not have.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use selvedge_model::delivery::Attempt;
use selvedge_model::{Caller, DeliveryId};
use selvedge_runtime::deliveries::RedeliverError;
use selvedge_storage::DeliveryRecord;
use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::request::{ListDeliveries, ObjectBody, PathIds, RedeliverEnded};
use crate::routes::Edge;
use crate::search::pagination;
use crate::who::Who;

pub(crate) async fn of_run(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<Response> {
    let records = edge
        .reads
        .deliveries_of_run(&caller.scope, path.run()?)
        .await?;
    let shown: Vec<Value> = records.iter().map(in_full).collect();
    Ok(JsonBody(shown).into_response())
}

/// Each with its last attempt.
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ListDeliveries { query }: ListDeliveries,
) -> ApiResult<Response> {
    let offset = query.offset;
    let page = edge.reads.list_deliveries(&caller.scope, query).await?;
    // A page of large rows is short: the next one begins where this one ends.
    let rows = u32::try_from(page.rows.len()).unwrap_or(u32::MAX);
    let headers = pagination(offset, rows, page.rows.len(), page.more);
    let shown: Vec<Value> = page.rows.iter().map(in_short).collect();
    Ok((headers, JsonBody(shown)).into_response())
}

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<Response> {
    shown(&edge, &caller, path.delivery()?).await
}

pub(crate) async fn redeliver(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<Response> {
    let id = path.delivery()?;
    if !edge.runtime.redeliver(&caller.scope, id).await? {
        return Err(missing(id));
    }
    shown(&edge, &caller, id).await
}

pub(crate) async fn redeliver_ended(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let RedeliverEnded { statuses, since } = RedeliverEnded::read(&fields)?;
    let count = edge
        .runtime
        .redeliver_ended(&caller.scope, statuses, since)
        .await?;
    Ok(JsonBody(json!({"redelivered": count})).into_response())
}

async fn shown(edge: &Edge, caller: &Caller, id: DeliveryId) -> ApiResult<Response> {
    let record = edge.reads.delivery(&caller.scope, id).await?;
    let record = record.ok_or_else(|| missing(id))?;
    Ok(JsonBody(in_full(&record)).into_response())
}

fn missing(id: DeliveryId) -> ApiError {
    ApiError::not_found(format!("Delivery {id} not found"))
}

impl From<RedeliverError> for ApiError {
    fn from(error: RedeliverError) -> Self {
        match error {
            RedeliverError::Disabled => Self::new(StatusCode::CONFLICT, error.to_string()),
            RedeliverError::Storage(error) => Self::from(error),
        }
    }
}

fn in_full(record: &DeliveryRecord) -> Value {
    let mut shown = in_short(record);
    shown["attempts"] = record.attempts.iter().map(attempt).collect();
    shown
}

fn in_short(record: &DeliveryRecord) -> Value {
    json!({
        "delivery_id": record.id,
        "run_id": record.run_id,
        "thread_id": record.thread_id,
        "url": record.url,
        "status": record.status,
        "created_at": record.created_at,
        "next_attempt_at": record.next_attempt_at,
        "ended_at": record.ended_at,
        "attempt_count": record.attempt_count,
        "last_attempt": record.attempts.last().map(attempt),
    })
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "number": attempt.number,
        "at": attempt.at,
        "url": attempt.url,
        "address": attempt.address,
        "status": attempt.status,
        "duration_ms": attempt.duration.as_secs_f64() * 1000.0,
        "response": attempt.response,
        "error": attempt.error,
    })
}
