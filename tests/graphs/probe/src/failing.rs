//! Graphs whose one node does not end well.
//!
//! `fail` returns an error, `panic` panics, `spin` never ends, `bomb` allocates for ever. `spinroute` has a node that
//! does nothing, and a branch after it that never ends.

use std::hint::black_box;

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Empty {
    /// Written by nobody; a graph needs a channel to take an input.
    foo: Option<String>,
}

fn single(name: &'static str, node: fn(Empty, &Context) -> NodeResult<Empty>) -> StateGraph<Empty> {
    StateGraph::new()
        .node(name, node)
        .edge(START, name)
        .edge(name, END)
}

pub fn fail() -> StateGraph<Empty> {
    single("fail", |_, _| Err(NodeError::new("ValueError", "boom")))
}

pub fn panics() -> StateGraph<Empty> {
    single("panic", |_, _| panic!("probe panicked on purpose"))
}

pub fn spin() -> StateGraph<Empty> {
    single("spin", |_, _| spin_for_ever())
}

pub fn bomb() -> StateGraph<Empty> {
    single("bomb", |_, _| {
        let mut hoard = Vec::new();
        loop {
            // Written to, so that the memory is really used.
            hoard.push(vec![1_u8; 1 << 20]);
            black_box(&hoard);
        }
    })
}

pub fn spin_in_a_branch() -> StateGraph<Empty> {
    StateGraph::new()
        .node("before", |_: Empty, _: &Context| Ok(Empty::update()))
        .edge(START, "before")
        .branch_to("before", |_| -> &'static str { spin_for_ever() }, [END])
}

fn spin_for_ever() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}
