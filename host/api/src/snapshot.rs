//! A thread's state as callers see it. Values are written as they are stored: nothing here reads them.

use selvedge_model::thread::Interrupt;
use selvedge_model::{CheckpointId, Json, ThreadId, Timestamp};
use selvedge_runtime::threads::{Parents, TaskView, ThreadState};
use serde::Serialize;
use serde_json::{Value, json};

/// A state, in the reference's form.
#[derive(Serialize)]
pub(crate) struct Snapshot<'a> {
    values: &'a Json,
    next: &'a [String],
    tasks: Vec<Task<'a>>,
    metadata: Option<&'a Json>,
    created_at: Option<Timestamp>,
    checkpoint: Option<Reference<'a>>,
    parent_checkpoint: Option<Reference<'a>>,
    interrupts: Vec<&'a Interrupt>,
    checkpoint_id: Option<CheckpointId>,
    parent_checkpoint_id: Option<CheckpointId>,
}

/// Names a checkpoint, as clients send it back.
#[derive(Serialize)]
pub(crate) struct Reference<'a> {
    checkpoint_id: CheckpointId,
    thread_id: ThreadId,
    checkpoint_ns: &'a str,
    /// Of a graph inside another: this checkpoint with those that the graphs around it stand on.
    #[serde(skip_serializing_if = "Parents::is_empty")]
    checkpoint_map: Parents,
}

#[derive(Serialize)]
struct Task<'a> {
    id: String,
    name: &'a str,
    path: Json,
    error: Option<String>,
    interrupts: &'a [Interrupt],
    checkpoint: Option<Inside<'a>>,
    state: Option<Snapshot<'a>>,
    result: Option<&'a Json>,
}

/// Where a task has the checkpoints of the graph inside it.
#[derive(Serialize)]
struct Inside<'a> {
    thread_id: ThreadId,
    checkpoint_ns: &'a str,
}

impl<'a> Reference<'a> {
    /// The checkpoint of a state; `None` for a thread that never ran.
    pub(crate) fn of(thread_id: ThreadId, state: &'a ThreadState) -> Option<Self> {
        let id = state.saved.as_ref()?.checkpoint.id;
        Self::in_the_namespace(thread_id, state, id)
    }

    /// In the order in which a configuration that names it has its members.
    pub(crate) fn as_configuration(&self) -> Value {
        let mut members = json!({
            "thread_id": self.thread_id,
            "checkpoint_ns": self.checkpoint_ns,
            "checkpoint_id": self.checkpoint_id,
        });
        if !self.checkpoint_map.is_empty() {
            members["checkpoint_map"] = json!(self.checkpoint_map);
        }
        members
    }

    fn in_the_namespace(
        thread_id: ThreadId,
        state: &'a ThreadState,
        checkpoint_id: CheckpointId,
    ) -> Option<Self> {
        let namespace = state.saved.as_ref()?.checkpoint.namespace.as_str();
        let mut checkpoint_map = Parents::new();
        if !namespace.is_empty() {
            checkpoint_map = state.parents();
            checkpoint_map.insert(namespace.to_owned(), checkpoint_id);
        }
        Some(Self {
            checkpoint_id,
            thread_id,
            checkpoint_ns: namespace,
            checkpoint_map,
        })
    }
}

impl<'a> Snapshot<'a> {
    pub(crate) fn new(thread: ThreadId, state: &'a ThreadState) -> Self {
        let view = &state.view;
        let checkpoint = state.saved.as_ref().map(|saved| &saved.checkpoint);
        let parent = checkpoint.and_then(|c| c.parent);
        let task = |task| Task::new(thread, task, state);
        Self {
            values: &view.values,
            next: &view.next,
            tasks: view.tasks.iter().map(task).collect(),
            metadata: checkpoint.map(|_| &view.metadata),
            created_at: checkpoint.map(|c| c.created_at),
            checkpoint: Reference::of(thread, state),
            parent_checkpoint: parent
                .and_then(|parent| Reference::in_the_namespace(thread, state, parent)),
            interrupts: view.interrupts().collect(),
            checkpoint_id: checkpoint.map(|c| c.id),
            parent_checkpoint_id: parent,
        }
    }
}

impl<'a> Task<'a> {
    fn new(thread_id: ThreadId, task: &'a TaskView, of: &'a ThreadState) -> Self {
        let inside = of.inside.get(&task.id);
        let named = task.contains_graph && inside.is_none();
        Self {
            id: task.id.to_string(),
            name: &task.name,
            path: Json::written(&task.path),
            error: task.error_text(),
            interrupts: &task.interrupts,
            checkpoint: named.then_some(Inside {
                thread_id,
                checkpoint_ns: &task.namespace,
            }),
            state: inside.map(|inside| Snapshot::new(thread_id, inside)),
            result: task.result.as_ref(),
        }
    }
}
