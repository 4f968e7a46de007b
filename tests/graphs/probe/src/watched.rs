//! Graphs for whoever watches, which wait where the watcher says: before each thing that they show they POST to
//! `{gate}?at={what}`, and go on when that is answered.
//!
//! `telling` repeats the last message word by word; the word `boom` fails it. `six` has six graphs of one kind beside
//! each other, each of which finds something and says so. `toolbox` is an agent with one tool, `knock`, whose result is
//! what the gate answers.

use selvedge_sdk::chat::Scripted;
use selvedge_sdk::http::Request;
use selvedge_sdk::prelude::*;
use selvedge_sdk::{AgentState, Tool, create_agent, tool};

/// What the gate answered.
fn wait(gate: &str, at: &str) -> Result<String, NodeError> {
    Ok(Request::post(format!("{gate}?at={at}"))
        .send()?
        .error_for_status()?
        .text()?)
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Telling {
    /// The URL of the gate.
    gate: String,
    #[channel(add_messages)]
    messages: Vec<Message>,
}

/// Each word is a piece of the message, and a custom event named `progress` before it.
pub fn telling() -> StateGraph<Telling> {
    let tell = |state: Telling, ctx: &Context| {
        let asked = state.messages.last().map(Message::text).unwrap_or_default();
        let mut reply = ctx.stream();
        for (said, word) in asked.split_inclusive(' ').enumerate() {
            wait(&state.gate, word.trim_end())?;
            if word == "boom" {
                return Err(NodeError::value("boom"));
            }
            ctx.emit_custom(json!({"name": "progress", "payload": {"said": said + 1}}))?;
            reply.text(word)?;
        }
        Ok(Telling::update().messages([reply.finish()?]))
    };
    StateGraph::new().node("tell", tell).edge(START, "tell")
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Searches {
    gate: String,
    #[channel(append)]
    found: Vec<u64>,
    #[channel(add_messages)]
    messages: Vec<Message>,
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Search {
    /// Under another name than outside, where six at once cannot write it.
    door: String,
    number: u64,
    #[channel(append)]
    found: Vec<u64>,
    #[channel(add_messages)]
    messages: Vec<Message>,
}

pub fn six() -> StateGraph<Searches> {
    let look = |search: Search, ctx: &Context| {
        let number = search.number;
        wait(&search.door, &format!("search-{number}"))?;
        ctx.emit_custom(json!({"name": "search", "payload": {"number": number}}))?;
        let mut reply = ctx.stream();
        reply.text("found ")?;
        reply.text(&number.to_string())?;
        Ok(Search::update().found([number]).messages([reply.finish()?]))
    };
    let search = StateGraph::new().node("look", look).edge(START, "look");
    let each = |state: &Searches| {
        let argument = |number: u64| json!({"door": state.gate, "number": number});
        (1..=6)
            .map(|number| Send::new("search", argument(number)))
            .collect::<Vec<_>>()
    };
    StateGraph::new()
        .subgraph("search", search)
        .branch_to(START, each, ["search"])
}

/// Where the tool knocks.
#[derive(Deserialize, JsonSchema)]
struct Door {
    gate: String,
}

fn knock() -> Tool {
    tool(
        "knock",
        "Knocks at a gate and says what it answers.",
        |door: Door, _: &Context| wait(&door.gate, "knock"),
    )
}

pub fn toolbox() -> StateGraph<AgentState> {
    create_agent(|_: &Context| Ok(Scripted), [knock()], "")
}
