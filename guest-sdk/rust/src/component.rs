//! The graphs of one component, by name; what the contract's exports call.

use std::fmt;
use std::rc::Rc;

use serde_json::Value;

use crate::configured::Setting;
use crate::context::Context;
use crate::error::NodeError;
use crate::subgraph::SEPARATOR;

/// A graph as the host deals with it, without the types of its state. [`StateGraph`](crate::StateGraph) is one.
pub trait Graph {
    /// Its part of the answer of `describe`.
    fn describe(&self, name: &str) -> Value;
    /// The mistakes in it, each for people.
    fn problems(&self) -> Vec<String>;
    /// The graph that a node has of its own, by the path of nodes that leads to it: `node`, or `node/node`.
    fn inner(&self, path: &str) -> Option<Rc<dyn Graph>> {
        let _ = path;
        None
    }
    /// The graph as it is for how a run is configured; `None` when it is always the same.
    fn configured(&self, setting: &Setting) -> Option<Result<Rc<dyn Graph>, NodeError>> {
        let _ = setting;
        None
    }
    /// Runs a node; the answer is that of `run-node`.
    ///
    /// # Errors
    /// What the node returned.
    fn run_node(&self, node: &str, ctx: &Context) -> Result<String, NodeError>;
    /// Asks a branch; the answer is that of `route`.
    ///
    /// # Errors
    /// What the branch returned.
    fn route(
        &self,
        node: &str,
        branch: &str,
        state: &str,
        ctx: &Context,
    ) -> Result<String, NodeError>;
    /// Combines writes by a reducer of the author's; the answer is that of `reduce`.
    ///
    /// # Errors
    /// If a write does not have the form that the reducer expects.
    fn reduce(&self, channel: &str, current: &str, updates: &str) -> Result<String, NodeError>;
}

/// A graph's name and how to build it. Graphs are built when they are needed, on whatever instance the call came to.
pub type Entry = (&'static str, fn() -> Box<dyn Graph>);

/// The graphs of a component. [`graphs!`](crate::graphs) writes a function that returns them.
#[derive(Clone, Copy)]
pub struct Graphs {
    table: &'static [Entry],
}

impl Graphs {
    /// A table of graphs.
    #[must_use]
    pub const fn new(table: &'static [Entry]) -> Self {
        Self { table }
    }

    /// Every graph with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Box<dyn Graph>)> {
        self.table.iter().map(|(name, build)| (*name, build()))
    }

    /// One graph.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Box<dyn Graph>> {
        self.table
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, build)| build())
    }

    /// One graph, or one that a node of it has of its own, by the name that it has in the description, as it is for how a
    /// run is configured.
    ///
    /// # Errors
    /// What a graph that depends on that says of it; `UnknownGraph`.
    pub fn find(&self, name: &str, setting: &Setting) -> Result<Rc<dyn Graph>, NodeError> {
        if let Some(graph) = self.get(name) {
            return as_configured(graph, setting);
        }
        for (around, build) in self.table {
            let path = name.strip_prefix(around);
            if let Some(path) = path.and_then(|path| path.strip_prefix(SEPARATOR))
                && let Some(inner) = as_configured(build(), setting)?.inner(path)
            {
                return Ok(inner);
            }
        }
        let what = format!("the component has no graph `{name}`");
        Err(NodeError::new("UnknownGraph", what))
    }

    /// The answer of `describe`.
    #[must_use]
    pub fn describe(&self) -> Value {
        crate::describe::component(self)
    }

    /// Looks for mistakes in all graphs.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Vec::new();
        for (position, (name, graph)) in self.iter().enumerate() {
            if self.table.iter().take(position).any(|(n, _)| *n == name) {
                problems.push(format!("graph `{name}`: the name is used twice"));
            }
            problems.extend(
                graph
                    .problems()
                    .into_iter()
                    .map(|p| format!("graph `{name}`: {p}")),
            );
        }
        Problems::none_or(problems)
    }
}

fn as_configured(graph: Box<dyn Graph>, setting: &Setting) -> Result<Rc<dyn Graph>, NodeError> {
    graph
        .configured(setting)
        .unwrap_or_else(|| Ok(graph.into()))
}

/// Mistakes in a graph, all that there are.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    pub(crate) fn none_or(problems: Vec<String>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self(problems))
        }
    }

    /// Each mistake, for people.
    #[must_use]
    pub fn list(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Makes a component of graphs: `graphs! { "agent" => agent(), "echo" => StateGraph::<Echo>::new()… }`.
///
/// It writes a function `graphs()`, which tests use, and on WebAssembly the exports that the host calls. Use it once
/// in a crate with `crate-type = ["cdylib"]`. Each expression is evaluated when its graph is needed.
#[macro_export]
macro_rules! graphs {
    ($($name:literal => $graph:expr),+ $(,)?) => {
        /// The graphs of this component.
        #[must_use]
        pub fn graphs() -> $crate::Graphs {
            static TABLE: &[$crate::Entry] =
                &[$(($name, || ::std::boxed::Box::new($graph) as ::std::boxed::Box<dyn $crate::Graph>)),+];
            $crate::Graphs::new(TABLE)
        }

        $crate::__export!(graphs);
    };
}

/// There is nothing to export where there is no host.
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($graphs:ident) => {};
}
