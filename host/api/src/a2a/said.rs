//! What is said in a graph's values, under `messages`.

use selvedge_model::Json;

use super::dialect::Role;
use super::message::{START, marked};
use super::parts::{self, Part};
use crate::request::Fields;

/// A message in a graph's values.
pub(super) struct Said {
    /// `None` for what neither side says to the other, as what a tool answers.
    pub(super) role: Option<Role>,
    pub(super) id: String,
    pub(super) parts: Vec<Part>,
    /// It began a task.
    pub(super) start: Option<String>,
}

/// All of them, in their order.
pub(super) fn messages(values: &Json) -> Vec<Said> {
    let messages = Fields::of(values).and_then(|values| values.json("messages")?.items());
    let messages = messages.unwrap_or_default();
    messages.iter().filter_map(said).collect()
}

fn said(message: &Json) -> Option<Said> {
    let fields = Fields::of(message)?;
    let text = |name: &str| fields.string(name).ok().flatten();
    let more = fields.json("additional_kwargs");
    Some(Said {
        role: match text("type").or_else(|| text("role"))?.as_str() {
            "human" | "user" => Some(Role::User),
            "ai" | "AIMessageChunk" | "assistant" => Some(Role::Agent),
            _ => None,
        },
        id: text("id").unwrap_or_default(),
        parts: fields
            .json("content")
            .map(parts::of_content)
            .unwrap_or_default(),
        start: more.and_then(|more| marked(more, START)),
    })
}

/// What an agent says in a message of a stream, with the message's id; `None` when it is somebody else's.
pub(super) fn spoken(message: &Json) -> Option<(String, Vec<Part>)> {
    let said = said(message)?;
    (said.role == Some(Role::Agent) && !said.parts.is_empty()).then_some((said.id, said.parts))
}
