//! An item of the store: a document that is shared by threads, and by graphs with the outside.

use std::time::Duration;

use serde::Serialize;

use crate::{Json, Timestamp};

/// The first label that LangGraph keeps for itself.
pub const RESERVED_ROOT: &str = "langgraph";

/// The longest lifetime of an item: a hundred years, so that sums of times stay representable.
pub const LONGEST_TTL_MINUTES: f64 = 100.0 * 365.25 * 1_440.0;

/// An item as it is kept; written, as callers and graphs see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// Where it is: labels from the outermost to the innermost.
    pub namespace: Vec<String>,
    /// Its name there.
    pub key: String,
    /// An object.
    pub value: Json,
    /// When it was first put.
    pub created_at: Timestamp,
    /// When it was last put.
    pub updated_at: Timestamp,
    /// How long it stays after it was last put, or read by someone who keeps it alive by reading; `None`: for ever.
    #[serde(skip)]
    pub ttl: Option<Duration>,
}

/// Why no item can be there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    /// It has no labels.
    #[error("Namespace cannot be empty.")]
    Empty,
    /// A label that is empty, or that has a period: dots join the labels in addresses.
    #[error("Namespace label '{0}' must be a non-empty string without periods")]
    Label(String),
    /// It begins with [`RESERVED_ROOT`], so that nobody may put an item there.
    #[error("Root label for namespace cannot be \"{RESERVED_ROOT}\". Got: {0}")]
    Reserved(String),
}

/// Whether an item can be in a namespace: LangGraph's rules.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_namespace(namespace: &[String]) -> Result<(), NamespaceError> {
    if namespace.is_empty() {
        return Err(NamespaceError::Empty);
    }
    let bad = |label: &&String| label.is_empty() || label.contains('.');
    match namespace.iter().find(bad) {
        None => Ok(()),
        Some(label) => Err(NamespaceError::Label(label.clone())),
    }
}

/// Whether an item may be put into a namespace.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_writable_namespace(namespace: &[String]) -> Result<(), NamespaceError> {
    check_namespace(namespace)?;
    if namespace.first().is_some_and(|root| root == RESERVED_ROOT) {
        let labels: Vec<String> = namespace.iter().map(|label| format!("'{label}'")).collect();
        let comma = if labels.len() == 1 { "," } else { "" };
        let shown = format!("({}{comma})", labels.join(", "));
        return Err(NamespaceError::Reserved(shown));
    }
    Ok(())
}

/// The lifetime that callers give in minutes; `None` for what is none.
#[must_use]
pub fn lifetime(minutes: f64) -> Option<Duration> {
    (minutes > 0.0 && minutes <= LONGEST_TTL_MINUTES)
        .then(|| Duration::from_secs_f64(minutes * 60.0))
}
