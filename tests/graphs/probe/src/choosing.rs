//! `choosing`: after its only node a branch looks into the store, and goes to `known` when there is an item with the key
//! `k` under `branch`, else to `unknown`. It puts an item with the key `seen` there.

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Choosing {
    #[serde(default)]
    foo: String,
}

pub fn graph() -> StateGraph<Choosing> {
    let nothing = |_: Choosing, _: &Context| Ok(Choosing::update());
    StateGraph::new()
        .node("ask", nothing)
        .node("known", nothing)
        .node("unknown", nothing)
        .edge(START, "ask")
        .branch_with("ask", choose, ["known", "unknown"])
        .edge("known", END)
        .edge("unknown", END)
}

fn choose(_: &Choosing, ctx: &Context) -> Result<&'static str, NodeError> {
    let found = ctx.store().get::<Value>(["branch"], "k")?;
    ctx.store().put(["branch"], "seen", &json!({}))?;
    Ok(if found.is_some() { "known" } else { "unknown" })
}
