//! What graphs in graphs cost, and what becomes of answers inside them. `asking` asks, then stops at a breakpoint;
//! `kept_node` is it as a node that reuses what it wrote, `kept_call` calls it from such a node. `rounds` goes round a
//! graph `left` times. `mirrors` is a chain of nodes that each stand for it. `many` runs `n` graphs side by side that each
//! hold `bytes` and ask. `effects_within` is `effects` inside another graph. `late` asks after the graph that it called,
//! `leaving`, was left for it.

use selvedge_sdk::prelude::*;

use crate::effects;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    foo: Option<String>,
    answer: Option<String>,
}

pub fn asking() -> StateGraph<Asked> {
    StateGraph::new()
        .node("ask", |_: Asked, ctx: &Context| {
            let answer: String = ctx.interrupt("ok?")?;
            Ok(Asked::update().answer(answer))
        })
        .node("last", |_: Asked, _: &Context| Ok(Asked::update()))
        .edge(START, "ask")
        .edge("ask", "last")
        .interrupt_before(["last"])
}

fn kept() -> NodeOptions {
    NodeOptions::new().reads(["foo"]).cache(Cache::new())
}

pub fn kept_node() -> StateGraph<Asked> {
    StateGraph::new()
        .subgraph_with("sub", "asking", kept())
        .edge(START, "sub")
}

pub fn kept_call() -> StateGraph<Asked> {
    fn call(input: Value, ctx: &Context) -> NodeResult<Asked> {
        let asked: Asked = ctx.call_graph("asking", input)?;
        Ok(Asked::update().answer(asked.answer))
    }
    StateGraph::new()
        .node_with("call", call, kept())
        .edge(START, "call")
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Rounds {
    left: u64,
}

pub fn rounds() -> StateGraph<Rounds> {
    let inner = StateGraph::<Rounds>::new()
        .node("down", |rounds: Rounds, _: &Context| {
            Ok(Rounds::update().left(rounds.left - 1))
        })
        .edge(START, "down");
    StateGraph::new()
        .subgraph("sub", inner)
        .edge(START, "sub")
        .branch_to(
            "sub",
            |rounds: &Rounds| if rounds.left == 0 { END } else { "sub" },
            ["sub", END],
        )
}

pub fn mirrors() -> StateGraph<Rounds> {
    const NODES: usize = 40;
    let name = |n: usize| format!("mirror{n}");
    (1..NODES).fold(
        StateGraph::new()
            .subgraph(name(0), "mirrors")
            .edge(START, name(0)),
        |graph, n| {
            graph
                .subgraph(name(n), "mirrors")
                .edge(name(n - 1), name(n))
        },
    )
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Many {
    n: usize,
    bytes: usize,
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Large {
    bytes: usize,
    data: Option<String>,
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

pub fn many() -> StateGraph<Many> {
    let large = StateGraph::<Large>::new()
        .node("fill", |large: Large, _: &Context| {
            Ok(Large::update().data("x".repeat(large.bytes)))
        })
        .node("ask", |_: Large, ctx: &Context| {
            let _: Value = ctx.interrupt("ok?")?;
            Ok(Large::update())
        })
        .edge(START, "fill")
        .edge("fill", "ask")
        .output::<Nothing>();
    StateGraph::new().subgraph("large", large).branch_to(
        START,
        |many: &Many| {
            let one = || Send::new("large", json!({"bytes": many.bytes}));
            (0..many.n).map(|_| one()).collect::<Vec<_>>()
        },
        ["large"],
    )
}

pub fn effects_within() -> StateGraph<effects::Effects> {
    StateGraph::new()
        .subgraph("sub", effects::graph())
        .edge(START, "sub")
}

pub fn leaving() -> StateGraph<Asked> {
    StateGraph::new()
        .node("leave", |_: Asked, _: &Context| {
            Ok(Update::to_parent(Asked::update().answer("left")))
        })
        .edge(START, "leave")
}

pub fn late() -> StateGraph<Asked> {
    StateGraph::new()
        .node("call", |_: Asked, ctx: &Context| {
            let left = ctx.call_graph::<Value>("leaving", json!({}));
            let asked = ctx.interrupt::<String>("too late?");
            let over = left.is_err() && asked.is_err();
            Ok(Asked::update().answer(format!("over: {over}")))
        })
        .edge(START, "call")
}
