//! What a guest answers, one answer behind the other with a line's end between them: each run ends, whatever they are.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use selvedge_pregel::Graph;
use serde_json::json;
use walker::Walker;

mod walker;

/// Every kind of channel, a join, a branch, and a node that waits for all others.
static GRAPH: LazyLock<Arc<Graph>> = LazyLock::new(|| {
    let description = json!({
        "name": "g",
        "channels": [
            {"name": "last"}, {"name": "log", "reducer": "append"}, {"name": "sum", "reducer": "sum"},
            {"name": "chat", "reducer": "add_messages"}, {"name": "all", "reducer": "merge"},
            {"name": "any", "reducer": "any_value"}, {"name": "once", "reducer": "ephemeral"},
            {"name": "unseen", "reducer": "untracked"}, {"name": "own", "reducer": "custom", "default": ""},
        ],
        "nodes": [{"name": "a"}, {"name": "b"}, {"name": "c", "defer": true}],
        "edges": [
            {"from": ["__start__"], "to": "a"}, {"from": ["__start__"], "to": "b"},
            {"from": ["a", "b"], "to": "c"},
        ],
        "branches": [{"from": "c", "name": "on"}],
    });
    let description = serde_json::from_value(description).expect("a description");
    Graph::new(description).expect("a sound graph")
});

fuzz_target!(|text: &str| {
    let answers: Vec<&str> = text.lines().collect();
    if !answers.is_empty() {
        Walker::new(GRAPH.clone()).walk(&answers);
    }
});
