//! Map and reduce: one task per text, all in parallel, and then one that brings their results together.
//!
//! `split` sends each text to `count` with an argument of its own. The results meet in the channel `counts`, in the
//! order of the texts, whichever task ends first; `combine` runs once all of them are done.

use selvedge_sdk::prelude::*;

/// The state.
#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct FanOut {
    /// The texts to count the words of.
    texts: Vec<String>,
    /// One result per text.
    #[channel(append)]
    counts: Vec<Count>,
    /// All words.
    total: Option<usize>,
    /// The text with the most words.
    longest: Option<String>,
}

/// How many words a text has.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Count {
    text: String,
    words: usize,
}

/// What callers give.
#[derive(State, Serialize, Deserialize, JsonSchema)]
struct Texts {
    texts: Vec<String>,
}

/// What callers get; the results in between stay inside.
#[derive(State, Serialize, Deserialize, JsonSchema)]
struct Totals {
    total: usize,
    longest: Option<String>,
}

fn split(state: FanOut, _ctx: &Context) -> NodeResult<FanOut> {
    // A second run on the same thread starts afresh.
    let afresh = FanOut::update().overwrite_counts(vec![]);
    if state.texts.is_empty() {
        return Ok(afresh.goto("combine"));
    }
    let sends = state.texts.into_iter().map(|text| Send::new("count", text));
    Ok(afresh.send(sends))
}

fn count(text: String, _ctx: &Context) -> NodeResult<FanOut> {
    let words = text.split_whitespace().count();
    Ok(FanOut::update().counts([Count { text, words }]))
}

fn combine(state: FanOut, _ctx: &Context) -> NodeResult<FanOut> {
    let total = state.counts.iter().map(|c| c.words).sum::<usize>();
    let longest = state
        .counts
        .into_iter()
        .max_by_key(|c| c.words)
        .map(|c| c.text);
    Ok(FanOut::update().total(total).longest(longest))
}

selvedge_sdk::graphs! {
    "fan_out" => StateGraph::<FanOut>::new()
        .description("Counts words, each text in a task of its own.")
        .node_with("split", split, NodeOptions::new().destinations(["count", "combine"]))
        .node("count", count)
        .node("combine", combine)
        .edge(START, "split")
        .edge("count", "combine")
        .edge("combine", END)
        .input::<Texts>()
        .output::<Totals>(),
}

#[cfg(test)]
mod tests {
    use selvedge_sdk::testing::Run;
    use serde_json::json;

    use super::graphs;

    #[test]
    fn the_results_come_together_in_the_order_of_the_texts() {
        let run = Run::start(
            &graphs(),
            "fan_out",
            json!({"texts": ["one", "one two three", "one two"]}),
        )
        .unwrap();
        assert_eq!(run.steps(), 3);
        assert_eq!(
            run.output(),
            json!({"total": 6, "longest": "one two three"})
        );
        assert_eq!(
            run.state()["counts"][2],
            json!({"text": "one two", "words": 2})
        );
    }

    #[test]
    fn without_texts_there_is_nothing_to_count() {
        let output = graphs().invoke("fan_out", json!({"texts": []})).unwrap();
        assert_eq!(output, json!({"total": 0, "longest": null}));
    }
}
