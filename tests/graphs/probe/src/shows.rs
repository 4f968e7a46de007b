//! Graphs that show something while they work: `custom` two custom events, `tokens` a message in five pieces, `clock` the
//! time of day, as often as the input says.

use std::time::{Duration, SystemTime};

use selvedge_sdk::prelude::*;
use selvedge_sdk::time;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Shows {
    foo: Option<String>,
    #[channel(add_messages)]
    messages: Vec<Message>,
}

pub fn custom() -> StateGraph<Shows> {
    let node = |_: Shows, ctx: &Context| {
        ctx.emit_custom(json!({"progress": 1}))?;
        ctx.emit_custom("plain string")?;
        Ok(Shows::update().foo("c"))
    };
    StateGraph::new()
        .node("custom", node)
        .edge(START, "custom")
        .edge("custom", END)
}

pub fn tokens() -> StateGraph<Shows> {
    let node = |_: Shows, ctx: &Context| {
        let mut reply = ctx.stream();
        for piece in ["hello", " ", "there", " ", "world"] {
            reply.text(piece)?;
        }
        Ok(Shows::update().messages([reply.finish()?]))
    };
    StateGraph::new()
        .node("chat", node)
        .edge(START, "chat")
        .edge("chat", END)
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    ticks: u32,
    /// Between two of them; with 0 there is no pause.
    every_ms: u64,
    done: Option<bool>,
}

pub fn clock() -> StateGraph<Clock> {
    let node = |clock: Clock, ctx: &Context| {
        for _ in 0..clock.ticks {
            let since = time::now().duration_since(SystemTime::UNIX_EPOCH)?;
            ctx.emit_custom(json!({"at_secs": since.as_secs_f64()}))?;
            if clock.every_ms > 0 {
                time::sleep(Duration::from_millis(clock.every_ms));
            }
        }
        Ok(Clock::update().done(true))
    };
    StateGraph::new()
        .node("clock", node)
        .edge(START, "clock")
        .edge("clock", END)
}
