//! A state update from outside: as if a node had returned some values, now.
//!
//! Follows `bulk_update_state` of LangGraph for one super-step of updates. It is driven like an execution, since the
//! node's branches and the graph's own reducers have to be asked.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use selvedge_model::checkpoint::{
    Change, Checkpoint, CheckpointWrite, SavedCheckpoint, Source, Version,
};
use selvedge_model::graph::{END, START, TimeoutPolicy};
use selvedge_model::run::{Command, RunError};
use selvedge_model::{CheckpointId, Json, TaskId};

use crate::begin::{answer_of, command_as_input, unasked};
use crate::board::INTERRUPT;
use crate::errors::{invalid_update, value_error};
use crate::execution::{
    Addressed, Execution, Mint, Options, Outcome, Output, Phase, Step, Then, WorkId,
};
use crate::graph::Graph;
use crate::ids::{self, NULL_TASK};
use crate::interrupt;
use crate::program::Failure;
use crate::task::{self, Path, PathPart, Task, TaskInfo, shown_path};

/// As whom an update stands for a new input.
pub const INPUT: &str = "__input__";
/// As whom an update copies the checkpoint.
pub const COPY: &str = "__copy__";

/// What somebody says that a node returned.
#[derive(Clone, Debug)]
pub struct Update {
    /// What it was.
    pub returned: Returned,
    /// The node; without one, the node that wrote last.
    pub as_node: Option<String>,
}

/// What a node can return.
#[derive(Clone, Debug)]
pub enum Returned {
    /// An update of the state, or `null`.
    Values(Json),
    /// A command. As from a node, an answer in it is for nobody.
    Command(Command),
}

impl Returned {
    fn is_null(&self) -> bool {
        matches!(self, Self::Values(values) if values.is_null())
    }

    /// As the guest would have given it.
    fn as_answer(&self) -> Json {
        match self {
            Self::Values(values) => Json::object([("update", values)]),
            Self::Command(command) => answer_of(command.update.as_ref(), command.goto.as_ref()),
        }
    }
}

/// A state update under way.
#[derive(Debug)]
pub struct StateUpdate {
    execution: Execution,
}

impl StateUpdate {
    /// Begins an update of the newest checkpoint, `None` for a thread without one.
    ///
    /// # Errors
    /// When the updates make no sense: an unknown or ambiguous node, several where one is allowed.
    pub fn start(
        graph: Arc<Graph>,
        base: Option<SavedCheckpoint>,
        updates: Vec<Update>,
        options: Options,
        mint: &mut dyn Mint,
    ) -> Result<StateUpdate, RunError> {
        Self::start_at(graph, base, Addressed::No, updates, options, mint)
    }

    /// Begins an update of a checkpoint that the caller may have named. What is written on top of one that the thread
    /// has moved past is not shown as what that step's tasks did.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_at(
        graph: Arc<Graph>,
        base: Option<SavedCheckpoint>,
        addressed: Addressed,
        updates: Vec<Update>,
        options: Options,
        mint: &mut dyn Mint,
    ) -> Result<StateUpdate, RunError> {
        let Some(Update { returned, as_node }) = updates.first().cloned() else {
            return Err(value_error("No updates provided"));
        };
        let alone = |what: &str| match updates.len() {
            1 => Ok(()),
            _ => Err(invalid_update(what)),
        };
        match as_node.as_deref() {
            Some(END) if returned.is_null() => {
                alone("Cannot apply multiple updates when clearing state")?;
                Ok(Self::clear(graph, base, options, mint))
            }
            Some(INPUT) => {
                alone("Cannot apply multiple updates when updating as input")?;
                Self::input(graph, base, returned, options, mint)
            }
            Some(COPY) => {
                alone("Cannot copy checkpoint with multiple updates")?;
                Self::copy(graph, base, &returned, options, mint)
            }
            _ => {
                let mut execution = Execution::at_rest(graph, base, options, mint);
                execution.keeps_writes = addressed != Addressed::Earlier;
                Self::of_nodes(execution, updates)
            }
        }
    }

    /// What to do now; see [`Execution::step`].
    pub fn step(&mut self, mint: &mut dyn Mint) -> Step {
        self.execution.step(mint)
    }

    /// The answer to one piece of work; see [`Execution::complete`].
    pub fn complete(&mut self, work: WorkId, outcome: Outcome, mint: &mut dyn Mint) {
        let outcome = match outcome {
            Outcome::Interrupted(_) | Outcome::Stopped(_) => Outcome::Failed(Failure {
                kind: "RuntimeError".to_owned(),
                message: "a state update cannot be interrupted".to_owned(),
                retryable: false,
            }),
            outcome => outcome,
        };
        self.execution.complete(work, outcome, mint);
    }

    /// What to store, in order, since the last call.
    pub fn take_output(&mut self) -> Vec<Output> {
        self.execution.take_output()
    }

    /// The checkpoint that was made, once the update has ended.
    #[must_use]
    pub fn checkpoint_id(&self) -> Option<CheckpointId> {
        self.execution.checkpoint_id()
    }

    /// Acts as nodes that returned the values.
    fn of_nodes(mut execution: Execution, updates: Vec<Update>) -> Result<Self, RunError> {
        let several = updates.len() > 1;
        let mut ids = execution.open_task_ids();
        execution.step = execution.step.max(0);
        let mut tasks = Vec::new();
        for (index, update) in updates.into_iter().enumerate() {
            let name = match update.as_node {
                Some(name) => name,
                None if several => {
                    return Err(invalid_update(
                        "as_node is required when applying multiple updates",
                    ));
                }
                None => execution
                    .last_writer()
                    .ok_or_else(|| invalid_update("Ambiguous update, specify as_node"))?,
            };
            let Some(node) = execution.graph.node(&name) else {
                return Err(invalid_update(format!("Node {name} does not exist")));
            };
            let id = ids.get_mut(&name).and_then(VecDeque::pop_front);
            let id = id.unwrap_or_else(|| ids::update_task_id(execution.at.id, index));
            let info = TaskInfo {
                id,
                name,
                path: shown_path(INTERRUPT, [PathPart::Index(index)]),
                triggers: vec![INTERRUPT.to_owned()],
                step: execution.step,
                retry: Vec::new(),
                timeout: TimeoutPolicy::default(),
                cache: None,
                namespace: String::new(),
                nested: None,
            };
            let answer = update.returned.as_answer();
            tasks.push(Task::new(info, node, Path::Update(index), Some(answer)));
        }
        execution.tasks = tasks;
        execution.phase = Phase::HandOut;
        Ok(Self { execution })
    }

    /// Nothing is to run next. What finished tasks wrote is applied.
    fn clear(
        graph: Arc<Graph>,
        base: Option<SavedCheckpoint>,
        options: Options,
        mint: &mut dyn Mint,
    ) -> Self {
        let mut execution = Execution::at_rest(graph, base, options, mint);
        execution.step = execution.step.max(0);
        let statuses = interrupt::statuses(&execution.pending);
        execution.tasks = task::prepare(&execution.board, execution.place(), None);
        for task in &mut execution.tasks {
            if let Some(status) = statuses.get(&task.info.id) {
                task.writes = Arc::new(status.output.clone());
            }
        }
        let left = execution.pending.iter().filter(|w| w.task == NULL_TASK);
        let left = left.map(|w| (w.channel.clone(), w.value.clone())).collect();
        execution.fold(vec![unasked(left)], Then::Cleared, mint);
        Self { execution }
    }

    /// Acts as a new input.
    fn input(
        graph: Arc<Graph>,
        base: Option<SavedCheckpoint>,
        returned: Returned,
        options: Options,
        mint: &mut dyn Mint,
    ) -> Result<Self, RunError> {
        if returned.is_null() {
            return Err(invalid_update("Received no input writes for __start__"));
        }
        let values = match returned {
            Returned::Values(values) => values,
            Returned::Command(command) => command_as_input(&command),
        };
        let mut execution = Execution::at_rest(graph, base, options, mint);
        let writes = vec![unasked(vec![(START.to_owned(), values)])];
        execution.fold(writes, Then::Updated(Source::Input), mint);
        Ok(Self { execution })
    }

    /// Copies the checkpoint beside itself; a list of `[values, as_node]` is applied on top of the copy.
    fn copy(
        graph: Arc<Graph>,
        base: Option<SavedCheckpoint>,
        returned: &Returned,
        options: Options,
        mint: &mut dyn Mint,
    ) -> Result<Self, RunError> {
        let Some(base) = base else {
            return Err(invalid_update("Cannot copy a non-existent checkpoint"));
        };
        let updates = match returned {
            Returned::Values(values) => updates_on_copy(values)?,
            Returned::Command(_) => Vec::new(),
        };
        let mut copied = base.checkpoint;
        copied.id = mint.checkpoint_id(copied.step + 1);
        copied.step += 1;
        copied.source = Source::Fork;
        copied.metadata = options.metadata.clone();
        copied.updated_channels = Vec::new();
        let write = as_write(&copied, mint);
        let saved = SavedCheckpoint {
            checkpoint: copied,
            pending: Vec::new(),
        };
        let mut execution = Execution::at_rest(graph, Some(saved), options, mint);
        execution.output.push(Output::Checkpoint(write));
        if !updates.is_empty() {
            return Self::of_nodes(execution, updates);
        }
        execution.prepare();
        execution.end(crate::EndKind::Success);
        Ok(Self { execution })
    }
}

impl Execution {
    /// The ids of the tasks that the checkpoint would run, by node: an update as that node is shown as what they did.
    fn open_task_ids(&self) -> HashMap<String, VecDeque<TaskId>> {
        let mut ids: HashMap<String, VecDeque<TaskId>> = HashMap::new();
        if self.at.is_stored {
            for task in task::prepare(&self.board, self.place(), None) {
                ids.entry(task.info.name.clone())
                    .or_default()
                    .push_back(task.info.id);
            }
        }
        ids
    }

    /// The node that reacted last, if one did so alone. On a thread where nothing ran, START.
    fn last_writer(&self) -> Option<String> {
        let is_node = |name: &str| self.graph.node(name).is_some();
        let seen = &self.board.seen;
        if seen.values().all(BTreeMap::is_empty) {
            return Some(START.to_owned());
        }
        let of_nodes = seen.iter().filter(|(name, _)| is_node(name));
        let mut last: Vec<(Version, &str)> = of_nodes
            .flat_map(|(name, versions)| versions.values().map(move |v| (*v, name.as_str())))
            .collect();
        last.sort_unstable();
        match last.as_slice() {
            [.., (before, _), (newest, _)] if before == newest => None,
            [.., (_, name)] => Some((*name).to_owned()),
            [] => None,
        }
    }
}

/// The `[values, as_node]` items of a copy's values, those of one node together.
fn updates_on_copy(values: &Json) -> Result<Vec<Update>, RunError> {
    let mut by_node: indexmap::IndexMap<Option<String>, Vec<Json>> = indexmap::IndexMap::new();
    for item in values.items().unwrap_or_default() {
        let invalid = || {
            let item = crate::python::text(&item.to_value());
            invalid_update(format!(
                "Invalid update item: {item} when copying checkpoint"
            ))
        };
        let parts = item.items().ok_or_else(invalid)?;
        let as_node = match parts.get(1) {
            None => None,
            Some(node) => node.decode().map_err(|_| invalid())?,
        };
        let values = parts.first().cloned().ok_or_else(invalid)?;
        by_node.entry(as_node).or_default().push(values);
    }
    Ok(by_node
        .into_iter()
        .flat_map(|(node, all)| {
            all.into_iter().map(move |values| Update {
                returned: Returned::Values(values),
                as_node: node.clone(),
            })
        })
        .collect())
}

/// A whole checkpoint in terms of its parent, about which nothing is known.
fn as_write(checkpoint: &Checkpoint, mint: &mut dyn Mint) -> CheckpointWrite {
    let change = |name: &String| match checkpoint.values.get(name) {
        Some(value) => Change::Set(value.clone()),
        None => Change::Clear,
    };
    CheckpointWrite {
        id: checkpoint.id,
        parent: checkpoint.parent,
        namespace: checkpoint.namespace.clone(),
        created_at: mint.now(),
        step: checkpoint.step,
        source: checkpoint.source,
        metadata: checkpoint.metadata.clone(),
        versions: checkpoint.versions.clone(),
        versions_seen: checkpoint.versions_seen.clone(),
        updated_channels: checkpoint.updated_channels.clone(),
        changes: checkpoint
            .versions
            .keys()
            .map(|name| (name.clone(), change(name)))
            .collect(),
    }
}
