//! `cached`: draws a number, reusing the one that it drew for the same input in the last ten minutes; asks first or fails
//! afterwards, if the input says so. `cached_briefly`: the same for a fifth of a second.

use std::time::Duration;

use selvedge_sdk::prelude::*;
use selvedge_sdk::random;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Drawn {
    foo: Option<String>,
    #[serde(default)]
    asks: bool,
    #[serde(default)]
    fails: bool,
    answer: Option<String>,
    number: Option<String>,
    #[channel(append)]
    #[serde(default)]
    log: Vec<String>,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    asks: bool,
    #[serde(default)]
    fails: bool,
}

pub fn cached() -> StateGraph<Drawn> {
    draws(Duration::from_mins(10))
}

pub fn cached_briefly() -> StateGraph<Drawn> {
    draws(Duration::from_millis(200))
}

fn draws(ttl: Duration) -> StateGraph<Drawn> {
    let options = NodeOptions::new()
        .reads(["foo", "asks", "fails"])
        .cache(Cache::new().ttl(ttl));
    StateGraph::new()
        .node_with("draw", draw, options)
        .node("after", |_: Drawn, _: &Context| {
            Ok(Drawn::update().log(["after"]))
        })
        .edge(START, "draw")
        .edge("draw", "after")
        .edge("after", END)
}

fn draw(input: Input, ctx: &Context) -> NodeResult<Drawn> {
    let answer = if input.asks {
        Some(ctx.interrupt::<String>("which?")?)
    } else {
        None
    };
    let number = format!("{:016x}", random::u64());
    if input.fails {
        return Err(NodeError::value(number));
    }
    Ok(Drawn::update().answer(answer).number(number).log(["draw"]))
}
