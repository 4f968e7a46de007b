//! Two nodes, one after the other; each adds its name to both channels.

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Two {
    #[serde(default)]
    foo: String,
    #[channel(append)]
    #[serde(default)]
    log: Vec<String>,
}

pub fn graph() -> StateGraph<Two> {
    StateGraph::new()
        .node("a", a)
        .node("b", b)
        .edge(START, "a")
        .edge("a", "b")
        .edge("b", END)
}

fn a(state: Two, _ctx: &Context) -> NodeResult<Two> {
    Ok(Two::update().foo(state.foo + "a").log(["a"]))
}

fn b(state: Two, _ctx: &Context) -> NodeResult<Two> {
    Ok(Two::update().foo(state.foo + "b").log(["b"]))
}
