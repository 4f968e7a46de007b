//! What the host is told about a graph: the answer of `describe`, see `wit/describe.schema.json`.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::component::Graphs;
use crate::graph::{Branch, Node, StateGraph, Work};
use crate::state::{Channel, State};

/// All graphs of a component.
pub(crate) fn component(graphs: &Graphs) -> Value {
    let described: Vec<Value> = graphs
        .iter()
        .map(|(name, graph)| graph.describe(name))
        .collect();
    json!({"sdk": concat!("selvedge-sdk-rust ", env!("CARGO_PKG_VERSION")), "graphs": described})
}

/// One graph.
pub(crate) fn graph<S: State>(graph: &StateGraph<S>, name: &str) -> Value {
    json!({
        "name": name,
        "description": graph.description,
        "channels": S::channels().iter().map(channel).collect::<Vec<_>>(),
        "nodes": graph.nodes.iter().map(|n| node(n, name)).collect::<Vec<_>>(),
        "edges": graph.edges.iter().map(|e| json!({"from": e.from, "to": e.to})).collect::<Vec<_>>(),
        "branches": graph.branches.iter().map(branch).collect::<Vec<_>>(),
        "input_channels": graph.input_channels,
        "output_channels": graph.output_channels,
        "interrupt_before": graph.interrupt_before,
        "interrupt_after": graph.interrupt_after,
        "schemas": schemas(graph, name),
    })
}

fn channel(channel: &Channel) -> Value {
    let mut described = json!({"name": channel.name, "reducer": channel.reducer.name()});
    if let Some(default) = channel.default {
        described["default"] = default();
    }
    described
}

fn node(node: &Node, graph: &str) -> Value {
    let mut described = json!({
        "name": node.name,
        "reads": node.options.reads,
        "defer": node.options.defer,
        "retry": node.options.retry.iter().map(|r| r.describe()).collect::<Vec<_>>(),
        "timeout": node.options.timeout.map(|t| t.describe()),
        "cache": node.options.cache.map(|c| c.describe()),
        "destinations": node.options.destinations,
        "metadata": node.options.metadata,
    });
    if let Work::Graph(subgraph) = &node.work {
        described["subgraph"] = subgraph.describe(graph, &node.name);
    }
    described
}

fn branch(branch: &Branch) -> Value {
    let label = |d: &crate::graph::Name| (d.to_string(), Value::from(d.as_ref()));
    let destinations = branch
        .destinations
        .as_ref()
        .map(|ds| ds.iter().map(label).collect::<Map<_, _>>());
    json!({"from": branch.from, "name": branch.name, "destinations": destinations})
}

fn schemas<S: State>(graph: &StateGraph<S>, name: &str) -> Value {
    let whole = schema::<S>();
    json!({
        "input": graph.schemas.input.map_or_else(|| input_of::<S>(&whole), |make| make()),
        "output": graph.schemas.output.map_or_else(|| whole.clone(), |make| make()),
        "state": state_of(whole, name),
        "config": graph.schemas.config.map(|make| make()),
        "context": graph.schemas.context.map(|make| make()),
    })
}

/// The JSON Schema (draft 2020-12) of a type. As LangGraph's, it does not name its draft.
pub(crate) fn schema<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.meta_schema = None;
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// LangGraph's state schema has its title after the graph, whatever the type's name is.
fn state_of(mut schema: Value, graph: &str) -> Value {
    if let Some(members) = schema.as_object_mut() {
        members.insert("title".to_owned(), Value::from(format!("{graph}_state")));
    }
    schema
}

/// The state's schema, where a caller may leave out the channels that have a value without them.
fn input_of<S: State>(state: &Value) -> Value {
    let mut schema = state.clone();
    let filled = |name: &Value| {
        S::channels()
            .iter()
            .any(|c| name == c.name && (c.default.is_some() || c.reducer.starts_filled()))
    };
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !filled(name));
    }
    schema
}
