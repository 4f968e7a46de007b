//! Items of the store.

use std::time::Duration;

use selvedge_model::item::IndexedParts;
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
    /// Which parts of the value are embedded, where there is an index.
    pub parts: IndexedParts,
    /// Now.
    pub now: Timestamp,
}

/// Stands for the vectors of one value of one item, until they are made. Later ones are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndexTicket(pub i64);

/// An item whose vectors are to be made.
#[derive(Clone, Debug)]
pub struct PendingItem {
    /// Stands for them.
    pub ticket: IndexTicket,
    /// The item's value.
    pub value: Json,
    /// What of it is embedded.
    pub parts: IndexedParts,
}

/// What has become of an item whose vectors were to be made.
#[derive(Clone, Debug)]
pub struct IndexedItem {
    /// What stood for them.
    pub ticket: IndexTicket,
    /// All of one length, and each of unit length; none where nothing of the item can be embedded. `None`: they cannot
    /// be made, which may change until the index is opened anew.
    pub vectors: Option<Vec<Vec<f32>>>,
}

/// How many items have no vectors yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PendingItems {
    /// They are to be made.
    pub waiting: u64,
    /// They could not be made.
    pub refused: u64,
}

/// Which items to find. They come ordered by namespace and key, or by how near they are to a vector.
#[derive(Clone, Debug)]
pub struct ItemQuery {
    /// In this namespace and below it; empty: anywhere.
    pub prefix: Vec<String>,
    /// That match this.
    pub filter: ItemFilter,
    /// Those first that are nearest to this vector of unit length.
    pub near: Option<Vec<f32>>,
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
