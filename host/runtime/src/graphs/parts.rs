//! Graphs of components, ready to run: those that are served, and those that they contain or call.

use std::collections::BTreeMap;
use std::sync::Arc;

use selvedge_model::Json;
use selvedge_model::graph::Reducer;
use selvedge_pregel::{Graph, Nested};
use selvedge_sandbox::Component;

use super::setting::Setting;

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
    /// What it was built for, when it depends on how a run is configured.
    setting: Option<Setting>,
    /// The graph that depends on that, where this is one of its nodes' own.
    around: Option<Arc<str>>,
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
            setting: None,
            around: None,
        }
    }

    /// For what the component is to build it.
    #[must_use]
    pub fn setting(&self) -> Option<&Json> {
        self.setting.as_ref().map(Setting::as_json)
    }

    /// Whether it depends on how a run is configured, and is not yet built for that.
    pub(crate) fn is_to_be_configured(&self) -> bool {
        self.graph.description().configured && self.setting.is_none()
    }

    /// The same as a setting has it.
    pub(super) fn built_as(self, graph: Arc<Graph>, setting: Setting) -> Self {
        Self {
            graph,
            setting: Some(setting),
            ..self
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
            setting: None,
            around: None,
            ..self.clone()
        })
    }

    /// A graph that one of its nodes has of its own, at any depth.
    pub(crate) fn own(&self, name: &str) -> Option<Self> {
        let nested = self.graph.nested().map(|(_, nested)| nested);
        let own = nested.filter(|nested| matches!(nested, Nested::Own(_)));
        own.filter_map(|nested| self.within(nested))
            .find_map(|own| match *own.name == *name {
                true => Some(own),
                false => own.own(name),
            })
    }

    /// The graph that a node of this one stands for, when it is of the same component.
    pub(super) fn within(&self, nested: &Nested) -> Option<Self> {
        match nested {
            Nested::Named(name) => self.other(name),
            Nested::Own(graph) => Some(Self {
                name: graph.description().name.as_str().into(),
                graph: graph.clone(),
                around: self
                    .setting
                    .is_some()
                    .then(|| self.around.clone().unwrap_or_else(|| self.name.clone())),
                ..self.clone()
            }),
        }
    }

    /// By which [`Graphs::at`](super::Graphs::at) finds it again.
    pub(crate) fn address(&self) -> String {
        match &self.around {
            None => format!("{}:{}", self.served, self.name),
            Some(around) => format!("{}:{around}:{}", self.served, self.name),
        }
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
