//! Threads: reading them and their state, creating and deleting them.

use std::sync::Arc;

use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::graph::is_internal_channel;
use selvedge_model::thread::Thread;
use selvedge_model::{CheckpointId, Json, ThreadId, Timestamp};
use selvedge_pregel::StateView;
pub use selvedge_pregel::TaskView;
use selvedge_storage::{Insert, NewThread, StorageError, Values};

use crate::Runtime;
use crate::assemble::without_reserved;
use crate::graphs::ServedGraph;

/// A thread's state at one checkpoint.
pub struct ThreadState {
    /// The snapshot that it was read from; `None` for a thread that never ran.
    pub saved: Option<SavedCheckpoint>,
    /// Its values, its next nodes, its tasks.
    pub view: StateView,
}

impl Runtime {
    /// Creates a thread unless the id is taken.
    pub async fn create_thread(
        &self,
        id: ThreadId,
        metadata: Json,
    ) -> Result<Insert<Thread>, StorageError> {
        let thread = NewThread {
            thread_id: id,
            metadata: without_reserved(&metadata),
            created_at: Timestamp::now(),
            ttl: None,
        };
        self.0.storage.create_thread(thread).await
    }

    /// One thread with its values.
    pub async fn thread(&self, id: ThreadId) -> Result<Option<Thread>, StorageError> {
        let mut thread = self.0.storage.thread(id, Values::Include).await?;
        if let Some(thread) = &mut thread
            && let Some(graph) = self.graph_of(thread)
            && let Some(values) = &mut thread.values
        {
            *values = selvedge_pregel::values(&graph.graph, values);
        }
        Ok(thread)
    }

    /// The graph that a thread's last run was of, while it is served.
    pub(crate) fn graph_of(&self, thread: &Thread) -> Option<&Arc<ServedGraph>> {
        let metadata = thread.metadata.members()?;
        let graph_id: String = metadata.get("graph_id")?.decode().ok()?;
        self.0.graphs.get(&graph_id)
    }

    /// Deletes a thread with its runs and checkpoints; `false` when there is none. Runs that had not ended stop, and
    /// whoever waits for one is told.
    pub async fn delete_thread(&self, id: ThreadId) -> Result<bool, StorageError> {
        // On a task of its own: a caller that goes away must not leave others waiting for what is gone.
        let runtime = self.clone();
        let deletion = tokio::spawn(async move { runtime.delete_and_tell(id).await });
        deletion
            .await
            .unwrap_or_else(|error| Err(StorageError::Failed(error.to_string())))
    }

    async fn delete_and_tell(&self, id: ThreadId) -> Result<bool, StorageError> {
        let Some(unended) = self.0.storage.delete_thread(id).await? else {
            return Ok(false);
        };
        for run in unended {
            self.0.hub.release(run);
        }
        Ok(true)
    }

    /// A thread's state at a checkpoint, or at its newest; `None` when there is no such thread or checkpoint.
    pub async fn thread_state(
        &self,
        id: ThreadId,
        at: Option<CheckpointId>,
    ) -> Result<Option<ThreadState>, StorageError> {
        let storage = &self.0.storage;
        let Some(thread) = storage.thread(id, Values::Skip).await? else {
            return Ok(None);
        };
        let Some(saved) = storage.checkpoint(id, "", at).await? else {
            return Ok(at.is_none().then(|| ThreadState {
                saved: None,
                view: only_values(Json::object::<&str>([])),
            }));
        };
        let view = match self.graph_of(&thread) {
            // A checkpoint that is asked for by its id is history: it shows how its step began.
            Some(served) if at.is_some() => selvedge_pregel::record(&served.graph, &saved),
            Some(served) => selvedge_pregel::view(&served.graph, &saved),
            // The graph is not served any more: what it left can still be read.
            None => only_values(visible(&saved)),
        };
        Ok(Some(ThreadState {
            saved: Some(saved),
            view,
        }))
    }
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
