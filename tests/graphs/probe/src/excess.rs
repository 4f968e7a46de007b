//! `excess`: one node that does as much of each thing as the input says, and Sends to a node that does nothing.

use std::hint::black_box;

use selvedge_sdk::http::Request;
use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Excess {
    /// Custom events.
    events: Option<u32>,
    /// Lines to the log.
    lines: Option<u32>,
    /// Bytes of memory that are held to the end.
    hoard: Option<usize>,
    /// Requests to `url`, whatever becomes of them.
    calls: Option<u32>,
    url: Option<String>,
    /// How many of them were answered.
    answered: Option<u32>,
    /// What the last one that was not answered failed with.
    error: Option<String>,
    /// Levels of nesting of what `nested` gets.
    depth: Option<u32>,
    nested: Option<Value>,
    /// Sends to `leaf`.
    sends: Option<u32>,
    #[channel(append)]
    leaves: Vec<u32>,
}

pub fn graph() -> StateGraph<Excess> {
    StateGraph::new()
        .node("excess", excess)
        .node("leaf", |_: Value, _: &Context| {
            Ok(Excess::update().leaves([1_u32]))
        })
        .edge(START, "excess")
        .branch_to(
            "excess",
            |state: &Excess| -> Vec<Send> {
                let sends = 0..state.sends.unwrap_or(0);
                sends.map(|n| Send::new("leaf", n)).collect()
            },
            ["leaf"],
        )
        .edge("leaf", END)
}

fn excess(state: Excess, ctx: &Context) -> NodeResult<Excess> {
    for n in 0..state.events.unwrap_or(0) {
        ctx.emit_custom(n)?;
    }
    for n in 0..state.lines.unwrap_or(0) {
        selvedge_sdk::info!("line {n}");
    }
    // Written to, so that the memory is really used.
    let hoard = black_box(vec![1_u8; state.hoard.unwrap_or(0)]);
    let url = state.url.unwrap_or_default();
    let (mut answered, mut error) = (0_u32, None);
    for _ in 0..state.calls.unwrap_or(0) {
        // A graph that does not care is bounded like any other.
        match Request::post(&url).send().and_then(|answer| answer.bytes()) {
            Ok(_) => answered += 1,
            Err(failed) => error = Some(failed.to_string()),
        }
    }
    drop(hoard);
    let nested = (0..state.depth.unwrap_or(0)).fold(Value::Null, |value, _| json!([value]));
    Ok(Excess::update()
        .nested(nested)
        .answered(answered)
        .error(error))
}
