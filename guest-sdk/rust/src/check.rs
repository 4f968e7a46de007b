//! Finds the mistakes in a graph before it runs, all at once.

use std::collections::BTreeSet;

use crate::component::Problems;
use crate::graph::{StateGraph, Work};
use crate::state::State;
use crate::subgraph::{Inner, Subgraph};
use crate::update::{END, START};

impl<S: State> StateGraph<S> {
    /// Looks for mistakes: names that nobody has or that are reserved, edges that lead nowhere, nodes that nothing
    /// leads to, no way in.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn check(&self) -> Result<(), Problems> {
        Problems::none_or(problems(self))
    }
}

pub(crate) fn problems<S: State>(graph: &StateGraph<S>) -> Vec<String> {
    let mut check = Check {
        nodes: graph.nodes.iter().map(|n| n.name.as_ref()).collect(),
        problems: Vec::new(),
    };
    check.names(graph);
    check.edges(graph);
    check.branches(graph);
    check.options(graph);
    check.subgraphs(graph);
    if check.way_in(graph) {
        check.reach(graph);
    }
    check.problems
}

struct Check<'a> {
    nodes: BTreeSet<&'a str>,
    problems: Vec<String>,
}

impl<'a> Check<'a> {
    fn say(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn names<S: State>(&mut self, graph: &'a StateGraph<S>) {
        if graph.nodes.is_empty() {
            self.say("it has no nodes".to_owned());
        }
        let mut seen = BTreeSet::new();
        for node in &graph.nodes {
            if let Some(reason) = refused(&node.name) {
                self.say(format!("node `{}`: {reason}", node.name));
            }
            if !seen.insert(node.name.as_ref()) {
                self.say(format!("there are two nodes `{}`", node.name));
            }
        }
        let mut seen = BTreeSet::new();
        for channel in S::channels() {
            if let Some(reason) = refused(channel.name) {
                self.say(format!(
                    "channel `{}` of {}: {reason}",
                    channel.name,
                    S::NAME
                ));
            }
            if !seen.insert(channel.name) {
                self.say(format!("{} has two channels `{}`", S::NAME, channel.name));
            }
        }
    }

    fn edges<S: State>(&mut self, graph: &'a StateGraph<S>) {
        for (position, edge) in graph.edges.iter().enumerate() {
            let what = format!("edge {} → `{}`", listed(&edge.from), edge.to);
            if edge.from.is_empty() {
                self.say(format!("the join to `{}` has no sources", edge.to));
            }
            for from in &edge.from {
                self.source(&what, from);
            }
            if edge.from.len() > 1 && edge.from.iter().any(|f| f == START) {
                self.say(format!(
                    "{what}: START cannot be waited for together with nodes"
                ));
            }
            self.target(&what, &edge.to);
            if graph
                .edges
                .iter()
                .take(position)
                .any(|e| e.from == edge.from && e.to == edge.to)
            {
                self.say(format!("{what} is there twice"));
            }
        }
    }

    fn branches<S: State>(&mut self, graph: &'a StateGraph<S>) {
        for branch in &graph.branches {
            let what = format!("branch from `{}`", branch.from);
            self.source(&what, &branch.from);
            for target in branch.destinations.iter().flatten() {
                self.target(&what, target);
            }
        }
    }

    fn options<S: State>(&mut self, graph: &'a StateGraph<S>) {
        let is_channel = |name: &str| S::channels().iter().any(|c| c.name == name);
        for node in &graph.nodes {
            for channel in node
                .options
                .reads
                .iter()
                .flatten()
                .filter(|c| !is_channel(c))
            {
                self.say(format!(
                    "node `{}` reads `{channel}`, which {} does not have",
                    node.name,
                    S::NAME
                ));
            }
            let timeout = node.options.timeout.as_ref();
            let ttl = node.options.cache.as_ref().and_then(|cache| cache.ttl);
            let times = timeout.and_then(|t| t.run).into_iter();
            let times = times.chain(timeout.and_then(|t| t.idle)).chain(ttl);
            if times.into_iter().any(|time| time.is_zero()) {
                self.say(format!(
                    "node `{}` has a timeout or a cache of no time at all",
                    node.name
                ));
            }
            for target in node.options.destinations.iter().flatten() {
                self.target(&format!("destinations of `{}`", node.name), target);
            }
        }
        for channel in graph
            .input_channels
            .iter()
            .chain(&graph.output_channels)
            .flatten()
        {
            if !is_channel(channel) {
                self.say(format!(
                    "input or output has `{channel}`, which {} does not have",
                    S::NAME
                ));
            }
        }
        for node in graph
            .interrupt_before
            .iter()
            .chain(&graph.interrupt_after)
            .filter(|n| *n != "*")
        {
            if !self.nodes.contains(node.as_ref()) {
                self.say(format!("a breakpoint names `{node}`, which is no node"));
            }
        }
    }

    /// Looks into the graphs that are nodes. What one of them is by name is not known here.
    fn subgraphs<S: State>(&mut self, graph: &'a StateGraph<S>) {
        for node in &graph.nodes {
            let Work::Graph(Subgraph(inner)) = &node.work else {
                continue;
            };
            match inner {
                Inner::Named(name) if name.is_empty() => {
                    self.say(format!("node `{}` is a graph without a name", node.name));
                }
                Inner::Named(_) => {}
                Inner::Own(own) => {
                    for problem in own.problems() {
                        self.say(format!("in the graph of node `{}`: {problem}", node.name));
                    }
                }
            }
        }
    }

    fn way_in<S: State>(&mut self, graph: &'a StateGraph<S>) -> bool {
        let from_start = graph
            .edges
            .iter()
            .any(|e| e.from.iter().any(|f| f == START))
            || graph.branches.iter().any(|b| b.from == START);
        if !from_start {
            self.say("nothing leads from START to a node: add `.edge(START, …)`".to_owned());
        }
        from_start
    }

    /// Follows everything that may lead from START on. A branch that does not name its targets may lead anywhere.
    fn reach<S: State>(&mut self, graph: &'a StateGraph<S>) {
        let mut reached = BTreeSet::from([START]);
        loop {
            let before = reached.len();
            for edge in &graph.edges {
                if edge.from.iter().any(|f| reached.contains(f.as_ref())) {
                    reached.insert(&edge.to);
                }
            }
            for branch in &graph.branches {
                match &branch.destinations {
                    _ if !reached.contains(branch.from.as_ref()) => {}
                    Some(targets) => reached.extend(targets.iter().map(AsRef::as_ref)),
                    None => return,
                }
            }
            for node in &graph.nodes {
                if let Some(targets) = node
                    .options
                    .destinations
                    .as_ref()
                    .filter(|_| reached.contains(node.name.as_ref()))
                {
                    reached.extend(targets.iter().map(AsRef::as_ref));
                }
            }
            if reached.len() == before {
                break;
            }
        }
        let lost: Vec<&str> = self
            .nodes
            .iter()
            .copied()
            .filter(|n| !reached.contains(n))
            .collect();
        for node in lost {
            self.say(format!(
                "node `{node}` is never reached: no edge or branch leads to it from START \
                 (if a goto or a Send does, name it in the `destinations` of the node that sends)"
            ));
        }
    }

    fn source(&mut self, what: &str, name: &str) {
        if name == END {
            self.say(format!("{what}: nothing can come after END"));
        } else if name != START && !self.nodes.contains(name) {
            self.say(format!(
                "{what}: there is no node `{name}`{}",
                self.similar(name)
            ));
        }
    }

    fn target(&mut self, what: &str, name: &str) {
        if name == START {
            self.say(format!("{what}: nothing can lead to START"));
        } else if name != END && !self.nodes.contains(name) {
            self.say(format!(
                "{what}: there is no node `{name}`{}",
                self.similar(name)
            ));
        }
    }

    fn similar(&self, name: &str) -> String {
        let same_letters = |n: &&&str| {
            n.eq_ignore_ascii_case(name) || n.trim_matches('_') == name.trim_matches('_')
        };
        match self.nodes.iter().find(same_letters) {
            Some(node) => format!(" (did you mean `{node}`?)"),
            None => String::new(),
        }
    }
}

/// Why the host would not take such a name, see `wit/describe.schema.json`.
fn refused(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.chars().count() > 200 {
        Some("a name has 1 to 200 characters")
    } else if name.starts_with("__") || name.starts_with("branch:to:") || name.starts_with("join:")
    {
        Some("names that begin with `__`, `branch:to:` or `join:` are reserved")
    } else if name
        .chars()
        .any(|c| c == '|' || c == ':' || c.is_ascii_control())
    {
        Some("`|`, `:` and control characters cannot be part of a name")
    } else {
        None
    }
}

fn listed(names: &[crate::graph::Name]) -> String {
    names
        .iter()
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(" + ")
}
