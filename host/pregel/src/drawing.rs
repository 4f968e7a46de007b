//! The picture of a graph as data: what `GET /assistants/{id}/graph` answers. `expand` opens the graphs
//! in it.

use std::collections::{BTreeSet, HashSet};

use selvedge_model::Json;
use selvedge_model::graph::{END, GraphDescription, START};
use serde::Serialize;
use serde_json::{Map, Value};

/// Nodes and edges, in LangGraph's members.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drawing {
    /// START, the nodes in their order, and END when something leads there.
    pub nodes: Vec<DrawnNode>,
    /// Sorted by source and target, those without a condition that end the graph last.
    pub edges: Vec<DrawnEdge>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DrawnNode {
    /// Its name.
    pub id: String,
    /// `"runnable"`; END has none.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// END has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<DrawnData>,
    /// The author's, with `defer` and `__interrupt` where they apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
}

/// What a drawn node says about itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DrawnData {
    /// Its name again.
    pub name: String,
}

/// One edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DrawnEdge {
    /// Where from.
    pub source: String,
    /// Where to.
    pub target: String,
    /// A label that differs from the target's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Whether a function of the graph decides.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub conditional: bool,
}

/// Draws a description.
pub(crate) fn draw(graph: &GraphDescription) -> Drawing {
    let edges = edges(graph);
    let mut nodes = vec![node(START, None)];
    nodes.extend(graph.nodes.iter().map(|n| {
        let metadata = metadata(graph, n.metadata.as_ref(), n.defer, &n.name);
        node(&n.name, metadata)
    }));
    if edges.iter().any(|e| e.target == END) {
        nodes.push(DrawnNode {
            id: END.to_owned(),
            kind: None,
            data: None,
            metadata: None,
        });
    }
    Drawing { nodes, edges }
}

fn node(name: &str, metadata: Option<Json>) -> DrawnNode {
    DrawnNode {
        id: name.to_owned(),
        kind: Some("runnable"),
        data: Some(DrawnData {
            name: name.to_owned(),
        }),
        metadata,
    }
}

fn metadata(graph: &GraphDescription, own: Option<&Json>, defer: bool, name: &str) -> Option<Json> {
    let mut members = match own.map(Json::to_value) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    };
    if defer {
        members.insert("defer".to_owned(), Value::Bool(true));
    }
    let stops = |list: &[String]| list.iter().any(|n| n == name);
    let interrupt = match (
        stops(&graph.interrupt_before),
        stops(&graph.interrupt_after),
    ) {
        (true, true) => Some("before,after"),
        (true, false) => Some("before"),
        (false, true) => Some("after"),
        (false, false) => None,
    };
    if let Some(interrupt) = interrupt {
        members.insert("__interrupt".to_owned(), Value::from(interrupt));
    }
    (!members.is_empty()).then(|| Json::from(Value::Object(members)))
}

fn edges(graph: &GraphDescription) -> Vec<DrawnEdge> {
    let edge = |source: &str, target: &str, conditional: bool, label: Option<&str>| DrawnEdge {
        source: source.to_owned(),
        target: target.to_owned(),
        data: label.filter(|l| *l != target).map(str::to_owned),
        conditional,
    };
    let mut all = BTreeSet::new();
    for e in &graph.edges {
        all.extend(e.from.iter().map(|from| edge(from, &e.to, false, None)));
    }
    for branch in &graph.branches {
        match &branch.destinations {
            Some(labels) => all.extend(
                labels
                    .iter()
                    .map(|(label, to)| edge(&branch.from, to, true, Some(label))),
            ),
            None => {
                let others = graph.nodes.iter().map(|n| n.name.as_str());
                let anywhere = others.filter(|n| *n != branch.from).chain([END]);
                all.extend(anywhere.map(|to| edge(&branch.from, to, true, None)));
            }
        }
    }
    for node in &graph.nodes {
        let targets = node.destinations.iter().flatten();
        all.extend(targets.map(|to| edge(&node.name, to, true, None)));
    }
    // A node that nothing leaves ends the graph.
    let left: HashSet<&str> = all.iter().map(|e| e.source.as_str()).collect();
    let last: Vec<DrawnEdge> = graph
        .nodes
        .iter()
        .filter(|n| !left.contains(n.name.as_str()))
        .map(|n| edge(&n.name, END, false, None))
        .collect();
    all.extend(last);
    let (ends, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|e| e.target == END && !e.conditional);
    let mut drawn: Vec<DrawnEdge> = others.into_iter().chain(ends).collect();
    // One line between two nodes, as LangGraph draws.
    let mut seen = HashSet::new();
    drawn.retain(|e| seen.insert((e.source.clone(), e.target.clone())));
    drawn
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_drawing_has_langgraphs_members() {
        let description = serde_json::from_value(json!({
            "name": "g", "channels": [], "nodes": [{"name": "a"}, {"name": "b", "defer": true}],
            "edges": [{"from": ["__start__"], "to": "b"}],
            "branches": [{"from": "b", "name": "c", "destinations": {"go": "a", "__end__": "__end__"}}],
        }))
        .unwrap();
        assert_eq!(
            serde_json::to_value(draw(&description)).unwrap(),
            json!({
                "nodes": [
                    {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}},
                    {"id": "a", "type": "runnable", "data": {"name": "a"}},
                    {"id": "b", "type": "runnable", "data": {"name": "b"}, "metadata": {"defer": true}},
                    {"id": "__end__"},
                ],
                "edges": [
                    {"source": "__start__", "target": "b"},
                    {"source": "b", "target": "__end__", "conditional": true},
                    {"source": "b", "target": "a", "data": "go", "conditional": true},
                    {"source": "a", "target": "__end__"},
                ],
            })
        );
    }
}
