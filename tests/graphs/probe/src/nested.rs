//! Graphs in graphs. `nested` has three levels: `mid` is a graph of its own, in which `leaf` is one by name; it asks at
//! the innermost. `leaf` is that one, to be run alone. `wide` asks in several graphs of one step. `handover` leaves its
//! inner graph with a command to the outer one. `paused` has a breakpoint inside. `abroad` contains a graph by a name that
//! its component does not know. `within` is `steps` inside another graph. `endless` contains itself.
//! `talking` shows a message inside. `calling` calls graphs from inside a node, `descending` itself.

use selvedge_sdk::prelude::*;

use crate::{shows, steps};

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Trail {
    foo: Option<String>,
    #[channel(append)]
    log: Vec<String>,
}

/// Appends to both.
fn step(name: &'static str) -> impl Fn(Trail, &Context) -> NodeResult<Trail> {
    move |trail, _| {
        let text = trail.foo.unwrap_or_default() + &name[..1];
        Ok(Trail::update().foo(text).log([name]))
    }
}

pub fn nested() -> StateGraph<Trail> {
    StateGraph::new()
        .node("a", step("a"))
        .subgraph("mid", mid())
        .node("b", step("b"))
        .edge(START, "a")
        .edge("a", "mid")
        .edge("mid", "b")
}

fn mid() -> StateGraph<Trail> {
    StateGraph::new()
        .node("m", step("m"))
        .subgraph("leaf", "leaf")
        .edge(START, "m")
        .edge("m", "leaf")
}

pub fn leaf() -> StateGraph<Trail> {
    StateGraph::new()
        .node("i", step("i"))
        .node("ask", ask)
        .edge(START, "i")
        .edge("i", "ask")
}

fn ask(trail: Trail, ctx: &Context) -> NodeResult<Trail> {
    let answer: String = ctx.interrupt(json!({"question": "ok?"}))?;
    let text = trail.foo.unwrap_or_default() + &answer;
    Ok(Trail::update().foo(text).log(["asked"]))
}

/// As `leaf`, without a channel that takes one value a step.
pub fn wide() -> StateGraph<Trail> {
    let asker = || {
        StateGraph::<Trail>::new()
            .node("ask", |_: Trail, ctx: &Context| {
                let answer: String = ctx.interrupt("ok?")?;
                Ok(Trail::update().log([answer]))
            })
            .edge(START, "ask")
            .output::<Log>()
    };
    StateGraph::new()
        .subgraph("left", asker())
        .subgraph("right", asker())
        .node("after", step("after"))
        .edge(START, "left")
        .edge(START, "right")
        .join(["left", "right"], "after")
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Log {
    #[channel(append)]
    log: Vec<String>,
}

pub fn handover() -> StateGraph<Trail> {
    let inner = StateGraph::<Log>::new()
        .node("leave", |_: Log, _: &Context| {
            let outer = Trail::update().foo("from inside").log(["left"]);
            Ok(Update::to_parent(outer.goto("b")))
        })
        .edge(START, "leave");
    StateGraph::new()
        .subgraph_with("sub", inner, NodeOptions::new().destinations(["b"]))
        .node("b", step("b"))
        .edge(START, "sub")
}

pub fn paused() -> StateGraph<Trail> {
    let inner = StateGraph::<Trail>::new()
        .node("one", step("one"))
        .node("two", step("two"))
        .edge(START, "one")
        .edge("one", "two")
        .interrupt_before(["two"]);
    StateGraph::new().subgraph("sub", inner).edge(START, "sub")
}

pub fn abroad() -> StateGraph<Trail> {
    StateGraph::new()
        .subgraph("sub", "served_elsewhere")
        .edge(START, "sub")
}

/// Questions, and nodes that a test can hold.
pub fn within() -> StateGraph<steps::Steps> {
    StateGraph::new()
        .subgraph("sub", steps::graph())
        .edge(START, "sub")
}

pub fn endless() -> StateGraph<Trail> {
    StateGraph::new()
        .subgraph("again", "endless")
        .edge(START, "again")
}

/// Speaks in a graph of its own.
pub fn talking() -> StateGraph<shows::Shows> {
    StateGraph::new()
        .subgraph("sub", shows::tokens())
        .edge(START, "sub")
}

/// Calls `leaf` twice; `fails` once, whose failure it deals with; and a graph that there is not.
pub fn calling() -> StateGraph<Trail> {
    fn call(trail: Trail, ctx: &Context) -> NodeResult<Trail> {
        let mut text = trail.foo.unwrap_or_default();
        for _ in 0..2 {
            let found: Trail = ctx.call_graph("leaf", json!({"foo": text}))?;
            text = found.foo.unwrap_or_default();
        }
        let kind = |name: &str| match ctx.call_graph::<Value>(name, json!({})) {
            Ok(_) => String::new(),
            Err(error) => error.kind().to_owned(),
        };
        Ok(Trail::update()
            .foo(text)
            .log([kind("fail"), kind("nobody")]))
    }
    StateGraph::new().node("call", call).edge(START, "call")
}

/// Calls itself, down to a number.
pub fn descending() -> StateGraph<Depth> {
    fn descend(depth: Depth, ctx: &Context) -> NodeResult<Depth> {
        if depth.left == 0 {
            return Ok(Depth::update().reached(1));
        }
        let below: Depth = ctx.call_graph("descending", json!({"left": depth.left - 1}))?;
        Ok(Depth::update().reached(1 + below.reached.unwrap_or_default()))
    }
    StateGraph::new()
        .node("descend", descend)
        .edge(START, "descend")
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Depth {
    left: u64,
    reached: Option<u64>,
}
