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
use crate::channel;
use crate::events;
use crate::graph::Graph;
use crate::ids::NULL_TASK;
use crate::interrupt::{self, Status};
use crate::nested;
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
    /// `node:task_id`, below that of the graph: where a graph inside it has its checkpoints.
    pub namespace: String,
    /// Whether there is a graph inside it: its node stands for one, or one that it called asks.
    pub contains_graph: bool,
}

impl TaskView {
    /// The error as LangGraph's state shows it: Python's `repr`, `ValueError('boom')`.
    #[must_use]
    pub fn error_text(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        Some(format!(
            "{}({})",
            error.kind,
            python::quoted(&error.message)
        ))
    }
}

/// Asks the graph's own reducer: channel, current value, updates. `None` leaves the writes out.
pub type Reduce<'a> = &'a mut dyn FnMut(&str, &Json, &Json) -> Option<Json>;

/// How the thread stands: what finished tasks of the open step wrote is in `values`, only unfinished ones are
/// `next`, and only questions without an answer are shown. Writes that only the graph's own reducer could apply are
/// left out of `values`, since this asks no guest: [`view_with`] does.
#[must_use]
pub fn view(graph: &Arc<Graph>, saved: &SavedCheckpoint) -> StateView {
    view_with(graph, saved, &mut |_, _, _| None)
}

/// [`view`] with the graph's own reducers.
#[must_use]
pub fn view_with(graph: &Arc<Graph>, saved: &SavedCheckpoint, reduce: Reduce<'_>) -> StateView {
    read(graph, saved, true, reduce)
}

/// How the step began: the values before it, all of its tasks, and all that they asked.
#[must_use]
pub fn record(graph: &Arc<Graph>, saved: &SavedCheckpoint) -> StateView {
    record_with(graph, saved, &mut |_, _, _| None)
}

/// [`record`] with the graph's own reducers: only the writes of a command need them here.
#[must_use]
pub fn record_with(graph: &Arc<Graph>, saved: &SavedCheckpoint, reduce: Reduce<'_>) -> StateView {
    read(graph, saved, false, reduce)
}

/// The author's channels as the state shows them, from an object of those that something was written to: a channel
/// that begins with a value (an empty list) has it before.
#[must_use]
pub fn values(graph: &Graph, written: &Json) -> Json {
    let written = written.members().unwrap_or_default();
    let shown: Vec<(&str, Json)> = graph
        .state
        .iter()
        .filter_map(|&c| {
            let name = graph.channel_name(c);
            let initial = || channel::value_of(&graph.channels[c].initial());
            Some((name, written.get(name).cloned().or_else(initial)?))
        })
        .collect();
    Json::object(shown.iter().map(|(name, value)| (*name, value)))
}

fn read(graph: &Arc<Graph>, saved: &SavedCheckpoint, live: bool, reduce: Reduce<'_>) -> StateView {
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
    let unasked_writes: Vec<_> = unasked_writes
        .map(|w| (w.channel.clone(), w.value.clone()))
        .collect();
    apply(&mut board, vec![unasked(unasked_writes)], reduce);
    if live {
        for task in &mut tasks {
            if let Some(status) = statuses.get(&task.info.id) {
                task.writes = Arc::new(status.output.clone());
            }
        }
        let finished = tasks.iter().filter(|t| !t.writes.is_empty());
        let finished: Vec<TaskWrites> = finished.map(Task::to_apply).collect();
        if !finished.is_empty() {
            apply(&mut board, finished, reduce);
            // What holds for one step only is not shown: that step has not begun.
            board.expire_all();
        }
    }
    StateView {
        values: board.read(&graph.state),
        next: tasks
            .iter()
            .filter(|t| t.writes.is_empty())
            .map(|t| t.info.name.clone())
            .collect(),
        tasks: tasks
            .iter()
            .map(|t| task_view(graph, t, statuses.get(&t.info.id), live))
            .collect(),
        metadata: events::metadata(&checkpoint.metadata, checkpoint.source, checkpoint.step),
    }
}

fn task_view(graph: &Graph, task: &Task, status: Option<&Status>, live: bool) -> TaskView {
    let nothing = Status::default();
    let status = status.unwrap_or(&nothing);
    TaskView {
        id: task.info.id,
        name: task.info.name.clone(),
        path: task.info.path.clone(),
        error: status.error.clone(),
        interrupts: if live {
            status.open().to_vec()
        } else {
            status.interrupts.clone()
        },
        result: status
            .is_finished()
            .then(|| events::result_of(graph, &status.output)),
        namespace: task.info.namespace.clone(),
        contains_graph: nested::contains_graph(task, status),
    }
}

/// Applies what can be applied. Writes that are refused (two to one last value) are not shown; the run that made them
/// has failed of it.
fn apply(board: &mut Board, mut tasks: Vec<TaskWrites>, reduce: Reduce<'_>) {
    let mut reduced = Reduced::new();
    for call in board.to_reduce(&tasks).unwrap_or_default() {
        let name = board.graph.channel_name(call.channel).to_owned();
        if let Some(value) = reduce(&name, &call.current, &Json::array(&call.updates)) {
            reduced.insert(call.channel, value);
            continue;
        }
        for task in &mut tasks {
            Arc::make_mut(&mut task.writes).retain(|(channel, _)| *channel != name);
        }
    }
    // Refused writes leave the values as they were.
    let _ = board.apply(&tasks, &reduced);
}
