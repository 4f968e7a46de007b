//! One execution of a run: from its last checkpoint to its end.
//!
//! `pregel` says what to do next, the sandbox does it, storage keeps what came of it, the stream shows it. Nothing
//! that says "this has ended" leaves before it is durable.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::event::{EventKind, StreamEvent};
use selvedge_model::run::{ClaimedRun, Command, Durability, RunError, StreamMode};
use selvedge_model::{CheckpointId, Json};
use selvedge_pregel::{
    Addressed, End, Entry, Execution, Outcome, Output, Step, Work, WorkId, retry,
};
use selvedge_sandbox::Job;
use selvedge_storage::{PendingCommit, StorageError};
use serde_json::json;

use crate::admit::RESERVED_CONFIGURABLE;
use crate::commit::{Committer, insist};
use crate::finish::{self, How};
use crate::graphs::ServedGraph;
use crate::hub::{Ending, RunStream};
use crate::mint::SystemMint;
use crate::queue::Place;
use crate::shown::Shown;
use crate::{Runtime, Shared};

/// Why an execution stopped without the graph having ended.
enum Cut {
    /// Another worker has the run, or it was deleted: leave no trace.
    Fenced,
    /// Storage is damaged, or gone for good.
    Storage(StorageError),
    /// This process stops.
    Stopping,
    /// `run_timeout` has passed.
    TimedOut,
}

impl Runtime {
    /// Executes a claimed run in the background.
    pub(crate) fn execute(&self, claimed: ClaimedRun, place: Place) {
        let shared = self.0.clone();
        tokio::spawn(async move {
            execute(&shared, claimed).await;
            drop(place);
            shared.queue.run_ended();
        });
    }
}

async fn execute(shared: &Arc<Shared>, claimed: ClaimedRun) {
    let stream = shared.hub.open(claimed.run.run_id, &shared.options);
    stream.push(StreamEvent {
        kind: EventKind::Metadata,
        namespace: String::new(),
        data: Json::from(json!({"run_id": claimed.run.run_id, "attempt": claimed.attempt})),
    });
    let Some(graph) = served_graph(shared, &claimed) else {
        let gone = RunError::new(
            "GraphNotFound",
            format!(
                "this server does not serve the graph of assistant {}",
                claimed.run.assistant_id
            ),
        );
        finish::finish(shared, &claimed, &stream, How::failed(gone)).await;
        return;
    };
    match Walk::start(shared, &claimed, &graph, stream.clone()).await {
        Ok(mut walk) => {
            let cut = walk.until_the_end().await;
            settle(shared, &claimed, walk, cut).await;
        }
        Err(StorageError::Fenced) => abandon(shared, &claimed, &stream),
        Err(error) => {
            let unreadable = RunError::new("CheckpointUnreadable", error.to_string());
            finish::finish(shared, &claimed, &stream, How::failed(unreadable)).await;
        }
    }
}

fn served_graph(shared: &Shared, claimed: &ClaimedRun) -> Option<Arc<ServedGraph>> {
    let run = &claimed.run;
    if let Some(graph) = shared.graphs.of_default_assistant(run.assistant_id) {
        return Some(graph.clone());
    }
    let metadata = run.metadata.members()?;
    let graph_id: String = metadata.get("graph_id")?.decode().ok()?;
    shared.graphs.get(&graph_id).cloned()
}

async fn settle(
    shared: &Arc<Shared>,
    claimed: &ClaimedRun,
    mut walk: Walk,
    result: Result<End, Cut>,
) {
    let how = match result {
        Ok(end) => How::ended(end),
        Err(Cut::TimedOut) => How::timed_out(walk.execution.values()),
        Err(Cut::Fenced) => return abandon(shared, claimed, &walk.stream),
        Err(Cut::Storage(error)) => {
            tracing::error!(run = %claimed.run.run_id, %error, "the run cannot be stored and is left as it is");
            return abandon(shared, claimed, &walk.stream);
        }
        Err(Cut::Stopping) => {
            let flushed = walk.committer.flush().await;
            if flushed.is_ok() {
                finish::release(shared, claimed).await;
            }
            walk.stream.end(Ending::Released);
            shared.hub.close(claimed.run.run_id);
            return;
        }
    };
    match walk.committer.rest().await {
        Ok(rest) => finish::finish(shared, claimed, &walk.stream, how.with_rest(rest)).await,
        Err(_) => abandon(shared, claimed, &walk.stream),
    }
}

fn abandon(shared: &Shared, claimed: &ClaimedRun, stream: &RunStream) {
    stream.end(Ending::Released);
    shared.hub.close(claimed.run.run_id);
}

/// An execution under way.
struct Walk {
    shared: Arc<Shared>,
    claimed: ClaimedRun,
    graph: Arc<ServedGraph>,
    execution: Execution,
    mint: SystemMint,
    committer: Committer,
    stream: Arc<RunStream>,
    modes: Arc<[StreamMode]>,
    durability: Durability,
}

impl Walk {
    async fn start(
        shared: &Arc<Shared>,
        claimed: &ClaimedRun,
        graph: &Arc<ServedGraph>,
        stream: Arc<RunStream>,
    ) -> Result<Self, StorageError> {
        let kwargs = &claimed.run.kwargs;
        let Standing {
            base,
            entry,
            addressed,
        } = standing(shared, claimed).await?;
        let mut mint = SystemMint::new();
        let modes: Arc<[StreamMode]> = kwargs.stream_mode.as_slice().into();
        let options = selvedge_pregel::Options {
            namespace: String::new(),
            recursion_limit: recursion_limit(
                &kwargs.config,
                shared.options.default_recursion_limit,
            ),
            interrupt_before: kwargs.interrupt_before.clone(),
            interrupt_after: kwargs.interrupt_after.clone(),
            metadata: checkpoint_metadata(claimed),
            facts: facts(claimed, graph),
            modes: modes.to_vec(),
        };
        let execution = Execution::start(
            graph.graph.clone(),
            base,
            addressed,
            entry,
            options,
            &mut mint,
        );
        Ok(Self {
            committer: Committer::new(
                shared.storage.clone(),
                claimed.lease,
                kwargs.durability,
                kwargs.temporary,
            ),
            shared: shared.clone(),
            claimed: claimed.clone(),
            graph: graph.clone(),
            execution,
            mint,
            stream,
            modes,
            durability: kwargs.durability,
        })
    }

    async fn until_the_end(&mut self) -> Result<End, Cut> {
        let limit = self.shared.options.run_timeout;
        tokio::time::timeout(limit, self.walk())
            .await
            .unwrap_or(Err(Cut::TimedOut))
    }

    async fn walk(&mut self) -> Result<End, Cut> {
        let max_parallel = self.shared.options.max_parallel_tasks.max(1);
        let shared = self.shared.clone();
        let mut waiting: VecDeque<Work> = VecDeque::new();
        let mut running = FuturesUnordered::new();
        let mut outstanding: BTreeSet<WorkId> = BTreeSet::new();
        loop {
            if self.execution.is_failing() && !outstanding.is_empty() {
                // The step fails whatever the others do; like LangGraph, do not wait for them.
                running.clear();
                waiting.clear();
                for work in std::mem::take(&mut outstanding) {
                    self.execution.abandon(work);
                }
            }
            let step = self.execution.step(&mut self.mint);
            self.put_out().await?;
            match step {
                Step::Work(work) => {
                    outstanding.extend(work.iter().map(|work| work.id));
                    waiting.extend(work);
                }
                Step::Waiting => {}
                Step::Ended(end) => return Ok(end),
            }
            while running.len() < max_parallel
                && let Some(work) = waiting.pop_front()
            {
                running.push(self.perform(work));
            }
            tokio::select! {
                biased;
                () = shared.released() => return Err(Cut::Stopping),
                Some((work, outcome)) = running.next() => {
                    outstanding.remove(&work);
                    self.execution.complete(work, outcome, &mut self.mint);
                }
                committed = self.committer.progress() => committed.map_err(Cut::from)?,
            }
        }
    }

    /// Brings what the last step left to storage and to the stream.
    async fn put_out(&mut self) -> Result<(), Cut> {
        let mut events = Vec::new();
        for output in self.execution.take_output() {
            match output {
                Output::Checkpoint(checkpoint) => self.committer.add_checkpoint(checkpoint),
                Output::Pending {
                    checkpoint,
                    namespace,
                    writes,
                } => self.committer.add_pending(PendingCommit {
                    checkpoint,
                    namespace,
                    writes,
                }),
                Output::Event(event) => events.push(event),
            }
        }
        // In mode `sync` nothing is shown that a crash could undo.
        if self.durability == Durability::Sync {
            self.committer.flush().await?;
        } else {
            self.committer.begin();
        }
        for event in events {
            self.stream.push(event);
        }
        Ok(())
    }

    /// Runs one piece of work, again and again while its retry policy says so.
    fn perform(&self, work: Work) -> impl Future<Output = (WorkId, Outcome)> + Send + use<> {
        let sandbox = self.shared.sandbox.clone();
        let component = self.graph.component.clone();
        let graph = self.graph.name.clone();
        let run = self.claimed.run.run_id;
        let shown = Arc::new(Shown::new(
            self.stream.clone(),
            self.modes.clone(),
            &self.claimed.run.metadata,
            &self.graph,
            work.task.as_ref(),
        ));
        async move {
            let mut attempt = 1;
            loop {
                let outcome = sandbox
                    .run(Job {
                        component: component.clone(),
                        graph: graph.clone(),
                        program: work.program(attempt),
                        answers: work.answers().to_vec(),
                        run,
                        node: work
                            .task
                            .as_ref()
                            .map(|t| t.name.clone())
                            .unwrap_or_default(),
                        events: shown.clone(),
                    })
                    .await;
                match &outcome {
                    Outcome::Done(writes) => shown.finished(writes),
                    Outcome::Failed(failure) => {
                        let policies = work.task.as_ref().map_or(&[][..], |task| &task.retry);
                        let pause = retry::matching(policies, failure).and_then(|policy| {
                            retry::delay_before(policy, attempt + 1, rand::random())
                        });
                        if let Some(pause) = pause {
                            tokio::time::sleep(pause).await;
                            attempt += 1;
                            continue;
                        }
                    }
                    Outcome::Interrupted(_) => {}
                }
                return (work.id, outcome);
            }
        }
    }
}

impl From<StorageError> for Cut {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Fenced => Self::Fenced,
            other => Self::Storage(other),
        }
    }
}

/// Where an execution begins.
struct Standing {
    base: Option<SavedCheckpoint>,
    entry: Entry,
    /// Whether the caller named the checkpoint: history branches there.
    addressed: Addressed,
}

async fn standing(shared: &Shared, claimed: &ClaimedRun) -> Result<Standing, StorageError> {
    let kwargs = &claimed.run.kwargs;
    let entry = match &kwargs.command {
        Some(command) => Entry::Command(Command::clone(command)),
        None if kwargs.input.is_null() => Entry::Continue,
        None => Entry::Input(kwargs.input.clone()),
    };
    if kwargs.temporary {
        return Ok(Standing {
            base: None,
            entry,
            addressed: Addressed::No,
        });
    }
    let thread = claimed.run.thread_id;
    let load = |at| insist(move || shared.storage.checkpoint(thread, "", at));
    let newest = load(None).await?;
    // A run that was cut off goes on where it stood, and does not take its input a second time.
    if newest
        .as_ref()
        .is_some_and(|saved| made_by(&saved.checkpoint.metadata, claimed))
    {
        return Ok(Standing {
            base: newest,
            entry: Entry::Continue,
            addressed: Addressed::No,
        });
    }
    match named_checkpoint(&kwargs.config) {
        Some(named) => {
            let is_newest = newest
                .as_ref()
                .is_some_and(|saved| saved.checkpoint.id == named);
            let addressed = if is_newest {
                Addressed::Newest
            } else {
                Addressed::Earlier
            };
            Ok(Standing {
                base: load(Some(named)).await?,
                entry,
                addressed,
            })
        }
        None => Ok(Standing {
            base: newest,
            entry,
            addressed: Addressed::No,
        }),
    }
}

fn named_checkpoint(config: &Json) -> Option<CheckpointId> {
    let configurable = config.members()?.get("configurable")?.members()?;
    configurable.get("checkpoint_id")?.decode().ok()
}

fn made_by(metadata: &Json, claimed: &ClaimedRun) -> bool {
    let run_id = metadata
        .members()
        .and_then(|m| m.get("run_id")?.decode().ok());
    run_id == Some(claimed.run.run_id)
}

fn recursion_limit(config: &Json, default: u32) -> u32 {
    config
        .members()
        .and_then(|c| c.get("recursion_limit")?.decode().ok())
        .unwrap_or(default)
}

/// What every guest call is told about its run.
fn facts(claimed: &ClaimedRun, graph: &ServedGraph) -> Json {
    let run = &claimed.run;
    let about = Json::from(json!({
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "graph_id": graph.id,
        "attempt": claimed.attempt,
        "user": null,
    }));
    Json::object([
        ("run", &about),
        ("config", &run.kwargs.config),
        ("context", &run.kwargs.context),
    ])
}

/// What callers can filter checkpoints by; LangGraph merges the run's metadata into it, and what the caller set in
/// `configurable`.
fn checkpoint_metadata(claimed: &ClaimedRun) -> Json {
    let run = &claimed.run;
    if run.kwargs.temporary {
        return Json::from(json!({}));
    }
    let mut metadata = run.metadata.members().unwrap_or_default();
    metadata.insert("run_id".into(), Json::from(json!(run.run_id)));
    metadata.insert("thread_id".into(), Json::from(json!(run.thread_id)));
    metadata.insert("run_attempt".into(), Json::from(json!(claimed.attempt)));
    for (name, value) in settings(&run.kwargs.config) {
        metadata.entry(name).or_insert(value);
    }
    Json::object(&metadata)
}

/// The plain members of `configurable` that are the caller's own.
fn settings(config: &Json) -> impl Iterator<Item = (String, Json)> {
    const OURS: [&str; 3] = ["user_id", "checkpoint_id", "checkpoint_ns"];
    let configurable = config
        .members()
        .and_then(|config| config.get("configurable")?.members());
    configurable
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, value)| {
            let ours = name.starts_with("__")
                || OURS.contains(&name.as_str())
                || RESERVED_CONFIGURABLE.contains(&name.as_str());
            !ours && !value.as_str().starts_with(['{', '[', 'n'])
        })
}
