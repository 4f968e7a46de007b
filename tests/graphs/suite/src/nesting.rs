//! Graphs in graphs.
//!
//! `nested` has three levels: in its node `mid` there is a graph, and in the node `leaf` of that another one, by its name,
//! which asks. `leaf` is that one. `wide` asks in two graphs of one super-step. `handover` leaves the graph inside it with
//! a command to the one around it; `leave` is left like that itself, for whoever runs it as a part of something.
//! `talking` says what `chat` does, in a graph of its own.

use selvedge_sdk::prelude::*;

use crate::shows::{self, Chat};
use crate::trail::{Trail, TrailUpdate, notes, passes};

pub fn nested() -> StateGraph<Trail> {
    let mid = StateGraph::<Trail>::new()
        .node("m", passes("m"))
        .subgraph("leaf", "leaf")
        .edge(START, "m")
        .edge("m", "leaf")
        .edge("leaf", END);
    StateGraph::new()
        .node("a", passes("a"))
        .subgraph("mid", mid)
        .node("b", passes("b"))
        .edge(START, "a")
        .edge("a", "mid")
        .edge("mid", "b")
        .edge("b", END)
}

pub fn leaf() -> StateGraph<Trail> {
    let ask = |state: Trail, ctx: &Context| {
        let answer: String = ctx.interrupt(json!({"question": "deep?"}))?;
        Ok(Trail::update().foo(state.foo + &answer).log(["ask"]))
    };
    StateGraph::new()
        .node("i", passes("i"))
        .node("ask", ask)
        .edge(START, "i")
        .edge("i", "ask")
        .edge("ask", END)
}

/// The trail without the channel that takes one value a super-step.
#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Log {
    #[channel(append)]
    #[serde(default)]
    log: Vec<String>,
}

pub fn wide() -> StateGraph<Trail> {
    let asker = |name: &'static str| {
        let ask = move |_: Log, ctx: &Context| {
            let answer: String = ctx.interrupt(json!({"ask": name}))?;
            Ok(Log::update().log([format!("{name}={answer}")]))
        };
        StateGraph::<Log>::new()
            .node("ask", ask)
            .edge(START, "ask")
            .edge("ask", END)
    };
    StateGraph::new()
        .subgraph("left", asker("left"))
        .subgraph("right", asker("right"))
        .node("after", notes("after"))
        .edge(START, "left")
        .edge(START, "right")
        .join(["left", "right"], "after")
        .edge("after", END)
}

pub fn handover() -> StateGraph<Trail> {
    StateGraph::new()
        .subgraph_with("sub", leave(), NodeOptions::new().destinations(["b"]))
        .node("b", passes("b"))
        .edge(START, "sub")
        .edge("b", END)
}

pub fn leave() -> StateGraph<Log> {
    let leave = |_: Log, _: &Context| {
        let outer = Trail::update().foo("from inside ").log(["left"]);
        Ok(Update::to_parent(outer.goto("b")))
    };
    StateGraph::new().node("leave", leave).edge(START, "leave")
}

pub fn talking() -> StateGraph<Chat> {
    StateGraph::new()
        .subgraph("sub", shows::chat())
        .edge(START, "sub")
        .edge("sub", END)
}
