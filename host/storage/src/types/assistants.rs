//! Assistants and their versions.

use selvedge_model::{AssistantId, Json};

/// Which assistants to find.
#[derive(Clone, Debug)]
pub struct AssistantQuery {
    /// An object that the metadata must contain.
    pub metadata: Option<Json>,
    /// Exactly this graph.
    pub graph_id: Option<String>,
    /// A part of the name, in any case.
    pub name: Option<String>,
    /// What to sort by.
    pub sort_by: AssistantSort,
    /// Largest first.
    pub descending: bool,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

/// What assistants can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AssistantSort {
    /// By id.
    AssistantId,
    /// By age.
    #[default]
    CreatedAt,
    /// By last change.
    UpdatedAt,
    /// By name.
    Name,
    /// By graph.
    GraphId,
}

/// What is to be different about an assistant. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct AssistantPatch {
    /// The graph that it runs.
    pub graph_id: Option<String>,
    /// In place of the old one.
    pub config: Option<Json>,
    /// In place of the old one.
    pub context: Option<Json>,
    /// Merged into the old one.
    pub metadata: Option<Json>,
    /// For people.
    pub name: Option<String>,
    /// For people; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
}

/// Which versions of an assistant to list.
#[derive(Clone, Debug)]
pub struct VersionQuery {
    /// Of this assistant.
    pub assistant_id: AssistantId,
    /// An object that the version's metadata must contain.
    pub metadata: Option<Json>,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

/// What is emptied; for development only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Truncate {
    /// All runs. Their threads stay as they are.
    pub runs: bool,
    /// All threads, with their runs and checkpoints.
    pub threads: bool,
    /// All assistants, those from the configuration too.
    pub assistants: bool,
    /// All items of the store.
    pub store: bool,
    /// All checkpoints, and what the runs left on their threads.
    pub checkpoints: bool,
}
