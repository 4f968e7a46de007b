//! Chat messages: written in LangChain's form, read in that and in OpenAI's.

mod chunk;
mod read;
mod tool_call;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

pub use chunk::{MessageChunk, ToolCallChunk};
pub use tool_call::{InvalidToolCall, ToolCall};

use crate::ids;

/// A message of a conversation.
///
/// The constructors give it an id that comes from the running task (see [`Message::id`]); outside a node it has
/// none, and the host gives it one when it enters the state. Members that have no field here are kept in `extra`.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// By this `add_messages` knows whether a message is new or replaces one. It is the same when the node is done
    /// again after an interrupt.
    pub id: Option<String>,
    /// The speaker's name, where there are several; the tool's name for a tool's message.
    pub name: Option<String>,
    /// What the model wants done.
    pub tool_calls: Vec<ToolCall>,
    /// For a tool's message: the call that it answers.
    pub tool_call_id: Option<String>,
    /// Everything else, as it was read: `additional_kwargs`, `response_metadata`, `usage_metadata`, `status`, …
    pub extra: Map<String, Value>,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A person.
    Human,
    /// The model.
    Ai,
    /// Instructions for the model.
    System,
    /// A tool's result.
    Tool,
    /// Not a message: `add_messages` removes the one with this id.
    Remove,
    /// Another type of LangChain's.
    Other(String),
}

impl Role {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Human => "human",
            Self::Ai => "ai",
            Self::System => "system",
            Self::Tool => "tool",
            Self::Remove => "remove",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for Role {
    fn from(name: &str) -> Self {
        match name {
            "human" | "user" | "HumanMessage" | "HumanMessageChunk" => Self::Human,
            "ai" | "assistant" | "AIMessage" | "AIMessageChunk" => Self::Ai,
            "system" | "developer" | "SystemMessage" | "SystemMessageChunk" => Self::System,
            "tool" | "ToolMessage" | "ToolMessageChunk" => Self::Tool,
            "remove" | "RemoveMessage" => Self::Remove,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What a message says: a text, or content blocks (text, images, …), which are kept as they are.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Content {
    /// A text.
    Text(String),
    /// Content blocks: `{"type": "text", "text": …}`, `{"type": "image_url", …}`, …
    Blocks(Vec<Value>),
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Cow<'_, str>> for Content {
    fn from(text: Cow<'_, str>) -> Self {
        Self::Text(text.into_owned())
    }
}

impl From<Vec<Value>> for Content {
    fn from(blocks: Vec<Value>) -> Self {
        Self::Blocks(blocks)
    }
}

impl Message {
    fn new(role: Role, content: Content, id: Option<String>) -> Self {
        Self {
            role,
            content,
            id,
            name: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            extra: Map::new(),
        }
    }

    /// What a person says.
    pub fn human(content: impl Into<Content>) -> Self {
        Self::new(Role::Human, content.into(), ids::next())
    }

    /// What the model says. After [`Context::emit_token`](crate::Context::emit_token) this is the whole message: it
    /// takes the id under which the tokens were shown.
    pub fn ai(content: impl Into<Content>) -> Self {
        Self::new(Role::Ai, content.into(), ids::take_open())
    }

    /// Instructions for the model.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content.into(), ids::next())
    }

    /// The result of a tool call.
    #[must_use]
    pub fn tool_result(call: &ToolCall, content: impl Into<Content>) -> Self {
        let mut message = Self::new(Role::Tool, content.into(), ids::next());
        message.name = Some(call.name.clone());
        message.tool_call_id.clone_from(&call.id);
        message
    }

    /// The failure of a tool call, as the model sees it.
    #[must_use]
    pub fn tool_error(call: &ToolCall, content: impl Into<Content>) -> Self {
        let mut message = Self::tool_result(call, content);
        message.extra.insert("status".to_owned(), "error".into());
        message
    }

    /// Removes the message with this id from an `add_messages` channel.
    pub fn remove(id: impl Into<String>) -> Self {
        Self::new(Role::Remove, Content::Text(String::new()), Some(id.into()))
    }

    /// The same message under another id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The same message with a speaker's name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same message with tool calls.
    #[must_use]
    pub fn with_tool_calls(mut self, calls: impl IntoIterator<Item = ToolCall>) -> Self {
        self.tool_calls = calls.into_iter().collect();
        self
    }

    /// The text; of content blocks, the text of the text blocks one after another.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match &self.content {
            Content::Text(text) => Cow::Borrowed(text),
            Content::Blocks(blocks) => blocks
                .iter()
                .filter_map(block_text)
                .collect::<String>()
                .into(),
        }
    }
}

fn block_text(block: &Value) -> Option<&str> {
    match block {
        Value::String(text) => Some(text),
        block => block.get("text").and_then(Value::as_str),
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.role.as_str())?;
        map.serialize_entry("content", &self.content)?;
        if let Some(id) = &self.id {
            map.serialize_entry("id", id)?;
        }
        if let Some(name) = &self.name {
            map.serialize_entry("name", name)?;
        }
        if !self.tool_calls.is_empty() || self.role == Role::Ai {
            map.serialize_entry("tool_calls", &self.tool_calls)?;
        }
        if let Some(call) = &self.tool_call_id {
            map.serialize_entry("tool_call_id", call)?;
        }
        for (key, value) in &self.extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl JsonSchema for Message {
    fn schema_name() -> Cow<'static, str> {
        "Message".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // As a text it is a fifth of the code that `json_schema!` would make of it.
        serde_json::from_str(include_str!("message/schema.json")).expect("the schema is JSON")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Message {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn langchains_form_comes_out_as_it_went_in() {
        let form = json!({
            "type": "ai", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}], "id": "1",
            "tool_calls": [{"name": "add", "args": {"a": 1}, "id": "c", "type": "tool_call"}],
            "additional_kwargs": {}, "response_metadata": {"model": "m"}, "usage_metadata": null,
        });
        let message = read(form.clone());
        assert_eq!(message.text(), "Hello");
        assert_eq!(serde_json::to_value(&message).unwrap(), form);
    }

    #[test]
    fn openais_form_is_read() {
        let message = read(json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{\"a\": 1}"}}
        ]}));
        assert_eq!(message.role, Role::Ai);
        assert_eq!(
            message.tool_calls,
            [ToolCall::new("add", json!({"a": 1})).with_id("c")]
        );
        assert_eq!(
            read(json!({"role": "user", "content": "hi"})).role,
            Role::Human
        );
    }

    #[test]
    fn a_bare_text_and_a_pair_are_messages() {
        assert_eq!(read(json!("hi")), Message::human("hi"));
        assert_eq!(
            read(json!(["system", "be kind"])),
            Message::system("be kind")
        );
    }

    #[test]
    fn a_result_belongs_to_its_call() {
        let call = ToolCall::new("add", json!({})).with_id("c");
        let form = serde_json::to_value(Message::tool_error(&call, "no")).unwrap();
        assert_eq!(
            form,
            json!({"type": "tool", "content": "no", "name": "add", "tool_call_id": "c", "status": "error"})
        );
    }
}
