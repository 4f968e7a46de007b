//! LangGraph's error names and texts, so that callers who match on them find what they expect.

use selvedge_model::run::RunError;

use crate::program::Failure;

/// Two writes where one is allowed.
pub(crate) const CONCURRENT_UPDATE: &str = "INVALID_CONCURRENT_GRAPH_UPDATE";
/// A node returned something that is no update.
pub(crate) const NODE_RETURN_VALUE: &str = "INVALID_GRAPH_NODE_RETURN_VALUE";
/// Too many super-steps.
const RECURSION_LIMIT: &str = "GRAPH_RECURSION_LIMIT";

/// The name of the failure by which a node addresses the graph above it.
pub(crate) const PARENT_COMMAND: &str = "ParentCommand";

/// Adds LangGraph's pointer to its troubleshooting page.
pub(crate) fn with_help(message: &str, code: &str) -> String {
    format!(
        "{message}\nFor troubleshooting, visit: https://docs.langchain.com/oss/python/langgraph/errors/{code}"
    )
}

pub(crate) fn invalid_update(message: impl Into<String>) -> RunError {
    RunError::new("InvalidUpdateError", message)
}

pub(crate) fn type_error(message: impl Into<String>) -> RunError {
    RunError::new("TypeError", message)
}

pub(crate) fn value_error(message: impl Into<String>) -> RunError {
    RunError::new("ValueError", message)
}

/// `got` as Python would print it.
pub(crate) fn expected_dict(got: &str) -> RunError {
    invalid_update(with_help(
        &format!("Expected dict, got {got}"),
        NODE_RETURN_VALUE,
    ))
}

pub(crate) fn empty_input(message: &str) -> RunError {
    RunError::new("EmptyInputError", message)
}

pub(crate) fn recursion(limit: u32) -> RunError {
    RunError::new(
        "GraphRecursionError",
        with_help(
            &format!(
                "Recursion limit of {limit} reached without hitting a stop condition. You can increase the limit \
                 by setting the `recursion_limit` config key."
            ),
            RECURSION_LIMIT,
        ),
    )
}

pub(crate) fn several_interrupts() -> RunError {
    RunError::new(
        "RuntimeError",
        "When there are multiple pending interrupts, you must specify the interrupt id when resuming. \
         Docs: https://docs.langchain.com/oss/python/langgraph/interrupts#handling-multiple-interrupts.",
    )
}

/// A failure of the algorithm within a task. LangGraph's default retry policy would try it again.
pub(crate) fn as_failure(error: RunError) -> Failure {
    let retryable = !matches!(error.kind.as_str(), "ValueError" | "TypeError");
    Failure {
        kind: error.kind,
        message: error.message,
        retryable,
    }
}
