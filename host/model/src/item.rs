//! An item of the store: a document that is shared by threads, and by graphs with the outside.

use std::time::Duration;

use crate::{Json, Timestamp};

/// An item as it is kept.
#[derive(Clone, Debug, PartialEq)]
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
    pub ttl: Option<Duration>,
}
