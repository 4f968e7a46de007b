//! What the runtime and an execution hand each other: options and answers in, work, writes and events out.

use std::sync::Arc;

use indexmap::IndexMap;
use selvedge_model::checkpoint::{CheckpointWrite, PendingWrite};
use selvedge_model::event::StreamEvent;
use selvedge_model::run::{Breakpoints, Command, RunError, StreamMode};
use selvedge_model::thread::Interrupt;
use selvedge_model::{CheckpointId, Json, TaskId, Timestamp};

use crate::nested::{Around, GoesOn, Inside, Parents};
use crate::program::{Failure, Plan, Program};
use crate::task::TaskInfo;
use crate::writes::Writes;

/// Where ids and time come from, so that the algorithm is deterministic.
pub trait Mint {
    /// The time now.
    fn now(&mut self) -> Timestamp;
    /// An id for the checkpoint of this step (−2: a stand-in that is never stored). Later ones must sort after
    /// earlier ones.
    fn checkpoint_id(&mut self, step: i64) -> CheckpointId;
}

/// What a run asks for beside its input.
#[derive(Clone, Debug)]
pub struct Options {
    /// `""` for the root graph, else the path of the subgraph.
    pub namespace: String,
    /// How many super-steps it may take.
    pub recursion_limit: u32,
    /// Stop before these nodes; `None`: where the graph says.
    pub interrupt_before: Option<Breakpoints>,
    /// Stop after these nodes; `None`: where the graph says.
    pub interrupt_after: Option<Breakpoints>,
    /// An object that goes into every checkpoint's metadata.
    pub metadata: Json,
    /// An object whose members every guest call is told.
    pub facts: Json,
    /// Which events to make.
    pub modes: Vec<StreamMode>,
    /// The checkpoints of the graphs around this one; empty for the root graph.
    pub parents: Arc<Parents>,
}

/// What a run begins with.
#[derive(Clone, Debug)]
pub enum Entry {
    /// An input; `null` means [`Continue`](Entry::Continue).
    Input(Json),
    /// Go on with what the checkpoint has to run next.
    Continue,
    /// Instructions in place of an input.
    Command(Command),
}

/// Whether the caller named the checkpoint to go on from. `false` converts to `No`, `true` to `Earlier`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressed {
    /// It is the newest, and was not named.
    No,
    /// It was named, and is the newest.
    Newest,
    /// It was named, and the thread has moved past it.
    Earlier,
}

impl From<bool> for Addressed {
    fn from(fork: bool) -> Self {
        if fork { Self::Earlier } else { Self::No }
    }
}

/// Names a piece of work within its execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkId(pub u64);

/// A piece of work for a guest instance.
#[derive(Clone, Debug)]
pub struct Work {
    /// To answer it by.
    pub id: WorkId,
    /// `None` for work that is no task of the graph: routing START, reducing channels.
    pub task: Option<Arc<TaskInfo>>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) answers: Vec<Json>,
    pub(crate) around: Arc<Around>,
    pub(crate) below: Option<Json>,
}

impl Work {
    /// The calls to make, fresh for each attempt (1 for the first). The first call of a task whose node stands for a
    /// graph is answered by what that graph came to, and not by a guest.
    #[must_use]
    pub fn program(&self, attempt: u32) -> Program {
        Program::new(&self.plan, attempt)
    }

    /// What the task's node is given: its view of the state, or what was sent to it.
    #[must_use]
    pub fn input(&self) -> Json {
        self.plan.input()
    }

    /// What the task's interrupts are answered by: the n-th call gets the n-th, a call beyond them asks.
    #[must_use]
    pub fn answers(&self) -> &[Json] {
        &self.answers
    }

    /// Whether an answer decides what the task writes, or may: one that it was given, or that a graph inside it was given
    /// or will be. Of graphs that its node calls only those in this run are known here: see
    /// [`Inside::went_on`].
    #[must_use]
    pub fn is_answered(&self) -> bool {
        let contains = self.task.as_ref().is_some_and(|task| task.nested.is_some());
        let inside =
            self.around.answers_below() || (contains && self.around.goes_on == GoesOn::Anything);
        !self.answers.is_empty() || self.below.is_some() || inside
    }

    /// What graphs inside the task begin with.
    #[must_use]
    pub fn inside(&self) -> Inside {
        Inside::of(self)
    }
}

/// What came of a piece of work.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The program finished.
    Done(Writes),
    /// It did not run: the node's cache policy lets it have what it wrote on the same input before.
    Reused(Writes),
    /// The task asked this and has no answer.
    Interrupted(Json),
    /// A graph inside the task stopped: it asked these, or none at a breakpoint.
    Stopped(Vec<Interrupt>),
    /// It failed, retries included.
    Failed(Failure),
}

/// What to do now.
#[derive(Clone, Debug)]
pub enum Step {
    /// Run these at once, answer each by [`complete`](crate::Execution::complete).
    Work(Vec<Work>),
    /// Answers are outstanding.
    Waiting,
    /// Nothing more will happen.
    Ended(End),
}

/// How an execution ended.
#[derive(Clone, Debug)]
pub struct End {
    /// In which way.
    pub kind: EndKind,
    /// The output channels.
    pub values: Json,
    /// The nodes that would run next.
    pub next: Vec<String>,
    /// The questions that wait for an answer, by task.
    pub interrupts: IndexMap<TaskId, Vec<Interrupt>>,
    /// Whether the task that it failed of says that trying again may help.
    pub retryable: bool,
}

/// In which way an execution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// Nothing is left to run.
    Success,
    /// It stopped at a question, or at a breakpoint (then nothing is asked).
    Interrupted,
    /// It failed.
    Failed(RunError),
}

/// What to store or show, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// A new checkpoint.
    Checkpoint(CheckpointWrite),
    /// Writes of the open step. A write takes the place of one of the same task and index.
    Pending {
        /// The checkpoint that the step started from.
        checkpoint: CheckpointId,
        /// Of the checkpoint.
        namespace: String,
        /// The writes.
        writes: Vec<PendingWrite>,
    },
    /// An event of the run's stream.
    Event(StreamEvent),
}
