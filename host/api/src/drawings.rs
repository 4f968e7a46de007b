//! What an assistant's graph looks like: its drawing, its schemas, its subgraphs.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use selvedge_model::{Caller, Json};
use selvedge_runtime::AssistantRef;
use selvedge_runtime::assistants::Drawing;
use selvedge_runtime::graphs::ServedGraph;
use serde_json::{Map, Value, json};

use crate::error::{ApiError, ApiResult};
use crate::request::{PathIds, Query};
use crate::routes::Edge;
use crate::who::Who;

/// The only route on which a graph's name stands for its default assistant.
pub(crate) async fn drawing(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    query: Query,
) -> ApiResult<JsonBody<Drawing>> {
    check_xray(query.get("xray").unwrap_or_default())?;
    let assistant = AssistantRef::parse(path.assistant_text());
    if let AssistantRef::Graph(name) = &assistant
        && edge.runtime.graphs().get(name).is_none()
    {
        path.assistant()?;
    }
    let served = graph(&edge, &caller, &assistant).await?;
    Ok(JsonBody(served.graph.drawing()))
}

/// How deep subgraphs are expanded: there are none yet, so that every depth gives the same.
fn check_xray(value: &str) -> ApiResult<()> {
    let is_switch = matches!(value.to_ascii_lowercase().as_str(), "" | "true" | "false");
    let is_depth = value.parse::<u32>().is_ok_and(|depth| depth > 0);
    if is_switch || is_depth {
        Ok(())
    } else {
        Err(ApiError::invalid("Invalid xray value"))
    }
}

pub(crate) async fn schemas(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<JsonBody<Value>> {
    let served = graph(&edge, &caller, &AssistantRef::Id(path.assistant()?)).await?;
    let schemas = &served.graph.description().schemas;
    // `configurable` and `context` mirror each other: what describes the one describes the other.
    let config = schemas.config.clone().or_else(|| schemas.context.clone());
    Ok(JsonBody(json!({
        "graph_id": served.id,
        "input_schema": schemas.input,
        "output_schema": schemas.output,
        "state_schema": schemas.state,
        "config_schema": config.unwrap_or_else(|| Json::object::<&str>([])),
        "context_schema": schemas.context,
    })))
}

/// No graph has subgraphs yet.
pub(crate) async fn subgraphs(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<JsonBody<Map<String, Value>>> {
    graph(&edge, &caller, &AssistantRef::Id(path.assistant()?)).await?;
    Ok(JsonBody(Map::new()))
}

async fn graph(
    edge: &Edge,
    caller: &Caller,
    assistant: &AssistantRef,
) -> ApiResult<Arc<ServedGraph>> {
    let served = edge.runtime.graph(&caller.scope, assistant).await?;
    served.ok_or_else(|| ApiError::not_found("Not Found"))
}
