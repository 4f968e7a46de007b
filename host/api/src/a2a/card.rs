//! Agent cards: what an assistant can do, and where it is to be talked to.

use http::request::Parts;
use http::{HeaderValue, header};
use selvedge_model::assistant::Assistant;
use selvedge_runtime::assistants::AssistantGraph;
use serde_json::{Value, json};

use super::desk::Input;
use crate::routes::Edge;

/// The header by which a caller wants the messages of a task alone: `task`, else `context`.
pub(super) const HISTORY_SCOPE: &str = "langgraph-a2a-history-scope";

/// Where the caller reached this server, by what the caller said; a proxy in front that speaks TLS says so.
pub(super) fn base_url(edge: &Edge, head: &Parts) -> String {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let host = match head.uri.authority() {
        Some(authority) => authority.to_string(),
        None => head.headers.get(header::HOST).map(text).unwrap_or_default(),
    };
    let forwarded = head.headers.get("x-forwarded-proto").map(text);
    let encrypted = edge.options.tls.is_some() || forwarded.as_deref() == Some("https");
    let scheme = if encrypted { "https" } else { "http" };
    format!("{scheme}://{host}")
}

pub(super) fn of(base_url: &str, assistant: &Assistant, graph: &AssistantGraph) -> Value {
    const MODES: [&str; 2] = ["application/json", "text/plain"];
    let id = assistant.assistant_id;
    let url = format!("{base_url}/a2a/{id}");
    let name = &assistant.name;
    let description = match assistant.description.as_deref() {
        Some(description) if !description.is_empty() => description.to_owned(),
        _ => format!("{name} assistant"),
    };
    let input = Input::of(graph);
    json!({
        "name": name,
        "description": description,
        // What clients of 0.3 look at.
        "protocolVersion": "0.3.0",
        "url": url,
        "preferredTransport": "JSONRPC",
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
        ],
        "capabilities": {
            "streaming": true,
            "pushNotifications": false,
            "stateTransitionHistory": false,
            "extensions": [{
                "uri": "https://langchain.com/a2a/extensions/history-scope/v1",
                "description": "Choose task-only or full-context response history",
                "required": false,
                "params": {
                    "header": "LangGraph-A2A-History-Scope",
                    "values": ["context", "task"],
                    "default": "context",
                    "methods": ["SendMessage", "GetTask", "ListTasks"],
                },
            }],
        },
        "defaultInputModes": MODES,
        "defaultOutputModes": MODES,
        "skills": [{
            "id": format!("{id}-main"),
            "name": format!("{name} Capabilities"),
            "description": description,
            "tags": ["assistant", "langgraph"],
            "examples": [],
            "inputModes": MODES,
            "outputModes": MODES,
            "metadata": {
                "inputSchema": {
                    "required": input.required,
                    "properties": input.properties,
                    "supportsA2A": input.converses(),
                },
            },
        }],
        "version": env!("CARGO_PKG_VERSION"),
    })
}
