//! Threads: reading them and their state, creating, changing and deleting them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::graph::is_internal_channel;
use selvedge_model::thread::{Thread, Ttl};
use selvedge_model::{CheckpointId, Json, Scope, TaskId, ThreadId, Timestamp};
use selvedge_pregel::StateView;
pub use selvedge_pregel::TaskView;
pub use selvedge_pregel::nested::Parents;
use selvedge_storage::{
    Insert, NewThread, Page, Prune, StorageError, ThreadPatch, ThreadQuery, Values,
};
use uuid::Uuid;

use crate::Runtime;
use crate::admit::assemble::{members, without_reserved};
use crate::execute::facts::CHECKPOINT_PARENTS;
use crate::graphs::{Part, ServedGraph};
use crate::state::whose::Settings;
use crate::state::{StateError, Update, UpdateError};

/// Threads that one write prunes; others get their turn between two.
const PRUNED_AT_ONCE: usize = 100;

/// States of nested graphs in one answer; beyond it they are only named. Each is read on its own.
const MOST_STATES_INSIDE: usize = 1_000;
/// What they weigh together, as with a page of history: the one that goes beyond it is the last.
const MOST_BYTES_INSIDE: usize = 16 << 20;

/// What may still be added of nested graphs.
struct Left {
    states: usize,
    bytes: usize,
}

/// A thread's state at one checkpoint.
pub struct ThreadState {
    /// The snapshot that it was read from; `None` for a thread that never ran.
    pub saved: Option<SavedCheckpoint>,
    /// Its values, its next nodes, its tasks.
    pub view: StateView,
    /// The states of the graphs inside its tasks, where they were asked for and there are any.
    pub inside: BTreeMap<TaskId, ThreadState>,
}

impl ThreadState {
    /// The checkpoints of the graphs around it, by their namespaces; empty for the root graph.
    #[must_use]
    pub fn parents(&self) -> Parents {
        let metadata = self.saved.as_ref().map(|saved| &saved.checkpoint.metadata);
        metadata.map(parents_in).unwrap_or_default()
    }
}

/// Which graphs lie around the one whose checkpoint has this metadata.
pub(crate) fn parents_in(metadata: &Json) -> Parents {
    let parents = metadata
        .members()
        .and_then(|m| m.get(CHECKPOINT_PARENTS)?.decode().ok());
    parents.unwrap_or_default()
}

impl Runtime {
    /// Creates a thread unless the id is taken, with the state that these super-steps lead to. When they are refused,
    /// or the caller goes away meanwhile, there is no thread either.
    pub async fn create_thread(
        &self,
        scope: &Scope,
        id: ThreadId,
        metadata: Json,
        ttl: Option<Ttl>,
        supersteps: Vec<Vec<Update>>,
    ) -> Result<Insert<Thread>, UpdateError> {
        let storage = &self.0.storage;
        if !supersteps.is_empty()
            && let Some(thread) = storage.thread(scope, id, Values::Skip).await?
        {
            return Ok(Insert::Exists(thread));
        }
        let created_at = Timestamp::now();
        let ttl = ttl.or(self.0.options.thread_ttl.default);
        let thread = NewThread {
            thread_id: id,
            metadata: without_reserved(&metadata),
            created_at,
            ttl,
        };
        let state = self.first_state(scope, &thread, supersteps).await?;
        let inserted = storage.create_thread(scope, thread, state).await?;
        if let Some(ttl) = ttl {
            self.0.alarm.set(created_at.after(ttl.after));
        }
        Ok(match inserted {
            Insert::Created(thread) => Insert::Created(self.with_visible_values(thread)),
            other => other,
        })
    }

    /// Merges metadata into a thread's and gives it another lifetime; `false` when there is none.
    pub async fn patch_thread(
        &self,
        scope: &Scope,
        id: ThreadId,
        metadata: Option<Json>,
        ttl: Option<Ttl>,
    ) -> Result<bool, StorageError> {
        let now = Timestamp::now();
        let patch = ThreadPatch {
            metadata: metadata.as_ref().map(without_reserved),
            ttl,
            now,
        };
        let patched = self.0.storage.patch_thread(scope, id, patch).await?;
        if let Some(ttl) = ttl {
            self.0.alarm.set(now.after(ttl.after));
        }
        Ok(patched.is_some())
    }

    /// Makes a thread of its own from another's metadata and history; `None` when there is none to copy.
    pub async fn copy_thread(
        &self,
        scope: &Scope,
        from: ThreadId,
    ) -> Result<Option<Thread>, StorageError> {
        // LangGraph's copies have random ids.
        let to = ThreadId::from(Uuid::new_v4());
        let now = Timestamp::now();
        let copy = self.0.storage.copy_thread(scope, from, to, now).await?;
        if let Some(ttl) = copy.as_ref().and_then(|copy| copy.ttl) {
            self.0.alarm.set(now.after(ttl.after));
        }
        Ok(copy)
    }

    /// One thread with its values.
    pub async fn thread(
        &self,
        scope: &Scope,
        id: ThreadId,
    ) -> Result<Option<Thread>, StorageError> {
        let thread = self.0.storage.thread(scope, id, Values::Include).await?;
        Ok(thread.map(|thread| self.with_visible_values(thread)))
    }

    /// Threads that match, in the asked order, and whether there are more.
    pub async fn search_threads(
        &self,
        scope: &Scope,
        query: ThreadQuery,
    ) -> Result<Page<Thread>, StorageError> {
        let page = self.0.storage.search_threads(scope, query).await?;
        let rows = page.rows.into_iter();
        Ok(Page {
            rows: rows.map(|t| self.with_visible_values(t)).collect(),
            more: page.more,
        })
    }

    /// What its graph shows of a thread's values.
    fn with_visible_values(&self, mut thread: Thread) -> Thread {
        if let Some(values) = thread.values.take() {
            let graph = self.graph_of(&thread);
            thread.values = Some(match graph {
                Some(served) => visible_values(&served.part, &values),
                None => values,
            });
        }
        thread
    }

    /// The graph that a thread's last run was of, while it is served.
    pub(crate) fn graph_of(&self, thread: &Thread) -> Option<&Arc<ServedGraph>> {
        let metadata = thread.metadata.members()?;
        let graph_id: String = metadata.get("graph_id")?.decode().ok()?;
        self.0.graphs.get(&graph_id)
    }

    /// Deletes a thread with its runs and checkpoints; `false` when there is none. Runs that had not ended stop, and
    /// whoever waits for one or watches the thread is told.
    pub async fn delete_thread(&self, scope: &Scope, id: ThreadId) -> Result<bool, StorageError> {
        // On a task of its own: a caller that goes away must not leave others waiting for what is gone.
        let (runtime, scope) = (self.clone(), scope.clone());
        let deletion = tokio::spawn(async move { runtime.delete_and_tell(&scope, id).await });
        deletion
            .await
            .unwrap_or_else(|error| Err(StorageError::Failed(error.to_string())))
    }

    /// Deletes threads, or their old checkpoints, and says of how many. Ids that there are not are passed over.
    pub async fn prune_threads(
        &self,
        scope: &Scope,
        ids: Vec<ThreadId>,
        how: Prune,
    ) -> Result<u64, StorageError> {
        let (runtime, scope) = (self.clone(), scope.clone());
        let pruning = tokio::spawn(async move { runtime.prune_and_tell(&scope, &ids, how).await });
        pruning
            .await
            .unwrap_or_else(|error| Err(StorageError::Failed(error.to_string())))
    }

    async fn prune_and_tell(
        &self,
        scope: &Scope,
        ids: &[ThreadId],
        how: Prune,
    ) -> Result<u64, StorageError> {
        let mut threads = 0;
        for some in ids.chunks(PRUNED_AT_ONCE) {
            let pruned = self
                .0
                .storage
                .prune_threads(scope, some.to_vec(), how)
                .await?;
            threads += pruned.threads;
            for thread in pruned.gone {
                self.0.hub.thread_is_gone(thread);
            }
        }
        Ok(threads)
    }

    async fn delete_and_tell(&self, scope: &Scope, id: ThreadId) -> Result<bool, StorageError> {
        let gone = self.0.storage.delete_thread(scope, id).await?;
        let found = gone.is_some();
        if let Some(thread) = gone {
            self.0.hub.thread_is_gone(thread);
        }
        Ok(found)
    }

    /// A thread's state at a checkpoint of a namespace, or at its newest; `None` when there is no such thread or
    /// checkpoint. With the states of graphs inside its tasks when they are asked for, as far as they are within bounds.
    pub async fn thread_state(
        &self,
        scope: &Scope,
        id: ThreadId,
        namespace: &str,
        at: Option<CheckpointId>,
        inside: bool,
    ) -> Result<Option<ThreadState>, StateError> {
        let storage = &self.0.storage;
        let Some(thread) = storage.thread(scope, id, Values::Skip).await? else {
            return Ok(None);
        };
        let Some(saved) = storage.checkpoint(scope, id, namespace, at).await? else {
            return Ok(at.is_none().then(|| ThreadState {
                saved: None,
                view: only_values(Json::object::<&str>([])),
                inside: BTreeMap::new(),
            }));
        };
        let mut settings = Settings::new();
        let view = match self.part_of(&thread, &saved, &mut settings).await? {
            // A checkpoint that is asked for by its id is history: it shows how its step began.
            Some(part) if at.is_some() => selvedge_pregel::record(&part.graph, &saved),
            Some(part) => selvedge_pregel::view(&part.graph, &saved),
            // The graph is not served any more: what it left can still be read.
            None => only_values(visible(&saved)),
        };
        let mut state = ThreadState {
            saved: Some(saved),
            view,
            inside: BTreeMap::new(),
        };
        if inside {
            let mut left = Left {
                states: MOST_STATES_INSIDE,
                bytes: MOST_BYTES_INSIDE,
            };
            self.look_inside(scope, &thread, &mut state, &mut settings, &mut left)
                .await?;
        }
        Ok(Some(state))
    }

    /// Adds the newest states of the graphs inside a state's tasks, and inside theirs.
    fn look_inside<'a>(
        &'a self,
        scope: &'a Scope,
        thread: &'a Thread,
        state: &'a mut ThreadState,
        settings: &'a mut Settings,
        left: &'a mut Left,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            for task in &state.view.tasks {
                if !task.contains_graph || left.states == 0 || left.bytes == 0 {
                    continue;
                }
                left.states -= 1;
                let storage = &self.0.storage;
                let found = storage
                    .checkpoint(scope, thread.thread_id, &task.namespace, None)
                    .await?;
                let Some(saved) = found else { continue };
                left.bytes = left.bytes.saturating_sub(saved.weight());
                let view = match self.part_of(thread, &saved, settings).await? {
                    Some(part) => selvedge_pregel::view(&part.graph, &saved),
                    None => only_values(visible(&saved)),
                };
                let mut inner = ThreadState {
                    saved: Some(saved),
                    view,
                    inside: BTreeMap::new(),
                };
                self.look_inside(scope, thread, &mut inner, settings, left)
                    .await?;
                state.inside.insert(task.id, inner);
            }
            Ok(())
        }
        .boxed()
    }
}

/// What a graph shows of its thread's values. One that depends on how its run was configured is not built for it, since
/// a page has many threads: it shows all that was written.
fn visible_values(part: &Part, written: &Json) -> Json {
    let shown = selvedge_pregel::values(&part.graph, written);
    if !part.graph.description().configured {
        return shown;
    }
    let mut shown = members(&shown);
    for (name, value) in members(written) {
        shown.entry(name).or_insert(value);
    }
    Json::object(&shown)
}

pub(crate) fn only_values(values: Json) -> StateView {
    StateView {
        values,
        next: Vec::new(),
        tasks: Vec::new(),
        metadata: Json::null(),
    }
}

pub(crate) fn visible(saved: &SavedCheckpoint) -> Json {
    let values: Vec<(&String, Json)> = saved
        .checkpoint
        .values
        .iter()
        .filter(|(name, _)| !is_internal_channel(name))
        .map(|(name, value)| (name, value.to_json()))
        .collect();
    Json::object(values.iter().map(|(name, value)| (name, value)))
}
