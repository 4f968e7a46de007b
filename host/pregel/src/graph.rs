//! A graph description, validated once and indexed for the algorithm.
//!
//! Channels and nodes are numbered, START is node 0, and each node knows what triggers it and what its end writes,
//! so that a super-step looks nothing up by walking edges.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use selvedge_model::Json;
use selvedge_model::graph::{
    CachePolicy, END, GraphDescription, Reducer, RetryPolicy, START, Subgraph, TimeoutPolicy,
};

use crate::channel::{ChannelSpec, Kind};
use crate::drawing::{self, Drawing};
use crate::problems::{self, GraphProblem};

/// The channel that holds the `Send`s of the step before.
pub(crate) const TASKS: &str = "__pregel_tasks";

/// The number of START among the nodes.
pub(crate) const START_NODE: usize = 0;

/// A validated, indexed [`GraphDescription`].
#[derive(Debug)]
pub struct Graph {
    description: GraphDescription,
    /// All channels: the author's in their order, then the internal ones.
    pub(crate) channels: IndexMap<String, ChannelSpec>,
    /// START, then the author's nodes in their order.
    pub(crate) nodes: Vec<Node>,
    node_index: HashMap<String, usize>,
    /// For each channel, the nodes that it triggers.
    pub(crate) triggered_by: Vec<Vec<usize>>,
    /// What callers see.
    pub(crate) outputs: Vec<usize>,
    /// The author's channels.
    pub(crate) state: Vec<usize>,
    /// What an input may write.
    inputs: BTreeSet<usize>,
    /// Whether some channel must be kept out of checkpoints.
    pub(crate) has_untracked: bool,
    /// Whether some channel has a reducer of the graph's own.
    pub(crate) has_custom: bool,
}

/// A node as the algorithm sees it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// The channels that it is given.
    pub(crate) reads: Vec<usize>,
    /// Sorted by name, as they go into the task's id.
    pub(crate) triggers: Vec<usize>,
    /// What its end always writes.
    pub(crate) edges: Vec<(String, Json)>,
    /// The branches that are asked after it, by name.
    pub(crate) branches: Vec<String>,
    pub(crate) retry: Vec<RetryPolicy>,
    pub(crate) timeout: TimeoutPolicy,
    pub(crate) cache: Option<CachePolicy>,
    pub(crate) nested: Option<Nested>,
}

/// The graph that a node stands for.
#[derive(Clone, Debug)]
pub enum Nested {
    /// To be looked up: a graph of the same component, or else one that the host serves.
    Named(Arc<str>),
    /// The node's own, of the same component.
    Own(Arc<Graph>),
}

impl Graph {
    /// Checks and indexes a description.
    ///
    /// # Errors
    /// Everything that is wrong with it, one clear sentence each.
    pub fn new(description: GraphDescription) -> Result<Arc<Graph>, Vec<GraphProblem>> {
        let found = problems::find(&description);
        if !found.is_empty() {
            return Err(found);
        }
        Ok(Arc::new(Self::index(description)))
    }

    /// The nodes that stand for graphs, in their order.
    pub fn nested(&self) -> impl Iterator<Item = (&str, &Nested)> {
        let nodes = self.nodes.iter();
        nodes.filter_map(|node| Some((node.name.as_str(), node.nested.as_ref()?)))
    }

    /// What the component said.
    #[must_use]
    pub fn description(&self) -> &GraphDescription {
        &self.description
    }

    /// The data of a picture of the graph, in the form of `GET /assistants/{id}/graph`.
    #[must_use]
    pub fn drawing(&self) -> Drawing {
        drawing::draw(&self.description)
    }

    pub(crate) fn channel(&self, name: &str) -> Option<usize> {
        self.channels.get_index_of(name)
    }

    pub(crate) fn channel_name(&self, index: usize) -> &str {
        self.channels
            .get_index(index)
            .map_or("", |(name, _)| name.as_str())
    }

    pub(crate) fn node(&self, name: &str) -> Option<usize> {
        self.node_index.get(name).copied()
    }

    /// Whether the author declared this key. What callers and nodes write elsewhere is ignored.
    pub(crate) fn is_state(&self, name: &str) -> bool {
        self.channel(name).is_some_and(|c| c < self.state.len())
    }

    /// Whether this key takes one value per step, which replaces what it held.
    pub(crate) fn keeps_last_value(&self, name: &str) -> bool {
        let spec = self.channels.get(name);
        spec.is_some_and(|spec| spec.kind == Kind::LastValue)
    }

    /// Whether an input may write this key.
    pub(crate) fn is_input(&self, name: &str) -> bool {
        self.channel(name).is_some_and(|c| self.inputs.contains(&c))
    }

    fn index(description: GraphDescription) -> Graph {
        let mut channels: IndexMap<String, ChannelSpec> = description
            .channels
            .iter()
            .map(|c| (c.name.clone(), ChannelSpec::of_state(c)))
            .collect();
        let state: Vec<usize> = (0..channels.len()).collect();
        channels.insert(
            START.to_owned(),
            ChannelSpec::internal(START, Kind::Ephemeral { guard: true }),
        );
        channels.insert(
            TASKS.to_owned(),
            ChannelSpec::internal(TASKS, Kind::Packets),
        );

        let numbers = |names: &Option<Vec<String>>| match names {
            None => state.clone(),
            Some(names) => description
                .channels
                .iter()
                .enumerate()
                .filter(|(_, c)| names.contains(&c.name))
                .map(|(index, _)| index)
                .collect(),
        };
        let outputs: Vec<usize> = numbers(&description.output_channels);
        let inputs = numbers(&description.input_channels).into_iter().collect();

        let mut nodes = vec![Node {
            name: START.to_owned(),
            reads: state.clone(),
            triggers: channels.get_index_of(START).into_iter().collect(),
            edges: Vec::new(),
            branches: Vec::new(),
            retry: Vec::new(),
            timeout: TimeoutPolicy::default(),
            cache: None,
            nested: None,
        }];
        for node in &description.nodes {
            let channel = branch_channel(&node.name);
            let kind = if node.defer {
                Kind::Deferred
            } else {
                Kind::Ephemeral { guard: false }
            };
            let (number, _) =
                channels.insert_full(channel.clone(), ChannelSpec::internal(&channel, kind));
            nodes.push(Node {
                name: node.name.clone(),
                reads: numbers(&node.reads),
                triggers: vec![number],
                edges: Vec::new(),
                branches: Vec::new(),
                retry: node.retry.clone(),
                timeout: node.timeout.unwrap_or_default(),
                cache: node.cache,
                nested: node.subgraph.as_ref().map(Nested::of),
            });
        }
        let has = |reducer| description.channels.iter().any(|c| c.reducer == reducer);
        let (has_untracked, has_custom) = (has(Reducer::Untracked), has(Reducer::Custom));
        let node_index = nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (node.name.clone(), index))
            .collect();
        let mut graph = Graph {
            description,
            channels,
            nodes,
            node_index,
            triggered_by: Vec::new(),
            outputs,
            state,
            inputs,
            has_untracked,
            has_custom,
        };
        graph.attach_edges();
        graph.attach_branches();
        graph.invert_triggers();
        graph
    }

    fn attach_edges(&mut self) {
        let mut seen = BTreeSet::new();
        let edges = self.description.edges.clone();
        let (single, joins): (Vec<_>, Vec<_>) = edges
            .into_iter()
            .filter(|e| e.to != END && seen.insert((e.from.clone(), e.to.clone())))
            .partition(|e| e.from.len() == 1);
        for edge in single {
            if let Some(source) = self.node(&edge.from[0]) {
                self.nodes[source]
                    .edges
                    .push((branch_channel(&edge.to), Json::null()));
            }
        }
        for edge in joins {
            self.attach_join(&edge.from, &edge.to);
        }
    }

    fn attach_join(&mut self, from: &[String], to: &str) {
        let Some(target) = self.node(to) else { return };
        let name = format!("join:{}:{to}", from.join("+"));
        let kind = Kind::Join {
            names: from.iter().cloned().collect(),
            deferred: self.description.nodes[target - 1].defer,
        };
        let (number, _) = self
            .channels
            .insert_full(name.clone(), ChannelSpec::internal(&name, kind));
        self.nodes[target].triggers.push(number);
        for source in from {
            if let Some(node) = self.node(source) {
                self.nodes[node]
                    .edges
                    .push((name.clone(), Json::string(source)));
            }
        }
    }

    fn attach_branches(&mut self) {
        for branch in self.description.branches.clone() {
            if let Some(source) = self.node(&branch.from) {
                self.nodes[source].branches.push(branch.name);
            }
        }
    }

    fn invert_triggers(&mut self) {
        self.triggered_by = vec![Vec::new(); self.channels.len()];
        for index in 0..self.nodes.len() {
            let mut triggers = std::mem::take(&mut self.nodes[index].triggers);
            triggers.sort_by(|a, b| self.channel_name(*a).cmp(self.channel_name(*b)));
            for trigger in &triggers {
                self.triggered_by[*trigger].push(index);
            }
            self.nodes[index].triggers = triggers;
        }
    }
}

impl Nested {
    /// Of a description that was checked with the one around it.
    fn of(subgraph: &Subgraph) -> Self {
        match subgraph {
            Subgraph::Named(name) => Self::Named(name.as_str().into()),
            Subgraph::Own(graph) => Self::Own(Arc::new(Graph::index((**graph).clone()))),
        }
    }
}

/// The channel that triggers a node.
pub(crate) fn branch_channel(node: &str) -> String {
    format!("branch:to:{node}")
}
