//! Graphs that are watched while they work.
//!
//! `slow` takes as many steps of as many seconds as the input says. `custom` writes two custom events. `chat` streams a
//! message in five pieces and then returns another as a whole. `echo_messages` answers the last message with its text.
//! `unicode` says what is hard to carry.

use std::time::Duration;

use selvedge_sdk::prelude::*;
use selvedge_sdk::{MessageChunk, time};

use crate::trail::{Trail, TrailUpdate};

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Slow {
    #[serde(default)]
    steps: u32,
    #[serde(default)]
    secs: f64,
    #[serde(default)]
    done: u32,
    #[channel(append)]
    #[serde(default)]
    log: Vec<String>,
}

pub fn slow() -> StateGraph<Slow> {
    let step = |state: Slow, ctx: &Context| {
        let done = state.done + 1;
        ctx.emit_custom(json!({"step": done}))?;
        time::sleep(Duration::try_from_secs_f64(state.secs)?);
        Ok(Slow::update().done(done).log([format!("step {done}")]))
    };
    let again = |state: &Slow| {
        if state.done < state.steps {
            "step"
        } else {
            END
        }
    };
    StateGraph::new()
        .node("step", step)
        .edge(START, "step")
        .branch_to("step", again, ["step", END])
}

pub fn custom() -> StateGraph<Trail> {
    let node = |_: Trail, ctx: &Context| {
        ctx.emit_custom(json!({"progress": 1}))?;
        ctx.emit_custom("plain string")?;
        Ok(Trail::update().foo("c"))
    };
    StateGraph::new()
        .node("custom", node)
        .edge(START, "custom")
        .edge("custom", END)
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Chat {
    #[channel(add_messages)]
    messages: Vec<Message>,
}

pub fn chat() -> StateGraph<Chat> {
    let say = |_: Chat, ctx: &Context| {
        let pieces = ["hello", " ", "there", " ", "world"];
        for (index, piece) in pieces.iter().enumerate() {
            let mut chunk = MessageChunk::text("ai-1", *piece);
            chunk.chunk_position = (index + 1 == pieces.len()).then_some("last");
            ctx.emit_message(&chunk)?;
        }
        Ok(Chat::update().messages([reply("ai-1", pieces.concat())]))
    };
    StateGraph::new()
        .node("chat", say)
        .node("post", |_: Chat, _: &Context| {
            Ok(Chat::update().messages([reply("ai-2", "final")]))
        })
        .edge(START, "chat")
        .edge("chat", "post")
        .edge("post", END)
}

pub fn echo_messages() -> StateGraph<Chat> {
    let echo = |state: Chat, _: &Context| {
        let last = state
            .messages
            .last()
            .ok_or_else(|| NodeError::value("there is no message to answer"))?;
        let id = format!("echo-{}", state.messages.len());
        Ok(Chat::update().messages([reply(id, last.content.clone())]))
    };
    StateGraph::new()
        .node("echo", echo)
        .edge(START, "echo")
        .edge("echo", END)
}

fn reply(id: impl Into<String>, content: impl Into<Content>) -> Message {
    Message {
        id: Some(id.into()),
        ..Message::ai(content)
    }
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Unicode {
    #[serde(default)]
    text: String,
    echo: Option<String>,
    own: Option<String>,
}

pub fn unicode() -> StateGraph<Unicode> {
    let speak = |state: Unicode, _: &Context| {
        Ok(Unicode::update()
            .echo(state.text)
            .own("line\u{2028}paragraph\u{2029}nul\u{0}😀"))
    };
    StateGraph::new()
        .node("speak", speak)
        .edge(START, "speak")
        .edge("speak", END)
}
