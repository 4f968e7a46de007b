//! `slow` waits `ms` milliseconds and then writes `done`. `big` returns a text of `bytes` bytes.

use std::time::Duration;

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Slow {
    #[serde(default)]
    ms: u64,
    /// Unused; a test may write anything here.
    file: Option<Value>,
    done: Option<bool>,
}

pub fn slow() -> StateGraph<Slow> {
    let node = |state: Slow, _: &Context| {
        selvedge_sdk::time::sleep(Duration::from_millis(state.ms));
        Ok(Slow::update().done(true))
    };
    StateGraph::new()
        .node("slow", node)
        .edge(START, "slow")
        .edge("slow", END)
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Big {
    #[serde(default)]
    bytes: usize,
    data: Option<String>,
}

pub fn big() -> StateGraph<Big> {
    let node = |state: Big, _: &Context| Ok(Big::update().data("x".repeat(state.bytes)));
    StateGraph::new()
        .node("big", node)
        .edge(START, "big")
        .edge("big", END)
}
