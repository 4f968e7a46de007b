//! One execution of a run: from its last checkpoint to its end.
//!
//! `pregel` says what to do next, the sandbox does it, storage keeps what came of it, the stream shows it. Nothing
//! that says "this has ended" leaves before it is durable.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use selvedge_model::Json;
use selvedge_model::cancel::CancelRequest;
use selvedge_model::event::{EventKind, StreamEvent};
use selvedge_model::run::{ClaimedRun, Durability, RunError, StreamMode};
use selvedge_pregel::{End, EndKind, Execution, Outcome, Output, Step, Work, WorkId, retry};
use selvedge_sandbox::Job;
use selvedge_storage::{PendingCommit, StorageError};
use serde_json::json;

use crate::assemble::RESERVED_CONFIGURABLE;
use crate::chain::Chain;
use crate::commit::{Committer, Unstored};
use crate::finish::{self, How};
use crate::graph_store::GraphStore;
use crate::graphs::ServedGraph;
use crate::hub::{Ending, RunStream};
use crate::inspect::Inspection;
use crate::mint::SystemMint;
use crate::node_cache::NodeCache;
use crate::queue::Place;
use crate::shown::Shown;
use crate::standing::{Standing, standing};
use crate::together::Together;
use crate::{Runtime, Shared, cancel};

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
    /// Someone wants it cancelled.
    Cancelled(CancelRequest),
}

impl Runtime {
    /// Executes a claimed run in the background.
    pub(crate) fn execute(&self, claimed: ClaimedRun, place: Place) {
        let shared = self.0.clone();
        tokio::spawn(async move {
            let stream = shared.stream_of(&claimed).await;
            let execution = AssertUnwindSafe(execute(&shared, &claimed, &stream));
            if execution.catch_unwind().await.is_err() {
                // A mistake of ours: it costs its own run, and nobody waits for ever.
                let error = RunError::new(
                    "InternalError",
                    "the server made a mistake; its log says more",
                );
                finish::finish(&shared, &claimed, &stream, How::failed(error)).await;
            }
            drop(place);
            shared.queue.run_ended();
        });
    }
}

async fn execute(shared: &Arc<Shared>, claimed: &ClaimedRun, stream: &Arc<RunStream>) {
    stream.push(StreamEvent {
        kind: EventKind::Metadata,
        namespace: String::new(),
        data: Json::from(json!({"run_id": claimed.run.run_id, "attempt": claimed.attempt})),
    });
    if let Some(wish) = &claimed.cancel {
        let how = cancel::not_taken_up(shared, claimed, wish).await;
        return finish::finish(shared, claimed, stream, how).await;
    }
    let Some(graph) = served_graph(shared, claimed) else {
        let gone = RunError::new(
            "GraphNotFound",
            format!(
                "this server does not serve the graph of assistant {}",
                claimed.run.assistant_id
            ),
        );
        finish::finish(shared, claimed, stream, How::failed(gone)).await;
        return;
    };
    match Walk::start(shared, claimed, &graph, stream.clone()).await {
        Ok(mut walk) => {
            let ended = walk.until_the_end().await;
            settle(shared, claimed, walk, ended).await;
        }
        Err(Unstored::Stopping(_) | Unstored::Refused(StorageError::Fenced)) => {
            abandon(shared, claimed, stream);
        }
        Err(Unstored::Refused(error)) => {
            let unreadable = RunError::new("CheckpointUnreadable", error.to_string());
            finish::finish(shared, claimed, stream, How::failed(unreadable)).await;
        }
    }
}

fn served_graph(shared: &Shared, claimed: &ClaimedRun) -> Option<Arc<ServedGraph>> {
    let metadata = claimed.run.metadata.members()?;
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
        // It was doing something: there are nodes to run next.
        Err(Cut::Cancelled(wish)) => {
            let values = walk.execution.values();
            How::cancelled(&wish, values, cancel::thread_status(false))
        }
        Err(Cut::Fenced) => return abandon(shared, claimed, &walk.stream),
        Err(Cut::Storage(error)) => {
            tracing::error!(run = %claimed.run.run_id, %error, "what the run did cannot be stored");
            let unstored = RunError::new("StorageFailed", "what the run did could not be stored");
            return finish::finish(shared, claimed, &walk.stream, How::failed(unstored)).await;
        }
        Err(Cut::Stopping) => {
            if walk.committer.flush().await.is_ok() {
                finish::release(shared, claimed).await;
            }
            return abandon(shared, claimed, &walk.stream);
        }
    };
    match walk.committer.rest().await {
        Ok(rest) => {
            let how = how.with_rest(rest, walk.last_events);
            finish::finish(shared, claimed, &walk.stream, how).await;
        }
        Err(error) => {
            tracing::warn!(run = %claimed.run.run_id, %error, "the run is left as it is");
            abandon(shared, claimed, &walk.stream);
        }
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
    together: Together,
    committer: Committer,
    stream: Arc<RunStream>,
    modes: Arc<[StreamMode]>,
    inspection: Inspection,
    chain: Option<Chain>,
    durability: Durability,
    /// What the last step shows, once the end of the run is durable.
    last_events: Vec<StreamEvent>,
}

impl Walk {
    async fn start(
        shared: &Arc<Shared>,
        claimed: &ClaimedRun,
        graph: &Arc<ServedGraph>,
        stream: Arc<RunStream>,
    ) -> Result<Self, Unstored> {
        let kwargs = &claimed.run.kwargs;
        let config = graph.context.config(kwargs);
        let metadata = checkpoint_metadata(claimed, &config);
        let Standing {
            base,
            entry,
            addressed,
            newest,
        } = standing(shared, claimed, &metadata).await?;
        let mut mint = SystemMint::after(newest);
        let modes: Arc<[StreamMode]> = kwargs.stream_mode.as_slice().into();
        let chain = Chain::new(claimed, &graph.id);
        let mut engine_modes = modes.to_vec();
        if chain.is_some() && !modes.contains(&StreamMode::Tasks) {
            engine_modes.push(StreamMode::Tasks);
        }
        let options = selvedge_pregel::Options {
            namespace: String::new(),
            recursion_limit: recursion_limit(
                &kwargs.config,
                shared.options.default_recursion_limit,
            ),
            interrupt_before: kwargs.interrupt_before.clone(),
            interrupt_after: kwargs.interrupt_after.clone(),
            metadata,
            facts: facts(claimed, graph, &config),
            modes: engine_modes,
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
                shared.clone(),
                claimed.lease,
                stream.clone(),
                kwargs.durability,
                kwargs.temporary,
            ),
            shared: shared.clone(),
            claimed: claimed.clone(),
            graph: graph.clone(),
            execution,
            mint,
            together: Together::new(&shared.options),
            stream,
            modes,
            inspection: Inspection::new(claimed),
            chain,
            durability: kwargs.durability,
            last_events: Vec::new(),
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
        let stream = self.stream.clone();
        let deleted = stream.ended();
        let cancelled = stream.cancelled();
        tokio::pin!(deleted, cancelled);
        let mut waiting: VecDeque<Work> = VecDeque::new();
        let mut running = FuturesUnordered::new();
        let mut outstanding: BTreeSet<WorkId> = BTreeSet::new();
        if let Some(chain) = &self.chain {
            self.stream
                .push(chain.begun(&self.claimed.run.kwargs.input));
        }
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
            if let (Some(chain), Step::Work(work)) = (&mut self.chain, &step) {
                let runs = |work: &&Work| !shared.node_cache.knows(&self.graph, work);
                chain.begins(work.iter().filter(runs));
            }
            let mut events = self.gather();
            match step {
                Step::Work(work) => {
                    outstanding.extend(work.iter().map(|work| work.id));
                    if let Some(task) = work.iter().find_map(|work| work.task.as_ref()) {
                        self.together.begin(task.step);
                    }
                    waiting.extend(work);
                }
                Step::Waiting => {}
                Step::Ended(end) => {
                    if let (Some(chain), EndKind::Success | EndKind::Interrupted) =
                        (&self.chain, &end.kind)
                    {
                        events.push(chain.ended(&end.values));
                    }
                    // The last checkpoint belongs into the transaction that ends the run.
                    self.last_events = events;
                    return Ok(end);
                }
            }
            self.put_out(events).await?;
            while running.len() < max_parallel
                && let Some(work) = waiting.pop_front()
            {
                running.push(self.perform(work));
            }
            tokio::select! {
                biased;
                wish = &mut cancelled => return Err(Cut::Cancelled(wish)),
                () = shared.released() => return Err(Cut::Stopping),
                // Nobody else ends the stream of a run that is going on.
                _ = &mut deleted => return Err(Cut::Fenced),
                Some((work, outcome)) = running.next() => {
                    outstanding.remove(&work);
                    let outcome = self.together.count(outcome);
                    self.execution.complete(work, outcome, &mut self.mint);
                }
                committed = self.committer.progress() => committed.map_err(Cut::from)?,
                () = stream.wants_storing() => self.committer.begin(),
            }
        }
    }

    /// Takes what the last step left: its checkpoints and writes for the next commit, its events for the stream.
    fn gather(&mut self) -> Vec<StreamEvent> {
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
                Output::Event(event) => self.add_event(event, &mut events),
            }
        }
        events
    }

    /// Adds an event of the engine's as callers see it, and what it says in the mode `events`.
    fn add_event(&mut self, event: StreamEvent, events: &mut Vec<StreamEvent>) {
        if event.kind == EventKind::Mode(StreamMode::Tasks) {
            if let Some(chain) = &mut self.chain {
                events.extend(chain.of_task(&event.data));
            }
            if !self.modes.contains(&StreamMode::Tasks) {
                return;
            }
        }
        events.extend(self.inspection.shown(event));
    }

    /// Begins to make the step durable, and shows it. In mode `sync` nothing is shown that a crash could undo.
    async fn put_out(&mut self, events: Vec<StreamEvent>) -> Result<(), Cut> {
        if !self.claimed.run.kwargs.resumable {
            self.make_durable().await?;
            self.push(events);
        } else if self.durability == Durability::Sync {
            self.stream.hold();
            self.push(events);
            self.make_durable().await?;
            self.stream.release();
        } else {
            self.push(events);
            self.make_durable().await?;
        }
        Ok(())
    }

    async fn make_durable(&mut self) -> Result<(), Unstored> {
        match self.durability {
            Durability::Sync => self.committer.flush().await?,
            Durability::Async | Durability::Exit => self.committer.begin(),
        }
        Ok(())
    }

    fn push(&self, events: Vec<StreamEvent>) {
        for event in events {
            self.stream.push(event);
        }
    }

    /// Runs one piece of work, again and again while its retry policy says so, unless what it would write is known.
    fn perform(&self, work: Work) -> impl Future<Output = (WorkId, Outcome)> + Send + use<> {
        let shared = self.shared.clone();
        let items = GraphStore::new(&shared);
        let kept = NodeCache::slot(&self.graph, &work);
        let component = self.graph.component.clone();
        let graph = self.graph.name.clone();
        let run = self.claimed.run.run_id;
        let shown = Arc::new(Shown::new(
            self.stream.clone(),
            self.modes.clone(),
            &self.claimed,
            &self.graph,
            work.task.as_deref(),
        ));
        async move {
            if let Some(writes) = kept.and_then(|slot| shared.node_cache.get(slot)) {
                return (work.id, Outcome::Reused(writes));
            }
            let task = work.task.as_deref();
            let mut attempt = 1;
            loop {
                let outcome = shared
                    .sandbox
                    .run(Job {
                        component: component.clone(),
                        graph: graph.clone(),
                        program: work.program(attempt),
                        answers: work.answers().to_vec(),
                        run,
                        node: task.map(|t| t.name.clone()).unwrap_or_default(),
                        timeout: task.map(|t| t.timeout).unwrap_or_default(),
                        events: shown.clone(),
                        items: items.clone(),
                    })
                    .await;
                match &outcome {
                    Outcome::Done(writes) => {
                        shown.finished(writes, &work);
                        if let Some(slot) = kept {
                            shared.node_cache.keep(slot, writes);
                        }
                    }
                    Outcome::Failed(failure) => {
                        let policies = task.map_or(&[][..], |task| &task.retry);
                        let pause = retry::matching(policies, failure).and_then(|policy| {
                            retry::delay_before(policy, attempt + 1, rand::random())
                        });
                        if let Some(pause) = pause {
                            tracing::debug!(%run, attempt, ?pause, kind = failure.kind, "a task is tried again");
                            tokio::time::sleep(pause).await;
                            shown.begins_again();
                            attempt += 1;
                            continue;
                        }
                    }
                    Outcome::Reused(_) | Outcome::Interrupted(_) => {}
                }
                return (work.id, outcome);
            }
        }
    }
}

impl From<Unstored> for Cut {
    fn from(error: Unstored) -> Self {
        match error {
            Unstored::Stopping(_) => Self::Stopping,
            Unstored::Refused(StorageError::Fenced) => Self::Fenced,
            Unstored::Refused(other) => Self::Storage(other),
        }
    }
}

fn recursion_limit(config: &Json, default: u32) -> u32 {
    config
        .members()
        .and_then(|c| c.get("recursion_limit")?.decode().ok())
        .unwrap_or(default)
}

/// What every guest call is told about its run.
fn facts(claimed: &ClaimedRun, graph: &ServedGraph, config: &Json) -> Json {
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
        ("config", config),
        ("context", &graph.context.context(&run.kwargs.context)),
    ])
}

/// What callers can filter checkpoints by; LangGraph merges the run's metadata into it, and what the caller set in
/// `configurable`.
fn checkpoint_metadata(claimed: &ClaimedRun, config: &Json) -> Json {
    let run = &claimed.run;
    if run.kwargs.temporary {
        return Json::from(json!({}));
    }
    let mut metadata = run.metadata.members().unwrap_or_default();
    metadata.insert("run_id".into(), Json::from(json!(run.run_id)));
    metadata.insert("thread_id".into(), Json::from(json!(run.thread_id)));
    metadata.insert("run_attempt".into(), Json::from(json!(claimed.attempt)));
    // LangGraph's name the caller as well: nobody, as long as there is no authentication.
    for name in ["user_id", "langgraph_auth_user_id"] {
        metadata.insert(name.into(), Json::string(""));
    }
    if let Some(id) = request_id(config) {
        metadata.insert("langgraph_request_id".into(), id);
    }
    for (name, value) in settings(config) {
        metadata.entry(name).or_insert(value);
    }
    Json::object(&metadata)
}

fn request_id(config: &Json) -> Option<Json> {
    let configurable = config.members()?.get("configurable")?.members()?;
    configurable.get("langgraph_request_id").cloned()
}

/// The plain members of `configurable` that are the caller's own.
fn settings(config: &Json) -> impl Iterator<Item = (String, Json)> {
    const OURS: [&str; 2] = ["user_id", "checkpoint_ns"];
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
