//! Whose rows a statement sees. Each statement that a caller's request leads to has the condition itself: what is
//! another's is not read and then hidden, it is not found.
//!
//! The condition is written out for the scope, `owner = ?n` or nothing, and not as one text for both: the planner takes
//! an index by owner only where it sees that the owner is compared.

use selvedge_model::{Identity, Scope};

/// The condition on a column that says whom a row belongs to, with [`only`] as the parameter `n`.
pub(super) fn within(scope: &Scope, column: &str, n: u8) -> String {
    match only(scope) {
        Some(_) => format!("{column} = ?{n}"),
        None => format!("?{n} IS NULL"),
    }
}

/// The condition on an assistant that is to be read or run, as [`within`]: those of the configuration are everybody's.
/// Each part has an index of its own.
pub(super) fn readable(scope: &Scope, assistant: &str, n: u8) -> String {
    match only(scope) {
        Some(_) => format!("({assistant}.owner = ?{n} OR {assistant}.system = 1)"),
        None => format!("?{n} IS NULL"),
    }
}

/// The parameter of the conditions.
pub(super) fn only(scope: &Scope) -> Option<&str> {
    scope.only().map(Identity::as_str)
}

/// What stands in the column `owner` of a row that is created within a scope.
pub(super) fn owner(scope: &Scope) -> Option<&str> {
    scope.owner().map(Identity::as_str)
}
