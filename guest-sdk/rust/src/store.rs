//! The long-term store: items that threads share, and graphs with the outside (`/store/items`). A graph that does not
//! use it does not import it.
//!
//! In native tests it is a [`MemoryStore`](crate::testing::MemoryStore).

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod native;

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[cfg(target_arch = "wasm32")]
use component as backend;
#[cfg(not(target_arch = "wasm32"))]
use native as backend;

use crate::context::Context;
use crate::error::NodeError;

/// The store, from [`Context::store`].
///
/// An item has a namespace (labels from the outermost to the innermost), a key, and a value that serialises to an
/// object. Writes take effect at once and stay, whatever becomes of the node and its run: a node that is tried again
/// writes again.
///
/// Every call may fail with `InvalidNamespaceError` (a label that is empty or has a period, no label at all, or
/// `langgraph` as the first one of a write), `ValueError`, or `StoreUnavailable`, which is retryable.
///
/// ```
/// # use selvedge_sdk::prelude::*;
/// #[derive(Serialize, Deserialize)]
/// struct Fact {
///     text: String,
/// }
///
/// # #[derive(State, Serialize, Deserialize, JsonSchema)] struct Chat { user: String, known: Vec<String> }
/// fn remember(state: Chat, ctx: &Context) -> NodeResult<Chat> {
///     let facts = ["facts", &state.user];
///     ctx.store().put(facts, "tea", &Fact { text: "likes tea".into() })?;
///     let known = ctx.store().search(facts).limit(20).items::<Fact>()?;
///     Ok(Chat::update().known(known.into_iter().map(|item| item.value.text).collect::<Vec<_>>()))
/// }
/// # let fake = selvedge_sdk::testing::Fake::new();
/// # let update = remember(Chat { user: "ada".into(), known: vec![] }, fake.ctx()).unwrap();
/// # assert_eq!(update.written::<Vec<String>>("known").unwrap(), ["likes tea"]);
/// ```
#[derive(Clone, Copy)]
pub struct Store<'a> {
    ctx: &'a Context,
}

/// An item of the store.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Item<T> {
    /// Where it is: labels from the outermost to the innermost.
    pub namespace: Vec<String>,
    /// Its name there.
    pub key: String,
    /// What it holds.
    pub value: T,
    /// When it was first put, as RFC 3339.
    pub created_at: String,
    /// When it was last put, as RFC 3339.
    pub updated_at: String,
    /// Of an item that was found by its [meaning](Search::query): how near it is, from -1 to 1. `None` of any other, and
    /// of one that is not embedded, or not yet.
    #[serde(default)]
    pub score: Option<f64>,
}

/// How an item is put, other than for as long as the operator says and embedded as the operator says.
#[derive(Clone, Debug, Default)]
pub struct PutOptions(Map<String, Value>);

impl PutOptions {
    /// As the operator says.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// It stays for so long after it was last put or read.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        let minutes = lifetime.as_secs_f64() / 60.0;
        self.0.insert("ttl".to_owned(), minutes.into());
        self
    }

    /// It is found by the meaning of these parts of its value: `"$"` for all of it, or paths like `"a.b[*].c"`.
    #[must_use]
    pub fn index(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.insert("index".to_owned(), labels(paths).into());
        self
    }

    /// It is not found by its meaning.
    #[must_use]
    pub fn unindexed(mut self) -> Self {
        self.0.insert("index".to_owned(), false.into());
        self
    }
}

impl<'a> Store<'a> {
    pub(crate) fn new(ctx: &'a Context) -> Self {
        Self { ctx }
    }

    /// One item, or nothing.
    ///
    /// # Errors
    /// As all calls; `InvalidItem` if the value does not have the form of `T`.
    pub fn get<T: DeserializeOwned>(
        self,
        namespace: impl IntoIterator<Item = impl Into<String>>,
        key: &str,
    ) -> Result<Option<Item<T>>, NodeError> {
        let found = backend::get(self.ctx, &labels(namespace), key, "{}")?;
        found.map(|item| read(&item)).transpose()
    }

    /// Puts an item in the place of the one with the same namespace and key. It stays as long as the operator's
    /// `store.ttl.default_ttl` says: for ever, unless that is set. Where the operator has a `store.index`, it is found by
    /// its meaning afterwards.
    ///
    /// # Errors
    /// As all calls.
    pub fn put(
        self,
        namespace: impl IntoIterator<Item = impl Into<String>>,
        key: &str,
        value: &impl Serialize,
    ) -> Result<(), NodeError> {
        self.put_with(namespace, key, value, &PutOptions::new())
    }

    /// As [`put`](Self::put), with options.
    ///
    /// # Errors
    /// As all calls.
    pub fn put_with(
        self,
        namespace: impl IntoIterator<Item = impl Into<String>>,
        key: &str,
        value: &impl Serialize,
        options: &PutOptions,
    ) -> Result<(), NodeError> {
        let value = serde_json::to_string(value)?;
        let options = serde_json::to_string(&options.0)?;
        backend::put(self.ctx, &labels(namespace), key, &value, &options)
    }

    /// Deletes an item, if there is one.
    ///
    /// # Errors
    /// As all calls.
    pub fn delete(
        self,
        namespace: impl IntoIterator<Item = impl Into<String>>,
        key: &str,
    ) -> Result<(), NodeError> {
        backend::delete(self.ctx, &labels(namespace), key)
    }

    /// The items in a namespace and below it, in the order of namespace and key unless they are searched for by their
    /// [meaning](Search::query): at most ten, unless
    /// [`limit`](Search::limit) says otherwise. No labels mean everywhere.
    pub fn search(self, prefix: impl IntoIterator<Item = impl Into<String>>) -> Search<'a> {
        Search {
            ctx: self.ctx,
            prefix: labels(prefix),
            query: Map::new(),
        }
    }

    /// The namespaces that hold items, in order: at most a hundred, unless [`limit`](Namespaces::limit) says
    /// otherwise.
    pub fn namespaces(self) -> Namespaces<'a> {
        Namespaces {
            ctx: self.ctx,
            query: Map::new(),
        }
    }
}

/// A search that is being put together.
#[must_use = "a search does nothing until its items are asked for"]
pub struct Search<'a> {
    ctx: &'a Context,
    prefix: Vec<String>,
    query: Map<String, Value>,
}

impl Search<'_> {
    /// Only items whose values have these members: `json!({"kind": "fact", "weight": {"$gt": 3}})`. The operators are
    /// `$eq`, `$ne`, `$gt`, `$gte`, `$lt` and `$lte`.
    pub fn filter(mut self, filter: Value) -> Self {
        self.query.insert("filter".to_owned(), filter);
        self
    }

    /// Those first that are nearest to this in meaning, each with a [score](Item::score), and behind them those that are
    /// not embedded. Of no effect where the operator has no `store.index`, and in native tests.
    pub fn query(mut self, query: impl Into<String>) -> Self {
        let query: String = query.into();
        self.query.insert("query".to_owned(), query.into());
        self
    }

    /// At most so many, 1 to 1,000.
    pub fn limit(mut self, limit: u32) -> Self {
        self.query.insert("limit".to_owned(), limit.into());
        self
    }

    /// After so many.
    pub fn offset(mut self, offset: u32) -> Self {
        self.query.insert("offset".to_owned(), offset.into());
        self
    }

    /// Whether their lifetimes begin anew; the operator's `store.ttl.refresh_on_read` if this is not called.
    pub fn refresh(mut self, refresh: bool) -> Self {
        self.query.insert("refresh_ttl".to_owned(), refresh.into());
        self
    }

    /// The items.
    ///
    /// # Errors
    /// As all calls of the store; `StoreAnswerTooLarge` if they do not fit into one answer, `InvalidItem` if a value
    /// does not have the form of `T`.
    pub fn items<T: DeserializeOwned>(self) -> Result<Vec<Item<T>>, NodeError> {
        let query = Value::Object(self.query).to_string();
        read(&backend::search(self.ctx, &self.prefix, &query)?)
    }
}

/// A list of namespaces that is being put together.
#[must_use = "it does nothing until the list is asked for"]
pub struct Namespaces<'a> {
    ctx: &'a Context,
    query: Map<String, Value>,
}

impl Namespaces<'_> {
    /// That begin with these labels; `*` stands for any one.
    pub fn prefix(mut self, prefix: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.query
            .insert("prefix".to_owned(), labels(prefix).into());
        self
    }

    /// That end with these labels; `*` stands for any one.
    pub fn suffix(mut self, suffix: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.query
            .insert("suffix".to_owned(), labels(suffix).into());
        self
    }

    /// Cut down to so many labels, and each once.
    pub fn max_depth(mut self, depth: u32) -> Self {
        self.query.insert("max_depth".to_owned(), depth.into());
        self
    }

    /// At most so many, 1 to 1,000.
    pub fn limit(mut self, limit: u32) -> Self {
        self.query.insert("limit".to_owned(), limit.into());
        self
    }

    /// After so many.
    pub fn offset(mut self, offset: u32) -> Self {
        self.query.insert("offset".to_owned(), offset.into());
        self
    }

    /// The namespaces.
    ///
    /// # Errors
    /// As all calls of the store.
    pub fn list(self) -> Result<Vec<Vec<String>>, NodeError> {
        let query = Value::Object(self.query).to_string();
        read(&backend::list_namespaces(self.ctx, &query)?)
    }
}

fn labels(namespace: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    namespace.into_iter().map(Into::into).collect()
}

fn read<T: DeserializeOwned>(answer: &str) -> Result<T, NodeError> {
    serde_json::from_str(answer).map_err(|error| NodeError::new("InvalidItem", error))
}
