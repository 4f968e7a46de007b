//! `effects`: three parallel tasks and a node after them. Each first POSTs to `{counter}?task={name}`, then waits `ms`
//! milliseconds (0 if absent), then returns: so a test counts how often each side effect happened, also when the
//! server is killed in between.

use std::time::Duration;

use selvedge_sdk::http::Request;
use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Effects {
    /// The URL of the counter.
    counter: String,
    ms: Option<u64>,
    #[channel(append)]
    done: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Job {
    name: String,
    counter: String,
    ms: Option<u64>,
}

pub fn graph() -> StateGraph<Effects> {
    StateGraph::new()
        .node("effect", |job: Job, _: &Context| work(&job))
        .node("after", |state: Effects, _: &Context| {
            work(&job(&state, "after"))
        })
        .branch_to(
            START,
            |s: &Effects| ["one", "two", "three"].map(|name| Send::new("effect", job(s, name))),
            ["effect"],
        )
        .edge("effect", "after")
        .edge("after", END)
}

fn job(state: &Effects, name: &str) -> Job {
    Job {
        name: name.to_owned(),
        counter: state.counter.clone(),
        ms: state.ms,
    }
}

fn work(job: &Job) -> NodeResult<Effects> {
    Request::post(format!("{}?task={}", job.counter, job.name))
        .send()?
        .error_for_status()?
        .bytes()?;
    if let Some(ms) = job.ms {
        selvedge_sdk::time::sleep(Duration::from_millis(ms));
    }
    Ok(Effects::update().done([job.name.as_str()]))
}
