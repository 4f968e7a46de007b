//! The graphs that this process serves, and their default assistants.

pub(crate) mod configured;
pub(crate) mod context;
pub(crate) mod inside;
mod parts;
pub(crate) mod setting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use selvedge_model::assistant::Assistant;
use selvedge_model::{AssistantId, Json, Timestamp};
use selvedge_pregel::{Graph, GraphProblem, Nested};
use selvedge_sandbox::Component;

use crate::assistants::Settings;
use context::DeclaredContext;
pub use parts::Part;

/// A graph as the operator configured it.
pub struct GraphSource {
    /// Its name for callers.
    pub id: String,
    /// The component that holds it.
    pub component: Component,
    /// Which graph of the component; `None` when it holds one.
    pub name: Option<String>,
    /// For people; the component's own when absent.
    pub description: Option<String>,
    /// The default assistant's configuration, an object.
    pub config: Json,
    /// The default assistant's context, an object.
    pub context: Json,
}

/// A graph that is ready to run.
pub struct ServedGraph {
    /// Its name for callers.
    pub id: String,
    /// What it is made of, and the component that holds it.
    pub part: Part,
    /// The assistant that runs it as configured.
    pub default_assistant: Assistant,
    /// Which members of a run's context it gets.
    pub(crate) context: DeclaredContext,
}

/// Why a graph is not served: what the author or the operator has to change.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The component holds several graphs and the configuration names none.
    #[error(
        "graph `{id}`: the component holds several graphs: {names}. Name one in its path: \"./agent.wasm:{first}\""
    )]
    Ambiguous {
        /// The graph.
        id: String,
        /// What it holds.
        names: String,
        /// The first of them.
        first: String,
    },
    /// The component does not hold the named graph.
    #[error("graph `{id}`: the component holds no graph `{name}`; it holds: {names}")]
    Missing {
        /// The graph.
        id: String,
        /// What the configuration names.
        name: String,
        /// What it holds.
        names: String,
    },
    /// `config.configurable` and `context` at once.
    #[error(
        "graph `{id}`: `config.configurable` and `context` are two names for one thing: give `context` alone"
    )]
    ConfigurableAndContext {
        /// The graph.
        id: String,
    },
    /// A node stands for a graph that there is not.
    #[error(
        "graph `{id}`: the node `{node}` stands for the graph `{name}`, which neither its component holds nor this \
         server serves"
    )]
    NoSubgraph {
        /// The graph.
        id: String,
        /// The node, with those around it.
        node: String,
        /// The name that leads nowhere.
        name: String,
    },
    /// The graph does not fit together.
    #[error("graph `{id}` is not valid: {}", list(problems))]
    Invalid {
        /// The graph.
        id: String,
        /// Everything that is wrong.
        problems: Vec<GraphProblem>,
    },
}

fn list(problems: &[GraphProblem]) -> String {
    let sentences: Vec<String> = problems.iter().map(ToString::to_string).collect();
    sentences.join("; ")
}

/// All graphs by name.
pub struct Graphs {
    by_id: BTreeMap<String, Arc<ServedGraph>>,
}

impl Graphs {
    /// Puts the graphs together.
    ///
    /// # Errors
    /// The first that does not fit.
    pub fn new(sources: Vec<GraphSource>, now: Timestamp) -> Result<Self, GraphError> {
        let mut by_id = BTreeMap::new();
        for source in sources {
            let served = Arc::new(serve(source, now)?);
            by_id.insert(served.id.clone(), served);
        }
        Ok(Self { by_id })
    }

    /// One graph.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<ServedGraph>> {
        self.by_id.get(id)
    }

    /// The graph that a node of another stands for, as it is where nothing is configured.
    #[must_use]
    pub fn within(&self, around: &Part, nested: &Nested) -> Option<Part> {
        around.within(nested).or_else(|| match nested {
            Nested::Named(name) => self.get(name).map(|served| served.part.clone()),
            Nested::Own(_) => None,
        })
    }

    /// The graph with an [address](Part::address), while it is served. With it the name of one that a node of it has of
    /// its own, when that is meant and to be looked for in the graph as a setting has it.
    pub(crate) fn at(&self, address: &str) -> Option<(Part, Option<String>)> {
        let (front, name) = address.rsplit_once(':')?;
        if let Some(served) = self.get(front) {
            return Some((served.part.other(name)?, None));
        }
        let (served, around) = front.rsplit_once(':')?;
        let around = self.get(served)?.part.other(around)?;
        Some((around, Some(name.to_owned())))
    }

    /// What is wrong with the nodes that stand for graphs by name. `is_served`: whether there is a graph, among these or
    /// elsewhere.
    #[must_use]
    pub fn missing(&self, is_served: impl Fn(&str) -> bool) -> Vec<GraphError> {
        let mut missing = Vec::new();
        for served in self.by_id.values() {
            let mut todo = vec![(String::new(), served.part.clone())];
            let mut seen = BTreeSet::new();
            while let Some((path, part)) = todo.pop() {
                for (node, nested) in part.graph.nested() {
                    let node = format!("{path}{node}");
                    match (part.within(nested), nested) {
                        (Some(within), _) => {
                            if seen.insert(within.address()) {
                                todo.push((format!("{node}|"), within));
                            }
                        }
                        (None, Nested::Named(name)) if !is_served(name) => {
                            missing.push(GraphError::NoSubgraph {
                                id: served.id.clone(),
                                node,
                                name: name.to_string(),
                            });
                        }
                        (None, _) => {}
                    }
                }
            }
        }
        missing
    }

    /// Their names, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(String::as_str)
    }

    /// The assistants that exist from the start.
    #[must_use]
    pub fn default_assistants(&self) -> Vec<Assistant> {
        self.by_id
            .values()
            .map(|graph| graph.default_assistant.clone())
            .collect()
    }
}

fn serve(source: GraphSource, now: Timestamp) -> Result<ServedGraph, GraphError> {
    let graphs = &source.component.description().graphs;
    let names = || {
        graphs
            .iter()
            .map(|g| g.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let description = match (&source.name, graphs.as_slice()) {
        (Some(name), _) => {
            graphs
                .iter()
                .find(|g| g.name == *name)
                .ok_or_else(|| GraphError::Missing {
                    id: source.id.clone(),
                    name: name.clone(),
                    names: names(),
                })?
        }
        (None, [only]) => only,
        (None, several) => {
            return Err(GraphError::Ambiguous {
                id: source.id.clone(),
                names: names(),
                first: several.first().map(|g| g.name.clone()).unwrap_or_default(),
            });
        }
    };
    let name: Arc<str> = description.name.as_str().into();
    let text = source
        .description
        .clone()
        .or_else(|| description.description.clone());
    let graph = Graph::new(description.clone()).map_err(|problems| GraphError::Invalid {
        id: source.id.clone(),
        problems,
    })?;
    let settings = Settings::mirrored(Some(&source.config), Some(&source.context));
    let settings = settings.map_err(|_| GraphError::ConfigurableAndContext {
        id: source.id.clone(),
    })?;
    Ok(ServedGraph {
        default_assistant: Assistant {
            assistant_id: AssistantId::default_of(&source.id),
            graph_id: source.id.clone(),
            config: settings.config.unwrap_or(source.config),
            context: settings.context.unwrap_or(source.context),
            metadata: Json::from(serde_json::json!({"created_by": "system"})),
            name: source.id.clone(),
            created_at: now,
            updated_at: now,
            version: 1,
            description: text,
        },
        context: DeclaredContext::of_schema(description.schemas.context.as_ref()),
        part: Part::new(&source.id, source.component.clone(), name, graph),
        id: source.id,
    })
}
