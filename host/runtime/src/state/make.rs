//! One super-step of updates, made and not stored.

use std::sync::Arc;

use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::run::RunError;
use selvedge_model::thread::{ThreadOutcome, ThreadStatus};
use selvedge_model::{CheckpointId, Json, RunId, Scope, ThreadId, Timestamp};
use selvedge_pregel::nested::Parents;
use selvedge_pregel::update::Update;
use selvedge_pregel::{Addressed, End, EndKind, Outcome, Output, StateUpdate, Step, Work};
use selvedge_sandbox::{Callers, Job, NoCalls, TaskEvents, ToolEvent};
use selvedge_storage::{PendingCommit, StepCommit, ThreadUpdate};
use serde_json::json;
use tokio::time::Instant;

use super::UpdateError;
use super::whose::built_for;
use crate::Runtime;
use crate::admit::assemble::members;
use crate::execute::facts::{BUILT_FOR, CHECKPOINT_PARENTS, SUBGRAPH};
use crate::graphs::{Part, ServedGraph};
use crate::items::graph_store::GraphStore;
use crate::mint::SystemMint;
use crate::threads::parents_in;

/// What a super-step of updates stands on.
pub(super) struct Base {
    /// The store that the graph's code sees: of whoever the thread belongs to, as in its runs, whoever changes it.
    pub(super) store: Scope,
    pub(super) thread: ThreadId,
    /// Whose state it is: the thread's graph, or one inside it.
    pub(super) part: Part,
    pub(super) namespace: String,
    /// `None` for a thread without a checkpoint.
    pub(super) saved: Option<SavedCheckpoint>,
    /// The checkpoint that the caller named.
    pub(super) named: Option<CheckpointId>,
    pub(super) addressed: Addressed,
}

/// What a super-step of updates made of a state.
pub(super) struct Made {
    /// What is to be stored.
    pub(super) step: StepCommit,
    pub(super) namespace: String,
    /// The newest checkpoint then, as it will be read back.
    pub(super) saved: SavedCheckpoint,
    pub(super) status: ThreadStatus,
    pub(super) outcome: ThreadOutcome,
}

impl Made {
    /// To be stored on a thread that has this newest checkpoint.
    pub(super) fn into_update(self, expected_newest: Option<CheckpointId>) -> ThreadUpdate {
        ThreadUpdate {
            step: self.step,
            namespace: self.namespace,
            status: self.status,
            outcome: self.outcome,
            expected_newest,
            metadata: None,
            now: Timestamp::now(),
        }
    }
}

impl Runtime {
    /// Makes a super-step of updates. Reducers and branches of the graph are asked in the sandbox.
    pub(super) async fn make(
        &self,
        served: &Arc<ServedGraph>,
        base: Base,
        updates: Vec<Update>,
        mint: &mut SystemMint,
        deadline: Instant,
    ) -> Result<Made, UpdateError> {
        let update = StateUpdate::start_at(
            base.part.graph.clone(),
            base.saved.clone(),
            base.addressed,
            updates,
            options(&base, served),
            mint,
        );
        let mut update = update.map_err(UpdateError::Refused)?;
        let items = GraphStore::new(&self.0, base.store.clone(), Arc::default());
        let walk = self.walk(&base.part, items, &mut update, mint);
        let timed_out = |_| Err(RunError::new("TimeoutError", "the update took too long"));
        let walked = tokio::time::timeout_at(deadline, walk).await;
        let end = walked.unwrap_or_else(timed_out);
        let end = end.map_err(UpdateError::Refused)?;
        if let EndKind::Failed(error) = end.kind {
            return Err(UpdateError::Refused(error));
        }
        let (step, saved) = stored(&mut update, base.saved);
        let nothing = || RunError::new("InvalidUpdateError", "The update changed nothing");
        Ok(Made {
            step,
            namespace: base.namespace,
            saved: saved.ok_or_else(|| UpdateError::Refused(nothing()))?,
            status: if end.next.is_empty() {
                ThreadStatus::Idle
            } else {
                ThreadStatus::Interrupted
            },
            outcome: ThreadOutcome {
                error: None,
                interrupts: end.interrupts,
            },
        })
    }

    /// A super-step of updates is short: its parts are done one after the other.
    async fn walk(
        &self,
        part: &Part,
        items: Arc<GraphStore>,
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
                        let outcome = self.ask(part, items.clone(), run, &work).await;
                        update.complete(work.id, outcome, mint);
                    }
                }
            }
        }
    }

    async fn ask(&self, part: &Part, items: Arc<GraphStore>, run: RunId, work: &Work) -> Outcome {
        let node = work.task.as_ref().map(|task| task.name.clone());
        self.0
            .sandbox
            .run(Job {
                component: part.component.clone(),
                graph: part.name.clone(),
                setting: part.setting().cloned(),
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
                items,
                calls: Arc::new(NoCalls),
                around: None,
                callers: Callers::default(),
            })
            .await
    }
}

/// A state update has no stream.
struct Unshown;

impl TaskEvents for Unshown {
    fn custom(&self, _: Json) {}
    fn message(&self, _: Option<&str>, _: Json, _: Json) {}
    fn tool(&self, _: ToolEvent) {}
}

fn options(base: &Base, served: &ServedGraph) -> selvedge_pregel::Options {
    let thread = base.thread;
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
    if let Some(at) = base.named {
        metadata["checkpoint_id"] = json!(at);
    }
    let mut config = assistant.config.clone();
    let mut context = served.context.context(&assistant.context);
    if let Some(setting) = base.part.setting().and_then(Json::members) {
        // What decides which graph it is must be what the graph is told.
        let mut all = members(&config);
        all.extend(
            setting
                .get("configurable")
                .map(|given| ("configurable".to_owned(), given.clone())),
        );
        config = Json::object(&all);
        context = setting.get("context").cloned().unwrap_or(context);
        let saved = base.saved.as_ref();
        if let Some(run) = saved.and_then(|s| built_for(&s.checkpoint.metadata)) {
            metadata[BUILT_FOR] = json!(run);
        }
    }
    let mut parents = Parents::new();
    if !base.namespace.is_empty() {
        let saved = base.saved.as_ref();
        parents = saved
            .map(|s| parents_in(&s.checkpoint.metadata))
            .unwrap_or_default();
        metadata[CHECKPOINT_PARENTS] = json!(parents);
        metadata[SUBGRAPH] = json!(base.part.address());
    }
    selvedge_pregel::Options {
        namespace: base.namespace.clone(),
        recursion_limit: 1,
        interrupt_before: None,
        interrupt_after: None,
        metadata: Json::from(metadata),
        facts: Json::object([("run", &about), ("config", &config), ("context", &context)]),
        modes: Vec::new(),
        parents: Arc::new(parents),
    }
}

/// What an update left, and the last checkpoint among it; `None` when it made none.
fn stored(
    update: &mut StateUpdate,
    base: Option<SavedCheckpoint>,
) -> (StepCommit, Option<SavedCheckpoint>) {
    let mut step = StepCommit::default();
    let mut parent = base.map(|saved| saved.checkpoint);
    let mut made = None;
    for output in update.take_output() {
        match output {
            Output::Checkpoint(write) => {
                let checkpoint = write.clone().onto(parent.as_ref());
                parent = Some(checkpoint.clone());
                made = Some(SavedCheckpoint {
                    checkpoint,
                    pending: Vec::new(),
                });
                step.checkpoints.push(write);
            }
            Output::Pending {
                checkpoint,
                namespace,
                writes,
            } => {
                if let Some(made) = made.as_mut().filter(|m| m.checkpoint.id == checkpoint) {
                    made.pending.extend(writes.iter().cloned());
                    made.pending.sort_by_key(|write| (write.task, write.index));
                }
                step.pending.push(PendingCommit {
                    checkpoint,
                    namespace,
                    writes,
                });
            }
            Output::Event(_) => {}
        }
    }
    (step, made)
}
