//! A message of the model that is shown while it is made, and then returned as a whole.

use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::NodeError;
use crate::ids;
use crate::message::{InvalidToolCall, Message, MessageChunk, ToolCall, ToolCallChunk};

/// Collects the pieces of a message and shows each. Begin with [`Context::stream`].
///
/// ```
/// # use selvedge_sdk::prelude::*;
/// fn answer(ctx: &Context) -> Result<Message, NodeError> {
///     let mut reply = ctx.stream();
///     for word in ["Hello", " ", "world"] {
///         reply.text(word)?;
///     }
///     reply.finish()
/// }
/// ```
pub struct MessageStream<'a> {
    ctx: &'a Context,
    id: String,
    text: String,
    calls: Vec<PartialCall>,
    usage: Option<Value>,
    response_metadata: Map<String, Value>,
}

struct PartialCall {
    index: u32,
    id: Option<String>,
    name: String,
    args: String,
}

impl<'a> MessageStream<'a> {
    pub(crate) fn new(ctx: &'a Context) -> Self {
        let id = ids::next().unwrap_or_default();
        Self {
            ctx,
            id,
            text: String::new(),
            calls: Vec::new(),
            usage: None,
            response_metadata: Map::new(),
        }
    }

    /// Adds to the text and shows the piece; an empty piece is not shown.
    ///
    /// # Errors
    /// As [`Context::emit_message`].
    pub fn text(&mut self, piece: &str) -> Result<(), NodeError> {
        if piece.is_empty() {
            return Ok(());
        }
        self.text.push_str(piece);
        self.ctx
            .emit_message(&MessageChunk::text(self.id.as_str(), piece))
    }

    /// Adds to the tool call with this index and shows the piece.
    ///
    /// # Errors
    /// As [`Context::emit_message`].
    pub fn tool_call(&mut self, piece: ToolCallChunk) -> Result<(), NodeError> {
        let position = self
            .calls
            .iter()
            .position(|c| c.index == piece.index)
            .unwrap_or_else(|| {
                self.calls.push(PartialCall {
                    index: piece.index,
                    id: None,
                    name: String::new(),
                    args: String::new(),
                });
                self.calls.len() - 1
            });
        let call = &mut self.calls[position];
        // A provider may repeat the id and the name on every piece, or send them empty on later ones.
        if let Some(id) = piece.id.as_ref().filter(|id| !id.is_empty()) {
            call.id = Some(id.clone());
        }
        if let Some(name) = piece.name.as_ref().filter(|name| !name.is_empty()) {
            call.name.clone_from(name);
        }
        call.args
            .push_str(piece.args.as_deref().unwrap_or_default());
        self.ctx
            .emit_message(&MessageChunk::tool_call(self.id.as_str(), piece))
    }

    /// Notes the tokens used: `{"input_tokens", "output_tokens", "total_tokens"}`.
    pub fn usage(&mut self, usage: Value) {
        self.usage = Some(usage);
    }

    /// Notes a fact about the answer, such as `model_name` or `finish_reason`.
    pub fn response_metadata(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.response_metadata.insert(key.into(), value.into());
    }

    /// The whole message; shows that it is complete.
    ///
    /// # Errors
    /// As [`Context::emit_message`].
    pub fn finish(self) -> Result<Message, NodeError> {
        let mut last = MessageChunk::text(self.id.as_str(), "");
        last.response_metadata.clone_from(&self.response_metadata);
        last.usage_metadata.clone_from(&self.usage);
        last.chunk_position = Some("last");
        self.ctx.emit_message(&last)?;
        let mut message = Message::ai(self.text);
        message.id = Some(self.id).filter(|id| !id.is_empty());
        let mut invalid = Vec::new();
        for call in self.calls {
            match call.parse() {
                Ok(call) => message.tool_calls.push(call),
                Err(call) => invalid.push(serde_json::to_value(call)?),
            }
        }
        if !invalid.is_empty() {
            message
                .extra
                .insert("invalid_tool_calls".to_owned(), invalid.into());
        }
        if !self.response_metadata.is_empty() {
            message.extra.insert(
                "response_metadata".to_owned(),
                self.response_metadata.into(),
            );
        }
        if let Some(usage) = self.usage {
            message.extra.insert("usage_metadata".to_owned(), usage);
        }
        Ok(message)
    }
}

impl PartialCall {
    fn parse(self) -> Result<ToolCall, InvalidToolCall> {
        // A call of a tool without parameters may come with no text at all.
        let text = if self.args.trim().is_empty() {
            "{}"
        } else {
            &self.args
        };
        match serde_json::from_str(text) {
            Ok(args @ Value::Object(_)) => Ok(ToolCall {
                name: self.name,
                args,
                id: self.id,
            }),
            Ok(_) => Err(self.invalid("the arguments are not an object".to_owned())),
            Err(e) => Err(self.invalid(e.to_string())),
        }
    }

    fn invalid(self, error: String) -> InvalidToolCall {
        InvalidToolCall {
            name: self.name,
            args: self.args,
            id: self.id,
            error,
        }
    }
}
