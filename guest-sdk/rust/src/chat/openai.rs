//! Any server that speaks OpenAI's chat completions.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ChatModel;
use crate::context::Context;
use crate::error::NodeError;
use crate::http::{HttpError, Request};
use crate::message::{Content, Message, Role, ToolCall, ToolCallChunk};
use crate::stream::MessageStream;
use crate::tool::Tool;

/// A model behind `POST {base}/chat/completions`, with its answer streamed.
///
/// Failures have the kinds of [`HttpError`], `ModelError` for an error that the server reports in the stream, and
/// `ModelUnavailable` for a stream that breaks off; all but the refusals are marked as retryable.
#[derive(Clone, Debug)]
pub struct OpenAi {
    base: String,
    model: String,
    key: Option<String>,
    timeout: Duration,
    settings: Map<String, Value>,
}

impl OpenAi {
    /// A model by its server's base URL (`https://api.openai.com/v1`) and its name.
    pub fn new(base: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base: base.into().trim_end_matches('/').to_owned(),
            model: model.into(),
            key: None,
            timeout: Duration::from_secs(120),
            settings: Map::new(),
        }
    }

    /// Sends `Authorization: Bearer {key}`. Take the key from [`Context::var`]: a secret's value is a placeholder,
    /// which the host replaces on the way out.
    #[must_use]
    pub fn api_key(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }

    /// How long the answer may take to begin, and how long it may pause. 120 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets a member of the request: `temperature`, `max_tokens`, `tool_choice`, …
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    fn request(&self, messages: &[Message], tools: &[Tool]) -> Value {
        let mut body = json!({
            "model": self.model,
            "messages": messages.iter().map(spoken).collect::<Vec<_>>(),
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        if !tools.is_empty() {
            body["tools"] = tools.iter().map(offered).collect();
        }
        for (name, value) in &self.settings {
            body[name] = value.clone();
        }
        body
    }
}

impl ChatModel for OpenAi {
    fn answer(
        &self,
        messages: &[Message],
        tools: &[Tool],
        ctx: &Context,
    ) -> Result<Message, NodeError> {
        let mut request = Request::post(format!("{}/chat/completions", self.base))
            .header("accept", "text/event-stream")
            .json(&self.request(messages, tools))
            .timeout(self.timeout)
            .idle_timeout(self.timeout);
        if let Some(key) = &self.key {
            request = request.bearer(key);
        }
        let mut response = request.send()?.error_for_status().map_err(explained)?;
        let mut reply = ctx.stream();
        let mut finished = false;
        while let Some(event) = response.event()? {
            if event.data == "[DONE]" {
                finished = true;
                break;
            }
            let chunk: Chunk = serde_json::from_str(&event.data).map_err(|e| {
                NodeError::new(
                    "ModelError",
                    format!("the model's server sent something else than a chunk: {e}"),
                )
            })?;
            finished |= take(&mut reply, chunk)?;
        }
        if !finished {
            return Err(
                NodeError::new("ModelUnavailable", "the model's answer broke off").retryable(),
            );
        }
        reply.finish()
    }
}

/// One `chat.completion.chunk`. Servers differ in what they leave out or send as null.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    model: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<u32>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    total_tokens: Option<u64>,
}

/// Adds a chunk to the message; says whether it was the last with content.
fn take(reply: &mut MessageStream<'_>, chunk: Chunk) -> Result<bool, NodeError> {
    if let Some(error) = chunk.error.filter(|e| !e.is_null()) {
        return Err(NodeError::new("ModelError", told(&error)));
    }
    if let Some(usage) = chunk.usage {
        let total = usage
            .total_tokens
            .unwrap_or(usage.prompt_tokens + usage.completion_tokens);
        reply.usage(json!({
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
            "total_tokens": total,
        }));
    }
    if let Some(model) = chunk.model {
        reply.response_metadata("model_name", model);
    }
    let mut finished = false;
    // Only one answer is asked for, so there is at most one choice.
    for choice in chunk.choices.unwrap_or_default().into_iter().take(1) {
        if let Some(delta) = choice.delta {
            reply.text(&delta.content.unwrap_or_default())?;
            for (position, call) in delta.tool_calls.unwrap_or_default().into_iter().enumerate() {
                let index = call
                    .index
                    .unwrap_or(u32::try_from(position).unwrap_or(u32::MAX));
                let (name, arguments) = call
                    .function
                    .map_or((None, None), |f| (f.name, f.arguments));
                reply.tool_call(ToolCallChunk::new(index, call.id, name, arguments))?;
            }
        }
        if let Some(reason) = choice.finish_reason {
            reply.response_metadata("finish_reason", reason);
            finished = true;
        }
    }
    Ok(finished)
}

/// A message in OpenAI's form.
fn spoken(message: &Message) -> Value {
    let role = match &message.role {
        Role::Human => "user",
        Role::Ai => "assistant",
        other => other.as_str(),
    };
    let mut spoken = json!({"role": role, "content": message.content});
    if !message.tool_calls.is_empty() {
        spoken["tool_calls"] = message.tool_calls.iter().map(asked).collect();
        // Some servers refuse an empty text beside tool calls.
        if message.content == Content::Text(String::new()) {
            spoken["content"] = Value::Null;
        }
    }
    if let Some(call) = &message.tool_call_id {
        spoken["tool_call_id"] = call.as_str().into();
    } else if let Some(name) = &message.name {
        spoken["name"] = name.as_str().into();
    }
    spoken
}

fn asked(call: &ToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.args.to_string()}})
}

fn offered(tool: &Tool) -> Value {
    json!({"type": "function", "function": {
        "name": tool.name(), "description": tool.description(), "parameters": tool.parameters(),
    }})
}

/// The message inside an error body, where there is one.
fn explained(error: HttpError) -> HttpError {
    match error {
        HttpError::Status { status, body } => {
            let body = serde_json::from_str::<Value>(&body)
                .map_or(body, |v| told(v.get("error").unwrap_or(&v)));
            HttpError::Status { status, body }
        }
        other => other,
    }
}

fn told(error: &Value) -> String {
    error
        .get("message")
        .and_then(Value::as_str)
        .map_or_else(|| error.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, answer_http};

    fn chunk(delta: &Value, finish: Option<&str>) -> String {
        format!(
            "data: {}\n\n",
            json!({"model": "m-1", "choices": [{"delta": delta, "finish_reason": finish}]})
        )
    }

    #[test]
    fn the_text_is_shown_piece_by_piece_and_returned_as_a_whole() {
        answer_http(|request| {
            assert_eq!(request.url(), "http://model/v1/chat/completions");
            assert_eq!(request.header("Authorization"), Some("Bearer placeholder"));
            let body: Value = serde_json::from_str(&request.body()).unwrap();
            assert_eq!(body["messages"], json!([{"role": "user", "content": "hi"}]));
            assert_eq!(body["temperature"], 0);
            let usage =
                json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
            Ok((
                200,
                vec![
                    chunk(&json!({"role": "assistant", "content": "Hel"}), None),
                    chunk(&json!({"content": "lo"}), None),
                    chunk(&json!({}), Some("stop")),
                    format!("data: {usage}\n\ndata: [DONE]\n\n"),
                ],
            ))
        });
        let fake = Fake::new();
        let model = OpenAi::new("http://model/v1/", "m")
            .api_key(Some("placeholder".into()))
            .setting("temperature", 0);
        let message = model
            .answer(&[Message::human("hi")], &[], fake.ctx())
            .unwrap();
        assert_eq!(message.text(), "Hello");
        assert_eq!(
            message.extra["usage_metadata"],
            json!({"input_tokens": 3, "output_tokens": 2, "total_tokens": 5})
        );
        assert_eq!(
            message.extra["response_metadata"],
            json!({"model_name": "m-1", "finish_reason": "stop"})
        );
        assert_eq!(fake.tokens(), "Hello");
        assert!(fake.chunks().iter().all(|c| c["id"] == json!(message.id)));
    }

    #[test]
    fn tool_calls_are_put_together_from_their_pieces() {
        answer_http(|_| {
            let call = |index: u32, id: Option<&str>, name: Option<&str>, arguments: &str| {
                let delta = json!({"tool_calls": [
                    {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}
                ]});
                chunk(&delta, None)
            };
            Ok((
                200,
                vec![
                    call(0, Some("c0"), Some("add"), "{\"a\":"),
                    call(1, Some("c1"), Some("now"), ""),
                    call(0, None, None, " 1}"),
                    chunk(&json!({}), Some("tool_calls")),
                ],
            ))
        });
        let fake = Fake::new();
        let message = OpenAi::new("http://model", "m")
            .answer(&[], &[], fake.ctx())
            .unwrap();
        assert_eq!(
            message.tool_calls,
            [
                ToolCall::new("add", json!({"a": 1})).with_id("c0"),
                ToolCall::new("now", json!({})).with_id("c1"),
            ]
        );
    }

    #[test]
    fn an_error_body_is_explained() {
        answer_http(|_| {
            Ok((
                429,
                vec![json!({"error": {"message": "slow down"}}).to_string()],
            ))
        });
        let error = OpenAi::new("http://model", "m")
            .answer(&[], &[], Fake::new().ctx())
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            ("HttpStatusError", "the server answered 429: slow down")
        );
        assert!(error.is_retryable());
    }

    #[test]
    fn an_answer_that_breaks_off_may_be_tried_again() {
        answer_http(|_| Ok((200, vec![chunk(&json!({"content": "Hel"}), None)])));
        let error = OpenAi::new("http://model", "m")
            .answer(&[], &[], Fake::new().ctx())
            .unwrap_err();
        assert_eq!(error.kind(), "ModelUnavailable");
        assert!(error.is_retryable());
    }
}
