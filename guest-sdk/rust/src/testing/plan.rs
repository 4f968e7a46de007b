//! The parts of a graph's description that the driver needs, read as the host reads them.

use serde::Deserialize;
use serde_json::Value;

use crate::component::Graph;

#[derive(Deserialize)]
pub(super) struct Plan {
    pub channels: Vec<ChannelPlan>,
    pub nodes: Vec<NodePlan>,
    pub edges: Vec<EdgePlan>,
    pub branches: Vec<BranchPlan>,
    pub input_channels: Option<Vec<String>>,
    pub output_channels: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub(super) struct ChannelPlan {
    pub name: String,
    pub reducer: String,
    pub default: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct NodePlan {
    pub name: String,
    pub reads: Option<Vec<String>>,
    pub defer: bool,
    pub retry: Vec<RetryPlan>,
    /// The graph that the node stands for, by its name; of one of its own, its description.
    pub subgraph: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct RetryPlan {
    pub max_attempts: u32,
    pub retry_on: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub(super) struct EdgePlan {
    pub from: Vec<String>,
    pub to: String,
}

#[derive(Deserialize)]
pub(super) struct BranchPlan {
    pub from: String,
    pub name: String,
}

impl Plan {
    pub fn of(graph: &dyn Graph, name: &str) -> Self {
        serde_json::from_value(graph.describe(name))
            .expect("the SDK's description has the contract's form")
    }

    pub fn node(&self, name: &str) -> Option<&NodePlan> {
        self.nodes.iter().find(|n| n.name == name)
    }
}

impl NodePlan {
    /// The name of the graph that the node stands for.
    pub fn graph(&self) -> Option<&str> {
        let subgraph = self.subgraph.as_ref()?;
        subgraph.as_str().or_else(|| subgraph["name"].as_str())
    }

    /// How often the node may be tried when it fails like this.
    pub fn attempts(&self, kind: &str, retryable: bool) -> u32 {
        let policy = self.retry.iter().find(|r| match &r.retry_on {
            Some(kinds) => kinds.iter().any(|k| k == kind),
            None => retryable,
        });
        policy.map_or(1, |p| p.max_attempts)
    }
}
