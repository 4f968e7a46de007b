//! Graphs that ask a person.
//!
//! `hitl` asks once, after a node that does not. `hitl_many` asks twice in one super-step. `hitl_loop` asks in one
//! node until the answer is `done`.

use selvedge_sdk::prelude::*;

use crate::trail::{Trail, TrailUpdate, notes};

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    #[serde(default)]
    foo: String,
    answer: Option<Value>,
    #[channel(append)]
    #[serde(default)]
    log: Vec<String>,
}

pub fn hitl() -> StateGraph<Question> {
    let ask = |_: Question, ctx: &Context| {
        let answer: Value = ctx.interrupt(json!({"question": "continue?"}))?;
        Ok(Question::update().answer(answer).log(["ask"]))
    };
    StateGraph::new()
        .node("a", |state: Question, _: &Context| {
            Ok(Question::update().foo(state.foo + "a").log(["a"]))
        })
        .node("ask", ask)
        .edge(START, "a")
        .edge("a", "ask")
        .edge("ask", END)
}

pub fn hitl_many() -> StateGraph<Trail> {
    StateGraph::new()
        .node("left", asks("left"))
        .node("right", asks("right"))
        .node("after", notes("after"))
        .edge(START, "left")
        .edge(START, "right")
        .join(["left", "right"], "after")
        .edge("after", END)
}

/// A node that asks under its own name and notes the answer.
fn asks(name: &'static str) -> impl Fn(Trail, &Context) -> NodeResult<Trail> {
    move |_, ctx| {
        let answer: String = ctx.interrupt(json!({"ask": name}))?;
        Ok(Trail::update().log([format!("{name}={answer}")]))
    }
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Loop {
    answers: Option<Vec<String>>,
}

pub fn hitl_loop() -> StateGraph<Loop> {
    let ask = |_: Loop, ctx: &Context| {
        let mut answers: Vec<String> = Vec::new();
        while answers.last().is_none_or(|answer| answer != "done") {
            answers.push(ctx.interrupt(json!({"question": "more?", "so_far": answers.len()}))?);
        }
        Ok(Loop::update().answers(answers))
    };
    StateGraph::new()
        .node("ask", ask)
        .edge(START, "ask")
        .edge("ask", END)
}
