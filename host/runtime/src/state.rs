//! A thread's state looked back on, and changed from outside its runs: as if a node had returned something, now.

use std::sync::Arc;

use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::run::RunError;
use selvedge_model::thread::{ThreadOutcome, ThreadStatus};
use selvedge_model::{CheckpointId, Json, RunId, ThreadId, Timestamp};
pub use selvedge_pregel::update::{Returned, Update};
use selvedge_pregel::{Addressed, End, EndKind, Outcome, Output, StateUpdate, Step, Work};
use selvedge_sandbox::{Job, TaskEvents};
use selvedge_storage::{
    HistoryQuery, PendingCommit, StepCommit, StorageError, ThreadUpdate, Updated, Values,
};
use serde_json::json;

use crate::Runtime;
use crate::admit::assemble::members;
use crate::graphs::ServedGraph;
use crate::items::graph_store::GraphStore;
use crate::mint::SystemMint;
use crate::threads::{ThreadState, only_values, visible};

/// How often a change is made again because the thread had moved on meanwhile.
const MOST_TRIES: u32 = 5;

/// Why a thread's state is not changed: the caller's choices.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// No such thread.
    #[error("Thread with ID {0} not found")]
    NoThread(ThreadId),
    /// Nobody has said which graph the state is of.
    #[error(
        "Thread '{0}' has no assigned graph ID. This usually occurs when no runs have been made on this particular \
         thread. This operation requires a graph ID. Please ensure a run has been made for the thread or manually \
         update the thread metadata (by setting the 'graph_id' field) before running this operation."
    )]
    NoGraph(ThreadId),
    /// The graph is not served any more, or never was.
    #[error("Graph '{graph}' of thread {thread} is not served here")]
    NotServed {
        /// The thread.
        thread: ThreadId,
        /// What its metadata names.
        graph: String,
    },
    /// No such checkpoint.
    #[error("Checkpoint {checkpoint} not found on thread {thread}")]
    NoCheckpoint {
        /// The thread.
        thread: ThreadId,
        /// What the caller named.
        checkpoint: CheckpointId,
    },
    /// A run is pending or running.
    #[error(
        "Thread {0} has in-flight runs. Wait for them to end, or cancel them, before its state is updated."
    )]
    Busy(ThreadId),
    /// Others keep changing it.
    #[error("Thread {0} was changed by others at the same time. Try again.")]
    Contended(ThreadId),
    /// It makes no sense, or the graph's own code failed of it.
    #[error("{}", told(.0))]
    Refused(RunError),
    /// Storage said no.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// LangGraph says its own refusals without their class; what a graph's code says keeps it.
fn told(error: &RunError) -> String {
    match error.kind.as_str() {
        "InvalidUpdateError" | "ValueError" | "EmptyInputError" => error.message.clone(),
        kind => format!("{kind}: {}", error.message),
    }
}

impl Runtime {
    /// The checkpoints of a thread as they were, newest first; `None` when there is no such thread. Fewer than asked
    /// for come when they are large, but always one when there is one.
    pub async fn history(
        &self,
        query: HistoryQuery,
    ) -> Result<Option<Vec<ThreadState>>, StorageError> {
        let storage = &self.0.storage;
        let Some(thread) = storage.thread(query.thread_id, Values::Skip).await? else {
            return Ok(None);
        };
        let served = self.graph_of(&thread);
        let page = storage.history(query).await?;
        let state = |saved: SavedCheckpoint| ThreadState {
            view: match served {
                Some(served) => selvedge_pregel::record(&served.graph, &saved),
                None => only_values(visible(&saved)),
            },
            saved: Some(saved),
        };
        Ok(Some(page.rows.into_iter().map(state).collect()))
    }

    /// Changes a thread's state in one super-step, on top of its newest checkpoint or of the one named: the checkpoint
    /// that this makes. Reducers and branches of the graph are asked in the sandbox; what is stored is stored in one
    /// transaction, and only when the thread is still as it was and rests.
    pub async fn update_state(
        &self,
        thread: ThreadId,
        at: Option<CheckpointId>,
        updates: &[Update],
    ) -> Result<CheckpointId, UpdateError> {
        for _ in 0..MOST_TRIES {
            let change = self.change(thread, at, updates.to_vec()).await?;
            match self.0.storage.update_thread(thread, change.update).await? {
                Updated::Done => return Ok(change.checkpoint),
                Updated::NoThread => return Err(UpdateError::NoThread(thread)),
                Updated::Busy(_) => return Err(UpdateError::Busy(thread)),
                Updated::Stale => {}
            }
        }
        Err(UpdateError::Contended(thread))
    }

    /// What is to be stored, for the thread as it is now.
    async fn change(
        &self,
        id: ThreadId,
        at: Option<CheckpointId>,
        updates: Vec<Update>,
    ) -> Result<Change, UpdateError> {
        let storage = &self.0.storage;
        let thread = storage.thread(id, Values::Skip).await?;
        let thread = thread.ok_or(UpdateError::NoThread(id))?;
        if thread.status == ThreadStatus::Busy {
            return Err(UpdateError::Busy(id));
        }
        let graph = members(&thread.metadata).swap_remove("graph_id");
        let Some(graph) = graph.and_then(|graph| graph.decode::<String>().ok()) else {
            return Err(UpdateError::NoGraph(id));
        };
        let Some(served) = self.0.graphs.get(&graph) else {
            return Err(UpdateError::NotServed { thread: id, graph });
        };
        let newest = storage.checkpoint(id, "", None).await?;
        let expected_newest = newest.as_ref().map(|saved| saved.checkpoint.id);
        let (base, addressed) = match at {
            None => (newest, Addressed::No),
            Some(_) if at == expected_newest => (newest, Addressed::Newest),
            Some(checkpoint) => {
                let named = storage.checkpoint(id, "", at).await?;
                let missing = UpdateError::NoCheckpoint {
                    thread: id,
                    checkpoint,
                };
                (Some(named.ok_or(missing)?), Addressed::Earlier)
            }
        };
        let mut mint = SystemMint::after(expected_newest);
        let update = StateUpdate::start_at(
            served.graph.clone(),
            base,
            addressed,
            updates,
            options(id, at, served),
            &mut mint,
        );
        let update = update.map_err(UpdateError::Refused)?;
        self.carry_out(served, update, expected_newest, mint).await
    }

    async fn carry_out(
        &self,
        served: &Arc<ServedGraph>,
        mut update: StateUpdate,
        expected_newest: Option<CheckpointId>,
        mut mint: SystemMint,
    ) -> Result<Change, UpdateError> {
        let limit = self.0.options.run_timeout;
        let walk = self.walk(served, &mut update, &mut mint);
        let timed_out = |_| Err(RunError::new("TimeoutError", "the update took too long"));
        let walked = tokio::time::timeout(limit, walk).await;
        let end = walked.unwrap_or_else(timed_out);
        let end = end.map_err(UpdateError::Refused)?;
        if let EndKind::Failed(error) = end.kind {
            return Err(UpdateError::Refused(error));
        }
        let nothing = || RunError::new("InvalidUpdateError", "The update changed nothing");
        let checkpoint = update.checkpoint_id();
        Ok(Change {
            checkpoint: checkpoint.ok_or_else(|| UpdateError::Refused(nothing()))?,
            update: ThreadUpdate {
                step: stored(&mut update),
                status: if end.next.is_empty() {
                    ThreadStatus::Idle
                } else {
                    ThreadStatus::Interrupted
                },
                outcome: ThreadOutcome {
                    error: None,
                    interrupts: end.interrupts,
                },
                expected_newest,
                metadata: None,
                now: Timestamp::now(),
            },
        })
    }

    /// A super-step of updates is short: its parts are done one after the other.
    async fn walk(
        &self,
        served: &Arc<ServedGraph>,
        update: &mut StateUpdate,
        mint: &mut SystemMint,
    ) -> Result<End, RunError> {
        // Slots are granted round-robin over runs: to the sandbox this is one.
        let run = RunId::new();
        loop {
            match update.step(mint) {
                Step::Ended(end) => return Ok(end),
                Step::Waiting => {
                    return Err(RunError::new(
                        "InternalError",
                        "an update waits for nothing",
                    ));
                }
                Step::Work(work) => {
                    for work in work {
                        let outcome = self.ask(served, run, &work).await;
                        update.complete(work.id, outcome, mint);
                    }
                }
            }
        }
    }

    async fn ask(&self, served: &Arc<ServedGraph>, run: RunId, work: &Work) -> Outcome {
        let node = work.task.as_ref().map(|task| task.name.clone());
        self.0
            .sandbox
            .run(Job {
                component: served.component.clone(),
                graph: served.name.clone(),
                program: work.program(1),
                answers: Vec::new(),
                run,
                node: node.unwrap_or_default(),
                timeout: work
                    .task
                    .as_ref()
                    .map(|task| task.timeout)
                    .unwrap_or_default(),
                events: Arc::new(Unshown),
                items: GraphStore::new(&self.0),
            })
            .await
    }
}

/// A change that is ready to be stored.
struct Change {
    checkpoint: CheckpointId,
    update: ThreadUpdate,
}

/// A state update has no stream.
struct Unshown;

impl TaskEvents for Unshown {
    fn custom(&self, _: Json) {}
    fn message(&self, _: Json, _: Json) {}
}

fn options(
    thread: ThreadId,
    at: Option<CheckpointId>,
    served: &ServedGraph,
) -> selvedge_pregel::Options {
    let assistant = &served.default_assistant;
    let about = Json::from(json!({
        "run_id": null,
        "thread_id": thread,
        "assistant_id": assistant.assistant_id,
        "graph_id": served.id,
        "attempt": 1,
        "user": null,
    }));
    let mut metadata = json!({"graph_id": served.id, "thread_id": thread});
    if let Some(at) = at {
        metadata["checkpoint_id"] = json!(at);
    }
    selvedge_pregel::Options {
        namespace: String::new(),
        recursion_limit: 1,
        interrupt_before: None,
        interrupt_after: None,
        metadata: Json::from(metadata),
        facts: Json::object([
            ("run", &about),
            ("config", &assistant.config),
            ("context", &served.context.context(&assistant.context)),
        ]),
        modes: Vec::new(),
    }
}

fn stored(update: &mut StateUpdate) -> StepCommit {
    let mut step = StepCommit::default();
    for output in update.take_output() {
        match output {
            Output::Checkpoint(checkpoint) => step.checkpoints.push(checkpoint),
            Output::Pending {
                checkpoint,
                namespace,
                writes,
            } => step.pending.push(PendingCommit {
                checkpoint,
                namespace,
                writes,
            }),
            Output::Event(_) => {}
        }
    }
    step
}
