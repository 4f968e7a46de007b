//! A drawing with the graph that one of its nodes stands for in that node's place.
//!
//! Follows LangGraph: START and END of the inner graph go where one line leads from or to them, its nodes are called
//! `node:inner`, and what led to the node leads to the first of them, what left it leaves the last.

use std::collections::HashSet;

use crate::drawing::{Drawing, DrawnData, DrawnEdge, DrawnNode};

impl Drawing {
    /// Nodes and edges.
    #[must_use]
    pub fn size(&self) -> usize {
        self.nodes.len() + self.edges.len()
    }

    /// Opens a node. A graph that has no single first and last node is not drawn, as in LangGraph: the node stays.
    #[must_use]
    pub fn open(mut self, node: &str, mut inner: Drawing) -> Drawing {
        if inner.nodes.len() < 2 || inner.first().is_none() || inner.last().is_none() {
            return self;
        }
        inner.trim(Self::first, |edge| &edge.source);
        inner.trim(Self::last, |edge| &edge.target);
        let prefixed = |id: &str| format!("{node}:{id}");
        let (first, last) = (inner.first().map(prefixed), inner.last().map(prefixed));
        self.nodes.retain(|n| n.id != node);
        self.nodes.extend(inner.nodes.iter().map(|n| DrawnNode {
            id: prefixed(&n.id),
            data: n.data.as_ref().map(|_| DrawnData {
                name: prefixed(&n.id),
            }),
            ..n.clone()
        }));
        self.edges.extend(inner.edges.iter().map(|e| DrawnEdge {
            source: prefixed(&e.source),
            target: prefixed(&e.target),
            ..e.clone()
        }));
        for edge in &mut self.edges {
            if edge.source == node
                && let Some(last) = &last
            {
                edge.source.clone_from(last);
            }
            if edge.target == node
                && let Some(first) = &first
            {
                edge.target.clone_from(first);
            }
        }
        self
    }

    /// The only node that nothing leads to.
    fn first(&self) -> Option<&str> {
        self.only_one_beside(|edge| &edge.target)
    }

    /// The only node that nothing leaves.
    fn last(&self) -> Option<&str> {
        self.only_one_beside(|edge| &edge.source)
    }

    /// The only node that is not at this end of any edge. Costs as much as there are nodes and edges.
    fn only_one_beside(&self, end: impl Fn(&DrawnEdge) -> &String) -> Option<&str> {
        let touched: HashSet<&str> = self.edges.iter().map(|e| end(e).as_str()).collect();
        let mut found = self
            .nodes
            .iter()
            .filter(|n| !touched.contains(n.id.as_str()));
        match (found.next(), found.next()) {
            (Some(only), None) => Some(&only.id),
            _ => None,
        }
    }

    /// Takes away the node at an end when a single line touches it and another node is at that end then.
    fn trim(&mut self, end: impl Fn(&Self) -> Option<&str>, at: impl Fn(&DrawnEdge) -> &String) {
        let Some(id) = end(self).map(str::to_owned) else {
            return;
        };
        if self.edges.iter().filter(|e| *at(e) == id).count() != 1 {
            return;
        }
        let without = Drawing {
            nodes: self.nodes.iter().filter(|n| n.id != id).cloned().collect(),
            edges: self
                .edges
                .iter()
                .filter(|e| *at(e) != id)
                .cloned()
                .collect(),
        };
        if end(&without).is_some() {
            *self = without;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn drawn(nodes: &Value, edges: &Value) -> Drawing {
        let description = json!({
            "name": "g", "channels": [], "nodes": nodes, "edges": edges,
        });
        crate::drawing::draw(&serde_json::from_value(description).unwrap())
    }

    fn ids(drawing: &Drawing) -> Vec<&str> {
        drawing.nodes.iter().map(|n| n.id.as_str()).collect()
    }

    fn lines(drawing: &Drawing) -> Vec<String> {
        let line = |e: &DrawnEdge| format!("{} {}", e.source, e.target);
        drawing.edges.iter().map(line).collect()
    }

    #[test]
    fn a_graph_takes_the_place_of_its_node() {
        let outer = drawn(
            &json!([{"name": "a"}, {"name": "sub"}, {"name": "b"}]),
            &json!([{"from": ["__start__"], "to": "a"}, {"from": ["a"], "to": "sub"}, {"from": ["sub"], "to": "b"}]),
        );
        let inner = drawn(
            &json!([{"name": "x"}, {"name": "y"}]),
            &json!([{"from": ["__start__"], "to": "x"}, {"from": ["x"], "to": "y"}]),
        );
        let opened = outer.open("sub", inner);
        assert_eq!(
            ids(&opened),
            ["__start__", "a", "b", "__end__", "sub:x", "sub:y"]
        );
        let expected = [
            "__start__ a",
            "a sub:x",
            "sub:y b",
            "b __end__",
            "sub:x sub:y",
        ];
        assert_eq!(lines(&opened), expected);
        assert_eq!(
            opened.nodes[4].data,
            Some(DrawnData {
                name: "sub:x".to_owned()
            })
        );
    }

    #[test]
    fn a_graph_with_several_ways_in_keeps_its_start() {
        let outer = drawn(
            &json!([{"name": "sub"}]),
            &json!([{"from": ["__start__"], "to": "sub"}]),
        );
        let inner = drawn(
            &json!([{"name": "x"}, {"name": "y"}]),
            &json!([{"from": ["__start__"], "to": "x"}, {"from": ["__start__"], "to": "y"}]),
        );
        let opened = outer.open("sub", inner);
        let expected = [
            "__start__",
            "__end__",
            "sub:__start__",
            "sub:x",
            "sub:y",
            "sub:__end__",
        ];
        assert_eq!(ids(&opened), expected);
        assert!(lines(&opened).contains(&"__start__ sub:__start__".to_owned()));
        assert!(lines(&opened).contains(&"sub:__end__ __end__".to_owned()));
    }
}
