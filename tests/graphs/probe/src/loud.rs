//! `loud`: emits, logs and calls as often as it is told to, and says how its calls went.

use selvedge_sdk::http::Request;
use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Loud {
    #[serde(default)]
    events: u64,
    #[serde(default)]
    lines: u64,
    #[serde(default)]
    calls: u64,
    /// Where the calls go.
    url: Option<String>,
    answered: Option<u64>,
    /// What the last call that was not answered failed with.
    error: Option<String>,
}

pub fn graph() -> StateGraph<Loud> {
    StateGraph::new()
        .node("loud", loud)
        .edge(START, "loud")
        .edge("loud", END)
}

fn loud(state: Loud, ctx: &Context) -> NodeResult<Loud> {
    for number in 0..state.events {
        ctx.emit_custom(number)?;
    }
    for number in 0..state.lines {
        selvedge_sdk::info!("line {number}");
    }
    let url = state.url.unwrap_or_default();
    let (mut answered, mut error) = (0, None);
    for _ in 0..state.calls {
        let answer = Request::post(&url).send().and_then(|answer| answer.bytes());
        match answer {
            Ok(_) => answered += 1,
            Err(failed) => error = Some(failed.to_string()),
        }
    }
    Ok(Loud::update().answered(answered).error(error))
}
