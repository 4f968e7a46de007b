//! Whom a call is for, and who calls.

use std::sync::Arc;

use selvedge_model::assistant::Assistant;
use selvedge_model::{AssistantId, Caller, Json};
use selvedge_runtime::assistants::AssistantGraph;

use super::dialect::Dialect;
use super::rpc::{RpcError, RpcResult};
use crate::error::ApiError;
use crate::request::{Fields, parse_id};
use crate::routes::Edge;

/// An assistant, in front of someone who talks to it.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) edge: Arc<Edge>,
    pub(super) caller: Caller,
    pub(super) assistant: Assistant,
    pub(super) graph: AssistantGraph,
    pub(super) dialect: Dialect,
    /// Show the messages of the task alone, and not those before it in its conversation.
    pub(super) task_only: bool,
    pub(super) request_id: String,
}

/// The assistant of a path, and its graph; `None` when there is no such assistant.
pub(super) async fn find(
    edge: &Edge,
    caller: &Caller,
    assistant: &str,
) -> RpcResult<Option<(Assistant, AssistantGraph)>> {
    let id: AssistantId = parse_id(assistant, "assistant")?;
    let Some(found) = edge.reads.assistant(&caller.scope, id).await? else {
        return Ok(None);
    };
    let graph = edge.runtime.graph_of_assistant(&found).await;
    Ok(Some((found, graph.map_err(ApiError::from)?)))
}

pub(super) fn missing(assistant: &str) -> RpcError {
    RpcError::invalid(format!("Assistant '{assistant}' not found"))
}

impl Desk {
    /// Refuses what is said to a graph that holds no conversations.
    pub(super) fn must_converse(&self) -> RpcResult<()> {
        let input = Input::of(&self.graph);
        if input.converses() {
            return Ok(());
        }
        let quoted = |name: &String| format!("'{name}'");
        let known: Vec<String> = input.properties.iter().map(quoted).collect();
        Err(RpcError::invalid(format!(
            "Assistant '{}' (graph '{}') does not support A2A conversational messages. Graph input schema must include \
             a 'messages' field to accept text or file parts. Available input fields: [{}]",
            self.assistant.assistant_id,
            self.assistant.graph_id,
            known.join(", ")
        )))
    }
}

/// What a graph's input consists of, by its schema.
#[derive(Default)]
pub(super) struct Input {
    pub(super) properties: Vec<String>,
    pub(super) required: Vec<String>,
}

impl Input {
    pub(super) fn of(graph: &AssistantGraph) -> Self {
        let schema = graph.part.graph.description().schemas.input.as_ref();
        let Some(schema) = schema.and_then(Fields::of) else {
            return Self::default();
        };
        let properties = schema.json("properties").and_then(Json::members);
        Self {
            properties: properties.unwrap_or_default().into_keys().collect(),
            required: schema
                .strings("required")
                .ok()
                .flatten()
                .unwrap_or_default(),
        }
    }

    pub(super) fn converses(&self) -> bool {
        self.properties.iter().any(|name| name == "messages")
    }
}
