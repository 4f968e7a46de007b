//! Calling a graph from inside a node: the contract's own function, used directly, so that only a component that calls
//! graphs imports it.

use crate::context::Context;
use crate::error::NodeError;

#[cfg(target_arch = "wasm32")]
pub(crate) fn graph(_: &Context, name: &str, input: &str) -> Result<String, NodeError> {
    use crate::export::bindings::selvedge::graph::context;

    context::call_graph(name, input).map_err(|failure| {
        if failure.kind == "GraphInterrupt" {
            return NodeError::interrupted();
        }
        let error = NodeError::new(failure.kind, failure.message);
        if failure.retryable {
            error.retryable()
        } else {
            error
        }
    })
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn graph(ctx: &Context, name: &str, input: &str) -> Result<String, NodeError> {
    ctx.host.call_graph(name, input)
}
