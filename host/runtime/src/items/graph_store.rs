//! The store as graphs reach it: LangGraph's rules for what a node asks, and the same items as over HTTP.
//!
//! Writes take effect at once and are no part of the run's checkpoints, as in LangGraph.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use selvedge_index::EmbedError;
use selvedge_model::item::{self, IndexedParts};
use selvedge_model::{Json, Scope, Timestamp};
use selvedge_sandbox::{Failure, ItemStore};
use selvedge_storage::{ItemFilter, LabelPattern, NamespaceQuery, StorageError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::items::{ItemSearch, NewItem};
use crate::{Options, Runtime, Shared};

/// Calls of all graphs that are under way at once; others wait, their tasks' time being the deadline. As many fit into
/// one commit, and few beside what storage queues for everybody.
const CALLS_AT_ONCE: usize = 64;

/// Searches and lists of namespaces of nobody's graphs, which may walk over many items: so few that graphs cannot keep
/// callers from theirs. Somebody's wait for each other in storage, graphs' and callers' alike, and for nobody else's.
const SCANS_AT_ONCE: usize = 2;

/// Items or namespaces of one answer, at most.
const MOST_ROWS: u32 = 1_000;

/// Who may call now.
pub(crate) struct Turns {
    calls: Semaphore,
    scans: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            calls: Semaphore::new(CALLS_AT_ONCE),
            scans: Semaphore::new(SCANS_AT_ONCE),
        }
    }
}

/// What the tasks of one run have put into the store so far, replaced and deleted items included.
#[derive(Default)]
pub(crate) struct Written {
    items: AtomicU64,
    bytes: AtomicU64,
}

/// The store of one task, which is that of whoever its run belongs to.
pub(crate) struct GraphStore {
    runtime: Runtime,
    scope: Scope,
    written: Arc<Written>,
}

impl GraphStore {
    pub(crate) fn new(shared: &Arc<Shared>, scope: Scope, written: Arc<Written>) -> Arc<Self> {
        Arc::new(Self {
            runtime: Runtime(shared.clone()),
            scope,
            written,
        })
    }

    async fn call(&self) -> Result<SemaphorePermit<'_>, Failure> {
        turn(&self.runtime.0.store_turns.calls).await
    }

    async fn scan(&self) -> Result<Option<SemaphorePermit<'_>>, Failure> {
        match self.scope {
            Scope::Host => turn(&self.runtime.0.store_turns.scans).await.map(Some),
            Scope::Of(_) | Scope::Operator(_) => Ok(None),
        }
    }

    /// Counts an item that is to be put. One task is bounded in the sandbox, but a run may have tasks without end.
    fn count(&self, namespace: &[String], key: &str, value: &Json) -> Result<(), Failure> {
        let Options {
            max_run_store_items: most_items,
            max_run_store_bytes: most_bytes,
            ..
        } = self.runtime.0.options;
        let bytes = namespace.iter().map(String::len).sum::<usize>() + key.len() + value.len();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let items = self.written.items.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.written.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let what = if items > most_items {
            format!("more than {most_items} items into the store (runtime.max_run_store_items)")
        } else if bytes > most_bytes {
            format!("more than {most_bytes} bytes into the store (runtime.max_run_store_bytes)")
        } else {
            return Ok(());
        };
        let message = format!("the tasks of the run put {what}");
        Err(failure("RunStoreLimitExceeded", message, false))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GetOptions {
    refresh_ttl: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PutOptions {
    /// In minutes.
    ttl: Option<f64>,
    index: Option<Index>,
}

/// `false`, or paths.
#[derive(Deserialize)]
#[serde(untagged)]
enum Index {
    Whether(bool),
    Paths(Vec<String>),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Search {
    filter: Option<Json>,
    query: Option<String>,
    limit: Option<u32>,
    offset: u32,
    refresh_ttl: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Namespaces {
    prefix: Vec<String>,
    suffix: Vec<String>,
    max_depth: Option<u32>,
    limit: Option<u32>,
    offset: u32,
}

#[async_trait]
impl ItemStore for GraphStore {
    async fn get(
        &self,
        namespace: Vec<String>,
        key: String,
        options: Json,
    ) -> Result<Option<Json>, Failure> {
        item::check_namespace(&namespace).map_err(|error| bad_namespace(&error))?;
        let options: GetOptions = read("options", &options)?;
        let _turn = self.call().await?;
        let found = self
            .runtime
            .item(&self.scope, namespace, key, options.refresh_ttl)
            .await;
        Ok(found.map_err(failed)?.as_ref().map(Json::written))
    }

    async fn put(
        &self,
        namespace: Vec<String>,
        key: String,
        value: Json,
        options: Json,
    ) -> Result<(), Failure> {
        item::check_writable_namespace(&namespace).map_err(|error| bad_namespace(&error))?;
        if !value.is_object() {
            return Err(bad_value("the value of an item must be an object"));
        }
        let options: PutOptions = read("options", &options)?;
        let ttl = match options.ttl {
            None => None,
            Some(minutes) => Some(item::lifetime(minutes).ok_or_else(|| {
                bad_value(format!(
                    "ttl: {minutes} is not between 0 and {} minutes",
                    item::LONGEST_TTL_MINUTES
                ))
            })?),
        };
        let parts = indexed_parts(options.index)?;
        self.count(&namespace, &key, &value)?;
        let item = NewItem {
            namespace,
            key,
            value,
            ttl,
            parts,
        };
        let turn = self.call().await?;
        let put = self.runtime.write_item(&self.scope, item).await;
        // Nobody waits for what embeds it but this task.
        drop(turn);
        self.runtime.is_indexed(put.map_err(failed)?).await;
        Ok(())
    }

    async fn delete(&self, namespace: Vec<String>, key: String) -> Result<(), Failure> {
        item::check_namespace(&namespace).map_err(|error| bad_namespace(&error))?;
        let _turn = self.call().await?;
        let deleted = self.runtime.delete_item(&self.scope, namespace, key).await;
        deleted.map(drop).map_err(failed)
    }

    async fn search(&self, prefix: Vec<String>, query: Json) -> Result<Json, Failure> {
        let query: Search = read("query", &query)?;
        let filter = match &query.filter {
            None => ItemFilter::default(),
            Some(filter) => {
                ItemFilter::parse(filter).map_err(|error| bad_value(error.to_string()))?
            }
        };
        let search = ItemSearch {
            prefix,
            filter,
            query: query.query,
            limit: rows(query.limit, 10)?,
            offset: query.offset,
            refresh: query.refresh_ttl,
        };
        let near = self.runtime.near(search.query.as_deref()).await;
        let near = near.map_err(|error| not_embedded(&error))?;
        let _turn = self.scan().await?;
        let found = self
            .runtime
            .search_near(&self.scope, search, near)
            .await
            .map_err(failed)?;
        Ok(Json::written(&found.rows))
    }

    async fn list_namespaces(&self, query: Json) -> Result<Json, Failure> {
        let query: Namespaces = read("query", &query)?;
        let patterns = |labels: Vec<String>| labels.into_iter().map(LabelPattern::from).collect();
        let query = NamespaceQuery {
            prefix: patterns(query.prefix),
            suffix: patterns(query.suffix),
            max_depth: query.max_depth,
            limit: rows(query.limit, 100)?,
            offset: query.offset,
            now: Timestamp::now(),
        };
        let _turn = self.scan().await?;
        let found = self
            .runtime
            .list_namespaces(&self.scope, query)
            .await
            .map_err(failed)?;
        Ok(Json::written(&found))
    }
}

async fn turn(semaphore: &Semaphore) -> Result<SemaphorePermit<'_>, Failure> {
    // It is never closed.
    semaphore
        .acquire()
        .await
        .map_err(|_| unavailable("the server stops"))
}

fn read<T: DeserializeOwned>(what: &str, json: &Json) -> Result<T, Failure> {
    json.decode()
        .map_err(|error| bad_value(format!("{what}: {error}")))
}

fn indexed_parts(index: Option<Index>) -> Result<IndexedParts, Failure> {
    match index {
        None => Ok(IndexedParts::AsConfigured),
        Some(Index::Whether(false)) => Ok(IndexedParts::Nothing),
        Some(Index::Whether(true)) => Err(bad_value("index: true is neither false nor paths")),
        Some(Index::Paths(paths)) => {
            IndexedParts::of_paths(paths).map_err(|error| bad_value(error.to_string()))
        }
    }
}

fn rows(limit: Option<u32>, default: u32) -> Result<u32, Failure> {
    let limit = limit.unwrap_or(default);
    if (1..=MOST_ROWS).contains(&limit) {
        return Ok(limit);
    }
    Err(bad_value(format!(
        "limit: {limit} is not between 1 and {MOST_ROWS}"
    )))
}

fn bad_namespace(error: &item::NamespaceError) -> Failure {
    failure("InvalidNamespaceError", error.to_string(), false)
}

fn bad_value(message: impl Into<String>) -> Failure {
    failure("ValueError", message, false)
}

fn unavailable(message: impl Into<String>) -> Failure {
    failure("StoreUnavailable", message, true)
}

fn not_embedded(error: &EmbedError) -> Failure {
    match error {
        EmbedError::Refused(_) => bad_value("the query cannot be embedded"),
        EmbedError::Unavailable(_) => unavailable("the query cannot be embedded at the moment"),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn failed(error: StorageError) -> Failure {
    match error {
        StorageError::TooLarge { .. } => failure("StoreAnswerTooLarge", error.to_string(), false),
        StorageError::Full
        | StorageError::ReadOnly
        | StorageError::Unavailable(_)
        | StorageError::TooLong
        | StorageError::Overloaded => unavailable(error.to_string()),
        StorageError::Fenced | StorageError::Incompatible(_) | StorageError::Failed(_) => {
            tracing::error!(%error, "a graph's call of the store failed");
            unavailable("the store failed; the server's log says more")
        }
    }
}

fn failure(kind: &str, message: impl Into<String>, retryable: bool) -> Failure {
    Failure {
        kind: kind.into(),
        message: message.into(),
        retryable,
    }
}
