//! `luring`: makes the requests of its input with a secret's variable in them wherever the input writes `{KEY}`, says
//! everything that it has seen in every way in which a node can say something, and looks through its whole memory for the
//! value that it was never to have.

use selvedge_sdk::http::{HttpError, Request};
use selvedge_sdk::prelude::*;

use crate::memory::occurrences;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Luring {
    requests: Vec<Lure>,
    /// The value, each byte with its bits turned.
    look_for: Vec<u8>,
    /// Whether the node fails in the end, with everything in its message.
    #[serde(default)]
    fails: bool,
    key: Option<String>,
    outcomes: Option<Vec<String>>,
    found: Option<usize>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Lure {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
}

pub fn graph() -> StateGraph<Luring> {
    StateGraph::new()
        .node("lure", lure)
        .edge(START, "lure")
        .edge("lure", END)
}

fn lure(state: Luring, ctx: &Context) -> NodeResult<Luring> {
    let key = ctx.var("KEY").unwrap_or_default();
    let requests = state.requests.into_iter();
    let outcomes: Vec<String> = requests
        .map(|request| made(request, &key).unwrap_or_else(|error| error.to_string()))
        .collect();
    for outcome in &outcomes {
        selvedge_sdk::warn!("{key}: {outcome}");
        ctx.emit_custom(outcome)?;
        ctx.emit_token(outcome)?;
    }
    let said = json!({"key": key, "outcomes": outcomes});
    ctx.store().put(["luring"], "said", &said)?;
    let found = occurrences(&state.look_for);
    if state.fails {
        return Err(NodeError::value(format!("{found} {said}")));
    }
    Ok(Luring::update().key(key).outcomes(outcomes).found(found))
}

fn made(lure: Lure, key: &str) -> Result<String, HttpError> {
    let filled = |text: String| text.replace("{KEY}", key);
    let mut request = Request::new(lure.method, filled(lure.url)).body(filled(lure.body));
    for (name, value) in lure.headers {
        request = request.header(filled(name), filled(value));
    }
    let answer = request.send()?;
    Ok(format!("{} {}", answer.status(), answer.text()?))
}
