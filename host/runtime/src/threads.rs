//! Threads: reading them and their state, creating and deleting them.

use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::graph::is_internal_channel;
use selvedge_model::run::RunStatus;
use selvedge_model::thread::Thread;
use selvedge_model::{CheckpointId, Json, ThreadId, Timestamp};
use selvedge_pregel::StateView;
pub use selvedge_pregel::TaskView;
use selvedge_storage::{Insert, NewThread, RunQuery, StorageError, Values};

use crate::Runtime;

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
            metadata,
            created_at: Timestamp::now(),
        };
        self.0.storage.create_thread(thread).await
    }

    /// One thread with its values.
    pub async fn thread(&self, id: ThreadId) -> Result<Option<Thread>, StorageError> {
        self.0.storage.thread(id, Values::Include).await
    }

    /// Deletes a thread with its runs and checkpoints. A run that is going on stops at its next write; whoever waits
    /// for one that had not begun is told now.
    pub async fn delete_thread(&self, id: ThreadId) -> Result<bool, StorageError> {
        let pending = RunQuery {
            thread_id: id,
            status: Some(RunStatus::Pending),
            limit: u32::MAX,
            offset: 0,
        };
        let waiting = self.0.storage.list_runs(pending).await?;
        let existed = self.0.storage.delete_thread(id).await?;
        for run in waiting {
            self.0.hub.release(run.run_id);
        }
        Ok(existed)
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
        let graph_id: Option<String> = thread
            .metadata
            .members()
            .and_then(|metadata| metadata.get("graph_id")?.decode().ok());
        let graph = graph_id.and_then(|graph_id| self.0.graphs.get(&graph_id));
        let view = match graph {
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

fn only_values(values: Json) -> StateView {
    StateView {
        values,
        next: Vec::new(),
        tasks: Vec::new(),
        metadata: Json::null(),
    }
}

fn visible(saved: &SavedCheckpoint) -> Json {
    let values: Vec<(&String, Json)> = saved
        .checkpoint
        .values
        .iter()
        .filter(|(name, _)| !is_internal_channel(name))
        .map(|(name, value)| (name, value.to_json()))
        .collect();
    Json::object(values.iter().map(|(name, value)| (name, value)))
}
