//! Assistants: creating, changing and deleting them, and what their graphs look like.

use std::sync::Arc;

use selvedge_model::assistant::Assistant;
use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::{AssistantId, Json, Scope, Timestamp};
pub use selvedge_pregel::Drawing;
use selvedge_pregel::Failure;
use selvedge_storage::{
    AssistantPatch, Insert, Prune, StorageError, ThreadFilter, ThreadQuery, ThreadSort, Values,
};
use serde_json::json;

use crate::Runtime;
use crate::admit::assemble::{Members, RESERVED_CONFIGURABLE, members, without, without_reserved};
use crate::admit::request::AssistantRef;
use crate::finish::unbegun;
use crate::graphs::configured::Asker;
use crate::graphs::inside::Tour;
use crate::graphs::setting::Setting;
use crate::graphs::{Part, ServedGraph};

/// Threads that are deleted together with their assistant in one write.
const THREADS_AT_ONCE: u32 = 100;

/// Why an assistant is not created or changed: the caller's choices.
#[derive(Debug, thiserror::Error)]
pub enum AssistantError {
    /// No graph of that name.
    #[error("Graph '{name}' not found. Expected one of: [{graphs}]")]
    UnknownGraph {
        /// What the caller named.
        name: String,
        /// What there is.
        graphs: String,
    },
    /// `config.configurable` and `context` at once.
    #[error(transparent)]
    ConfigurableAndContext(#[from] ConfigurableAndContext),
    /// It is one of the configuration's, which operators alone change.
    #[error("Forbidden")]
    NotYours,
    /// Its graph cannot be built as it is configured: what the graph's code says of it, or the bound that it met.
    #[error("{}: {}", .0.kind, .0.message)]
    Graph(Failure),
    /// Storage said no.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// An assistant's graph, as its runs have it.
#[derive(Clone)]
pub struct AssistantGraph {
    /// What it is made of.
    pub part: Part,
    /// The graph's name for callers.
    pub graph_id: String,
    setting: Setting,
}

/// `config.configurable` and `context` at once, although each stands for the other.
#[derive(Debug, thiserror::Error)]
#[error(
    "Cannot specify both configurable and context. Prefer setting context alone. Context was introduced in \
     LangGraph 0.6.0 and is the long term planned replacement for configurable."
)]
pub struct ConfigurableAndContext;

/// An assistant to be created.
#[derive(Clone, Debug)]
pub struct NewAssistant {
    /// Its id.
    pub assistant_id: AssistantId,
    /// The graph that it runs.
    pub graph_id: String,
    /// An object.
    pub config: Option<Json>,
    /// An object.
    pub context: Option<Json>,
    /// An object.
    pub metadata: Json,
    /// For people.
    pub name: String,
    /// For people.
    pub description: Option<String>,
}

impl Runtime {
    /// Creates an assistant unless the id is taken.
    pub async fn create_assistant(
        &self,
        scope: &Scope,
        new: NewAssistant,
    ) -> Result<Insert<Assistant>, AssistantError> {
        self.must_serve(&new.graph_id)?;
        let settings = Settings::mirrored(new.config.as_ref(), new.context.as_ref())?;
        let empty = || Json::object::<&str>([]);
        let now = Timestamp::now();
        let assistant = Assistant {
            assistant_id: new.assistant_id,
            graph_id: new.graph_id,
            config: settings.config.unwrap_or_else(empty),
            context: settings.context.unwrap_or_else(empty),
            metadata: without_reserved(&new.metadata),
            name: new.name,
            created_at: now,
            updated_at: now,
            version: 1,
            description: new.description,
        };
        Ok(self.0.storage.create_assistant(scope, assistant).await?)
    }

    /// Gives an assistant a new version; `None` when there is none.
    pub async fn update_assistant(
        &self,
        scope: &Scope,
        id: AssistantId,
        patch: AssistantPatch,
    ) -> Result<Option<Assistant>, AssistantError> {
        if let Some(graph) = &patch.graph_id {
            self.must_serve(graph)?;
        }
        let settings = Settings::mirrored(patch.config.as_ref(), patch.context.as_ref())?;
        let patch = AssistantPatch {
            config: settings.config,
            context: settings.context,
            metadata: patch.metadata.as_ref().map(without_reserved),
            ..patch
        };
        let now = Timestamp::now();
        let storage = &self.0.storage;
        match storage.update_assistant(scope, id, patch, now).await? {
            None => self.may_be_changed(scope, id).map(|()| None),
            updated => Ok(updated),
        }
    }

    /// Makes an earlier version the current one; `None` when there is no such assistant or version.
    pub async fn set_latest(
        &self,
        scope: &Scope,
        id: AssistantId,
        version: i64,
    ) -> Result<Option<Assistant>, AssistantError> {
        let storage = &self.0.storage;
        match storage
            .set_latest(scope, id, version, Timestamp::now())
            .await?
        {
            None => self.may_be_changed(scope, id).map(|()| None),
            latest => Ok(latest),
        }
    }

    /// What cannot be changed by a caller may be there all the same: the configuration's assistants are everybody's.
    fn may_be_changed(&self, scope: &Scope, id: AssistantId) -> Result<(), AssistantError> {
        let mut graphs = self.0.graphs.ids();
        match scope.only().is_some() && graphs.any(|graph| AssistantId::default_of(graph) == id) {
            true => Err(AssistantError::NotYours),
            false => Ok(()),
        }
    }

    /// Deletes an assistant and cancels its runs; with `threads` also the threads that it ran on last. `false` when
    /// there is none.
    pub async fn delete_assistant(
        &self,
        scope: &Scope,
        id: AssistantId,
        threads: bool,
    ) -> Result<bool, AssistantError> {
        self.may_be_changed(scope, id)?;
        // On a task of its own: a caller that goes away must not leave others waiting for what is gone.
        let (runtime, scope) = (self.clone(), scope.clone());
        let deletion =
            tokio::spawn(async move { runtime.delete_and_cancel(&scope, id, threads).await });
        let deleted = deletion.await;
        Ok(deleted.unwrap_or_else(|error| Err(StorageError::Failed(error.to_string())))?)
    }

    async fn delete_and_cancel(
        &self,
        scope: &Scope,
        id: AssistantId,
        threads: bool,
    ) -> Result<bool, StorageError> {
        if self.0.storage.assistant(scope, id).await?.is_none() {
            return Ok(false);
        }
        // Threads go first: when this is cut off, the assistant is still there to be deleted again.
        if threads {
            self.delete_threads_of(scope, id).await?;
        }
        let request = CancelRequest {
            action: CancelAction::Interrupt,
            message: format!("assistant {id} was deleted"),
        };
        let (last_words, now) = (unbegun(&self.0), Timestamp::now());
        let deletion = self
            .0
            .storage
            .delete_assistant(scope, id, request.clone(), last_words, now);
        let Some(cancelled) = deletion.await? else {
            return Ok(false);
        };
        self.make_known(&cancelled, &request).await;
        Ok(true)
    }

    async fn delete_threads_of(&self, scope: &Scope, id: AssistantId) -> Result<(), StorageError> {
        let metadata = Json::from(json!({"assistant_id": id}));
        loop {
            let query = ThreadQuery {
                filter: ThreadFilter {
                    metadata: Some(metadata.clone()),
                    ..ThreadFilter::default()
                },
                sort_by: ThreadSort::CreatedAt,
                descending: false,
                limit: THREADS_AT_ONCE,
                offset: 0,
                values: Values::Skip,
            };
            let found = self.0.storage.search_threads(scope, query).await?;
            let ids: Vec<_> = found.rows.iter().map(|thread| thread.thread_id).collect();
            self.prune_threads(scope, ids, Prune::Delete).await?;
            if !found.more {
                return Ok(());
            }
        }
    }

    /// The graph of an assistant, or of a graph's name, as the assistant's runs have it; `None` when there is no such
    /// assistant.
    pub async fn graph(
        &self,
        scope: &Scope,
        assistant: &AssistantRef,
    ) -> Result<Option<AssistantGraph>, AssistantError> {
        let id = match assistant {
            AssistantRef::Graph(name) => AssistantId::default_of(name),
            AssistantRef::Id(id) => *id,
        };
        match (self.0.storage.assistant(scope, id).await?, assistant) {
            (Some(found), _) => self.graph_of_assistant(&found).await.map(Some),
            (None, AssistantRef::Id(_)) => Ok(None),
            // Somebody has deleted the assistant; the graph is there.
            (None, AssistantRef::Graph(name)) => match self.0.graphs.get(name) {
                Some(served) => {
                    let configured = &served.default_assistant;
                    self.graph_of_assistant(configured).await.map(Some)
                }
                None => Ok(None),
            },
        }
    }

    /// The graph of an assistant as its runs have it.
    ///
    /// # Errors
    /// When the graph is not served any more, or cannot be built for the assistant.
    pub async fn graph_of_assistant(
        &self,
        assistant: &Assistant,
    ) -> Result<AssistantGraph, AssistantError> {
        let served = self.must_serve(&assistant.graph_id)?;
        let setting = Setting::of_assistant(served, assistant);
        let part = served.part.clone();
        let built = self.0.configured(part, &setting, Asker::nobody()).await;
        Ok(AssistantGraph {
            part: built.map_err(AssistantError::Graph)?,
            graph_id: served.id.clone(),
            setting,
        })
    }

    /// The picture of an assistant's graph, with those that its nodes stand for opened down to a depth.
    ///
    /// # Errors
    /// When one of them cannot be built for the assistant.
    pub async fn drawing(
        &self,
        graph: &AssistantGraph,
        depth: usize,
    ) -> Result<Drawing, AssistantError> {
        let drawing = Tour::new(&self.0, &graph.setting).draw(&graph.part, depth);
        drawing.await.map_err(AssistantError::Graph)
    }

    /// The graphs that the nodes of an assistant's graph stand for, by the paths of nodes that lead to them
    /// (`node|node`), down to a depth.
    ///
    /// # Errors
    /// When one of them cannot be built for the assistant.
    pub async fn subgraphs(
        &self,
        graph: &AssistantGraph,
        depth: usize,
    ) -> Result<Vec<(String, Part)>, AssistantError> {
        let inside = Tour::new(&self.0, &graph.setting).list(&graph.part, depth);
        inside.await.map_err(AssistantError::Graph)
    }

    fn must_serve(&self, name: &str) -> Result<&Arc<ServedGraph>, AssistantError> {
        let graphs = &self.0.graphs;
        graphs.get(name).ok_or_else(|| {
            let known: Vec<String> = graphs.ids().map(|id| format!("'{id}'")).collect();
            AssistantError::UnknownGraph {
                name: name.to_owned(),
                graphs: known.join(", "),
            }
        })
    }
}

/// What an assistant gives to its runs. `config.configurable` and `context` are two names for one thing: whichever is
/// given, the other says the same.
pub(crate) struct Settings {
    pub(crate) config: Option<Json>,
    pub(crate) context: Option<Json>,
}

impl Settings {
    /// What was given, without the members that are not for callers to set, and with what follows from it.
    pub(crate) fn mirrored(
        config: Option<&Json>,
        context: Option<&Json>,
    ) -> Result<Self, ConfigurableAndContext> {
        let mut config = config.map(cleaned);
        let configurable = config
            .as_ref()
            .and_then(|config| config.get("configurable"))
            .and_then(Json::members);
        let context = context.map(|context| without(members(context), &RESERVED_CONFIGURABLE));
        let given = |members: &Option<Members>| members.as_ref().is_some_and(|m| !m.is_empty());
        if given(&configurable) && given(&context) {
            return Err(ConfigurableAndContext);
        }
        let context = match (configurable, context) {
            (Some(configurable), None) => Some(configurable),
            (Some(configurable), Some(context)) if context.is_empty() => Some(configurable),
            (_, Some(context)) => {
                let config = config.get_or_insert_default();
                if !context.is_empty() {
                    config.insert("configurable".into(), Json::object(&context));
                }
                Some(context)
            }
            (None, None) => None,
        };
        Ok(Self {
            config: config.map(|config| Json::object(&config)),
            context: context.map(|context| Json::object(&context)),
        })
    }
}

fn cleaned(config: &Json) -> Members {
    let mut config = members(config);
    if let Some(configurable) = config.get("configurable").and_then(Json::members) {
        let configurable = without(configurable, &RESERVED_CONFIGURABLE);
        config.insert("configurable".into(), Json::object(&configurable));
    }
    if let Some(metadata) = config
        .get("metadata")
        .filter(|metadata| metadata.is_object())
    {
        let metadata = without_reserved(metadata);
        config.insert("metadata".into(), metadata);
    }
    config.retain(|_, value| !value.is_null());
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrored(config: Option<&str>, context: Option<&str>) -> Option<(String, String)> {
        let parse = |text: &str| Json::parse(text).unwrap();
        let (config, context) = (config.map(parse), context.map(parse));
        let settings = Settings::mirrored(config.as_ref(), context.as_ref()).ok()?;
        let text = |json: Option<Json>| json.map_or_else(String::new, |json| json.to_string());
        Some((text(settings.config), text(settings.context)))
    }

    #[test]
    fn configurable_and_context_say_the_same() {
        for (config, context, expected) in [
            (None, None, ("", "")),
            (Some(r#"{"tags":["t"]}"#), None, (r#"{"tags":["t"]}"#, "")),
            (
                Some(r#"{"tags":["t"],"configurable":{"a":1}}"#),
                None,
                (r#"{"tags":["t"],"configurable":{"a":1}}"#, r#"{"a":1}"#),
            ),
            (
                Some(r#"{"tags":["t"],"configurable":{}}"#),
                Some(r#"{"a":1}"#),
                (r#"{"tags":["t"],"configurable":{"a":1}}"#, r#"{"a":1}"#),
            ),
            (
                Some(r#"{"configurable":{"a":1,"langgraph_auth_user":"me"}}"#),
                Some("{}"),
                (r#"{"configurable":{"a":1}}"#, r#"{"a":1}"#),
            ),
            (
                None,
                Some(r#"{"a":1}"#),
                (r#"{"configurable":{"a":1}}"#, r#"{"a":1}"#),
            ),
            (None, Some("{}"), ("{}", "{}")),
            (
                Some(r#"{"configurable":null,"metadata":{"run_id":"x","kept":1}}"#),
                None,
                (r#"{"metadata":{"kept":1}}"#, ""),
            ),
        ] {
            let found = mirrored(config, context).unwrap();
            assert_eq!((found.0.as_str(), found.1.as_str()), expected);
        }
    }

    #[test]
    fn one_of_both_has_to_be_chosen() {
        assert!(mirrored(Some(r#"{"configurable":{"a":1}}"#), Some(r#"{"a":1}"#)).is_none());
    }
}
