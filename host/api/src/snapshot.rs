//! A thread's state as callers see it. Values are written as they are stored: nothing here reads them.

use selvedge_model::thread::Interrupt;
use selvedge_model::{CheckpointId, Json, ThreadId, Timestamp};
use selvedge_runtime::threads::{TaskView, ThreadState};
use serde::Serialize;

/// A state, in the reference's form.
#[derive(Serialize)]
pub(crate) struct Snapshot<'a> {
    values: &'a Json,
    next: &'a [String],
    tasks: Vec<Task<'a>>,
    metadata: Option<&'a Json>,
    created_at: Option<Timestamp>,
    checkpoint: Option<Reference>,
    parent_checkpoint: Option<Reference>,
    interrupts: Vec<&'a Interrupt>,
    checkpoint_id: Option<CheckpointId>,
    parent_checkpoint_id: Option<CheckpointId>,
}

/// Names a checkpoint, as clients send it back.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Reference {
    checkpoint_id: CheckpointId,
    thread_id: ThreadId,
    checkpoint_ns: &'static str,
}

#[derive(Serialize)]
struct Task<'a> {
    id: String,
    name: &'a str,
    path: Json,
    error: Option<String>,
    interrupts: &'a [Interrupt],
    checkpoint: (),
    state: (),
    result: Option<&'a Json>,
}

impl Reference {
    pub(crate) fn new(thread_id: ThreadId, checkpoint_id: CheckpointId) -> Self {
        Self {
            checkpoint_id,
            thread_id,
            checkpoint_ns: "",
        }
    }
}

impl<'a> Snapshot<'a> {
    pub(crate) fn new(thread: ThreadId, state: &'a ThreadState) -> Self {
        let view = &state.view;
        let checkpoint = state.saved.as_ref().map(|saved| &saved.checkpoint);
        let id = checkpoint.map(|c| c.id);
        let parent = checkpoint.and_then(|c| c.parent);
        let reference = |id| Reference::new(thread, id);
        Self {
            values: &view.values,
            next: &view.next,
            tasks: view.tasks.iter().map(Task::new).collect(),
            metadata: checkpoint.map(|_| &view.metadata),
            created_at: checkpoint.map(|c| c.created_at),
            checkpoint: id.map(reference),
            parent_checkpoint: parent.map(reference),
            interrupts: view.interrupts().collect(),
            checkpoint_id: id,
            parent_checkpoint_id: parent,
        }
    }
}

impl<'a> Task<'a> {
    fn new(task: &'a TaskView) -> Self {
        Self {
            id: task.id.to_string(),
            name: &task.name,
            path: Json::written(&task.path),
            error: task.error_text(),
            interrupts: &task.interrupts,
            checkpoint: (),
            state: (),
            result: task.result.as_ref(),
        }
    }
}
