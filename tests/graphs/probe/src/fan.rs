//! `fan`: `width` tasks at once, each of which waits a little, most of them longer than the one after them, and appends
//! its number.

use std::time::Duration;

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Fan {
    #[serde(default)]
    width: u64,
    #[channel(append)]
    done: Vec<u64>,
}

pub fn graph() -> StateGraph<Fan> {
    StateGraph::new()
        .node("work", |number: u64, _: &Context| {
            selvedge_sdk::time::sleep(Duration::from_millis(7 - number % 8));
            Ok(Fan::update().done([number]))
        })
        .branch_to(
            START,
            |state: &Fan| {
                (0..state.width)
                    .map(|number| Send::new("work", number))
                    .collect::<Vec<_>>()
            },
            ["work"],
        )
        .edge("work", END)
}
