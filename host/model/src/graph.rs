//! What a component says a graph is made of: the answer of `describe`, see `wit/describe.schema.json`.
//!
//! Members that are not known here are ignored, so that a newer SDK's component still loads.

use std::fmt;
use std::time::Duration;

use indexmap::IndexMap;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::Json;

/// The virtual node before the first super-step; edges and branches may leave it.
pub const START: &str = "__start__";
/// The virtual node after the last; edges and branches may lead to it.
pub const END: &str = "__end__";

/// Whether a channel belongs to the algorithm and not to the author's state.
#[must_use]
pub fn is_internal_channel(name: &str) -> bool {
    name.starts_with("__") || name.starts_with("branch:to:") || name.starts_with("join:")
}

/// Everything that one component offers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ComponentDescription {
    /// The SDK that made the component, for messages: `"selvedge-sdk-rust 0.1.0"`.
    #[serde(default)]
    pub sdk: Option<String>,
    /// One entry per graph; at least one.
    pub graphs: Vec<GraphDescription>,
}

/// One graph.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GraphDescription {
    /// The name that `langgraph.json` may pick it by: `"./agent.wasm:name"`.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether it depends on how a run is configured; then this is what it is made of where nothing is.
    #[serde(default)]
    pub configured: bool,
    /// The keys of the state.
    pub channels: Vec<ChannelDescription>,
    /// The nodes.
    pub nodes: Vec<NodeDescription>,
    /// Edges that are always taken.
    #[serde(default)]
    pub edges: Vec<EdgeDescription>,
    /// Edges that a function of the graph decides.
    #[serde(default)]
    pub branches: Vec<BranchDescription>,
    /// The channels that an input may write; all when absent.
    #[serde(default)]
    pub input_channels: Option<Vec<String>>,
    /// The channels that callers see; all when absent.
    #[serde(default)]
    pub output_channels: Option<Vec<String>>,
    /// Nodes to stop before, or `["*"]`.
    #[serde(default)]
    pub interrupt_before: Vec<String>,
    /// Nodes to stop after, or `["*"]`.
    #[serde(default)]
    pub interrupt_after: Vec<String>,
    /// JSON Schemas for callers.
    #[serde(default)]
    pub schemas: Schemas,
}

/// A key of the state and how concurrent writes to it become one value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChannelDescription {
    /// The key.
    pub name: String,
    /// How writes are combined.
    #[serde(default)]
    pub reducer: Reducer,
    /// The value before the first write. Absent: the reducer's own empty value, or no value at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
}

/// How the writes of one super-step to a channel become its next value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reducer {
    /// The written value replaces the old; two writes in one step are an `InvalidUpdateError`.
    #[default]
    LastValue,
    /// Lists are joined; a value that is not a list is appended as one element. Starts as `[]`.
    Append,
    /// Chat messages, appended or replaced by id, with removal. Starts as `[]`.
    AddMessages,
    /// Objects are merged at their top level, later members winning. Starts as `{}`.
    Merge,
    /// Numbers are added. Starts as `0`.
    Sum,
    /// The last write wins and several are fine.
    AnyValue,
    /// Holds what was written for exactly one step.
    Ephemeral,
    /// As last value, but never part of a checkpoint.
    Untracked,
    /// The graph's own `reduce` decides.
    Custom,
}

/// A unit of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeDescription {
    /// Its name.
    pub name: String,
    /// The channels that it is given; all when absent.
    #[serde(default)]
    pub reads: Option<Vec<String>>,
    /// Runs only once no other task is left.
    #[serde(default)]
    pub defer: bool,
    /// What to do when it fails; the first policy that matches counts.
    #[serde(default)]
    pub retry: Vec<RetryPolicy>,
    /// How long it may take.
    #[serde(default)]
    pub timeout: Option<TimeoutPolicy>,
    /// Whether what it wrote is reused when its input is the same again.
    #[serde(default)]
    pub cache: Option<CachePolicy>,
    /// Where its commands may lead, for drawing and for checking.
    #[serde(default)]
    pub destinations: Option<Vec<String>>,
    /// Free data for drawings and streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// The graph that is run in place of a function: its input is what the node reads, its output what the node writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subgraph: Option<Subgraph>,
}

/// A graph that a node stands for.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Subgraph {
    /// A graph of the same component by its name, or else one that the host serves.
    Named(String),
    /// A graph of the node's own. The component knows it by its `name`, which is no name for callers.
    Own(Box<GraphDescription>),
}

impl<'de> Deserialize<'de> for Subgraph {
    /// By hand, because what reads either form first would have to keep the texts within in another form.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = Subgraph;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a graph, or a graph")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Subgraph, E> {
                Ok(Subgraph::Named(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Subgraph, A::Error> {
                let graph = GraphDescription::deserialize(MapAccessDeserializer::new(members))?;
                Ok(Subgraph::Own(Box::new(graph)))
            }
        }

        deserializer.deserialize_any(Form)
    }
}

/// Which failures of a node are tried again, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Seconds before the second attempt.
    #[serde(default = "half_a_second")]
    pub initial_interval: f64,
    /// Each wait is this many times the one before.
    #[serde(default = "two")]
    pub backoff_factor: f64,
    /// The longest wait in seconds.
    #[serde(default = "two_minutes")]
    pub max_interval: f64,
    /// Attempts in all, the first included.
    #[serde(default = "three")]
    pub max_attempts: u32,
    /// Add up to a second of chance to each wait.
    #[serde(default = "yes")]
    pub jitter: bool,
    /// Failure kinds that this policy is for. Absent: those that the graph marked as retryable.
    #[serde(default)]
    pub retry_on: Option<Vec<String>>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial_interval: half_a_second(),
            backoff_factor: two(),
            max_interval: two_minutes(),
            max_attempts: three(),
            jitter: yes(),
            retry_on: None,
        }
    }
}

/// How long one attempt at a node may take, beside the operator's own bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeoutPolicy {
    /// Seconds in all.
    #[serde(default)]
    pub run_timeout: Option<f64>,
    /// Seconds without progress: an event, a piece of a message, a call of the store, an HTTP request; in a graph inside
    /// the node also a step.
    #[serde(default)]
    pub idle_timeout: Option<f64>,
}

impl TimeoutPolicy {
    /// How long it may take in all.
    #[must_use]
    pub fn run_timeout(&self) -> Option<Duration> {
        self.run_timeout.and_then(positive)
    }

    /// How long it may go without progress.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout.and_then(positive)
    }
}

/// That a node's writes are reused when it gets the same input again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CachePolicy {
    /// For how many seconds; absent: as long as there is room.
    #[serde(default)]
    pub ttl: Option<f64>,
}

impl CachePolicy {
    /// For how long.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl.and_then(positive)
    }
}

/// Seconds as a time; `None` for what is none. More than anybody waits for is as good as for ever.
fn positive(seconds: f64) -> Option<Duration> {
    const LONGEST: f64 = 100.0 * 365.25 * 86_400.0;
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST)))
}

fn half_a_second() -> f64 {
    0.5
}
fn two() -> f64 {
    2.0
}
fn two_minutes() -> f64 {
    128.0
}
fn three() -> u32 {
    3
}
fn yes() -> bool {
    true
}

/// An edge that is always taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EdgeDescription {
    /// One source, or several that must all have run since the target last did.
    pub from: Vec<String>,
    /// The target.
    pub to: String,
}

/// An edge that `route` decides after its source has run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BranchDescription {
    /// The source.
    pub from: String,
    /// What `route` is asked for; unique among the branches of one source.
    pub name: String,
    /// Label to node, for drawing and for checking. Absent: any node.
    #[serde(default)]
    pub destinations: Option<IndexMap<String, String>>,
}

/// JSON Schemas for callers and drawings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Schemas {
    /// Of a run's input.
    #[serde(default)]
    pub input: Option<Json>,
    /// Of a run's output.
    #[serde(default)]
    pub output: Option<Json>,
    /// Of the whole state.
    #[serde(default)]
    pub state: Option<Json>,
    /// Of `config.configurable`.
    #[serde(default)]
    pub config: Option<Json>,
    /// Of `context`.
    #[serde(default)]
    pub context: Option<Json>,
}
