//! Reading a saved checkpoint: the state of a thread, with what it would run next.
//!
//! [`view`] is how the thread stands now, [`record`] how a step began: LangGraph shows the newest state the one way
//! and history the other.

use std::sync::Arc;

use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::run::RunError;
use selvedge_model::thread::Interrupt;
use selvedge_model::{Json, TaskId};

use crate::begin::unasked;
use crate::board::{Board, Reduced, TaskWrites};
use crate::events;
use crate::graph::Graph;
use crate::ids::NULL_TASK;
use crate::interrupt::{self, Status};
use crate::python;
use crate::task::{self, PathPart, Place, Task};

/// The state that a checkpoint holds.
#[derive(Clone, Debug, Default)]
pub struct StateView {
    /// The author's channels.
    pub values: Json,
    /// The nodes of the tasks to run.
    pub next: Vec<String>,
    /// The tasks of the step.
    pub tasks: Vec<TaskView>,
    /// The run's metadata with `source`, `step` and `parents`.
    pub metadata: Json,
}

impl StateView {
    /// All questions of the tasks.
    pub fn interrupts(&self) -> impl Iterator<Item = &Interrupt> {
        self.tasks.iter().flat_map(|t| &t.interrupts)
    }
}

/// A task of the step that starts from a checkpoint.
#[derive(Clone, Debug)]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// The node.
    pub name: String,
    /// Where it comes from.
    pub path: Vec<PathPart>,
    /// Why it failed.
    pub error: Option<RunError>,
    /// What it asked.
    pub interrupts: Vec<Interrupt>,
    /// What it wrote; `None` while it is not finished.
    pub result: Option<Json>,
}

impl TaskView {
    /// The error as LangGraph's state shows it: Python's `repr`, `ValueError('boom')`.
    #[must_use]
    pub fn error_text(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        Some(format!("{}({})", error.kind, python::quoted(&error.message)))
    }
}

/// How the thread stands: what finished tasks of the open step wrote is in `values`, only unfinished ones are
/// `next`, and only questions without an answer are shown. Writes that only the graph's own reducer could apply are
/// left out of `values`, since this asks no guest.
#[must_use]
pub fn view(graph: &Arc<Graph>, saved: &SavedCheckpoint) -> StateView {
    read(graph, saved, true)
}

/// How the step began: the values before it, all of its tasks, and all that they asked.
#[must_use]
pub fn record(graph: &Arc<Graph>, saved: &SavedCheckpoint) -> StateView {
    read(graph, saved, false)
}

fn read(graph: &Arc<Graph>, saved: &SavedCheckpoint, live: bool) -> StateView {
    let checkpoint = &saved.checkpoint;
    let statuses = interrupt::statuses(&saved.pending);
    let mut board = Board::load(graph, Some(checkpoint));
    let place = Place {
        checkpoint: checkpoint.id,
        namespace: &checkpoint.namespace,
        step: checkpoint.step + 1,
    };
    let mut tasks = task::prepare(&board, place, None);
    let unasked_writes = saved.pending.iter().filter(|w| w.task == NULL_TASK);
    let unasked_writes: Vec<_> = unasked_writes.map(|w| (w.channel.clone(), w.value.clone())).collect();
    apply(&mut board, vec![unasked(unasked_writes)]);
    if live {
        for task in &mut tasks {
            if let Some(status) = statuses.get(&task.id) {
                task.writes.clone_from(&status.output);
            }
        }
        let finished = tasks.iter().filter(|t| !t.writes.is_empty());
        apply(&mut board, finished.map(Task::to_apply).collect());
    }
    StateView {
        values: board.read(&graph.state),
        next: tasks
            .iter()
            .filter(|t| t.writes.is_empty())
            .map(|t| t.name.clone())
            .collect(),
        tasks: tasks
            .iter()
            .map(|t| task_view(graph, t, statuses.get(&t.id), live))
            .collect(),
        metadata: events::metadata(&checkpoint.metadata, checkpoint.source, checkpoint.step),
    }
}

fn task_view(graph: &Graph, task: &Task, status: Option<&Status>, live: bool) -> TaskView {
    let nothing = Status::default();
    let status = status.unwrap_or(&nothing);
    TaskView {
        id: task.id,
        name: task.name.clone(),
        path: task.path.parts(),
        error: status.error.clone(),
        interrupts: if live {
            status.open().to_vec()
        } else {
            status.interrupts.clone()
        },
        result: status
            .is_finished()
            .then(|| events::result_of(graph, &status.output)),
    }
}

/// Applies what can be applied without a guest. Writes that are refused (two to one last value) are not shown; the
/// run that made them has failed of it.
fn apply(board: &mut Board, mut tasks: Vec<TaskWrites>) {
    for call in board.to_reduce(&tasks).unwrap_or_default() {
        let name = board.graph.channel_name(call.channel).to_owned();
        for task in &mut tasks {
            task.writes.retain(|(channel, _)| *channel != name);
        }
    }
    // Refused writes leave the values as they were.
    let _ = board.apply(&tasks, &Reduced::new());
}
