//! Which graph a state is read and changed with: the one that made it, as it was configured then.

use std::collections::HashMap;

use selvedge_model::assistant::Assistant;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::thread::Thread;
use selvedge_model::{AssistantId, Json, RunId, Scope};
use selvedge_pregel::Failure;
use selvedge_storage::StorageError;

use crate::Runtime;
use crate::execute::facts::{BUILT_FOR, SUBGRAPH};
use crate::graphs::configured::Asker;
use crate::graphs::setting::Setting;
use crate::graphs::{Part, ServedGraph};

/// Why a state cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Its graph cannot be built as it was configured: what the graph's code says of it, or the bound that it met.
    #[error("{}: {}", .0.kind, .0.message)]
    Graph(Failure),
    /// Storage said no.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What the checkpoints of one thread were made for, as far as it has been looked up: by the runs that they name.
pub(crate) type Settings = HashMap<Option<RunId>, Setting>;

impl Runtime {
    /// The graph that made a checkpoint, while it is served: that of the thread's last run, or one inside it. Where it
    /// depends on that, as it was configured then.
    pub(crate) async fn part_of(
        &self,
        thread: &Thread,
        saved: &SavedCheckpoint,
        settings: &mut Settings,
    ) -> Result<Option<Part>, StateError> {
        let (part, own) = if saved.checkpoint.namespace.is_empty() {
            let Some(served) = self.graph_of(thread) else {
                return Ok(None);
            };
            (served.part.clone(), None)
        } else {
            let address: Option<String> = member(&saved.checkpoint.metadata, SUBGRAPH);
            let Some(found) = address.and_then(|address| self.0.graphs.at(&address)) else {
                return Ok(None);
            };
            found
        };
        let part = self
            .as_configured(part, &thread.metadata, Some(saved), settings)
            .await?;
        Ok(match own {
            None => Some(part),
            Some(name) => part.own(&name),
        })
    }

    /// A graph as it was when it made a checkpoint of a thread with this metadata; without one, as the thread's assistant
    /// has it.
    pub(super) async fn as_configured(
        &self,
        part: Part,
        thread: &Json,
        saved: Option<&SavedCheckpoint>,
        settings: &mut Settings,
    ) -> Result<Part, StateError> {
        let name: Option<String> = member(thread, "graph_id");
        let Some(served) = name.and_then(|name| self.0.graphs.get(&name)) else {
            return Ok(part);
        };
        if !part.is_to_be_configured() {
            return Ok(part);
        }
        let run = saved.and_then(|saved| built_for(&saved.checkpoint.metadata));
        let setting = match settings.get(&run) {
            Some(known) => known.clone(),
            None => {
                let setting = self.setting(run, thread, served).await?;
                settings.insert(run, setting.clone());
                setting
            }
        };
        let built = self.0.configured(part, &setting, Asker::nobody()).await;
        built.map_err(StateError::Graph)
    }

    /// What a run's graph was built for. A run that was deleted is taken to have given nothing beside its assistant.
    async fn setting(
        &self,
        run: Option<RunId>,
        thread: &Json,
        served: &ServedGraph,
    ) -> Result<Setting, StorageError> {
        let storage = &self.0.storage;
        if let Some(run) = run
            && let Some(run) = storage.run(&Scope::Host, None, run).await?
        {
            return Ok(Setting::of_run(served, &run.kwargs));
        }
        let named: Option<AssistantId> = member(thread, "assistant_id");
        let default = AssistantId::default_of(&served.id);
        for id in named.into_iter().chain([default]) {
            let found = storage.assistant(&Scope::Host, id).await?;
            let is_of_graph = |found: &Assistant| found.graph_id == served.id;
            if let Some(found) = found.filter(is_of_graph) {
                return Ok(Setting::of_assistant(served, &found));
            }
        }
        Ok(Setting::of_assistant(served, &served.default_assistant))
    }
}

/// The run for which the graph was built that made a checkpoint with this metadata.
pub(super) fn built_for(metadata: &Json) -> Option<RunId> {
    member(metadata, "run_id").or_else(|| member(metadata, BUILT_FOR))
}

fn member<T: serde::de::DeserializeOwned>(object: &Json, name: &str) -> Option<T> {
    object.members()?.get(name)?.decode().ok()
}
