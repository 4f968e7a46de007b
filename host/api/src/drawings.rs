//! What an assistant's graph looks like: its drawing, its schemas, its subgraphs.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use selvedge_model::Caller;
use selvedge_runtime::AssistantRef;
use selvedge_runtime::assistants::{AssistantGraph, Drawing};
use selvedge_runtime::graphs::Part;
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
    let depth = xray(query.get("xray").unwrap_or_default())?;
    let assistant = AssistantRef::parse(path.assistant_text());
    if let AssistantRef::Graph(name) = &assistant
        && edge.runtime.graphs().get(name).is_none()
    {
        path.assistant()?;
    }
    let graph = graph(&edge, &caller, &assistant).await?;
    Ok(JsonBody(edge.runtime.drawing(&graph, depth).await?))
}

/// How deep graphs inside the graph are opened: not at all, a number of levels, or all the way.
fn xray(value: &str) -> ApiResult<usize> {
    match value.to_ascii_lowercase().as_str() {
        "" | "false" => Ok(0),
        "true" => Ok(usize::MAX),
        depth => match depth.parse::<u32>() {
            Ok(depth @ 1..) => Ok(usize::try_from(depth).unwrap_or(usize::MAX)),
            _ => Err(ApiError::invalid("Invalid xray value")),
        },
    }
}

pub(crate) async fn schemas(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<JsonBody<Map<String, Value>>> {
    let graph = graph(&edge, &caller, &AssistantRef::Id(path.assistant()?)).await?;
    let mut shown = Map::from_iter([("graph_id".to_owned(), json!(graph.graph_id))]);
    shown.extend(schemas_of(&graph.part));
    Ok(JsonBody(shown))
}

fn schemas_of(part: &Part) -> Map<String, Value> {
    let schemas = &part.graph.description().schemas;
    // `configurable` and `context` mirror each other: what describes the one describes the other.
    let config = schemas.config.clone().or_else(|| schemas.context.clone());
    let members = [
        ("input_schema", json!(schemas.input)),
        ("output_schema", json!(schemas.output)),
        ("state_schema", json!(schemas.state)),
        (
            "config_schema",
            config.map_or_else(|| json!({}), |config| json!(config)),
        ),
        ("context_schema", json!(schemas.context)),
    ];
    let owned = members.map(|(name, schema)| (name.to_owned(), schema));
    owned.into_iter().collect()
}

/// The schemas of the graphs that nodes stand for: of the assistant's own nodes, and with `recurse` of those within, too.
/// A path of nodes selects one.
pub(crate) async fn subgraphs(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    query: Query,
) -> ApiResult<JsonBody<Map<String, Value>>> {
    let graph = graph(&edge, &caller, &AssistantRef::Id(path.assistant()?)).await?;
    let depth = if query.flag("recurse") { usize::MAX } else { 1 };
    let inside = edge.runtime.subgraphs(&graph, depth).await?;
    let wanted = path.namespace();
    let shown = inside
        .into_iter()
        .filter(|(path, _)| wanted.is_none_or(|wanted| wanted == path))
        .map(|(path, part)| (path, Value::Object(schemas_of(&part))));
    Ok(JsonBody(shown.collect()))
}

async fn graph(
    edge: &Edge,
    caller: &Caller,
    assistant: &AssistantRef,
) -> ApiResult<AssistantGraph> {
    let graph = edge.runtime.graph(&caller.scope, assistant).await?;
    graph.ok_or_else(|| ApiError::not_found("Not Found"))
}
