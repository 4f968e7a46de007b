//! The tasks of the next super-step: one per triggered node (PULL), one per `Send` (PUSH).

use std::sync::Arc;

use selvedge_model::graph::{CachePolicy, RetryPolicy, TimeoutPolicy};
use selvedge_model::{CheckpointId, Json, TaskId};
use serde::Serialize;

use crate::board::{Board, Channels, TaskWrites};
use crate::channel::Held;
use crate::graph::{Nested, START_NODE, TASKS};
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
    /// How long an attempt may take.
    pub timeout: TimeoutPolicy,
    /// Whether what it writes is kept for its next time with the same input.
    pub cache: Option<CachePolicy>,
    /// `node:task_id`, below the execution's own namespace.
    pub namespace: String,
    /// The graph that the node stands for.
    pub nested: Option<Nested>,
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
///
/// In the order in which writes are applied, that of LangGraph's paths as text (`task_path_str`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Path {
    /// From no task at all.
    Outside,
    /// The n-th of the updates from outside.
    Update(usize),
    /// A trigger of the node; several are ordered by their nodes' names.
    Pull,
    /// The n-th `Send`.
    Push(usize),
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
    /// A graph inside it stopped at a breakpoint, where nothing is asked.
    Paused,
    Failed(Failure),
    /// It was stopped because another one failed.
    Stopped,
}

/// One task of a step.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) info: Arc<TaskInfo>,
    pub(crate) node: usize,
    pub(crate) path: Path,
    /// A `Send`'s input, or what an update from outside takes the node to have given.
    pub(crate) packet: Option<Json>,
    pub(crate) answers: Vec<Json>,
    /// The answer for a graph inside it.
    pub(crate) below: Option<Json>,
    /// Empty as long as it is not finished.
    pub(crate) writes: Arc<Vec<(String, Json)>>,
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
    /// One that has not run.
    pub(crate) fn new(info: TaskInfo, node: usize, path: Path, packet: Option<Json>) -> Self {
        Self {
            info: Arc::new(info),
            node,
            path,
            packet,
            answers: Vec::new(),
            below: None,
            writes: Arc::default(),
            progress: Progress::Ready,
            has_pending: false,
        }
    }

    /// Whether no guest runs a node for it, so that callers do not see it: START, and updates from outside.
    pub(crate) fn is_internal(&self) -> bool {
        self.node == START_NODE || matches!(self.path, Path::Update(_))
    }

    pub(crate) fn to_apply(&self) -> TaskWrites {
        TaskWrites {
            path: self.path,
            info: Arc::clone(&self.info),
            writes: Arc::clone(&self.writes),
        }
    }
}

/// A path as LangGraph shows it: a kind, and which of them.
pub(crate) fn shown_path(kind: &str, rest: impl IntoIterator<Item = PathPart>) -> Vec<PathPart> {
    let kind = PathPart::Name(kind.to_owned());
    std::iter::once(kind).chain(rest).collect()
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
        let info = TaskInfo {
            id,
            name: packet.node.clone(),
            path: shown_path(PUSH, [PathPart::Index(index), PathPart::Flag(false)]),
            triggers: vec![PUSH.to_owned()],
            step: place.step,
            retry: board.graph.nodes[node].retry.clone(),
            timeout: board.graph.nodes[node].timeout,
            cache: board.graph.nodes[node].cache,
            namespace: format!("{namespace}:{id}"),
            nested: board.graph.nodes[node].nested.clone(),
        };
        let input = Some(packet.input.clone());
        tasks.push(Task::new(info, node, Path::Push(index), input));
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
    let info = TaskInfo {
        id,
        name: node.name.clone(),
        path: shown_path(PULL, [PathPart::Name(node.name.clone())]),
        triggers,
        step: place.step,
        retry: node.retry.clone(),
        timeout: node.timeout,
        cache: node.cache,
        namespace: format!("{namespace}:{id}"),
        nested: node.nested.clone(),
    };
    Task::new(info, index, Path::Pull, None)
}

fn below(namespace: &str, node: &str) -> String {
    if namespace.is_empty() {
        node.to_owned()
    } else {
        format!("{namespace}|{node}")
    }
}
