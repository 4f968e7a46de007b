//! Ways through a graph.
//!
//! `two` goes from a to b; `breaks` does too, and stops before b. `defer` has a node that waits for the longer of two
//! paths. `fan` works on each item in a task of its own. `goto` goes where the input says. `limit` never ends.

use selvedge_sdk::prelude::*;

use crate::trail::{Trail, notes, passes};

pub fn two() -> StateGraph<Trail> {
    StateGraph::new()
        .description("two nodes")
        .node("a", passes("a"))
        .node("b", passes("b"))
        .edge(START, "a")
        .edge("a", "b")
        .edge("b", END)
}

pub fn breaks() -> StateGraph<Trail> {
    two().description("stops before b").interrupt_before(["b"])
}

pub fn defer() -> StateGraph<Trail> {
    StateGraph::new()
        .node("short", notes("short"))
        .node("long_1", notes("long_1"))
        .node("long_2", notes("long_2"))
        .node_with("last", notes("last"), NodeOptions::new().defer())
        .edge(START, "short")
        .edge(START, "long_1")
        .edge("long_1", "long_2")
        .edge("short", "last")
        .edge("long_2", "last")
        .edge("last", END)
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Fan {
    #[serde(default)]
    items: Vec<String>,
    #[channel(append)]
    #[serde(default)]
    results: Vec<String>,
    total: Option<usize>,
}

/// What a task of `work` gets instead of the state.
#[derive(Serialize, Deserialize)]
struct Item {
    item: String,
}

pub fn fan() -> StateGraph<Fan> {
    let each = |state: &Fan| -> Vec<Send> {
        let send = |item: &String| Send::new("work", Item { item: item.clone() });
        state.items.iter().map(send).collect()
    };
    StateGraph::new()
        .node("work", |Item { item }, _: &Context| {
            Ok(Fan::update().results([item.to_uppercase()]))
        })
        .node("gather", |state: Fan, _: &Context| {
            Ok(Fan::update().total(state.results.len()))
        })
        .branch_to(START, each, ["work"])
        .edge("work", "gather")
        .edge("gather", END)
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Goto {
    /// Names of nodes: `left`, `right`.
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    foo: String,
    #[channel(append)]
    #[serde(default)]
    log: Vec<String>,
}

pub fn goto() -> StateGraph<Goto> {
    let route = |state: Goto, _: &Context| {
        let update = Goto::update().log(["route"]);
        Ok(state.to.into_iter().fold(update, Update::goto))
    };
    StateGraph::new()
        .node_with(
            "route",
            route,
            NodeOptions::new().destinations(["left", "right"]),
        )
        .node("left", |_: Goto, _: &Context| {
            Ok(Goto::update().log(["left"]))
        })
        .node("right", |state: Goto, _: &Context| {
            Ok(Goto::update().log([format!("right:{}", state.foo)]))
        })
        .edge(START, "route")
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    #[serde(default)]
    count: u64,
}

pub fn limit() -> StateGraph<Count> {
    StateGraph::new()
        .node("loop", |state: Count, _: &Context| {
            Ok(Count::update().count(state.count + 1))
        })
        .edge(START, "loop")
        .edge("loop", "loop")
}
