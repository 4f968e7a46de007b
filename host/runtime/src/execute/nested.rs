//! Graphs inside tasks: an execution of its own for each, in a namespace below the task's.
//!
//! It is driven here, within the task that contains it, and ends with it. What it leaves goes to the run's own
//! execution, which stores and shows it like its own: under the run's lease, in the mode that the caller chose. After
//! a crash, or in the run that answers its questions, it goes on at its own last checkpoint.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::event::EventKind;
use selvedge_model::run::StreamMode;
use selvedge_model::{Json, Scope};
use selvedge_pregel::nested::{DEEPEST, GoesOn, command_to_parent};
use selvedge_pregel::{
    Addressed, End, EndKind, Execution, Failure, Inside, Nested, Outcome, Output, Step, TaskInfo,
    Work, WorkId, made_by,
};
use selvedge_sandbox::{Called, Callers, GraphCalls, Progress, within_patience};
use serde_json::json;
use tokio::sync::Mutex;

use super::commit::{Unstored, insist};
use super::facts::{CHECKPOINT_PARENTS, SUBGRAPH};
use super::level::Level;
use super::perform::Attempt;
use super::together::Together;
use crate::graphs::Part;
use crate::mint::SystemMint;
use crate::shown::Shown;
use crate::shown::chain::{Chain, GraphInside, UNNAMED_GRAPH};

/// Runs the graph that a node stands for, and makes of it what the node wrote.
pub(super) async fn instead(level: &Arc<Level>, attempt: &Attempt<'_>, nested: &Nested) -> Outcome {
    let work = attempt.work;
    let part = match level.within(nested, &level.callers).await {
        Ok(part) => part,
        Err(failure) => return Outcome::Failed(failure),
    };
    let progress = Progress::inside(level.progress.clone());
    let call = Call {
        part,
        name: match nested {
            Nested::Named(name) => name,
            Nested::Own(_) => UNNAMED_GRAPH,
        },
        number: 0,
        input: work.input(),
        goes_on: attempt.goes_on(),
        called: false,
        callers: level.callers.clone(),
        task: work.task.as_deref(),
        shown: attempt.shown.clone(),
        progress: progress.clone(),
    };
    let mut inside = attempt.inside.lock().await;
    let (timeout, node) = match work.task.as_deref() {
        Some(task) => (task.timeout, task.name.as_str()),
        None => Default::default(),
    };
    let came = contained(level, call, &mut inside).map(Ok);
    let came = within_patience(timeout, node, &progress, came).await;
    let answer = match came.unwrap_or_else(Called::Failed) {
        Called::To(values) => Json::object([("update", &values)]),
        Called::Back(command) => command,
        Called::Stopped(questions) => return Outcome::Stopped(questions),
        Called::Failed(failure) => return Outcome::Failed(failure),
    };
    let mut program = work.program(attempt.number);
    program.answer(Ok(answer));
    if program.next().is_some() {
        return level.in_sandbox(attempt, program).await;
    }
    program.finish().map_or_else(Outcome::Failed, Outcome::Done)
}

/// The graphs that a task's node calls.
pub(super) struct Calls {
    level: Arc<Level>,
    inside: Arc<Mutex<Inside>>,
    goes_on: GoesOn,
    task: Option<Arc<TaskInfo>>,
    shown: Arc<Shown>,
}

impl Calls {
    pub(super) fn new(level: &Arc<Level>, attempt: &Attempt<'_>) -> Self {
        Self {
            level: level.clone(),
            goes_on: attempt.goes_on(),
            inside: attempt.inside.clone(),
            task: attempt.work.task.clone(),
            shown: attempt.shown.clone(),
        }
    }
}

#[async_trait]
impl GraphCalls for Calls {
    async fn call(
        &self,
        number: usize,
        name: String,
        input: Json,
        progress: Arc<Progress>,
        callers: Callers,
    ) -> Called {
        let nested = Nested::Named(name.clone().into());
        let part = match self.level.within(&nested, &callers).await {
            Ok(part) => part,
            Err(failure) => return Called::Failed(failure),
        };
        let call = Call {
            part,
            name: &name,
            number,
            input,
            goes_on: self.goes_on,
            called: true,
            callers,
            task: self.task.as_deref(),
            shown: self.shown.clone(),
            progress,
        };
        let mut inside = self.inside.lock().await;
        contained(&self.level, call, &mut inside).await
    }
}

/// A graph that a task contains.
struct Call<'a> {
    part: Part,
    /// What the mode `events` calls it.
    name: &'a str,
    /// Which of those that the task contains.
    number: usize,
    input: Json,
    /// On what in its namespace.
    goes_on: GoesOn,
    /// Whether the task's node called it.
    called: bool,
    /// Who waits for it with an instance.
    callers: Callers,
    task: Option<&'a TaskInfo>,
    /// What the task shows.
    shown: Arc<Shown>,
    /// The task's.
    progress: Arc<Progress>,
}

/// Runs a graph inside a task of this level to what it comes to.
fn contained<'a>(
    around: &'a Level,
    call: Call<'a>,
    inside: &'a mut Inside,
) -> BoxFuture<'a, Called> {
    async move {
        let depth = around.depth + 1;
        if depth > DEEPEST {
            return Called::Failed(too_deep());
        }
        let namespace = inside.namespace(call.number);
        let base = match base(around, &namespace, call.goes_on).await {
            Ok(base) => base,
            Err(failure) => return Called::Failed(failure),
        };
        let chain = around.lineage.as_ref().zip(call.task);
        let chain = chain.map(|(lineage, task)| {
            let graph = GraphInside {
                task,
                name: call.name,
                namespace: &namespace,
                input: &call.input,
                called: call.called,
            };
            Chain::inside(&around.common.claimed, lineage, &graph)
        });
        let entry = inside.entry(&call.part.graph, base.as_ref(), call.input);
        let level = Arc::new(Level {
            common: around.common.clone(),
            part: call.part,
            namespace: namespace.as_str().into(),
            lineage: chain.as_ref().map(|chain| chain.lineage().clone()),
            progress: Some(call.progress),
            above: Some(call.shown),
            depth,
            callers: call.callers,
        });
        let options = selvedge_pregel::Options {
            metadata: metadata(&level, inside),
            namespace,
            recursion_limit: level.common.recursion_limit,
            // Those of a run are about its own graph.
            interrupt_before: None,
            interrupt_after: None,
            facts: level.common.facts.clone(),
            modes: level.engine_modes(),
            parents: inside.parents().clone(),
        };
        let mut mint = SystemMint::after(base.as_ref().map(|saved| saved.checkpoint.id));
        let graph = level.part.graph.clone();
        let execution = Execution::start(graph, base, Addressed::No, entry, options, &mut mint);
        came(walk(&level, execution, mint, chain).await)
    }
    .boxed()
}

/// Like the run's own walk, but for what only that does: storing and showing.
async fn walk(
    level: &Arc<Level>,
    mut execution: Execution,
    mut mint: SystemMint,
    mut chain: Option<Chain>,
) -> End {
    if let Some(begun) = chain.as_ref().and_then(Chain::begun_inside) {
        level.common.tell(vec![Output::Event(begun)]).await;
    }
    let mut together = Together::new(&level.common.sums);
    let mut running = FuturesUnordered::new();
    let mut outstanding = BTreeSet::new();
    loop {
        if execution.is_failing() && !outstanding.is_empty() {
            running.clear();
            for work in std::mem::take(&mut outstanding) {
                execution.abandon(work);
            }
        }
        let step = execution.step(&mut mint);
        if let (Some(chain), Step::Work(work)) = (&mut chain, &step) {
            chain.begins(level.that_run(work));
        }
        let mut outputs = execution.take_output();
        if let Some(chain) = &mut chain {
            outputs = chained(level, chain, outputs);
            if let Step::Ended(End {
                kind: EndKind::Success,
                values,
                ..
            }) = &step
            {
                outputs.push(Output::Event(chain.ended(values)));
            }
        }
        if let Some(progress) = &level.progress {
            progress.made();
        }
        level.common.tell(outputs).await;
        match step {
            Step::Work(work) => {
                if let Some(task) = work.iter().find_map(|work| work.task.as_ref()) {
                    together.begin(task.step);
                }
                for work in work {
                    outstanding.insert(work.id);
                    running.push(in_turn(level, work));
                }
            }
            Step::Waiting => {}
            Step::Ended(end) => return end,
        }
        if let Some((work, outcome)) = running.next().await {
            outstanding.remove(&work);
            execution.complete(work, together.count(outcome), &mut mint);
        }
    }
}

/// Adds what the mode `events` says of the tasks, and leaves out what was shown for that alone.
fn chained(level: &Level, chain: &mut Chain, outputs: Vec<Output>) -> Vec<Output> {
    let shows_tasks = level.shown_modes().contains(&StreamMode::Tasks);
    let mut all = Vec::with_capacity(outputs.len());
    for output in outputs {
        match output {
            Output::Event(event) if event.kind == EventKind::Mode(StreamMode::Tasks) => {
                let events = chain.of_task(&event.data);
                all.extend(events.into_iter().map(Output::Event));
                if shows_tasks {
                    all.push(Output::Event(event));
                }
            }
            other => all.push(other),
        }
    }
    all
}

/// Performs a task when it is its turn among those of its depth. Whoever has a turn waits for deeper ones alone, so nobody
/// waits in a circle.
fn in_turn(
    level: &Arc<Level>,
    work: Work,
) -> impl Future<Output = (WorkId, Outcome)> + Send + use<> {
    let level = level.clone();
    async move {
        // Nobody closes it.
        let _turn = level.common.turns[level.depth - 1].acquire().await;
        // Made when its turn has come: thousands may wait.
        level.perform(work).boxed().await
    }
}

fn came(end: End) -> Called {
    match end.kind {
        EndKind::Success => Called::To(end.values),
        EndKind::Interrupted => Called::Stopped(end.interrupts.into_values().flatten().collect()),
        EndKind::Failed(error) => match command_to_parent(&error) {
            Some(command) => Called::Back(command),
            None => Called::Failed(Failure {
                kind: error.kind,
                message: error.message,
                retryable: end.retryable,
            }),
        },
    }
}

/// The newest checkpoint of a namespace, where there may be one to go on from.
async fn base(
    around: &Level,
    namespace: &str,
    goes_on: GoesOn,
) -> Result<Option<SavedCheckpoint>, Failure> {
    let common = &around.common;
    if goes_on == GoesOn::Nothing || common.claimed.run.kwargs.temporary {
        return Ok(None);
    }
    common.store().await;
    let thread = common.claimed.run.thread_id;
    let storage = &common.shared.storage;
    let read = insist(&common.shared, || {
        storage.checkpoint(&Scope::Host, thread, namespace, None)
    });
    match read.await {
        Ok(base) => Ok(base.filter(|saved| {
            goes_on == GoesOn::Anything || made_by(&saved.checkpoint.metadata, &common.metadata)
        })),
        // The run's own execution hears of it, too, and drops this one.
        Err(Unstored::Stopping(_)) => pending().await,
        Err(Unstored::Refused(error)) => Err(failure("CheckpointUnreadable", error)),
    }
}

/// What callers can filter its checkpoints by, where they belong, and which graph can read them.
fn metadata(level: &Level, inside: &Inside) -> Json {
    let mut metadata = level.common.metadata.members().unwrap_or_default();
    metadata.insert(
        CHECKPOINT_PARENTS.to_owned(),
        Json::from(json!(**inside.parents())),
    );
    metadata.insert(SUBGRAPH.to_owned(), Json::string(&level.part.address()));
    Json::object(&metadata)
}

fn too_deep() -> Failure {
    failure(
        "GraphRecursionError",
        format_args!("graphs are nested more than {DEEPEST} levels deep"),
    )
}

fn failure(kind: &str, message: impl std::fmt::Display) -> Failure {
    Failure {
        kind: kind.to_owned(),
        message: message.to_string(),
        retryable: false,
    }
}
