//! What became of a run's webhook: `GET /runs/{run}/deliveries`, which LangGraph does not have.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use selvedge_model::delivery::Attempt;
use selvedge_storage::DeliveryRecord;
use serde_json::{Value, json};

use crate::error::ApiResult;
use crate::request::PathIds;
use crate::routes::Edge;

pub(crate) async fn deliveries(
    State(edge): State<Arc<Edge>>,
    path: PathIds,
) -> ApiResult<Response> {
    let records = edge.reads.deliveries_of_run(path.run()?).await?;
    let shown: Vec<Value> = records.iter().map(delivery).collect();
    Ok(JsonBody(shown).into_response())
}

fn delivery(record: &DeliveryRecord) -> Value {
    let attempts: Vec<Value> = record.attempts.iter().map(attempt).collect();
    json!({
        "delivery_id": record.id,
        "run_id": record.run_id,
        "url": record.url,
        "status": record.status,
        "created_at": record.created_at,
        "next_attempt_at": record.next_attempt_at,
        "attempts": attempts,
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
