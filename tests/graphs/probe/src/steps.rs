//! `steps`: a node that asks two questions, then two nodes more. Each POSTs to `{counter}?task={name}` before it returns,
//! so that a test can hold it there, and adds to `log`.

use selvedge_sdk::http::Request;
use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Steps {
    /// The URL of the counter.
    counter: String,
    #[channel(append)]
    log: Vec<String>,
}

pub fn graph() -> StateGraph<Steps> {
    StateGraph::new()
        .node("ask", ask)
        .node("next", |state: Steps, _: &Context| step(&state, "next"))
        .node("last", |state: Steps, _: &Context| step(&state, "last"))
        .edge(START, "ask")
        .edge("ask", "next")
        .edge("next", "last")
        .edge("last", END)
}

fn ask(state: Steps, ctx: &Context) -> NodeResult<Steps> {
    let one: String = ctx.interrupt(json!("one?"))?;
    let two: String = ctx.interrupt(json!("two?"))?;
    post(&state, "ask")?;
    Ok(Steps::update().log([format!("{one}, {two}")]))
}

fn step(state: &Steps, name: &str) -> NodeResult<Steps> {
    post(state, name)?;
    Ok(Steps::update().log([name]))
}

fn post(state: &Steps, task: &str) -> Result<(), NodeError> {
    Request::post(format!("{}?task={task}", state.counter))
        .send()?
        .error_for_status()?
        .bytes()?;
    Ok(())
}
