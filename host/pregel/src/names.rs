//! The names in a description: how many, how long, and that they can be shown. A name goes into log lines, errors, events
//! and the ids of tasks, and the time that a step takes grows with the number of channels and nodes.

use selvedge_model::graph::{GraphDescription, Subgraph};

use crate::problems::GraphProblem;

/// Names in one description: channels, nodes, branches, and what edges, branches and nodes say of them.
pub(crate) const MOST_NAMES: usize = 10_000;

/// Of one name.
pub(crate) const LONGEST_NAME_BYTES: usize = 1_024;

/// What is wrong with the names, the first of each sort: a graph that means harm has thousands.
pub(crate) fn find(graph: &GraphDescription) -> Vec<GraphProblem> {
    let count = names(graph).count();
    let mut problems = Vec::new();
    if count > MOST_NAMES {
        problems.push(GraphProblem::TooManyNames { count });
    }
    let long = names(graph).find(|name| name.len() > LONGEST_NAME_BYTES);
    if let Some(name) = long {
        let end = name.floor_char_boundary(32);
        problems.push(GraphProblem::LongName {
            beginning: name[..end].escape_debug().to_string(),
        });
    }
    let unprintable = names(graph).find(|name| name.contains(char::is_control));
    if let Some(name) = unprintable {
        let end = name.floor_char_boundary(LONGEST_NAME_BYTES);
        problems.push(GraphProblem::ControlCharacter {
            name: name[..end].escape_debug().to_string(),
        });
    }
    problems
}

fn names(graph: &GraphDescription) -> Box<dyn Iterator<Item = &str> + '_> {
    fn all(list: &Option<Vec<String>>) -> impl Iterator<Item = &str> {
        list.iter().flatten().map(String::as_str)
    }
    let channels = graph.channels.iter().map(|channel| channel.name.as_str());
    let nodes = graph.nodes.iter().flat_map(|node| {
        let retried = node.retry.iter().flat_map(|policy| all(&policy.retry_on));
        std::iter::once(node.name.as_str())
            .chain(all(&node.reads))
            .chain(all(&node.destinations))
            .chain(retried)
    });
    let edges = graph.edges.iter().flat_map(|edge| {
        let from = edge.from.iter().map(String::as_str);
        from.chain(std::iter::once(edge.to.as_str()))
    });
    let branches = graph.branches.iter().flat_map(|branch| {
        let labels = branch.destinations.iter().flatten();
        [branch.from.as_str(), branch.name.as_str()]
            .into_iter()
            .chain(labels.flat_map(|(label, to)| [label.as_str(), to.as_str()]))
    });
    let breakpoints = graph.interrupt_before.iter().chain(&graph.interrupt_after);
    let found = std::iter::once(graph.name.as_str())
        .chain(channels)
        .chain(nodes)
        .chain(edges)
        .chain(branches)
        .chain(all(&graph.input_channels))
        .chain(all(&graph.output_channels))
        .chain(breakpoints.map(String::as_str))
        .chain(
            graph
                .nodes
                .iter()
                .filter_map(|n| n.subgraph.as_ref())
                .flat_map(names_within),
        );
    Box::new(found)
}

fn names_within(subgraph: &Subgraph) -> Box<dyn Iterator<Item = &str> + '_> {
    match subgraph {
        Subgraph::Named(name) => Box::new(std::iter::once(name.as_str())),
        Subgraph::Own(graph) => names(graph),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problems_of(description: Value) -> Vec<String> {
        let description: GraphDescription = serde_json::from_value(description).unwrap();
        find(&description).iter().map(ToString::to_string).collect()
    }

    fn channels(names: impl IntoIterator<Item = String>) -> Value {
        let channels: Vec<Value> = names
            .into_iter()
            .map(|name| json!({"name": name}))
            .collect();
        json!({"name": "g", "channels": channels, "nodes": []})
    }

    #[test]
    fn as_many_names_as_the_bound_are_fine_and_one_more_is_not() {
        let of = |count: usize| channels((0..count).map(|n| format!("c{n}")));
        // The graph's own name is one.
        assert_eq!(problems_of(of(MOST_NAMES - 1)), Vec::<String>::new());
        let found = problems_of(of(MOST_NAMES));
        assert!(found[0].contains("10001 names"), "{found:?}");
    }

    #[test]
    fn names_are_of_a_length_and_of_characters_that_can_be_shown() {
        assert_eq!(
            problems_of(channels(["größe".into(), "x".repeat(LONGEST_NAME_BYTES)])),
            Vec::<String>::new()
        );
        let found = problems_of(channels(["ä".repeat(LONGEST_NAME_BYTES)]));
        assert!(found[0].contains("longer than 1024 bytes"), "{found:?}");
        for name in ["a\nb", "\u{1b}[2J", "a\u{0}", "a\u{7f}", "a\u{85}"] {
            let found = problems_of(channels([name.to_owned()]));
            assert!(found[0].contains("control character"), "{found:?}");
            assert!(!found[0].contains(char::is_control), "{found:?}");
        }
    }
}
