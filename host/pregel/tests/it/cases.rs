//! Graphs of any shape, with what their nodes do.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

/// A graph with what its nodes do: up to five nodes, edges any way, Sends, gotos, a join, a deferred node.
#[derive(Clone, Debug)]
pub struct Case {
    pub description: Value,
    pub behaviour: Value,
}

pub const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

prop_compose! {
    pub fn cases()(
        edges in prop::collection::vec((0..5_usize, 0..5_usize), 0..7),
        branches in prop::collection::vec((0..5_usize, 0..5_usize, 0..5_usize, 2..8_usize), 0..4),
        asks in prop::collection::vec(prop::sample::select(vec![0_usize, 0, 0, 0, 1, 2]), 5),
        gotos in prop::collection::vec((0..5_usize, 2..6_usize), 0..2),
        deferred in prop::option::of(0..5_usize),
        join in prop::option::of((0..4_usize, 0..4_usize)),
        messages in any::<bool>(),
    ) -> Case {
        case(&edges, &branches, &asks, &gotos, deferred, join, messages)
    }
}

fn case(
    edges: &[(usize, usize)],
    branches: &[(usize, usize, usize, usize)],
    asks: &[usize],
    gotos: &[(usize, usize)],
    deferred: Option<usize>,
    join: Option<(usize, usize)>,
    messages: bool,
) -> Case {
    let nodes: Vec<Value> = (0..5)
        .map(|i| json!({"name": NAMES[i], "defer": deferred == Some(i), "destinations": NAMES}))
        .collect();
    let mut all = vec![
        json!({"from": ["__start__"], "to": "a"}),
        json!({"from": ["__start__"], "to": "b"}),
    ];
    all.extend(
        edges
            .iter()
            .map(|(f, t)| json!({"from": [NAMES[*f]], "to": NAMES[*t]})),
    );
    if let Some((x, y)) = join.filter(|(x, y)| x != y) {
        all.push(json!({"from": [NAMES[x], NAMES[y]], "to": "e"}));
    }
    let mut described = Vec::new();
    let mut routes = BTreeMap::new();
    for (index, (from, to, send, limit)) in branches.iter().enumerate() {
        let name = format!("r{index}");
        described.push(json!({"from": NAMES[*from], "name": name}));
        let send = json!({"node": NAMES[*send], "input": {"log": []}});
        let targets = json!([NAMES[*to], send, "nowhere"]);
        routes.insert(
            format!("{}/{name}", NAMES[*from]),
            json!([{"if": ["shorter", "log", limit], "to": targets}]),
        );
    }
    let mut behaviour = BTreeMap::new();
    for (index, name) in NAMES.iter().enumerate() {
        let mut steps: Vec<Value> = (0..asks[index])
            .map(|q| json!({"interrupt": format!("{name}{q}")}))
            .collect();
        let mut update = json!({"log": [{"$": "name"}], "sum": 1, "cus": {"$": "name"}});
        if messages {
            update["chat"] = json!([["ai", name]]);
        }
        for (_, limit) in gotos.iter().filter(|(n, _)| *n == index) {
            steps.push(json!({"if": ["shorter", "log", limit], "return": {"update": update, "goto": ["a"]}}));
        }
        steps.push(json!({"return": {"update": update}}));
        behaviour.insert(*name, Value::from(steps));
    }
    Case {
        description: json!({
            "name": "g",
            "channels": [
                {"name": "log", "reducer": "append"}, {"name": "sum", "reducer": "sum"},
                {"name": "cus", "reducer": "custom", "default": ""}, {"name": "chat", "reducer": "add_messages"},
            ],
            "nodes": nodes, "edges": all, "branches": described,
        }),
        behaviour: json!({"nodes": behaviour, "branches": routes}),
    }
}
