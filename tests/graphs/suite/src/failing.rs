//! Graphs whose nodes fail.
//!
//! `fail` does at once, `fail_b` after a node that does not. `retry` fails until an attempt that the input names.

use std::time::Duration;

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Failing {
    #[serde(default)]
    foo: String,
    /// The error's kind: `ValueError` unless it is `CustomError`.
    kind: Option<String>,
    #[channel(append)]
    #[serde(default)]
    log: Vec<String>,
}

pub fn fail() -> StateGraph<Failing> {
    StateGraph::new()
        .node("fail", fails("boom"))
        .edge(START, "fail")
        .edge("fail", END)
}

pub fn fail_b() -> StateGraph<Failing> {
    StateGraph::new()
        .node("a", |state: Failing, _: &Context| {
            Ok(Failing::update().foo(state.foo + "a").log(["a"]))
        })
        .node("fail_b", fails("boom-b"))
        .edge(START, "a")
        .edge("a", "fail_b")
        .edge("fail_b", END)
}

fn fails(message: &'static str) -> impl Fn(Failing, &Context) -> NodeResult<Failing> {
    move |state, _| match state.kind.as_deref() {
        Some("CustomError") => Err(NodeError::new("CustomError", message)),
        _ => Err(NodeError::value(message)),
    }
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Attempts {
    #[serde(default)]
    succeeds_at: u32,
    /// The error's kind: `ConnectionError`, which is tried again, unless it is `ValueError`.
    kind: Option<String>,
    attempts: Option<u32>,
}

pub fn retry() -> StateGraph<Attempts> {
    let flaky = |state: Attempts, ctx: &Context| {
        let attempt = ctx.task().attempt;
        if attempt >= state.succeeds_at {
            return Ok(Attempts::update().attempts(attempt));
        }
        let message = format!("attempt {attempt}");
        Err(match state.kind.as_deref() {
            Some("ValueError") => NodeError::value(message),
            _ => NodeError::new("ConnectionError", message),
        })
    };
    let policy = Retry::new()
        .max_attempts(3)
        .initial_interval(Duration::from_millis(10))
        .jitter(false)
        .on(["ConnectionError"]);
    StateGraph::new()
        .node_with("flaky", flaky, NodeOptions::new().retry(policy))
        .edge(START, "flaky")
        .edge("flaky", END)
}
