//! Nodes with policies of their own for time.
//!
//! `patience`: the first attempts, as many as the input says, take far too long; each may take 1 s, and there are three.
//! `idle`: shows custom data `times` times, `every` so many milliseconds, and may go 3 s without. `idle_inside`
//! has a graph inside, and `idle_calling` calls one, that does the same (`busy`), and whose node alone may go 3 s without.

use std::time::Duration;

use selvedge_sdk::prelude::*;
use selvedge_sdk::time;

/// Longer than any test waits.
const FAR_TOO_LONG: Duration = Duration::from_secs(300);

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Patience {
    /// How many attempts take too long.
    #[serde(default)]
    slow: u32,
    /// The one that did not.
    attempt: Option<u32>,
}

pub fn patience() -> StateGraph<Patience> {
    let work = |state: Patience, ctx: &Context| {
        let attempt = ctx.task().attempt;
        if attempt <= state.slow {
            time::sleep(FAR_TOO_LONG);
        }
        Ok(Patience::update().attempt(attempt))
    };
    let retry = Retry::new()
        .max_attempts(3)
        .initial_interval(Duration::from_millis(10))
        .jitter(false);
    let options = NodeOptions::new()
        .timeout(Timeout::new().run(Duration::from_secs(1)))
        .retry(retry);
    StateGraph::new()
        .node_with("work", work, options)
        .edge(START, "work")
        .edge("work", END)
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Idle {
    #[serde(default)]
    times: u32,
    #[serde(default)]
    every: u64,
    done: Option<bool>,
}

fn work(state: Idle, ctx: &Context) -> NodeResult<Idle> {
    for n in 0..state.times {
        time::sleep(Duration::from_millis(state.every));
        ctx.emit_custom(n)?;
    }
    Ok(Idle::update().done(true))
}

fn policy() -> NodeOptions {
    NodeOptions::new().timeout(Timeout::new().idle(Duration::from_secs(3)))
}

pub fn idle() -> StateGraph<Idle> {
    StateGraph::new()
        .node_with("work", work, policy())
        .edge(START, "work")
        .edge("work", END)
}

pub fn busy() -> StateGraph<Idle> {
    StateGraph::new().node("work", work).edge(START, "work")
}

pub fn idle_inside() -> StateGraph<Idle> {
    StateGraph::new()
        .subgraph_with("sub", busy(), policy())
        .edge(START, "sub")
}

pub fn idle_calling() -> StateGraph<Idle> {
    let call = |state: Idle, ctx: &Context| {
        let input = json!({"times": state.times, "every": state.every});
        let called: Idle = ctx.call_graph("busy", input)?;
        Ok(Idle::update().done(called.done))
    };
    StateGraph::new()
        .node_with("call", call, policy())
        .edge(START, "call")
}
