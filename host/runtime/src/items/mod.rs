//! The store over its lifetime: items put, read, kept alive by reading, and swept when their time has come.

pub(crate) mod graph_store;

use std::sync::Arc;
use std::time::Duration;

pub use selvedge_index::EmbedError;
use selvedge_model::item::{FoundItem, IndexedParts, Item};
use selvedge_model::{Json, Scope, Timestamp};
use selvedge_storage::{
    IndexTicket, ItemFilter, ItemQuery, NamespaceQuery, Page, PutItem, StorageError,
};

use crate::{Runtime, Shared};

/// Items that one pass deletes in one transaction; a pass goes on until none is left whose time has come.
const SWEPT_AT_ONCE: u32 = 1_000;

/// How long items stay: `store.ttl`.
#[derive(Clone, Copy, Debug)]
pub struct ItemTtl {
    /// Of items that are put without a lifetime of their own (`default_ttl`); `None`: for ever.
    pub default: Option<Duration>,
    /// Whether reading an item lets its lifetime begin anew, where the reader does not say (`refresh_on_read`).
    pub refresh_on_read: bool,
    /// How often what is over is deleted (`sweep_interval_minutes`). Nobody sees it before that either.
    pub sweep_interval: Duration,
}

impl Default for ItemTtl {
    fn default() -> Self {
        Self {
            default: None,
            refresh_on_read: true,
            sweep_interval: Duration::from_mins(5),
        }
    }
}

/// An item that a caller puts.
#[derive(Clone, Debug)]
pub struct NewItem {
    /// Where: labels from the outermost to the innermost.
    pub namespace: Vec<String>,
    /// Its name there.
    pub key: String,
    /// An object.
    pub value: Json,
    /// How long it stays; `None`: as the operator says.
    pub ttl: Option<Duration>,
    /// Which parts of the value are embedded.
    pub parts: IndexedParts,
}

/// Which items a caller searches for.
#[derive(Clone, Debug)]
pub struct ItemSearch {
    /// In this namespace and below it; empty: anywhere.
    pub prefix: Vec<String>,
    /// That match this.
    pub filter: ItemFilter,
    /// Those first that are nearest to this in meaning, where there is an index.
    pub query: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
    /// Whether their lifetimes begin anew; `None`: as the operator says.
    pub refresh: Option<bool>,
}

/// Why nothing can be said of what was searched for.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// It cannot be embedded.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Runtime {
    /// Puts an item in the place of the one with the same namespace and key. Without a lifetime it gets the default. Where
    /// there is an index, it is found by its meaning when this returns, unless the index is behind.
    pub async fn put_item(&self, scope: &Scope, item: NewItem) -> Result<(), StorageError> {
        let ticket = self.write_item(scope, item).await?;
        self.is_indexed(ticket).await;
        Ok(())
    }

    /// The same, and its vectors are not waited for.
    async fn write_item(
        &self,
        scope: &Scope,
        item: NewItem,
    ) -> Result<Option<IndexTicket>, StorageError> {
        let item = PutItem {
            namespace: item.namespace,
            key: item.key,
            value: item.value,
            ttl: item.ttl.or(self.0.options.item_ttl.default),
            parts: item.parts,
            now: Timestamp::now(),
        };
        self.0.storage.put_item(scope, item).await
    }

    /// Waits for the vectors of an item.
    async fn is_indexed(&self, ticket: Option<IndexTicket>) {
        if let (Some(index), Some(ticket)) = (&self.0.index, ticket) {
            index.was_put(ticket).await;
        }
    }

    /// One item; `refresh` as in [`ItemSearch`].
    pub async fn item(
        &self,
        scope: &Scope,
        namespace: Vec<String>,
        key: String,
        refresh: Option<bool>,
    ) -> Result<Option<Item>, StorageError> {
        let now = Timestamp::now();
        let item = self.0.storage.item(scope, namespace, key, now).await?;
        self.refresh(scope, item.iter(), refresh, now).await;
        Ok(item)
    }

    /// Deletes an item; whether there was one.
    pub async fn delete_item(
        &self,
        scope: &Scope,
        namespace: Vec<String>,
        key: String,
    ) -> Result<bool, StorageError> {
        self.0.storage.delete_item(scope, namespace, key).await
    }

    /// Items that match, and whether there are more.
    pub async fn search_items(
        &self,
        scope: &Scope,
        search: ItemSearch,
    ) -> Result<Page<FoundItem>, SearchError> {
        let near = self.near(search.query.as_deref()).await?;
        Ok(self.search_near(scope, search, near).await?)
    }

    /// The same for what is embedded already.
    async fn search_near(
        &self,
        scope: &Scope,
        search: ItemSearch,
        near: Option<Vec<f32>>,
    ) -> Result<Page<FoundItem>, StorageError> {
        let now = Timestamp::now();
        let query = ItemQuery {
            prefix: search.prefix,
            filter: search.filter,
            near,
            limit: search.limit,
            offset: search.offset,
            now,
        };
        let found = self.0.storage.search_items(scope, query).await?;
        let rows = found.rows.iter().map(|found| &found.item);
        self.refresh(scope, rows, search.refresh, now).await;
        Ok(found)
    }

    /// The vector of what is searched for, where there is an index; without one nothing is compared, as in LangGraph.
    async fn near(&self, query: Option<&str>) -> Result<Option<Vec<f32>>, EmbedError> {
        match (&self.0.index, query) {
            (Some(index), Some(query)) if !query.is_empty() => {
                let embedded = index.embed(query).await.inspect_err(|error| {
                    // What the endpoint says is for the operator.
                    tracing::warn!(%error, "a query of the store cannot be embedded");
                });
                embedded.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Namespaces that hold items and match.
    pub async fn list_namespaces(
        &self,
        scope: &Scope,
        query: NamespaceQuery,
    ) -> Result<Vec<Vec<String>>, StorageError> {
        self.0.storage.list_namespaces(scope, query).await
    }

    /// Most items have no lifetime, and then reading writes nothing.
    async fn refresh(
        &self,
        scope: &Scope,
        read: impl Iterator<Item = &Item>,
        asked: Option<bool>,
        now: Timestamp,
    ) {
        if !asked.unwrap_or(self.0.options.item_ttl.refresh_on_read) {
            return;
        }
        let mortal = read.filter(|item| item.ttl.is_some());
        let names: Vec<(Vec<String>, String)> = mortal
            .map(|item| (item.namespace.clone(), item.key.clone()))
            .collect();
        if names.is_empty() {
            return;
        }
        // What was read is an answer, also while nothing can be written.
        if let Err(error) = self.0.storage.refresh_items(scope, names, now).await {
            tracing::warn!(%error, "items that were read are not kept longer");
        }
    }
}

/// Deletes items whose time has come, now and again, until a shutdown begins.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.draining() => return,
            () = tokio::time::sleep(shared.options.item_ttl.sweep_interval) => {}
        }
        if let Err(error) = sweep_all(&shared).await {
            tracing::warn!(%error, "items of the store whose time has come are still there");
        }
    }
}

async fn sweep_all(shared: &Shared) -> Result<(), StorageError> {
    while !shared.stopping() {
        let swept = shared
            .storage
            .sweep_items(Timestamp::now(), SWEPT_AT_ONCE)
            .await?;
        if swept < u64::from(SWEPT_AT_ONCE) {
            return Ok(());
        }
    }
    Ok(())
}
