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

/// An item that a search found; written, as callers and graphs see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundItem {
    /// The item.
    #[serde(flatten)]
    pub item: Item,
    /// How near it is to what was asked for, from -1 to 1; `None` where nothing was, or the item is not embedded.
    pub score: Option<f64>,
}

impl FoundItem {
    /// What was found without comparing.
    #[must_use]
    pub fn unscored(item: Item) -> Self {
        Self { item, score: None }
    }
}

/// Which parts of an item's value are embedded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IndexedParts {
    /// Those that the configuration names.
    #[default]
    AsConfigured,
    /// None.
    Nothing,
    /// What these paths lead to: `$` for all of it, or `a.b[*].c`. Never empty.
    Paths(Vec<String>),
}

/// The most paths of an item's own.
pub const MOST_INDEX_PATHS: usize = 64;

/// The longest of them, in bytes.
pub const LONGEST_INDEX_PATH_BYTES: usize = 1_024;

/// Why an item's own paths cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// They are more than [`MOST_INDEX_PATHS`].
    #[error("index: more than {MOST_INDEX_PATHS} paths")]
    TooMany,
    /// One is longer than [`LONGEST_INDEX_PATH_BYTES`].
    #[error("index: a path of more than {LONGEST_INDEX_PATH_BYTES} bytes")]
    TooLong,
}

impl IndexedParts {
    /// What a caller means by a list of paths.
    ///
    /// # Errors
    /// The paths are too many, or one is too long.
    pub fn of_paths(paths: Vec<String>) -> Result<Self, IndexError> {
        if paths.len() > MOST_INDEX_PATHS {
            return Err(IndexError::TooMany);
        }
        if paths
            .iter()
            .any(|path| path.len() > LONGEST_INDEX_PATH_BYTES)
        {
            return Err(IndexError::TooLong);
        }
        Ok(match paths.is_empty() {
            true => Self::Nothing,
            false => Self::Paths(paths),
        })
    }
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
