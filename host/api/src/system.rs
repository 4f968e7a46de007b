//! `/ok` and `/info`.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::error::ApiResult;
use crate::request::Query;
use crate::routes::Edge;

/// The version of LangGraph's server whose behaviour this one follows; Studio and SDKs look at it.
const API_VERSION: &str = "0.16.7";

pub(crate) async fn ok(State(edge): State<Arc<Edge>>, query: Query) -> ApiResult<Response> {
    if query.flag("check_db") {
        edge.reads.check().await?;
    }
    Ok(JsonBody(json!({"ok": true, "services": {}})).into_response())
}

pub(crate) async fn info() -> Response {
    JsonBody(json!({
        "version": API_VERSION,
        "langgraph_py_version": null,
        "selvedge_version": env!("CARGO_PKG_VERSION"),
        "flags": {
            "assistants": true,
            "crons": true,
            "langsmith": false,
            "langsmith_tracing_replicas": false,
            "langsmith_tracing_session_on_runs": false,
        },
        "host": {
            "kind": "self-hosted",
            "project_id": null,
            "host_revision_id": null,
            "revision_id": null,
            "tenant_id": null,
        },
    }))
    .into_response()
}
