//! `hitl`: asks once, keeps the answer, and goes on.

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Hitl {
    answer: Option<Value>,
    #[channel(append)]
    log: Vec<String>,
}

pub fn graph() -> StateGraph<Hitl> {
    StateGraph::new()
        .node("ask", ask)
        .node("after", |_: Hitl, _: &Context| {
            Ok(Hitl::update().log(["after"]))
        })
        .edge(START, "ask")
        .edge("ask", "after")
        .edge("after", END)
}

fn ask(_: Hitl, ctx: &Context) -> NodeResult<Hitl> {
    let answer: Value = ctx.interrupt(json!({"question": "Go on?"}))?;
    Ok(Hitl::update().answer(answer).log(["asked"]))
}
