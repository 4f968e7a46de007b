//! `hitl`: asks once, keeps the answer, and goes on. `both` asks twice in one super-step, and goes on after both answers.

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

pub fn both() -> StateGraph<Hitl> {
    StateGraph::new()
        .node("left", asks("left"))
        .node("right", asks("right"))
        .node("after", |_: Hitl, _: &Context| {
            Ok(Hitl::update().log(["after"]))
        })
        .edge(START, "left")
        .edge(START, "right")
        .join(["left", "right"], "after")
        .edge("after", END)
}

/// A node that asks with its own name and notes the answer.
fn asks(name: &'static str) -> impl Fn(Hitl, &Context) -> NodeResult<Hitl> {
    move |_, ctx| {
        let answer: String = ctx.interrupt(name)?;
        Ok(Hitl::update().log([format!("{name}: {answer}")]))
    }
}

fn ask(_: Hitl, ctx: &Context) -> NodeResult<Hitl> {
    let answer: Value = ctx.interrupt(json!({"question": "Go on?"}))?;
    Ok(Hitl::update().answer(answer).log(["asked"]))
}
