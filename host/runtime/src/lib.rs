//! The life of a run: admit, queue, super-steps, finish; event streams.
//!
//! `api` asks here for everything that changes something; `cli` puts the room together. The way of a run:
//!
//! ```text
//! admit ──► queue ──► execute ──► commit … ──► finish
//!   │                    │                       │
//!   └── hub: the stream ◄┴── shown ◄── sandbox   └─► webhook
//! ```
//!
//! | module | job |
//! |---|---|
//! | [`admit`] | from what a caller asks for to a durable run, or a refusal |
//! | `queue` | places for running runs; claiming what waits |
//! | `execute` | `pregel` asks, the sandbox answers; progress made durable, in the caller's mode |
//! | `finish` | the one transaction that ends a run, and what follows it |
//! | [`cancel`] | ending runs before their time; those that go with their readers |
//! | [`hub`] | streams of runs and of threads: events, readers, what is kept for those who come back |
//! | `shown` | what runs show: messages, tasks, checkpoints, LangChain's events |
//! | [`graphs`] | the graphs that are served; what of a run's context they get |
//! | [`threads`], [`assistants`], [`runs`] | reading and changing them |
//! | [`state`] | a thread's history, and changing its state from outside |
//! | [`items`] | the store, for callers and for graphs, and the end of its items |
//! | [`deliveries`] | delivering webhooks again |
//! | [`crons`] | runs that a schedule makes |
//! | [`sweep`], `alarm` | threads whose time has come |
//! | [`measures`] | what the operator's metrics say |
//! | `development` | what only `selvedge dev` offers |
//! | `mint` | ids and time for `pregel` |
//! | [`options`] | the bounds |
#![forbid(unsafe_code)]

pub mod admit;
mod alarm;
pub mod assistants;
pub mod cancel;
pub mod crons;
pub mod deliveries;
mod development;
mod execute;
mod finish;
pub mod graphs;
pub mod hub;
pub mod items;
pub mod measures;
mod mint;
pub mod options;
mod queue;
pub mod runs;
mod shown;
pub mod state;
pub mod sweep;
pub mod threads;

use std::sync::Arc;

pub use admit::request::{AdmitError, AssistantRef, CreateRun, Place, Tracer};
pub use assistants::{AssistantError, NewAssistant};
pub use crons::{CronPatch, CronRefusal, NewCron};
use execute::node_cache::NodeCache;
use graphs::configured::BuiltGraphs;
pub use graphs::{GraphError, GraphSource, Graphs};
pub use options::Options;
use selvedge_index::Index;
use selvedge_model::run::{ClaimedRun, RunError};
use selvedge_model::time::Clock;
use selvedge_sandbox::Sandbox;
use selvedge_storage::{Recovery, Storage, StorageError};
use selvedge_webhook::Webhooks;
pub use state::StateError;
use tokio::sync::watch;

/// The rooms that this one works with.
pub struct Rooms {
    /// What is kept.
    pub storage: Arc<dyn Storage>,
    /// Where graphs compute.
    pub sandbox: Sandbox,
    /// Who is told of ends.
    pub webhooks: Arc<Webhooks>,
    /// What the store's items mean; `None`: nothing is found by its meaning.
    pub index: Option<Arc<Index>>,
}

/// The handle of the room. Cheap to clone.
#[derive(Clone)]
pub struct Runtime(Arc<Shared>);

pub(crate) struct Shared {
    options: Options,
    storage: Arc<dyn Storage>,
    sandbox: Sandbox,
    webhooks: Arc<Webhooks>,
    index: Option<Arc<Index>>,
    graphs: Graphs,
    hub: hub::Hub,
    queue: queue::Queue,
    ended: measures::Ended,
    last_waiting: measures::LastWaiting,
    alarm: alarm::Alarm,
    crons: crons::Crons,
    store_turns: items::graph_store::Turns,
    node_cache: NodeCache,
    built_graphs: BuiltGraphs,
    phase: watch::Sender<Phase>,
}

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Everything works.
    Open,
    /// No new runs; running ones go on.
    Draining,
    /// Running ones stop where they are and go back to pending.
    Released,
}

impl Runtime {
    /// Begins to execute runs, with those that `recovery` found of an earlier process. Crons fire by `clock`.
    pub async fn start(
        options: Options,
        rooms: Rooms,
        graphs: Graphs,
        recovery: Recovery,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageError> {
        let Rooms {
            storage,
            sandbox,
            webhooks,
            index,
        } = rooms;
        storage
            .ensure_assistants(graphs.default_assistants())
            .await?;
        let runtime = Self(Arc::new(Shared {
            queue: queue::Queue::new(options.max_running_runs),
            node_cache: NodeCache::new(options.node_cache_bytes),
            built_graphs: BuiltGraphs::new(options.graph_cache_bytes),
            options,
            storage,
            sandbox,
            webhooks,
            index,
            graphs,
            hub: hub::Hub::default(),
            ended: measures::Ended::default(),
            last_waiting: measures::LastWaiting::default(),
            alarm: alarm::Alarm::default(),
            crons: crons::Crons::new(clock),
            store_turns: items::graph_store::Turns::default(),
            phase: watch::Sender::new(Phase::Open),
        }));
        runtime.take_up(recovery);
        tokio::spawn(runtime.clone().dispatch());
        tokio::spawn(items::sweep(runtime.0.clone()));
        tokio::spawn(sweep::sweep(runtime.0.clone()));
        tokio::spawn(crons::schedule(runtime.clone()));
        tokio::spawn(hub::log::sweep(runtime.0.clone()));
        Ok(runtime)
    }

    fn take_up(&self, found: Recovery) {
        let shared = &self.0;
        if found.requeued > 0 || found.deliveries > 0 || !found.exhausted.is_empty() {
            tracing::info!(
                runs = found.requeued,
                exhausted = found.exhausted.len(),
                deliveries = found.deliveries,
                "taking up what the last process left"
            );
        }
        // On a task of its own: while a disk is full these wait, and whoever asks this server why must be answered.
        tokio::spawn(end_of_the_line(
            shared.clone(),
            found.exhausted,
            found.cancelled,
        ));
        // Whatever is pending now waits for the dispatcher.
        shared.queue.run_was_queued(true);
    }

    /// The graphs that are served.
    #[must_use]
    pub fn graphs(&self) -> &Graphs {
        &self.0.graphs
    }

    /// Stops: no new runs; running ones may end within the grace and are put back to pending after it. Whoever waits
    /// for a run that has not ended is told so.
    pub async fn shutdown(&self) {
        let shared = &self.0;
        shared.phase.send_replace(Phase::Draining);
        let grace = shared.options.shutdown_grace;
        if tokio::time::timeout(grace, shared.queue.all_ended())
            .await
            .is_err()
        {
            tracing::warn!(
                grace_secs = grace.as_secs(),
                "runs are still going on after the grace: putting them back to pending"
            );
        }
        shared.phase.send_replace(Phase::Released);
        shared.queue.all_ended().await;
        shared.hub.release_all();
    }
}

/// Ends the runs that are not taken up again.
async fn end_of_the_line(
    shared: Arc<Shared>,
    exhausted: Vec<ClaimedRun>,
    cancelled: Vec<ClaimedRun>,
) {
    let max_attempts = shared.options.max_attempts;
    for claimed in exhausted {
        let error = RunError::new(
            "MaxAttemptsExceeded",
            format!(
                "Run {} exceeded max attempts ({max_attempts})",
                claimed.run.run_id
            ),
        );
        let stream = shared.stream_of(&claimed).await;
        let (values, _) = cancel::what_it_left(&shared, &claimed).await;
        let how = finish::How::failed(error).with_values(values);
        finish::finish(&shared, &claimed, &stream, how).await;
    }
    for claimed in cancelled {
        if let Some(wish) = &claimed.cancel {
            let how = cancel::not_taken_up(&shared, &claimed, wish).await;
            let stream = shared.stream_of(&claimed).await;
            finish::finish(&shared, &claimed, &stream, how).await;
        }
    }
}

impl Shared {
    /// The stream of a run, for its execution.
    pub(crate) async fn stream_of(&self, claimed: &ClaimedRun) -> Arc<hub::RunStream> {
        let run = &claimed.run;
        let stream = self.hub.open(run.run_id, &self.options);
        if run.kwargs.resumable {
            match self.storage.last_event_id(run.thread_id).await {
                Ok(last) => self.hub.threads.is_past(last.unwrap_or_default()),
                // Then ids rise as long as the system's clock was not set back.
                Err(error) => {
                    tracing::warn!(run = %run.run_id, %error, "kept events cannot be read");
                }
            }
        }
        stream.begin(claimed);
        stream
    }

    pub(crate) fn stopping(&self) -> bool {
        *self.phase.borrow() > Phase::Open
    }

    /// Waits until a shutdown begins.
    pub(crate) async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Waits until a shutdown has lost its patience.
    pub(crate) async fn released(&self) {
        self.reached(Phase::Released).await;
    }

    async fn reached(&self, phase: Phase) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }
}
