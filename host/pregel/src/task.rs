//! The tasks of the next super-step: one per triggered node (PULL), one per `Send` (PUSH).

use selvedge_model::graph::RetryPolicy;
use selvedge_model::{CheckpointId, Json, TaskId};
use serde::Serialize;

use crate::board::{Board, Channels, INTERRUPT, TaskWrites};
use crate::channel::Held;
use crate::graph::{START_NODE, TASKS};
use crate::ids::{self, PULL, PUSH};
use crate::program::Failure;

/// What the runtime is told about a task.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// The same when the step runs again.
    pub id: TaskId,
    /// The node.
    pub name: String,
    /// `["__pregel_pull", name]` or `["__pregel_push", index, false]`.
    pub path: Vec<PathPart>,
    /// The channels that set it off.
    pub triggers: Vec<String>,
    /// The super-step.
    pub step: i64,
    /// When to try again; the first that matches counts.
    pub retry: Vec<RetryPolicy>,
    /// `node:task_id`, below the execution's own namespace.
    pub namespace: String,
}

/// A part of a task's path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PathPart {
    /// The kind, or a node.
    Name(String),
    /// Which of the `Send`s.
    Index(usize),
    /// Whether a call made it: never, here.
    Flag(bool),
}

/// Where a task comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Pull(String),
    Push(usize),
    /// The n-th of the updates from outside.
    Update(usize),
}

/// Where a task stands.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    /// Not handed out.
    Ready,
    Running,
    /// Its writes are there.
    Done,
    /// It asked, and the question is not saved yet: an answer may still be found.
    Asking(Json),
    /// It asked, and waits for another run.
    Asked,
    Failed(Failure),
    /// It was stopped because another one failed.
    Stopped,
}

/// One task of a step.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) node: usize,
    pub(crate) name: String,
    pub(crate) path: Path,
    pub(crate) triggers: Vec<String>,
    pub(crate) namespace: String,
    /// A `Send`'s input, or what an update from outside gives.
    pub(crate) packet: Option<Json>,
    pub(crate) answers: Vec<Json>,
    /// Empty as long as it is not finished.
    pub(crate) writes: Vec<(String, Json)>,
    pub(crate) progress: Progress,
    /// Whether it wrote before in this step, so that what it writes now takes the place of that.
    pub(crate) has_pending: bool,
}

/// Where in a thread tasks are prepared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) checkpoint: CheckpointId,
    pub(crate) namespace: &'a str,
    pub(crate) step: i64,
}

impl Task {
    /// What the runtime is told.
    pub(crate) fn info(&self, step: i64, retry: &[RetryPolicy]) -> TaskInfo {
        TaskInfo {
            id: self.id,
            name: self.name.clone(),
            path: self.path.parts(),
            triggers: self.triggers.clone(),
            step,
            retry: retry.to_vec(),
            namespace: self.namespace.clone(),
        }
    }

    /// Whether no guest runs a node for it, so that callers do not see it: START, and updates from outside.
    pub(crate) fn is_internal(&self) -> bool {
        self.node == START_NODE || matches!(self.path, Path::Update(_))
    }

    pub(crate) fn to_apply(&self) -> TaskWrites {
        TaskWrites {
            order: self.path.order(),
            name: self.name.clone(),
            triggers: self.triggers.clone(),
            writes: self.writes.clone(),
        }
    }
}

impl Path {
    /// The path as LangGraph shows it.
    pub(crate) fn parts(&self) -> Vec<PathPart> {
        match self {
            Self::Pull(node) => vec![
                PathPart::Name(PULL.to_owned()),
                PathPart::Name(node.clone()),
            ],
            Self::Push(index) => vec![
                PathPart::Name(PUSH.to_owned()),
                PathPart::Index(*index),
                PathPart::Flag(false),
            ],
            Self::Update(index) => vec![
                PathPart::Name(INTERRUPT.to_owned()),
                PathPart::Index(*index),
            ],
        }
    }

    /// The path as text, by which writes are ordered (`task_path_str`).
    fn order(&self) -> String {
        match self {
            Self::Pull(node) => format!("~{PULL}, {node}"),
            Self::Push(index) => format!("~{PUSH}, {index:010}, {:010}", 0),
            Self::Update(index) => format!("~{INTERRUPT}, {index:010}"),
        }
    }
}

/// The tasks of the next step: `Send`s in their order, then nodes. With `updated`, the channels that the last step
/// changed, only what they trigger is looked at, by name; without, every node in the graph's order.
pub(crate) fn prepare(board: &Board, place: Place<'_>, updated: Option<&Channels>) -> Vec<Task> {
    let mut tasks = pushed(board, place);
    let graph = &board.graph;
    let candidates: Vec<usize> = match updated.filter(|u| !u.is_empty()) {
        Some(updated) => {
            let mut nodes: Vec<usize> = updated
                .iter()
                .flat_map(|&c| graph.triggered_by[c].iter().copied())
                .collect();
            nodes.sort_by(|&a, &b| graph.nodes[a].name.cmp(&graph.nodes[b].name));
            nodes.dedup();
            nodes
        }
        None if board.versions.is_empty() => Vec::new(),
        None => (0..graph.nodes.len()).collect(),
    };
    let triggered = candidates.into_iter().filter(|&node| board.triggers(node));
    tasks.extend(triggered.map(|node| pulled(board, place, node)));
    tasks
}

fn pushed(board: &Board, place: Place<'_>) -> Vec<Task> {
    let channel = board.graph.channel(TASKS);
    let Some(Held::Packets(packets)) = channel.map(|c| &board.held[c]) else {
        return Vec::new();
    };
    let mut tasks = Vec::new();
    for (index, packet) in packets.iter().enumerate() {
        // LangGraph ignores what goes to no node.
        let node = board.graph.node(&packet.node).filter(|&n| n != START_NODE);
        let Some(node) = node else { continue };
        let namespace = below(place.namespace, &packet.node);
        let number = index.to_string();
        let id = ids::task_id(
            place.checkpoint,
            &namespace,
            place.step,
            &packet.node,
            PUSH,
            [number.as_str()],
        );
        tasks.push(Task {
            id,
            node,
            name: packet.node.clone(),
            path: Path::Push(index),
            triggers: vec![PUSH.to_owned()],
            namespace: format!("{namespace}:{id}"),
            packet: Some(packet.input.clone()),
            answers: Vec::new(),
            writes: Vec::new(),
            progress: Progress::Ready,
            has_pending: false,
        });
    }
    tasks
}

fn pulled(board: &Board, place: Place<'_>, index: usize) -> Task {
    let graph = &board.graph;
    let node = &graph.nodes[index];
    let triggers: Vec<String> = node
        .triggers
        .iter()
        .map(|&c| graph.channel_name(c).to_owned())
        .collect();
    let namespace = below(place.namespace, &node.name);
    let id = ids::task_id(
        place.checkpoint,
        &namespace,
        place.step,
        &node.name,
        PULL,
        triggers.iter().map(String::as_str),
    );
    Task {
        id,
        node: index,
        name: node.name.clone(),
        path: Path::Pull(node.name.clone()),
        triggers,
        namespace: format!("{namespace}:{id}"),
        packet: None,
        answers: Vec::new(),
        writes: Vec::new(),
        progress: Progress::Ready,
        has_pending: false,
    }
}

fn below(namespace: &str, node: &str) -> String {
    if namespace.is_empty() {
        node.to_owned()
    } else {
        format!("{namespace}|{node}")
    }
}
