//! One run's execution: the super-step loop as a state machine.
//!
//! The runtime asks [`step`](Execution::step) what to do, answers each piece of work by
//! [`complete`](Execution::complete), and stores and shows what [`take_output`](Execution::take_output) gives, in its
//! order. How the loop is entered is in `begin`, how a step begins in `tick`, how it ends in `settle`.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use selvedge_model::checkpoint::{Checkpoint, PendingWrite, SavedCheckpoint, Source};
use selvedge_model::run::RunError;
use selvedge_model::{CheckpointId, Json};

use crate::begin::Beginning;
use crate::board::{Board, Channels, TaskWrites};
pub use crate::exchange::{
    Addressed, End, EndKind, Entry, Mint, Options, Outcome, Output, Step, Work, WorkId,
};
use crate::graph::{Graph, START_NODE};
use crate::program::{Opening, Plan};
use crate::recovery::Given;
use crate::task::{Place, Progress, Task};

/// One run's execution.
#[derive(Debug)]
pub struct Execution {
    pub(crate) graph: Arc<Graph>,
    pub(crate) options: Options,
    pub(crate) facts: Arc<IndexMap<String, Json>>,
    pub(crate) board: Board,
    pub(crate) at: At,
    /// The checkpoint that it stood on when it began.
    pub(crate) began_on: Option<CheckpointId>,
    /// It began where the caller wanted it, so that what came of it before does not count.
    pub(crate) travels: bool,
    /// The writes of the open step, as LangGraph keeps them.
    pub(crate) pending: Vec<PendingWrite>,
    /// The step that comes next.
    pub(crate) step: i64,
    /// The last step that may run.
    pub(crate) stop: i64,
    /// What the last step changed; `None`: unknown, look at every node.
    pub(crate) updated: Option<Channels>,
    /// Finished tasks of the first step run again.
    pub(crate) replaying: bool,
    pub(crate) answers_by_id: Option<IndexMap<String, Json>>,
    /// The run was cut off after its command had been put: who had been given its answers.
    pub(crate) given_before: Option<Given>,
    /// The command's writes, as long as they are not left to be stored.
    pub(crate) command: Option<Vec<PendingWrite>>,
    /// The task that was given the answer that was meant for none in particular.
    pub(crate) loose_task: Option<usize>,
    /// Whether what tasks wrote is kept with the checkpoint that they started from.
    pub(crate) keeps_writes: bool,
    pub(crate) tasks: Vec<Task>,
    pub(crate) issued: HashMap<WorkId, Issued>,
    pub(crate) next_work: u64,
    pub(crate) phase: Phase,
    pub(crate) output: Vec<Output>,
}

/// The checkpoint that the execution stands on.
#[derive(Clone, Debug)]
pub(crate) struct At {
    pub(crate) id: CheckpointId,
    pub(crate) parent: Option<CheckpointId>,
    pub(crate) step: i64,
    pub(crate) source: Source,
    pub(crate) metadata: Json,
    /// False for a thread without a checkpoint: then `id` is only an ingredient of task ids.
    pub(crate) is_stored: bool,
}

#[derive(Debug)]
pub(crate) enum Phase {
    /// Look for what runs next.
    Tick,
    /// Tasks are to be handed out.
    HandOut,
    /// Tasks run.
    Running,
    /// The graph's own reducers are asked before writes can be applied.
    Folding(Fold),
    Ended(End),
}

/// Writes that wait for the graph's own reducers.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) tasks: Vec<TaskWrites>,
    pub(crate) then: Then,
    plan: Option<Arc<Plan>>,
}

/// What follows once the writes are applied.
#[derive(Debug)]
pub(crate) enum Then {
    /// The command's writes: the run begins.
    Begin(Beginning),
    /// The input: its checkpoint.
    Input,
    /// A step's writes: its checkpoint.
    Step,
    /// What commands had left before a state update that clears the tasks: the tasks' writes follow.
    Cleared,
    /// A state update: its checkpoint, and the end.
    Updated(Source),
    /// Finished siblings of an interrupted task: shown, not stored.
    Interrupted {
        /// At a breakpoint, so that nothing is asked.
        at_breakpoint: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Issued {
    Task(usize),
    Fold,
}

impl Execution {
    /// Begins. `base` is the checkpoint to go on from with its pending writes, `None` for a thread without one. A run
    /// that was cut off is begun in the same way on what was stored of it: the `run_id` of its metadata tells.
    /// Errors (no input, an ambiguous answer, …) are the first step's [`EndKind::Failed`].
    pub fn start(
        graph: Arc<Graph>,
        base: Option<SavedCheckpoint>,
        fork: impl Into<Addressed>,
        entry: Entry,
        options: Options,
        mint: &mut dyn Mint,
    ) -> Execution {
        let mut execution = Self::at_rest(graph, base, options, mint);
        execution.begin(fork.into(), entry, mint);
        execution
    }

    /// On a checkpoint, with nothing begun.
    pub(crate) fn at_rest(
        graph: Arc<Graph>,
        base: Option<SavedCheckpoint>,
        options: Options,
        mint: &mut dyn Mint,
    ) -> Execution {
        let (checkpoint, pending) =
            base.map_or((None, Vec::new()), |b| (Some(b.checkpoint), b.pending));
        let board = Board::load(&graph, checkpoint.as_ref());
        let updated = checkpoint
            .as_ref()
            .and_then(|c| known_channels(&graph, &c.updated_channels));
        let at = At::of(checkpoint, mint);
        let step = at.step + 1;
        let facts = options.facts.members().unwrap_or_default();
        Execution {
            graph,
            facts: Arc::new(facts),
            board,
            began_on: at.is_stored.then_some(at.id),
            travels: false,
            at,
            pending,
            step,
            stop: step
                .saturating_add(i64::from(options.recursion_limit))
                .saturating_add(1),
            options,
            updated,
            replaying: false,
            answers_by_id: None,
            given_before: None,
            command: None,
            loose_task: None,
            keeps_writes: true,
            tasks: Vec::new(),
            issued: HashMap::new(),
            next_work: 0,
            phase: Phase::Tick,
            output: Vec::new(),
        }
    }

    /// What to do now.
    pub fn step(&mut self, mint: &mut dyn Mint) -> Step {
        loop {
            match &mut self.phase {
                Phase::Ended(end) => return Step::Ended(end.clone()),
                Phase::Tick => self.tick(mint),
                Phase::Folding(fold) => {
                    let Some(plan) = fold.plan.take() else {
                        return Step::Waiting;
                    };
                    let work = self.issue(Issued::Fold, None, plan);
                    return Step::Work(vec![work]);
                }
                Phase::HandOut => {
                    self.phase = Phase::Running;
                    let work = self.hand_out(mint);
                    if !work.is_empty() {
                        return Step::Work(work);
                    }
                }
                Phase::Running if !self.issued.is_empty() => return Step::Waiting,
                Phase::Running => self.settle(mint),
            }
        }
    }

    /// The answer to one piece of work. The order of answers does not influence what the run comes to. An answer to
    /// work that is not outstanding is ignored.
    pub fn complete(&mut self, work: WorkId, outcome: Outcome, mint: &mut dyn Mint) {
        match self.issued.remove(&work) {
            None => {}
            Some(Issued::Task(index)) => self.task_ended(index, outcome, mint),
            Some(Issued::Fold) => self.fold_answered(outcome, mint),
        }
    }

    /// Takes back a piece of work that was stopped and will have no answer. That is only right once the execution
    /// [is failing](Execution::is_failing): the task runs again when the run is tried again.
    pub fn abandon(&mut self, work: WorkId) {
        if let Some(Issued::Task(index)) = self.issued.remove(&work) {
            self.tasks[index].progress = Progress::Stopped;
        }
    }

    /// What to store and to show, in order, since the last call.
    pub fn take_output(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.output)
    }

    /// The output channels now.
    #[must_use]
    pub fn values(&self) -> Json {
        self.board.read(&self.graph.outputs)
    }

    /// Whether a task of this step has failed: the run will fail whatever the others do. The runtime may stop them
    /// and [`abandon`](Execution::abandon) their work, or let them finish, so that they need not run again.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.tasks
            .iter()
            .any(|t| matches!(t.progress, Progress::Failed(_)))
    }

    /// The checkpoint that the execution stands on; `None` before the first of a thread.
    #[must_use]
    pub fn checkpoint_id(&self) -> Option<CheckpointId> {
        self.at.is_stored.then_some(self.at.id)
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            checkpoint: self.at.id,
            namespace: &self.options.namespace,
            step: self.step,
        }
    }

    /// Applies writes, after asking the graph's own reducers if they are concerned.
    pub(crate) fn fold(&mut self, tasks: Vec<TaskWrites>, then: Then, mint: &mut dyn Mint) {
        let calls = match self.board.to_reduce(&tasks) {
            Ok(calls) => calls,
            Err(error) => return self.fail(error),
        };
        if calls.is_empty() {
            return self.folded(&tasks, then, &HashMap::new(), mint);
        }
        let plan = Some(Arc::new(self.plan(
            START_NODE,
            None,
            Opening::Reduce(calls),
        )));
        self.phase = Phase::Folding(Fold { tasks, then, plan });
    }

    fn fold_answered(&mut self, outcome: Outcome, mint: &mut dyn Mint) {
        let Phase::Folding(fold) = std::mem::replace(&mut self.phase, Phase::Tick) else {
            return;
        };
        match outcome {
            Outcome::Done(writes) | Outcome::Reused(writes) => {
                let by_channel = writes.entries.into_iter();
                let reduced = by_channel
                    .filter_map(|(name, value)| Some((self.graph.channel(&name)?, value)))
                    .collect();
                self.folded(&fold.tasks, fold.then, &reduced, mint);
            }
            Outcome::Failed(failure) => self.fail(RunError::new(failure.kind, failure.message)),
            Outcome::Interrupted(_) | Outcome::Stopped(_) => {
                self.fail(RunError::new(
                    "RuntimeError",
                    "a reducer cannot be interrupted",
                ));
            }
        }
    }
}

impl At {
    fn of(checkpoint: Option<Checkpoint>, mint: &mut dyn Mint) -> Self {
        match checkpoint {
            Some(checkpoint) => Self {
                id: checkpoint.id,
                parent: checkpoint.parent,
                step: checkpoint.step,
                source: checkpoint.source,
                metadata: checkpoint.metadata,
                is_stored: true,
            },
            None => Self {
                id: mint.checkpoint_id(-2),
                parent: None,
                step: -2,
                source: Source::Input,
                metadata: Json::object::<&str>([]),
                is_stored: false,
            },
        }
    }
}

fn known_channels(graph: &Graph, names: &[String]) -> Option<Channels> {
    let channels: Channels = names.iter().filter_map(|n| graph.channel(n)).collect();
    (!channels.is_empty()).then_some(channels)
}
