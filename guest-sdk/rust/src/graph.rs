//! The builder: nodes, edges and branches over a state.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::rc::Rc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::component::Graph;
use crate::context::Context;
use crate::error::{NodeError, NodeResult};
use crate::options::NodeOptions;
use crate::state::State;
use crate::subgraph::{self, Inner, Subgraph};
use crate::update::{Effects, Goto, IntoTargets};
use crate::{describe, ids};

/// The name of a node, or of something that names one.
pub(crate) type Name = Cow<'static, str>;

/// A graph over the state `S`.
///
/// Building it never fails: mistakes are found all at once by [`check`](Self::check), by `selvedge check`, and when
/// the host loads the component.
#[must_use = "a graph does something only as part of a component: see `graphs!`"]
pub struct StateGraph<S> {
    pub(crate) description: Option<String>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) branches: Vec<Branch>,
    pub(crate) interrupt_before: Vec<Name>,
    pub(crate) interrupt_after: Vec<Name>,
    pub(crate) input_channels: Option<Vec<&'static str>>,
    pub(crate) output_channels: Option<Vec<&'static str>>,
    pub(crate) schemas: Schemas,
    state: PhantomData<fn() -> S>,
}

/// A node's function, with the reading of its argument.
type RunNode = Box<dyn Fn(&Context) -> Result<Effects, NodeError>>;
/// A branch's function, with the reading of the state.
type Choose = Box<dyn Fn(&str, &Context) -> Result<Vec<Goto>, NodeError>>;

pub(crate) struct Node {
    pub name: Name,
    pub options: NodeOptions,
    pub work: Work,
}

/// What a node does.
pub(crate) enum Work {
    Run(RunNode),
    Graph(Subgraph),
}

pub(crate) struct Edge {
    pub from: Vec<Name>,
    pub to: Name,
}

pub(crate) struct Branch {
    pub from: Name,
    pub name: String,
    pub destinations: Option<Vec<Name>>,
    choose: Choose,
}

/// How to make the JSON Schemas; they are made only when the host asks for a description.
#[derive(Default)]
pub(crate) struct Schemas {
    pub input: Option<fn() -> Value>,
    pub output: Option<fn() -> Value>,
    pub config: Option<fn() -> Value>,
    pub context: Option<fn() -> Value>,
}

impl<S: State> StateGraph<S> {
    /// A graph without nodes.
    pub fn new() -> Self {
        Self {
            description: None,
            nodes: Vec::new(),
            edges: Vec::new(),
            branches: Vec::new(),
            interrupt_before: Vec::new(),
            interrupt_after: Vec::new(),
            input_channels: None,
            output_channels: None,
            schemas: Schemas::default(),
            state: PhantomData,
        }
    }

    /// Says what the graph is for.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Adds a node: `fn(Chat, &Context) -> NodeResult<Chat>`.
    ///
    /// The first argument is read from the state by serde. It is the state's own struct, a smaller struct with some
    /// of its fields, or, for a node that a [`Send`](crate::Send) leads to, the type of the `Send`'s argument.
    pub fn node<A, F>(self, name: impl Into<Name>, run: F) -> Self
    where
        A: DeserializeOwned,
        F: Fn(A, &Context) -> NodeResult<S> + 'static,
    {
        self.node_with(name, run, NodeOptions::new())
    }

    /// As [`node`](Self::node), with a retry policy, declared destinations and so on.
    pub fn node_with<A, F>(mut self, name: impl Into<Name>, run: F, options: NodeOptions) -> Self
    where
        A: DeserializeOwned,
        F: Fn(A, &Context) -> NodeResult<S> + 'static,
    {
        let run = Box::new(move |ctx: &Context| {
            let frame: Frame<A> = serde_json::from_str(ctx.task_json()).map_err(unreadable)?;
            let _ids = ids::enter(frame.task.message_prefix());
            Ok(run(frame.state, ctx)?.into_effects())
        });
        self.nodes.push(Node {
            name: name.into(),
            options,
            work: Work::Run(run),
        });
        self
    }

    /// Adds a node that is a graph: another [`StateGraph`], or the name of one of the same component or, if it has no
    /// such graph, of the server.
    ///
    /// The graph begins with what the node reads of the state, and when it ends, its output is what the node writes: the
    /// channels that both graphs have are shared, by their names. It has checkpoints of its own, so that a question
    /// asked inside it is answered like any other and a crash costs it one step; callers see it as `node:…` in streams
    /// and states.
    ///
    /// ```
    /// # use selvedge_sdk::prelude::*;
    /// # #[derive(State, Serialize, Deserialize, JsonSchema)] struct Notes { #[channel(append)] notes: Vec<String> }
    /// fn research() -> StateGraph<Notes> {
    ///     StateGraph::new()
    ///         .node("look", |_: Notes, _: &Context| Ok(Notes::update().notes(["found"])))
    ///         .edge(START, "look")
    /// }
    /// let graph = StateGraph::<Notes>::new().subgraph("research", research()).edge(START, "research");
    /// # graph.check().unwrap();
    /// ```
    pub fn subgraph(self, name: impl Into<Name>, graph: impl Into<Subgraph>) -> Self {
        self.subgraph_with(name, graph, NodeOptions::new())
    }

    /// As [`subgraph`](Self::subgraph), with a retry policy, declared destinations and so on. A graph that is tried again
    /// goes on where it stood. To a [`Timeout`](crate::Timeout) each of its steps is progress, and what its nodes do.
    pub fn subgraph_with(
        mut self,
        name: impl Into<Name>,
        graph: impl Into<Subgraph>,
        options: NodeOptions,
    ) -> Self {
        self.nodes.push(Node {
            name: name.into(),
            options,
            work: Work::Graph(graph.into()),
        });
        self
    }

    /// After `from` (a node or [`START`](crate::START)), `to` (a node or [`END`](crate::END)) runs.
    pub fn edge(self, from: impl Into<Name>, to: impl Into<Name>) -> Self {
        self.join([from], to)
    }

    /// Once **all** of `from` have run since `to` last did, `to` runs.
    pub fn join(
        mut self,
        from: impl IntoIterator<Item = impl Into<Name>>,
        to: impl Into<Name>,
    ) -> Self {
        self.edges.push(Edge {
            from: from.into_iter().map(Into::into).collect(),
            to: to.into(),
        });
        self
    }

    /// After `from`, a function says where to go: `|s: &Chat| if s.done { END } else { "model" }`. It sees the state
    /// with the node's own writes. Any node may be its target; name them with [`branch_to`](Self::branch_to) for
    /// better drawings and checks.
    pub fn branch<R, F>(self, from: impl Into<Name>, choose: F) -> Self
    where
        R: IntoTargets,
        F: Fn(&S) -> R + 'static,
    {
        self.add_branch(from.into(), function_name::<F>(), None, move |state, _| {
            Ok(choose(state).into_targets())
        })
    }

    /// As [`branch`](Self::branch), with the list of the possible targets.
    pub fn branch_to<R, F, D>(
        self,
        from: impl Into<Name>,
        choose: F,
        targets: impl IntoIterator<Item = D>,
    ) -> Self
    where
        R: IntoTargets,
        F: Fn(&S) -> R + 'static,
        D: Into<Name>,
    {
        let targets = targets.into_iter().map(Into::into).collect();
        self.add_branch(
            from.into(),
            function_name::<F>(),
            Some(targets),
            move |state, _| Ok(choose(state).into_targets()),
        )
    }

    /// As [`branch_to`](Self::branch_to), for a function that also looks at the run's facts or may fail.
    pub fn branch_with<R, F, D>(
        self,
        from: impl Into<Name>,
        choose: F,
        targets: impl IntoIterator<Item = D>,
    ) -> Self
    where
        R: IntoTargets,
        F: Fn(&S, &Context) -> Result<R, NodeError> + 'static,
        D: Into<Name>,
    {
        let targets = targets.into_iter().map(Into::into).collect();
        self.add_branch(
            from.into(),
            function_name::<F>(),
            Some(targets),
            move |state, ctx| Ok(choose(state, ctx)?.into_targets()),
        )
    }

    fn add_branch(
        mut self,
        from: Name,
        name: &str,
        destinations: Option<Vec<Name>>,
        choose: impl Fn(&S, &Context) -> Result<Vec<Goto>, NodeError> + 'static,
    ) -> Self {
        let same = |n: &str| self.branches.iter().any(|b| b.from == from && b.name == n);
        let name = (1..)
            .map(|n| {
                if n == 1 {
                    name.to_owned()
                } else {
                    format!("{name}_{n}")
                }
            })
            .find(|n| !same(n))
            .unwrap_or_default();
        let choose = Box::new(move |state: &str, ctx: &Context| {
            let state: S = serde_json::from_str(state).map_err(unreadable)?;
            choose(&state, ctx)
        });
        self.branches.push(Branch {
            from,
            name,
            destinations,
            choose,
        });
        self
    }

    /// Stops a run before these nodes, until it is resumed.
    pub fn interrupt_before(mut self, nodes: impl IntoIterator<Item = impl Into<Name>>) -> Self {
        self.interrupt_before
            .extend(nodes.into_iter().map(Into::into));
        self
    }

    /// Stops a run after these nodes, until it is resumed.
    pub fn interrupt_after(mut self, nodes: impl IntoIterator<Item = impl Into<Name>>) -> Self {
        self.interrupt_after
            .extend(nodes.into_iter().map(Into::into));
        self
    }

    /// Callers may write only the channels of `I`, a smaller struct with some of the state's fields.
    pub fn input<I: State>(mut self) -> Self {
        self.input_channels = Some(I::channels().iter().map(|c| c.name).collect());
        self.schemas.input = Some(describe::schema::<I>);
        self
    }

    /// Callers see only the channels of `O`, a smaller struct with some of the state's fields.
    pub fn output<O: State>(mut self) -> Self {
        self.output_channels = Some(O::channels().iter().map(|c| c.name).collect());
        self.schemas.output = Some(describe::schema::<O>);
        self
    }

    /// The form of a run's `context`, which nodes read with [`Context::context`].
    pub fn context<C: JsonSchema>(mut self) -> Self {
        self.schemas.context = Some(describe::schema::<C>);
        self
    }

    /// The form of a run's `config.configurable`, which nodes read with [`Context::configurable`].
    pub fn config<C: JsonSchema>(mut self) -> Self {
        self.schemas.config = Some(describe::schema::<C>);
        self
    }
}

impl<S: State> Default for StateGraph<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: State> Graph for StateGraph<S> {
    fn describe(&self, name: &str) -> Value {
        describe::graph(self, name)
    }

    fn problems(&self) -> Vec<String> {
        crate::check::problems(self)
    }

    fn run_node(&self, node: &str, ctx: &Context) -> Result<String, NodeError> {
        let found = self.nodes.iter().find(|n| n.name == node);
        let node = found.ok_or_else(|| {
            NodeError::new("UnknownNode", format!("the graph has no node `{node}`"))
        })?;
        let Work::Run(run) = &node.work else {
            let why = format!("the node `{}` is a graph, which the host runs", node.name);
            return Err(NodeError::new("UnknownNode", why));
        };
        match run(ctx) {
            Ok(effects) => effects.into_json(),
            // The host has noted the question and does not look at the answer.
            Err(error) if error.is_interrupt() => Ok("{}".to_owned()),
            Err(error) => Err(error),
        }
    }

    fn inner(&self, path: &str) -> Option<Rc<dyn Graph>> {
        self.nodes.iter().find_map(|node| {
            let Work::Graph(Subgraph(Inner::Own(graph))) = &node.work else {
                return None;
            };
            match path.strip_prefix(node.name.as_ref())? {
                "" => Some(Rc::clone(graph)),
                rest => graph.inner(rest.strip_prefix(subgraph::SEPARATOR)?),
            }
        })
    }

    fn route(
        &self,
        node: &str,
        branch: &str,
        state: &str,
        ctx: &Context,
    ) -> Result<String, NodeError> {
        let found = self
            .branches
            .iter()
            .find(|b| b.from == node && b.name == branch);
        let unknown = || {
            NodeError::new(
                "UnknownBranch",
                format!("the node `{node}` has no branch `{branch}`"),
            )
        };
        let targets = (found.ok_or_else(unknown)?.choose)(state, ctx)?;
        Ok(serde_json::to_string(&targets)?)
    }

    fn reduce(&self, channel: &str, current: &str, updates: &str) -> Result<String, NodeError> {
        let found = S::channels()
            .iter()
            .find(|c| c.name == channel)
            .and_then(|c| c.reduce);
        let unknown = || {
            NodeError::new(
                "UnknownChannel",
                format!("the channel `{channel}` has no reducer of its own"),
            )
        };
        found.ok_or_else(unknown)?(current, updates)
    }
}

/// What is read of a task before the node runs: the rest is read on demand.
#[derive(Deserialize)]
struct Frame<A> {
    state: A,
    task: TaskId,
}

#[derive(Deserialize)]
struct TaskId {
    id: String,
    #[serde(default)]
    attempt: u32,
}

impl TaskId {
    /// What the ids of the task's messages begin with. A retry has another, or readers of the stream would join what
    /// the failed attempt has shown with what this one shows.
    fn message_prefix(self) -> String {
        if self.attempt > 1 {
            format!("{}-{}", self.id, self.attempt)
        } else {
            self.id
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn unreadable(error: serde_json::Error) -> NodeError {
    let hint = if error.to_string().starts_with("missing field") {
        " (a channel that nobody wrote to yet is absent: make the field an Option or give it #[serde(default)])"
    } else {
        ""
    };
    NodeError::new(
        "InvalidStateError",
        format!("the state does not have the form that the code expects: {error}{hint}"),
    )
}

/// The last part of a function's path; `condition` for a closure, as LangGraph calls it.
fn function_name<F>() -> &'static str {
    let path = std::any::type_name::<F>();
    match path.rsplit("::").next() {
        Some(name) if name.chars().all(|c| c.is_alphanumeric() || c == '_') => name,
        _ => "condition",
    }
}
