//! `ctx`: returns the run's context and what the caller put into `configurable`.

use selvedge_sdk::prelude::*;
use serde_json::Map;

/// The form of the context.
#[derive(Deserialize, JsonSchema)]
#[expect(
    dead_code,
    reason = "only its schema is used: the node returns the context as it came"
)]
struct Tone {
    user: Option<String>,
    level: Option<i64>,
}

/// What the node saw. `foo` is there for the input.
#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    #[serde(default)]
    foo: String,
    seen_context: Option<Value>,
    seen_configurable: Option<Value>,
}

/// Servers add members of their own to `configurable`; these are the callers'.
const CALLERS: [&str; 3] = ["user", "level", "extra"];

pub fn graph() -> StateGraph<Seen> {
    let look = |_: Seen, ctx: &Context| {
        let configurable = &ctx.config().configurable;
        let shown: Map<String, Value> = CALLERS
            .iter()
            .filter_map(|&name| Some((name.to_owned(), configurable.get(name)?.clone())))
            .collect();
        Ok(Seen::update()
            .seen_context(ctx.context::<Value>()?)
            .seen_configurable(Value::Object(shown)))
    };
    StateGraph::new()
        .node("look", look)
        .edge(START, "look")
        .edge("look", END)
        .context::<Tone>()
}
