//! Graphs that depend on how their run is configured. `chosen` has a node for each of `tools`, one after the other, which
//! leaves its name and, with `counter`, POSTs to `{counter}?task={name}` first, so that a test can hold it. With `review` a graph inside asks whether that was right, with `helper` a node calls `helping`, which
//! depends on the same `tools`. `wrong` has it fail in a way of its own. `around` has `chosen` as a node, by its name.

use selvedge_sdk::http::Request;
use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Chosen {
    #[channel(append)]
    log: Vec<String>,
    verdict: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Choice {
    tools: Vec<String>,
    review: bool,
    helper: bool,
    counter: Option<String>,
    wrong: Option<String>,
}

pub fn chosen(setting: &Setting) -> Result<StateGraph<Chosen>, NodeError> {
    let choice: Choice = setting.configurable()?;
    let mut graph = StateGraph::new()
        .node("begin", |_: Chosen, _: &Context| Ok(Chosen::update()))
        .edge(START, "begin");
    match choice.wrong.as_deref() {
        None => {}
        Some("panic") => panic!("cannot be built"),
        Some("spin") => loop {
            std::hint::black_box(());
        },
        Some("edge") => graph = graph.edge("begin", "nobody"),
        Some(other) => return Err(NodeError::new("ToolMissing", other.to_owned())),
    }
    let mut last = "begin".to_owned();
    for tool in choice.tools {
        let (name, counter) = (tool.clone(), choice.counter.clone());
        let work = move |_: Chosen, _: &Context| {
            if let Some(counter) = &counter {
                let request = Request::post(format!("{counter}?task={name}"));
                request.send()?.error_for_status()?.bytes()?;
            }
            Ok(Chosen::update().log([name.clone()]))
        };
        graph = graph.node(tool.clone(), work).edge(last, tool.clone());
        last = tool;
    }
    if choice.helper {
        graph = graph.node("help", help).edge(last, "help");
        last = "help".to_owned();
    }
    if choice.review {
        graph = graph.subgraph("review", review()).edge(last, "review");
    }
    Ok(graph)
}

fn help(_: Chosen, ctx: &Context) -> NodeResult<Chosen> {
    let helped: Chosen = ctx.call_graph("helping", json!({}))?;
    Ok(Chosen::update().log(helped.log))
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Review {
    #[channel(append)]
    log: Vec<String>,
    #[channel(reducer = joined)]
    #[serde(default)]
    verdict: String,
}

fn joined(so_far: String, more: String) -> String {
    so_far + &more
}

/// Of a state of its own, whose reducer is asked at the end of a step.
fn review() -> StateGraph<Review> {
    StateGraph::new()
        .node("ask", |review: Review, ctx: &Context| {
            let question = json!({"right?": review.log});
            let answer: String = ctx.interrupt(question)?;
            Ok(Review::update().verdict(answer))
        })
        .node("also", |_: Review, _: &Context| {
            Ok(Review::update().verdict("!".to_owned()))
        })
        .edge(START, "ask")
        .edge(START, "also")
        .output::<Verdict>()
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
struct Verdict {
    #[serde(default)]
    verdict: String,
}

pub fn helping(setting: &Setting) -> Result<StateGraph<Chosen>, NodeError> {
    let Choice { tools, .. } = setting.configurable()?;
    let name = format!("help_with_{}", tools.len());
    let found = name.clone();
    let work = move |_: Chosen, _: &Context| Ok(Chosen::update().log([found.clone()]));
    Ok(StateGraph::new().node(name.clone(), work).edge(START, name))
}

pub fn around() -> StateGraph<Chosen> {
    StateGraph::new()
        .subgraph("inside", "chosen")
        .edge(START, "inside")
}
