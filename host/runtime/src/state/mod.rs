//! A thread's state looked back on, and changed from outside its runs: as if a node had returned something, now.

mod lead;
mod make;
pub(crate) mod whose;

use std::collections::BTreeMap;
use std::sync::Arc;

use selvedge_model::event::{EventKind, StoredEvent, StreamEvent};
use selvedge_model::run::RunError;
use selvedge_model::thread::ThreadStatus;
use selvedge_model::{CheckpointId, Identity, Json, Scope, ThreadId};
use selvedge_pregel::Addressed;
pub use selvedge_pregel::update::{Returned, Update};
use selvedge_storage::{HistoryQuery, StorageError, ThreadUpdate, Updated, Values};
use tokio::time::Instant;

use crate::Runtime;
use crate::admit::assemble::members;
use crate::graphs::ServedGraph;
use crate::hub::threads::OwnedThread;
use crate::mint::SystemMint;
use crate::threads::{ThreadState, only_values, visible};
use make::Base;
use whose::Settings;
pub use whose::StateError;

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
    /// No graph inside the thread's has a checkpoint there.
    #[error("Subgraph {0} not found")]
    NoSubgraph(String),
    /// A run is pending or running.
    #[error(
        "Thread {0} has in-flight runs. Wait for them to end, or cancel them, before its state is updated."
    )]
    Busy(ThreadId),
    /// A thread is to be created with more than one transaction takes.
    #[error("A thread cannot be created with more than {most} {unit}.")]
    TooMuch {
        /// The bound.
        most: usize,
        /// Of what.
        unit: &'static str,
    },
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

impl UpdateError {
    /// LangGraph names the outermost node.
    fn no_subgraph(namespace: &str) -> Self {
        let node = namespace.split(':').next().unwrap_or_default();
        Self::NoSubgraph(node.to_owned())
    }
}

impl From<StateError> for UpdateError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Graph(failure) => {
                Self::Refused(RunError::new(failure.kind, failure.message))
            }
            StateError::Storage(error) => Self::Storage(error),
        }
    }
}

/// Where a state is to be changed.
#[derive(Clone, Debug, Default)]
pub struct At {
    /// `""` for the root graph, else the path of one inside it.
    pub namespace: String,
    /// The checkpoint; without one, the newest of the namespace.
    pub checkpoint: Option<CheckpointId>,
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
        scope: &Scope,
        query: HistoryQuery,
    ) -> Result<Option<Vec<ThreadState>>, StateError> {
        let storage = &self.0.storage;
        let Some(thread) = storage.thread(scope, query.thread_id, Values::Skip).await? else {
            return Ok(None);
        };
        let page = storage.history(scope, query).await?;
        let mut settings = Settings::new();
        let mut states = Vec::with_capacity(page.rows.len());
        for saved in page.rows {
            states.push(ThreadState {
                view: match self.part_of(&thread, &saved, &mut settings).await? {
                    Some(part) => selvedge_pregel::record(&part.graph, &saved),
                    None => only_values(visible(&saved)),
                },
                saved: Some(saved),
                inside: BTreeMap::new(),
            });
        }
        Ok(Some(states))
    }

    /// Changes the state of a thread, or of a graph inside it, in one super-step, on top of the newest checkpoint of the
    /// namespace or of the one named: the state that this makes. Reducers and branches of the graph are asked in the sandbox; what is stored is stored in one
    /// transaction, and only when the thread is still as it was and rests. With it goes what `told` makes of the new
    /// state, for those who watch the thread and those who come back to it.
    pub async fn update_state(
        &self,
        scope: &Scope,
        thread: ThreadId,
        at: &At,
        update: &Update,
        told: fn(ThreadId, &ThreadState) -> Json,
    ) -> Result<ThreadState, UpdateError> {
        for _ in 0..MOST_TRIES {
            let (change, made) = self
                .change(scope, thread, at, vec![update.clone()], told)
                .await?;
            let (runtime, scope) = (self.clone(), scope.clone());
            // On a task of its own: what is stored is shown, also when the caller goes away.
            let storing = tokio::spawn(async move { runtime.store(&scope, thread, change).await });
            let stored = storing.await;
            match stored.unwrap_or_else(|error| Err(StorageError::Failed(error.to_string())))? {
                Updated::Done => return Ok(made),
                Updated::NoThread => return Err(UpdateError::NoThread(thread)),
                Updated::Busy(_) => return Err(UpdateError::Busy(thread)),
                Updated::Stale => {}
            }
        }
        Err(UpdateError::Contended(thread))
    }

    /// Stores a change with its event and shows that, in the place of its id.
    async fn store(
        &self,
        scope: &Scope,
        thread: ThreadId,
        change: Change,
    ) -> Result<Updated, StorageError> {
        let shared = &self.0;
        let last = shared.storage.last_event_id(thread).await?;
        shared.hub.threads.is_past(last.unwrap_or_default());
        let announcement = shared.hub.threads.announce(OwnedThread {
            thread,
            owner: change.owner,
        });
        let mut update = change.update;
        update.step.events.push(StoredEvent {
            id: announcement.id(),
            run: None,
            event: change.event.clone(),
        });
        let updated = shared.storage.update_thread(scope, thread, update).await?;
        if updated == Updated::Done {
            announcement.show(Arc::new(change.event));
        }
        Ok(updated)
    }

    /// What is to be stored, for the thread as it is now.
    async fn change(
        &self,
        scope: &Scope,
        id: ThreadId,
        at: &At,
        updates: Vec<Update>,
        told: fn(ThreadId, &ThreadState) -> Json,
    ) -> Result<(Change, ThreadState), UpdateError> {
        let storage = &self.0.storage;
        let thread = storage.thread(scope, id, Values::Skip).await?;
        let thread = thread.ok_or(UpdateError::NoThread(id))?;
        if thread.status == ThreadStatus::Busy {
            return Err(UpdateError::Busy(id));
        }
        let served = self.served(id, &thread.metadata)?;
        let namespace = at.namespace.as_str();
        let newest = storage.checkpoint(scope, id, namespace, None).await?;
        let expected_newest = newest.as_ref().map(|saved| saved.checkpoint.id);
        if newest.is_none() && !namespace.is_empty() {
            return Err(UpdateError::no_subgraph(namespace));
        }
        let (saved, addressed) = match at.checkpoint {
            None => (newest, Addressed::No),
            named if named == expected_newest => (newest, Addressed::Newest),
            Some(checkpoint) => {
                let named = storage
                    .checkpoint(scope, id, namespace, Some(checkpoint))
                    .await?;
                let missing = UpdateError::NoCheckpoint {
                    thread: id,
                    checkpoint,
                };
                (Some(named.ok_or(missing)?), Addressed::Earlier)
            }
        };
        let mut settings = Settings::new();
        let part = match &saved {
            Some(saved) => self.part_of(&thread, saved, &mut settings).await?,
            None => {
                let part = served.part.clone();
                let part = self.as_configured(part, &thread.metadata, None, &mut settings);
                Some(part.await?)
            }
        };
        let base = Base {
            store: Scope::of_owner(thread.owner.clone()),
            thread: id,
            part: part.ok_or_else(|| UpdateError::no_subgraph(namespace))?,
            namespace: at.namespace.clone(),
            saved,
            named: at.checkpoint,
            addressed,
        };
        let mut mint = SystemMint::after(expected_newest);
        let deadline = Instant::now() + self.0.options.run_timeout;
        let graph = base.part.graph.clone();
        let made = self.make(served, base, updates, &mut mint, deadline);
        let made = made.await?;
        let state = ThreadState {
            view: selvedge_pregel::record(&graph, &made.saved),
            saved: Some(made.saved.clone()),
            inside: BTreeMap::new(),
        };
        let event = StreamEvent {
            kind: EventKind::StateUpdate,
            namespace: String::new(),
            data: told(id, &state),
        };
        let change = Change {
            owner: thread.owner,
            update: made.into_update(expected_newest),
            event,
        };
        Ok((change, state))
    }

    /// The graph that a thread's state is of, by the thread's metadata.
    fn served(&self, thread: ThreadId, metadata: &Json) -> Result<&Arc<ServedGraph>, UpdateError> {
        let graph = members(metadata).swap_remove("graph_id");
        let Some(graph) = graph.and_then(|graph| graph.decode::<String>().ok()) else {
            return Err(UpdateError::NoGraph(thread));
        };
        let served = self.0.graphs.get(&graph);
        served.ok_or(UpdateError::NotServed { thread, graph })
    }
}

/// A change that is ready to be stored.
struct Change {
    /// Whom the thread belongs to.
    owner: Option<Identity>,
    update: ThreadUpdate,
    event: StreamEvent,
}
