//! Graphs inside tasks: what an execution that a task contains is given by the one around it.
//!
//! A task contains a graph because its node stands for one, or because its node called one. Either way that graph is
//! an [`Execution`] of its own, which the runtime drives: it has a namespace below the task's, checkpoints of its own,
//! and begins as [`Inside`] says. What it comes to is the task's [`Outcome`](crate::Outcome).

use std::sync::Arc;

use indexmap::IndexMap;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::run::{Command, RunError};
use selvedge_model::thread::Interrupt;
use selvedge_model::{CheckpointId, Json};

use crate::errors::PARENT_COMMAND;
use crate::execution::{Entry, Execution, Work};
use crate::graph::Graph;
use crate::ids;
use crate::interrupt::{self, Status};
use crate::task::Task;
use crate::view;

/// How many graphs may lie around one.
pub const DEEPEST: usize = 8;

/// The checkpoints that the graphs around one stand on, by their namespaces, from the outermost.
pub type Parents = IndexMap<String, CheckpointId>;

/// What an execution tells those inside its tasks.
#[derive(Debug, Default)]
pub(crate) struct Around {
    /// Its own checkpoint among them.
    parents: Arc<Parents>,
    /// Answers by the ids of questions, for whoever asked.
    answers: Option<Json>,
    pub(crate) goes_on: GoesOn,
}

/// On what a graph inside a task may go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum GoesOn {
    /// The task is new: whatever lies in its namespaces belongs to another branch of history.
    #[default]
    Nothing,
    /// On what this very run left, before a crash or when the task was tried before: an earlier run's belongs to another
    /// branch of history.
    OwnRun,
    /// On whatever is there: the task may have begun in an earlier run.
    Anything,
}

/// What an execution inside a task begins with.
#[derive(Clone, Debug)]
pub struct Inside {
    around: Arc<Around>,
    task_namespace: String,
    answer: Option<Json>,
    went_on: bool,
}

impl Around {
    /// Whether there are answers that may be for a graph inside one of the tasks.
    pub(crate) fn answers_below(&self) -> bool {
        self.goes_on == GoesOn::Anything && self.answers.is_some()
    }
}

impl Inside {
    pub(crate) fn of(work: &Work) -> Self {
        Self {
            around: Arc::clone(&work.around),
            task_namespace: match &work.task {
                Some(task) => task.namespace.clone(),
                None => String::new(),
            },
            answer: work.below.clone(),
            went_on: false,
        }
    }

    /// Whether one of the graphs went on where an earlier run had left it, so that what it came to is more than what its
    /// input leads to: it may have been answered, or changed.
    #[must_use]
    pub fn went_on(&self) -> bool {
        self.went_on
    }

    /// The namespace of the n-th graph that the task contains; the first is number 0.
    #[must_use]
    pub fn namespace(&self, number: usize) -> String {
        match number {
            0 => self.task_namespace.clone(),
            n => format!("{}|{n}", self.task_namespace),
        }
    }

    /// The checkpoints of the graphs around it.
    #[must_use]
    pub fn parents(&self) -> &Arc<Parents> {
        &self.around.parents
    }

    /// Which checkpoints that its namespaces may hold are there to go on from, when the task is tried for the first time.
    #[must_use]
    pub fn goes_on(&self) -> GoesOn {
        self.around.goes_on
    }

    /// With what an execution of a graph begins on the newest checkpoint of its namespace, `None` when there is none to go
    /// on from. An answer that is meant for no question in particular goes to the first graph that has not ended.
    pub fn entry(
        &mut self,
        graph: &Arc<Graph>,
        base: Option<&SavedCheckpoint>,
        input: Json,
    ) -> Entry {
        let Some(base) = base else {
            return Entry::Input(input);
        };
        self.went_on |= self.around.goes_on == GoesOn::Anything;
        let statuses = interrupt::statuses(&base.pending);
        let waits = statuses.values().any(|status| !status.open().is_empty());
        let resume = match &self.around.answers {
            Some(by_id) => waits.then(|| by_id.clone()),
            // Its state may have been changed since it asked: then whoever asks now is meant.
            None if waits || (self.answer.is_some() && has_more(graph, base)) => self.answer.take(),
            None => None,
        };
        match resume {
            Some(answer) => Entry::Command(Command {
                resume: Some(answer),
                ..Command::default()
            }),
            None => Entry::Continue,
        }
    }
}

fn has_more(graph: &Arc<Graph>, base: &SavedCheckpoint) -> bool {
    !view::view(graph, base).next.is_empty()
}

impl Execution {
    pub(crate) fn around(&self) -> Around {
        let mut parents = Parents::clone(&self.options.parents);
        if self.at.is_stored {
            parents.insert(self.options.namespace.clone(), self.at.id);
        }
        Around {
            parents: Arc::new(parents),
            answers: self.answers_by_id.as_ref().map(Json::object),
            goes_on: match self.began_on == Some(self.at.id) {
                true if self.travels => GoesOn::OwnRun,
                true => GoesOn::Anything,
                false => GoesOn::Nothing,
            },
        }
    }
}

/// Whether a task is known to contain a graph: its node stands for one, or somebody inside it has asked.
pub(crate) fn contains_graph(task: &Task, status: &Status) -> bool {
    let namespace = &task.info.namespace;
    let is_own = |(number, question): (usize, &Interrupt)| {
        (0..=number + status.answers.len())
            .any(|answered| question.id == ids::interrupt_id(namespace, answered))
    };
    let asked_inside = status
        .interrupts
        .iter()
        .enumerate()
        .any(|asked| !is_own(asked));
    task.info.nested.is_some() || asked_inside
}

/// Whether a task's open question is its node's own, so that an answer to it is one for the node. When nobody has
/// asked yet, a node that is no graph is taken to be who will.
pub(crate) fn asks_itself(task: &Task, status: Option<&Status>) -> bool {
    if task.info.nested.is_some() {
        return false;
    }
    let open = status.map(Status::open).unwrap_or_default();
    let is_own = |id: &str| {
        let own = |answered| ids::interrupt_id(&task.info.namespace, answered);
        id == own(task.answers.len()) || id == own(0)
    };
    open.is_empty() || open.iter().any(|question| is_own(&question.id))
}

/// The command that a graph failed of because it is for the graph around it, in the form of a node's answer.
#[must_use]
pub fn command_to_parent(error: &RunError) -> Option<Json> {
    if error.kind != PARENT_COMMAND {
        return None;
    }
    let mut command = Json::parse(error.message.clone()).ok()?.members()?;
    command.shift_remove("graph");
    Some(Json::object(&command))
}
