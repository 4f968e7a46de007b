//! What graphs say about their nodes beside `failing::retry`.
//!
//! `cached`: a node whose writes are reused for the same `foo`. `timed`: a node that works for as long as the input
//! says and may take 2 s.

use std::time::Duration;

use selvedge_sdk::prelude::*;
use selvedge_sdk::{random, time};

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Cached {
    foo: Option<String>,
    /// Another one each time that the node runs.
    mark: Option<String>,
}

/// The part of the state that the node's result depends on, and so its key in the cache.
#[derive(Deserialize)]
struct Foo {}

pub fn cached() -> StateGraph<Cached> {
    let work = |_: Foo, _: &Context| Ok(Cached::update().mark(format!("{:016x}", random::u64())));
    let options = NodeOptions::new()
        .reads(["foo"])
        .cache(Cache::new().ttl(Duration::from_secs(60)));
    StateGraph::new()
        .node_with("work", work, options)
        .edge(START, "work")
        .edge("work", END)
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Timed {
    #[serde(default)]
    secs: f64,
    done: Option<bool>,
}

pub fn timed() -> StateGraph<Timed> {
    let work = |state: Timed, _: &Context| {
        time::sleep(Duration::try_from_secs_f64(state.secs)?);
        Ok(Timed::update().done(true))
    };
    let policy = Timeout::new().run(Duration::from_secs(2));
    StateGraph::new()
        .node_with("work", work, NodeOptions::new().timeout(policy))
        .edge(START, "work")
        .edge("work", END)
}
