//! Graphs of components, ready to run: those that are served, and those that they contain or call.

use std::collections::BTreeMap;
use std::sync::Arc;

use selvedge_model::graph::Reducer;
use selvedge_pregel::{Graph, Nested};
use selvedge_sandbox::Component;

/// A graph of a component, ready to run.
#[derive(Clone)]
pub struct Part {
    /// The component that holds it.
    pub component: Component,
    /// Its name inside the component.
    pub name: Arc<str>,
    /// What it is made of.
    pub graph: Arc<Graph>,
    /// The served graph that brought its component.
    served: Arc<str>,
    others: Arc<Others>,
}

/// The graphs of one component by their names there, with those that are nodes of others.
type Others = BTreeMap<Arc<str>, Arc<Graph>>;

impl Part {
    /// The graph itself, which the component is known to hold.
    pub(super) fn new(
        served: &str,
        component: Component,
        name: Arc<str>,
        graph: Arc<Graph>,
    ) -> Self {
        let mut others = Others::new();
        for other in &component.description().graphs {
            // One that does not fit together is not there. It may be of no concern to the graph that is served.
            if let Ok(graph) = Graph::new(other.clone()) {
                gather(&graph, &mut others);
            }
        }
        Self {
            component,
            name,
            graph,
            served: served.into(),
            others: Arc::new(others),
        }
    }

    /// Whether a channel is a list of chat messages.
    pub(crate) fn holds_messages(&self, channel: &str) -> bool {
        self.graph
            .description()
            .channels
            .iter()
            .any(|c| c.name == channel && c.reducer == Reducer::AddMessages)
    }

    /// A graph of the same component by its name.
    pub(super) fn other(&self, name: &str) -> Option<Self> {
        let (name, graph) = self.others.get_key_value(name)?;
        Some(Self {
            name: name.clone(),
            graph: graph.clone(),
            ..self.clone()
        })
    }

    /// The graph that a node of this one stands for, when it is of the same component.
    pub(super) fn within(&self, nested: &Nested) -> Option<Self> {
        match nested {
            Nested::Named(name) => self.other(name),
            Nested::Own(graph) => Some(Self {
                name: graph.description().name.as_str().into(),
                graph: graph.clone(),
                ..self.clone()
            }),
        }
    }

    /// By which [`Graphs::at`](super::Graphs::at) finds it again.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.served, self.name)
    }
}

/// A graph with those that its nodes have of their own. The first with a name keeps it.
fn gather(graph: &Arc<Graph>, into: &mut Others) {
    let name = graph.description().name.as_str().into();
    into.entry(name).or_insert_with(|| graph.clone());
    for (_, nested) in graph.nested() {
        if let Nested::Own(own) = nested {
            gather(own, into);
        }
    }
}
