//! Items of the store.

use std::time::Duration;

use selvedge_model::{Json, Timestamp};

use crate::filter::ItemFilter;

/// An item to be put.
#[derive(Clone, Debug)]
pub struct PutItem {
    /// Where: labels from the outermost to the innermost.
    pub namespace: Vec<String>,
    /// Its name there.
    pub key: String,
    /// An object.
    pub value: Json,
    /// How long it stays; `None`: for ever.
    pub ttl: Option<Duration>,
    /// Now.
    pub now: Timestamp,
}

/// Which items to find. They come ordered by namespace and key.
#[derive(Clone, Debug)]
pub struct ItemQuery {
    /// In this namespace and below it; empty: anywhere.
    pub prefix: Vec<String>,
    /// That match this.
    pub filter: ItemFilter,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
    /// Items whose time has come by now are not found.
    pub now: Timestamp,
}

/// Which namespaces to list. They come in their order, each once.
#[derive(Clone, Debug)]
pub struct NamespaceQuery {
    /// That begin so.
    pub prefix: Vec<LabelPattern>,
    /// That end so.
    pub suffix: Vec<LabelPattern>,
    /// Cut down to so many labels.
    pub max_depth: Option<u32>,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
    /// Items whose time has come by now do not count.
    pub now: Timestamp,
}

/// A label in a condition on namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelPattern {
    /// This one.
    Exactly(String),
    /// Any (`*`).
    Any,
}

impl LabelPattern {
    /// Whether a label fits.
    #[must_use]
    pub fn matches(&self, label: &str) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == label,
            Self::Any => true,
        }
    }
}

impl From<String> for LabelPattern {
    fn from(label: String) -> Self {
        if label == "*" {
            Self::Any
        } else {
            Self::Exactly(label)
        }
    }
}
