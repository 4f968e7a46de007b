//! `calls`: makes the requests of its input one after the other, and returns what came of each.

use std::collections::BTreeMap;

use selvedge_sdk::http::{HttpError, Request};
use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Calls {
    requests: Vec<Call>,
    /// For each request the status and the body of its answer, or why there is none.
    outcomes: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Call {
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

pub fn graph() -> StateGraph<Calls> {
    StateGraph::new()
        .node("calls", |state: Calls, _: &Context| {
            let outcomes: Vec<String> = state.requests.into_iter().map(outcome).collect();
            Ok(Calls::update().outcomes(outcomes))
        })
        .edge(START, "calls")
        .edge("calls", END)
}

fn outcome(call: Call) -> String {
    made(call).unwrap_or_else(|error| error.to_string())
}

fn made(call: Call) -> Result<String, HttpError> {
    let mut request = Request::new(call.method, call.url);
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let answer = request.send()?;
    Ok(format!("{} {}", answer.status(), answer.text()?))
}
