//! `garbage`: one node whose answer the host must refuse. The input's `how` picks the mistake.
//!
//! The SDK writes no such answers, so the graph wraps a good one and replaces what its node says.

use selvedge_sdk::prelude::*;
use selvedge_sdk::{Context, Graph};

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct How {
    /// `not_json`, `not_an_object`, `unknown_channel`, `unknown_node`, `reserved_channel`, `too_deep` or `update_is_a_list`.
    how: Option<String>,
}

pub struct Garbage(StateGraph<How>);

pub fn graph() -> Garbage {
    let node = |state: How, _: &Context| Ok(How::update().how(state.how));
    Garbage(
        StateGraph::new()
            .node("garbage", node)
            .edge(START, "garbage")
            .edge("garbage", END),
    )
}

impl Graph for Garbage {
    fn describe(&self, name: &str) -> Value {
        self.0.describe(name)
    }

    fn problems(&self) -> Vec<String> {
        self.0.problems()
    }

    fn run_node(&self, node: &str, ctx: &Context) -> Result<String, NodeError> {
        let good = self.0.run_node(node, ctx)?;
        let how: Value = serde_json::from_str(&good)?;
        Ok(
            match how["update"]["how"].as_str().unwrap_or("not_an_object") {
                "not_json" => "{\"update\": ".to_owned(),
                "not_an_object" => "42".to_owned(),
                "unknown_channel" => json!({"update": {"nobody": 1}}).to_string(),
                "unknown_node" => json!({"goto": ["nowhere"]}).to_string(),
                "reserved_channel" => json!({"update": {"__start__": 1}}).to_string(),
                "update_is_a_list" => json!({"update": [1, 2]}).to_string(),
                "too_deep" => format!(
                    "{{\"update\": {{\"how\": {}{}}}}}",
                    "[".repeat(500),
                    "]".repeat(500)
                ),
                other => {
                    return Err(NodeError::value(format!(
                        "there is no garbage of the kind `{other}`"
                    )));
                }
            },
        )
    }

    fn route(
        &self,
        node: &str,
        branch: &str,
        state: &str,
        ctx: &Context,
    ) -> Result<String, NodeError> {
        self.0.route(node, branch, state, ctx)
    }

    fn reduce(&self, channel: &str, current: &str, updates: &str) -> Result<String, NodeError> {
        self.0.reduce(channel, current, updates)
    }
}
