//! Chat models.

mod openai;
mod scripted;

pub use openai::OpenAi;
pub use scripted::Scripted;

use crate::context::Context;
use crate::error::NodeError;
use crate::message::Message;
use crate::tool::Tool;

/// Something that answers a conversation.
pub trait ChatModel {
    /// The next message of the conversation. It shows its text while it is made, through
    /// [`Context::stream`], and may ask for some of the tools.
    ///
    /// # Errors
    /// If there is no answer.
    fn answer(
        &self,
        messages: &[Message],
        tools: &[Tool],
        ctx: &Context,
    ) -> Result<Message, NodeError>;
}

impl ChatModel for Box<dyn ChatModel> {
    fn answer(
        &self,
        messages: &[Message],
        tools: &[Tool],
        ctx: &Context,
    ) -> Result<Message, NodeError> {
        self.as_ref().answer(messages, tools, ctx)
    }
}
