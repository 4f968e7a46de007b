//! `POST /internal/truncate`, which is there only under `selvedge dev`.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use selvedge_storage::Truncate;
use serde_json::json;

use crate::error::{ApiError, ApiResult};
use crate::request::ObjectBody;
use crate::routes::Edge;
use crate::who::Who;

/// Empties the tables that the body names; without any, none.
pub(crate) async fn truncate(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    if !caller.is_operator() {
        return Err(ApiError::forbidden());
    }
    let named = |name: &str| -> ApiResult<bool> { Ok(fields.boolean(name)?.unwrap_or(false)) };
    let what = Truncate {
        runs: named("runs")?,
        threads: named("threads")?,
        assistants: named("assistants")?,
        store: named("store")?,
        // LangGraph's server and its documentation differ in the number.
        checkpoints: named("checkpoint")? || named("checkpoints")?,
    };
    edge.runtime.truncate(what).await?;
    Ok(JsonBody(json!({"ok": true})).into_response())
}
