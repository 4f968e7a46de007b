//! An assistant: a graph with a configuration.

use serde::{Deserialize, Serialize};

use crate::{AssistantId, Json, Timestamp};

/// An assistant as callers see it, members in LangGraph's order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assistant {
    /// Its id.
    pub assistant_id: AssistantId,
    /// The graph that it runs.
    pub graph_id: String,
    /// An object.
    pub config: Json,
    /// An object.
    pub context: Json,
    /// An object.
    pub metadata: Json,
    /// For people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts its changes from 1.
    pub version: i64,
    /// For people.
    pub description: Option<String>,
}
