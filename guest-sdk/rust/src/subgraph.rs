//! A graph as a node of another.

use std::rc::Rc;

use serde_json::Value;

use crate::component::Graph;
use crate::graph::{Name, StateGraph};
use crate::state::State;

/// Stands in the name of a graph that is a node's own, between the graph around it and the node.
pub(crate) const SEPARATOR: char = '/';

/// What a node stands for, see [`StateGraph::subgraph`]: a [`StateGraph`] becomes one, and so does a graph's name.
pub struct Subgraph(pub(crate) Inner);

pub(crate) enum Inner {
    Named(Name),
    Own(Rc<dyn Graph>),
}

impl<S: State + 'static> From<StateGraph<S>> for Subgraph {
    fn from(graph: StateGraph<S>) -> Self {
        Self(Inner::Own(Rc::new(graph)))
    }
}

impl From<&'static str> for Subgraph {
    fn from(name: &'static str) -> Self {
        Self(Inner::Named(name.into()))
    }
}

impl From<String> for Subgraph {
    fn from(name: String) -> Self {
        Self(Inner::Named(name.into()))
    }
}

impl Subgraph {
    /// As the description of the graph around it says it.
    pub(crate) fn describe(&self, around: &str, node: &str) -> Value {
        match &self.0 {
            Inner::Named(name) => Value::from(name.as_ref()),
            Inner::Own(graph) => graph.describe(&format!("{around}{SEPARATOR}{node}")),
        }
    }
}
