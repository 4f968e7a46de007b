//! The state that most of the graphs share, and nodes for it.

use selvedge_sdk::prelude::*;

/// A value that each node extends, and the names of the nodes that ran.
#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Trail {
    #[serde(default)]
    pub foo: String,
    #[channel(append)]
    #[serde(default)]
    pub log: Vec<String>,
}

/// A node that adds its name to both channels.
pub fn passes(name: &'static str) -> impl Fn(Trail, &Context) -> NodeResult<Trail> {
    move |state, _| Ok(Trail::update().foo(state.foo + name).log([name]))
}

/// A node that only leaves its name.
pub fn notes(name: &'static str) -> impl Fn(Trail, &Context) -> NodeResult<Trail> {
    move |_, _| Ok(Trail::update().log([name]))
}
