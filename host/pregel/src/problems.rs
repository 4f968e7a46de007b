//! What can be wrong with a graph description. Found when a component is loaded, so that no run finds out later.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use selvedge_model::graph::{END, GraphDescription, START, Subgraph, is_internal_channel};

use crate::names::{LONGEST_NAME_BYTES, MOST_NAMES};
use crate::nested::DEEPEST;

/// One thing that is wrong; its text is a sentence for the graph's author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GraphProblem {
    /// Two channels or two nodes with one name.
    Duplicate {
        /// `channel`, `node` or `branch`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// More names than a description may have.
    TooManyNames {
        /// How many.
        count: usize,
    },
    /// A name that is too long.
    LongName {
        /// How it begins.
        beginning: String,
    },
    /// A name that cannot be shown as it is.
    ControlCharacter {
        /// The name, escaped.
        name: String,
    },
    /// A name that the algorithm needs for itself.
    Reserved {
        /// `channel` or `node`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A node's name with a character that separates parts of a namespace.
    Separator {
        /// The name.
        node: String,
    },
    /// Nothing leads out of START.
    NoEntry,
    /// An edge or branch leaves a node that does not exist.
    UnknownSource {
        /// Its name.
        node: String,
    },
    /// An edge, branch or destination leads to a node that does not exist.
    UnknownTarget {
        /// Where from.
        from: String,
        /// Its name.
        node: String,
    },
    /// An edge without a source.
    NoSource {
        /// Where to.
        to: String,
    },
    /// An edge of several sources names START.
    JoinWithStart {
        /// Where to.
        to: String,
    },
    /// Nothing leads to a node.
    Unreachable {
        /// Its name.
        node: String,
    },
    /// A node reads, or the graph takes or shows, a channel that does not exist.
    UnknownChannel {
        /// `node x`, `input_channels`, `output_channels`.
        by: String,
        /// Its name.
        channel: String,
    },
    /// A breakpoint at a node that does not exist.
    UnknownBreakpoint {
        /// Its name.
        node: String,
    },
    /// Graphs within graphs, beyond what may run.
    TooDeep {
        /// The node that stands for one graph too many.
        node: String,
    },
    /// What is wrong with a graph that a node stands for.
    Within {
        /// The node.
        node: String,
        /// What it is.
        problem: Box<GraphProblem>,
    },
    /// A time that is none.
    NoTime {
        /// The node.
        node: String,
        /// `timeout.run_timeout`, `timeout.idle_timeout` or `cache.ttl`.
        what: &'static str,
    },
}

impl fmt::Display for GraphProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { what, name } => {
                let plural = if *what == "branch" { "es" } else { "s" };
                write!(f, "there are two {what}{plural} with the name `{name}`")
            }
            Self::TooManyNames { count } => {
                write!(f, "the graph has {count} names, more than {MOST_NAMES}")
            }
            Self::LongName { beginning } => {
                write!(f, "the name `{beginning}…` is longer than {LONGEST_NAME_BYTES} bytes")
            }
            Self::ControlCharacter { name } => {
                write!(f, "the name `{name}` contains a control character")
            }
            Self::Reserved { what, name } => write!(f, "`{name}` is a reserved name and cannot name a {what}"),
            Self::Separator { node } => {
                write!(f, "the node name `{node}` contains `|` or `:`, which separate parts of a namespace")
            }
            Self::NoEntry => f.write_str(
                "the graph has no entry: add at least one edge or branch from START to another node",
            ),
            Self::UnknownSource { node } => write!(f, "an edge or branch starts at the unknown node `{node}`"),
            Self::UnknownTarget { from, node } => {
                write!(f, "an edge, branch or destination of `{from}` leads to the unknown node `{node}`")
            }
            Self::NoSource { to } => write!(f, "an edge to `{to}` has no source"),
            Self::JoinWithStart { to } => {
                write!(f, "the edge of several sources to `{to}` cannot wait for START")
            }
            Self::Unreachable { node } => write!(
                f,
                "the node `{node}` cannot be reached: no edge, branch or declared destination leads to it"
            ),
            Self::UnknownChannel { by, channel } => write!(f, "{by} names the unknown channel `{channel}`"),
            Self::UnknownBreakpoint { node } => write!(f, "a breakpoint names the unknown node `{node}`"),
            Self::TooDeep { node } => {
                write!(f, "the node `{node}` is a graph within more than {DEEPEST} others")
            }
            Self::Within { node, problem } => write!(f, "in the graph of the node `{node}`: {problem}"),
            Self::NoTime { node, what } => {
                write!(f, "the node `{node}` has a {what} that is not more than 0 seconds")
            }
        }
    }
}

impl std::error::Error for GraphProblem {}

/// Everything that is wrong with a description.
pub(crate) fn find(graph: &GraphDescription) -> Vec<GraphProblem> {
    let problems = crate::names::find(graph);
    if !problems.is_empty() {
        // What else is wrong would take long to find, or could not be shown.
        return problems;
    }
    find_at(graph, 0)
}

/// In a graph that lies within so many others, and in those within it.
fn find_at(graph: &GraphDescription, depth: usize) -> Vec<GraphProblem> {
    let mut problems = Vec::new();
    for node in &graph.nodes {
        let Some(Subgraph::Own(own)) = &node.subgraph else {
            continue;
        };
        let name = || node.name.clone();
        if depth == DEEPEST {
            return vec![GraphProblem::TooDeep { node: name() }];
        }
        let within = find_at(own, depth + 1).into_iter();
        problems.extend(within.map(|problem| GraphProblem::Within {
            node: name(),
            problem: Box::new(problem),
        }));
    }
    names(graph, &mut problems);
    channels(graph, &mut problems);
    edges(graph, &mut problems);
    breakpoints(graph, &mut problems);
    times(graph, &mut problems);
    if problems.is_empty() {
        reachability(graph, &mut problems);
    }
    problems
}

fn names(graph: &GraphDescription, problems: &mut Vec<GraphProblem>) {
    let mut seen = HashSet::new();
    for channel in &graph.channels {
        let name = channel.name.clone();
        if is_internal_channel(&name) {
            problems.push(GraphProblem::Reserved {
                what: "channel",
                name,
            });
        } else if !seen.insert(name.clone()) {
            problems.push(GraphProblem::Duplicate {
                what: "channel",
                name,
            });
        }
    }
    let mut seen = HashSet::new();
    for node in &graph.nodes {
        let name = node.name.clone();
        if name.starts_with("__") || name.is_empty() {
            problems.push(GraphProblem::Reserved { what: "node", name });
        } else if name.contains(['|', ':']) {
            problems.push(GraphProblem::Separator { node: name });
        } else if !seen.insert(name.clone()) {
            problems.push(GraphProblem::Duplicate { what: "node", name });
        }
    }
    let mut seen = HashSet::new();
    for branch in &graph.branches {
        if !seen.insert((&branch.from, &branch.name)) {
            problems.push(GraphProblem::Duplicate {
                what: "branch",
                name: branch.name.clone(),
            });
        }
    }
}

fn channels(graph: &GraphDescription, problems: &mut Vec<GraphProblem>) {
    let known: HashSet<&str> = graph.channels.iter().map(|c| c.name.as_str()).collect();
    let mut check = |by: String, names: &Option<Vec<String>>| {
        for name in names.iter().flatten() {
            if !known.contains(name.as_str()) {
                problems.push(GraphProblem::UnknownChannel {
                    by: by.clone(),
                    channel: name.clone(),
                });
            }
        }
    };
    check("`input_channels`".to_owned(), &graph.input_channels);
    check("`output_channels`".to_owned(), &graph.output_channels);
    for node in &graph.nodes {
        check(format!("the node `{}`", node.name), &node.reads);
    }
}

fn times(graph: &GraphDescription, problems: &mut Vec<GraphProblem>) {
    for node in &graph.nodes {
        let timeout = node.timeout.unwrap_or_default();
        let ttl = node.cache.and_then(|cache| cache.ttl);
        for (what, seconds) in [
            ("timeout.run_timeout", timeout.run_timeout),
            ("timeout.idle_timeout", timeout.idle_timeout),
            ("cache.ttl", ttl),
        ] {
            if seconds.is_some_and(|seconds| seconds <= 0.0) {
                problems.push(GraphProblem::NoTime {
                    node: node.name.clone(),
                    what,
                });
            }
        }
    }
}

fn edges(graph: &GraphDescription, problems: &mut Vec<GraphProblem>) {
    let nodes: HashSet<&str> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
    let is_source = |name: &str| name == START || nodes.contains(name);
    let is_target = |name: &str| name == END || nodes.contains(name);
    for (source, target) in arrows(graph) {
        if !is_source(source) {
            problems.push(GraphProblem::UnknownSource {
                node: source.to_owned(),
            });
        }
        if let Some(target) = target.filter(|t| !is_target(t)) {
            problems.push(GraphProblem::UnknownTarget {
                from: source.to_owned(),
                node: target.to_owned(),
            });
        }
    }
    for edge in &graph.edges {
        if edge.from.is_empty() {
            problems.push(GraphProblem::NoSource {
                to: edge.to.clone(),
            });
        }
        if edge.from.len() > 1 && edge.from.iter().any(|f| f == START) {
            problems.push(GraphProblem::JoinWithStart {
                to: edge.to.clone(),
            });
        }
    }
    let leaves_start = |from: &str| from == START;
    let entry = graph
        .edges
        .iter()
        .any(|e| e.from.iter().any(|f| leaves_start(f)))
        || graph.branches.iter().any(|b| leaves_start(&b.from));
    if !entry {
        problems.push(GraphProblem::NoEntry);
    }
}

fn breakpoints(graph: &GraphDescription, problems: &mut Vec<GraphProblem>) {
    let all = graph.interrupt_before.iter().chain(&graph.interrupt_after);
    for node in all.filter(|n| *n != "*") {
        if !graph.nodes.iter().any(|n| n.name == *node) {
            problems.push(GraphProblem::UnknownBreakpoint { node: node.clone() });
        }
    }
}

fn reachability(graph: &GraphDescription, problems: &mut Vec<GraphProblem>) {
    let mut from: HashMap<&str, Vec<Option<&str>>> = HashMap::new();
    for (source, target) in arrows(graph) {
        from.entry(source).or_default().push(target);
    }
    let mut reached: BTreeSet<&str> = BTreeSet::from([START]);
    let mut todo = vec![START];
    while let Some(at) = todo.pop() {
        for target in from.remove(at).into_iter().flatten() {
            match target {
                Some(target) => todo.extend(reached.insert(target).then_some(target)),
                // From here everything can be reached.
                None => return,
            }
        }
    }
    for node in &graph.nodes {
        if !reached.contains(node.name.as_str()) {
            problems.push(GraphProblem::Unreachable {
                node: node.name.clone(),
            });
        }
    }
}

/// Source and target of everything that may lead somewhere; a branch without labels may lead anywhere (`None`).
fn arrows(graph: &GraphDescription) -> impl Iterator<Item = (&str, Option<&str>)> {
    let edges = graph.edges.iter().flat_map(|e| {
        e.from
            .iter()
            .map(|from| (from.as_str(), Some(e.to.as_str())))
    });
    let labelled = graph.branches.iter().flat_map(|b| {
        b.destinations
            .iter()
            .flatten()
            .map(|(_, to)| (b.from.as_str(), Some(to.as_str())))
    });
    let open = graph
        .branches
        .iter()
        .filter(|b| b.destinations.is_none())
        .map(|b| (b.from.as_str(), None));
    let commands = graph.nodes.iter().flat_map(|n| {
        n.destinations
            .iter()
            .flatten()
            .map(|to| (n.name.as_str(), Some(to.as_str())))
    });
    edges.chain(labelled).chain(open).chain(commands)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problems_of(description: Value) -> Vec<String> {
        let description: GraphDescription = serde_json::from_value(description).unwrap();
        find(&description).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_sound_graph_has_no_problems() {
        let found = problems_of(json!({
            "name": "g", "channels": [{"name": "a"}],
            "nodes": [{"name": "x", "destinations": ["y"]}, {"name": "y", "reads": ["a"]}, {"name": "z"}],
            "edges": [{"from": ["__start__"], "to": "x"}, {"from": ["x", "y"], "to": "z"}],
            "branches": [{"from": "z", "name": "again", "destinations": {"yes": "x", "no": "__end__"}}],
            "interrupt_before": ["*"],
        }));
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_named_in_a_sentence_of_its_own() {
        let found = problems_of(json!({
            "name": "g",
            "channels": [{"name": "a"}, {"name": "a"}, {"name": "__x"}, {"name": "branch:to:x"}],
            "nodes": [{"name": "x", "reads": ["zz"], "timeout": {"run_timeout": 0}, "cache": {"ttl": -1}}, {"name": "x"}, {"name": "__y"}, {"name": "a|b"}],
            "edges": [{"from": ["x"], "to": "nowhere"}, {"from": ["ghost"], "to": "x"}, {"from": [], "to": "x"},
                      {"from": ["__start__", "x"], "to": "x"}],
            "branches": [{"from": "x", "name": "b", "destinations": {"l": "gone"}}, {"from": "x", "name": "b"}],
            "interrupt_after": ["ghost"],
        }));
        let text = found.join("\n");
        for part in [
            "two channels with the name `a`",
            "`__x` is a reserved name",
            "`branch:to:x` is a reserved name",
            "two nodes with the name `x`",
            "`__y` is a reserved name",
            "`a|b` contains `|` or `:`",
            "the node `x` names the unknown channel `zz`",
            "leads to the unknown node `nowhere`",
            "starts at the unknown node `ghost`",
            "an edge to `x` has no source",
            "cannot wait for START",
            "leads to the unknown node `gone`",
            "two branches with the name `b`",
            "a breakpoint names the unknown node `ghost`",
            "the node `x` has a timeout.run_timeout that is not more than 0 seconds",
            "the node `x` has a cache.ttl that is not more than 0 seconds",
        ] {
            assert!(text.contains(part), "missing: {part}\n{text}");
        }
    }

    #[test]
    fn a_graph_within_a_graph_is_looked_at_too() {
        let around = |subgraph: Value| {
            json!({
                "name": "g", "channels": [], "nodes": [{"name": "x", "subgraph": subgraph}],
                "edges": [{"from": ["__start__"], "to": "x"}],
            })
        };
        let inner = json!({"name": "g/x", "channels": [], "nodes": [{"name": "y"}]});
        let found = problems_of(around(around(inner)));
        let expected =
            "in the graph of the node `x`: in the graph of the node `x`: the graph has no entry";
        assert!(found[0].starts_with(expected), "{found:?}");
        assert_eq!(problems_of(around(json!("named"))), Vec::<String>::new());

        let nested = |levels: usize| (0..levels).fold(json!("named"), |within, _| around(within));
        assert_eq!(problems_of(nested(DEEPEST + 1)), Vec::<String>::new());
        let found = problems_of(nested(DEEPEST + 2));
        assert!(
            found[0].contains("is a graph within more than 8 others"),
            "{found:?}"
        );
    }

    #[test]
    fn a_graph_needs_an_entry_and_a_way_to_each_node() {
        let no_entry = problems_of(json!({"name": "g", "channels": [], "nodes": [{"name": "x"}]}));
        assert!(no_entry[0].contains("no entry"));
        let unreachable = problems_of(json!({
            "name": "g", "channels": [], "nodes": [{"name": "x"}, {"name": "y"}],
            "edges": [{"from": ["__start__"], "to": "x"}],
        }));
        assert!(unreachable[0].contains("`y` cannot be reached"));
    }
}
