//! `fork`: two nodes side by side, so that neither wrote last.

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Fork {
    #[channel(append)]
    log: Vec<String>,
}

pub fn graph() -> StateGraph<Fork> {
    StateGraph::new()
        .node("left", |_: Fork, _: &Context| {
            Ok(Fork::update().log(["left"]))
        })
        .node("right", |_: Fork, _: &Context| {
            Ok(Fork::update().log(["right"]))
        })
        .edge(START, "left")
        .edge(START, "right")
        .edge("left", END)
        .edge("right", END)
}
