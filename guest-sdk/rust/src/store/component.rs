//! The store on WebAssembly: the contract's own interface, called directly, so that only a graph that uses it imports
//! it.

use crate::context::Context;
use crate::error::NodeError;
use crate::export::bindings::selvedge::graph::store;
use crate::export::bindings::selvedge::graph::types::Failure;

pub(super) fn get(
    _: &Context,
    namespace: &[String],
    key: &str,
    options: &str,
) -> Result<Option<String>, NodeError> {
    store::get(namespace, key, options).map_err(error)
}

pub(super) fn put(
    _: &Context,
    namespace: &[String],
    key: &str,
    value: &str,
    options: &str,
) -> Result<(), NodeError> {
    store::put(namespace, key, value, options).map_err(error)
}

pub(super) fn delete(_: &Context, namespace: &[String], key: &str) -> Result<(), NodeError> {
    store::delete(namespace, key).map_err(error)
}

pub(super) fn search(_: &Context, prefix: &[String], query: &str) -> Result<String, NodeError> {
    store::search(prefix, query).map_err(error)
}

pub(super) fn list_namespaces(_: &Context, query: &str) -> Result<String, NodeError> {
    store::list_namespaces(query).map_err(error)
}

fn error(failure: Failure) -> NodeError {
    let error = NodeError::new(failure.kind, failure.message);
    if failure.retryable {
        error.retryable()
    } else {
        error
    }
}
