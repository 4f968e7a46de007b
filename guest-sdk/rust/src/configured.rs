//! Graphs that depend on how a run is configured.

use std::marker::PhantomData;
use std::rc::Rc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::component::Graph;
use crate::context::Context;
use crate::error::NodeError;
use crate::graph::StateGraph;
use crate::state::State;

/// How a run is configured: what its assistant and its caller gave, without what the server adds to it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Setting {
    /// Free settings: `config.configurable`.
    pub configurable: Map<String, Value>,
    /// The run's `context`.
    pub context: Map<String, Value>,
}

impl Setting {
    /// `config.configurable` as a type of the author's.
    ///
    /// # Errors
    /// `ConfigError` if it does not have that form.
    pub fn configurable<T: DeserializeOwned>(&self) -> Result<T, NodeError> {
        let settings = Value::Object(self.configurable.clone());
        serde_json::from_value(settings)
            .map_err(|e| NodeError::new("ConfigError", format!("config.configurable: {e}")))
    }

    /// The run's `context` as a type of the author's.
    ///
    /// # Errors
    /// `ContextError` if it does not have that form.
    pub fn context<T: DeserializeOwned>(&self) -> Result<T, NodeError> {
        serde_json::from_value(Value::Object(self.context.clone()))
            .map_err(|e| NodeError::new("ContextError", format!("context: {e}")))
    }
}

/// A graph that is built anew for how each run is configured: for which tools its assistant has, say.
///
/// The function must make the same graph whenever the setting is the same: a run goes on with it after a crash, and what
/// it left is read with it later. Where nothing is configured it must make a graph, too: that one is checked when the
/// server starts.
///
/// ```
/// use selvedge_sdk::prelude::*;
///
/// #[derive(State, Serialize, Deserialize, JsonSchema)]
/// struct Report {
///     #[channel(append)]
///     found: Vec<String>,
/// }
///
/// #[derive(Deserialize)]
/// struct Sources {
///     #[serde(default)]
///     sources: Vec<String>,
/// }
///
/// fn research(setting: &Setting) -> Result<StateGraph<Report>, NodeError> {
///     let Sources { sources } = setting.configurable()?;
///     let mut graph = StateGraph::new()
///         .node("begin", |_: Report, _: &Context| Ok(Report::update()))
///         .edge(START, "begin");
///     for source in sources {
///         let name = source.clone();
///         let look = move |_: Report, _: &Context| Ok(Report::update().found([name.clone()]));
///         graph = graph.node(source.clone(), look).edge("begin", source);
///     }
///     Ok(graph)
/// }
///
/// selvedge_sdk::graphs! { "research" => configured(research) }
/// # fn main() {}
/// ```
pub fn configured<S, G, F>(build: F) -> Configured<S, F>
where
    S: State + 'static,
    G: Buildable<S>,
    F: Fn(&Setting) -> G + 'static,
{
    Configured {
        build,
        state: PhantomData,
    }
}

/// See [`configured`].
#[must_use = "a graph does something only as part of a component: see `graphs!`"]
pub struct Configured<S, F> {
    build: F,
    state: PhantomData<fn() -> S>,
}

/// What the function of a graph that depends on its configuration may return: a graph, or why there is none.
pub trait Buildable<S> {
    /// Either.
    ///
    /// # Errors
    /// Why there is no graph.
    fn built(self) -> Result<StateGraph<S>, NodeError>;
}

impl<S> Buildable<S> for StateGraph<S> {
    fn built(self) -> Result<StateGraph<S>, NodeError> {
        Ok(self)
    }
}

impl<S> Buildable<S> for Result<StateGraph<S>, NodeError> {
    fn built(self) -> Result<StateGraph<S>, NodeError> {
        self
    }
}

impl<S, G, F> Configured<S, F>
where
    S: State + 'static,
    G: Buildable<S>,
    F: Fn(&Setting) -> G,
{
    /// The graph where nothing is configured.
    fn plain(&self) -> Result<StateGraph<S>, NodeError> {
        (self.build)(&Setting::default()).built()
    }
}

impl<S, G, F> Graph for Configured<S, F>
where
    S: State + 'static,
    G: Buildable<S>,
    F: Fn(&Setting) -> G,
{
    fn describe(&self, name: &str) -> Value {
        let mut described = match self.plain() {
            Ok(graph) => graph.describe(name),
            // `problems` says why.
            Err(_) => json!({"name": name, "channels": [], "nodes": []}),
        };
        described["configured"] = Value::from(true);
        described
    }

    fn problems(&self) -> Vec<String> {
        match self.plain() {
            Ok(graph) => graph.problems(),
            Err(error) => vec![format!(
                "it cannot be built where nothing is configured: {error}"
            )],
        }
    }

    fn configured(&self, setting: &Setting) -> Option<Result<Rc<dyn Graph>, NodeError>> {
        let graph = (self.build)(setting).built();
        Some(graph.map(|graph| Rc::new(graph) as Rc<dyn Graph>))
    }

    fn inner(&self, path: &str) -> Option<Rc<dyn Graph>> {
        self.plain().ok()?.inner(path)
    }

    fn run_node(&self, node: &str, ctx: &Context) -> Result<String, NodeError> {
        self.plain()?.run_node(node, ctx)
    }

    fn route(
        &self,
        node: &str,
        branch: &str,
        state: &str,
        ctx: &Context,
    ) -> Result<String, NodeError> {
        self.plain()?.route(node, branch, state, ctx)
    }

    fn reduce(&self, channel: &str, current: &str, updates: &str) -> Result<String, NodeError> {
        self.plain()?.reduce(channel, current, updates)
    }
}
