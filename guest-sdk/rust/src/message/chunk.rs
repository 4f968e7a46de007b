//! A piece of a message that is shown while it is made.

use serde::Serialize;
use serde_json::{Map, Value};

/// A piece of a message of the model, in LangChain's form. All pieces of one message have its id.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MessageChunk {
    /// What this piece adds to the text.
    pub content: String,
    additional_kwargs: Map<String, Value>,
    /// Facts about the answer, usually on the last piece.
    pub response_metadata: Map<String, Value>,
    r#type: &'static str,
    name: Option<String>,
    /// The message's id.
    pub id: String,
    tool_calls: [Value; 0],
    invalid_tool_calls: [Value; 0],
    /// Tokens used, usually on the last piece.
    pub usage_metadata: Option<Value>,
    /// What this piece adds to the tool calls.
    pub tool_call_chunks: Vec<ToolCallChunk>,
    /// `Some("last")` on the last piece.
    pub chunk_position: Option<&'static str>,
}

/// A piece of a tool call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolCallChunk {
    /// The tool, on the first piece.
    pub name: Option<String>,
    /// A piece of the arguments' JSON text.
    pub args: Option<String>,
    /// The call's id, on the first piece.
    pub id: Option<String>,
    /// Which call of the message this belongs to.
    pub index: u32,
    r#type: &'static str,
}

impl MessageChunk {
    /// A piece of text.
    pub fn text(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            content: text.into(),
            additional_kwargs: Map::new(),
            response_metadata: Map::new(),
            r#type: "AIMessageChunk",
            name: None,
            id: id.into(),
            tool_calls: [],
            invalid_tool_calls: [],
            usage_metadata: None,
            tool_call_chunks: Vec::new(),
            chunk_position: None,
        }
    }

    /// A piece of a tool call.
    pub fn tool_call(id: impl Into<String>, piece: ToolCallChunk) -> Self {
        Self {
            tool_call_chunks: vec![piece],
            ..Self::text(id, "")
        }
    }
}

impl ToolCallChunk {
    /// A piece of the call with this index.
    #[must_use]
    pub fn new(index: u32, id: Option<String>, name: Option<String>, args: Option<String>) -> Self {
        Self {
            name,
            args,
            id,
            index,
            r#type: "tool_call_chunk",
        }
    }
}
