//! Graphs whose one node does not end well.
//!
//! `fail` returns an error, `panic` panics, `trap` traps without a word, `spin` never ends, `recurse` calls itself for
//! ever, `bomb` allocates for ever. `spinroute` has a node that does nothing, and a branch after it that never ends.
//! `retry` fails and is tried again an hour later.

use std::hint::black_box;
use std::time::Duration;

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

pub fn retries() -> StateGraph<Empty> {
    const PAUSE: Duration = Duration::from_secs(3_600);
    let node = |_: Empty, _: &Context| -> NodeResult<Empty> {
        Err(NodeError::new("ConnectionError", "nobody answers"))
    };
    let policy = Retry::new()
        .max_attempts(2)
        .on(["ConnectionError"])
        .initial_interval(PAUSE)
        .max_interval(PAUSE);
    StateGraph::new()
        .node_with("retry", node, NodeOptions::new().retry(policy))
        .edge(START, "retry")
        .edge("retry", END)
}

pub fn panics() -> StateGraph<Empty> {
    single("panic", |_, _| panic!("probe panicked on purpose"))
}

pub fn traps() -> StateGraph<Empty> {
    single("trap", |_, _| trap())
}

pub fn recurse() -> StateGraph<Empty> {
    single("recurse", |_, _| {
        Ok(Empty::update().foo(deeper(1).to_string()))
    })
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

/// A frame with an address, so that no optimiser makes a loop of it.
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    let below = if frame[0] == 0 { 0 } else { deeper(depth + 1) };
    black_box(frame)[1] + below
}

#[cfg(target_arch = "wasm32")]
fn trap() -> NodeResult<Empty> {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
fn trap() -> NodeResult<Empty> {
    std::process::abort()
}

fn spin_for_ever() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}
