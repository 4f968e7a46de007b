//! What may be said about a node beside its function.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use crate::graph::Name;

/// Options of a node, for [`StateGraph::node_with`](crate::StateGraph::node_with).
#[derive(Default)]
#[must_use]
pub struct NodeOptions {
    pub(crate) reads: Option<Vec<Name>>,
    pub(crate) defer: bool,
    pub(crate) retry: Vec<Retry>,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) cache: Option<Cache>,
    pub(crate) destinations: Option<Vec<Name>>,
    pub(crate) metadata: Option<Value>,
}

impl NodeOptions {
    /// Nothing out of the ordinary.
    pub fn new() -> Self {
        Self::default()
    }

    /// The node is given these channels only. Its argument must then be a type with these fields.
    pub fn reads(mut self, channels: impl IntoIterator<Item = impl Into<Name>>) -> Self {
        self.reads = Some(channels.into_iter().map(Into::into).collect());
        self
    }

    /// The node waits until no edge and no branch leads to another node. As in LangGraph, tasks that were made by a
    /// `Send` do not hold it up: let an edge lead from their node to this one instead.
    pub fn defer(mut self) -> Self {
        self.defer = true;
        self
    }

    /// Tries the node again when it fails. Of several policies the first that matches the failure counts.
    pub fn retry(mut self, policy: Retry) -> Self {
        self.retry.push(policy);
        self
    }

    /// Ends an attempt at the node that takes too long, with a `NodeTimeoutError`, which is retryable.
    pub fn timeout(mut self, policy: Timeout) -> Self {
        self.timeout = Some(policy);
        self
    }

    /// Reuses what the node wrote when it is given the same again, on whatever thread. For nodes that depend on nothing
    /// but the channels that they read, so say which those are with [`reads`](Self::reads). Messages keep the ids that
    /// they had.
    pub fn cache(mut self, policy: Cache) -> Self {
        self.cache = Some(policy);
        self
    }

    /// Where the node's gotos may lead: for drawing, and so that `check` knows that these nodes are reached.
    pub fn destinations(mut self, nodes: impl IntoIterator<Item = impl Into<Name>>) -> Self {
        self.destinations = Some(nodes.into_iter().map(Into::into).collect());
        self
    }

    /// Free data for drawings and streams; an object.
    pub fn metadata(mut self, metadata: Value) -> Self {
        self.metadata = Some(metadata);
        self
    }
}

/// When a failed node is tried again. The defaults are LangGraph's: three attempts, waits of 0.5 s, 1 s, … up to
/// 128 s with jitter, for failures that are marked as retryable.
#[derive(Clone, Debug)]
#[must_use]
pub struct Retry {
    initial_interval: Duration,
    backoff_factor: f64,
    max_interval: Duration,
    max_attempts: u32,
    jitter: bool,
    kinds: Option<Vec<Cow<'static, str>>>,
}

impl Retry {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            initial_interval: Duration::from_millis(500),
            backoff_factor: 2.0,
            max_interval: Duration::from_secs(128),
            max_attempts: 3,
            jitter: true,
            kinds: None,
        }
    }

    /// The wait before the second attempt.
    pub fn initial_interval(mut self, interval: Duration) -> Self {
        self.initial_interval = interval;
        self
    }

    /// Each wait is this many times the one before.
    pub fn backoff_factor(mut self, factor: f64) -> Self {
        self.backoff_factor = factor;
        self
    }

    /// The longest wait.
    pub fn max_interval(mut self, interval: Duration) -> Self {
        self.max_interval = interval;
        self
    }

    /// Attempts in all, the first included.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Whether up to a second of chance is added to each wait.
    pub fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// Failures of these kinds, whether marked as retryable or not.
    pub fn on(mut self, kinds: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) -> Self {
        self.kinds = Some(kinds.into_iter().map(Into::into).collect());
        self
    }

    pub(crate) fn describe(&self) -> Value {
        json!({
            "initial_interval": self.initial_interval.as_secs_f64(),
            "backoff_factor": self.backoff_factor,
            "max_interval": self.max_interval.as_secs_f64(),
            "max_attempts": self.max_attempts,
            "jitter": self.jitter,
            "retry_on": self.kinds,
        })
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

/// How long one attempt at a node may take. The operator's bound (`sandbox.wall_secs`) holds beside it.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Timeout {
    pub(crate) run: Option<Duration>,
    pub(crate) idle: Option<Duration>,
}

impl Timeout {
    /// No bound yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// In all.
    pub fn run(mut self, most: Duration) -> Self {
        self.run = Some(most);
        self
    }

    /// Without progress: an event, a piece of a message, a call of the store, an HTTP request. What goes on in a graph that
    /// the node stands for or calls is progress, too.
    pub fn idle(mut self, most: Duration) -> Self {
        self.idle = Some(most);
        self
    }

    pub(crate) fn describe(&self) -> Value {
        json!({
            "run_timeout": self.run.map(|most| most.as_secs_f64()),
            "idle_timeout": self.idle.map(|most| most.as_secs_f64()),
        })
    }
}

/// For how long what a node wrote is reused. It is kept in the server's memory, so never for sure.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Cache {
    pub(crate) ttl: Option<Duration>,
}

impl Cache {
    /// As long as there is room.
    pub fn new() -> Self {
        Self::default()
    }

    /// For so long after it was written.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    pub(crate) fn describe(&self) -> Value {
        json!({"ttl": self.ttl.map(|ttl| ttl.as_secs_f64())})
    }
}
