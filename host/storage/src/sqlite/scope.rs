//! Whose rows a statement sees. Each statement that a caller's request leads to has the condition
//! `(?n IS NULL OR owner = ?n)` itself, with what is here as its parameter: what is another's is not read and then
//! hidden, it is not found.

use selvedge_model::{Identity, Scope};

/// The parameter of the condition.
pub(super) fn only(scope: &Scope) -> Option<&str> {
    scope.only().map(Identity::as_str)
}

/// What stands in the column `owner` of a row that is created within a scope.
pub(super) fn owner(scope: &Scope) -> Option<&str> {
    scope.owner().map(Identity::as_str)
}
