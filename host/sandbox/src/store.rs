//! The long-term store as a guest reaches it: each call is counted and bounded here, and answered by the runtime.

use async_trait::async_trait;
use selvedge_model::Json;
use selvedge_pregel::Failure;

use crate::guest::{GuestFailure, StoreImport, TaskState};
use crate::meter::Exceeded;

/// Carries out what a task asks of the store; a refusal is for the node to deal with. Awaited on a guest thread: never
/// block in it. A call whose task has ended is dropped, which need not undo it.
#[async_trait]
pub trait ItemStore: Send + Sync {
    /// One item, as callers see it.
    async fn get(
        &self,
        namespace: Vec<String>,
        key: String,
        options: Json,
    ) -> Result<Option<Json>, Failure>;
    /// Puts an item in the place of the one with the same name.
    async fn put(
        &self,
        namespace: Vec<String>,
        key: String,
        value: Json,
        options: Json,
    ) -> Result<(), Failure>;
    /// Deletes an item, if there is one.
    async fn delete(&self, namespace: Vec<String>, key: String) -> Result<(), Failure>;
    /// An array of the items that match.
    async fn search(&self, prefix: Vec<String>, query: Json) -> Result<Json, Failure>;
    /// An array of the namespaces that match.
    async fn list_namespaces(&self, query: Json) -> Result<Json, Failure>;
}

impl StoreImport for TaskState {
    async fn get(
        &mut self,
        namespace: Vec<String>,
        key: String,
        options: String,
    ) -> wasmtime::Result<Result<Option<String>, GuestFailure>> {
        self.begin_call(&namespace, &key)?;
        let options = self.take_json("the options of store.get", options)?;
        let found = self.items.get(namespace, key, options).await;
        Ok(found
            .map(|item| item.map(|item| item.as_str().to_owned()))
            .map_err(refusal))
    }

    async fn put(
        &mut self,
        namespace: Vec<String>,
        key: String,
        value: String,
        options: String,
    ) -> wasmtime::Result<Result<(), GuestFailure>> {
        self.begin_call(&namespace, &key)?;
        let value = self.take_json("the value of store.put", value)?;
        let options = self.take_json("the options of store.put", options)?;
        let put = self.items.put(namespace, key, value, options).await;
        Ok(put.map_err(refusal))
    }

    async fn delete(
        &mut self,
        namespace: Vec<String>,
        key: String,
    ) -> wasmtime::Result<Result<(), GuestFailure>> {
        self.begin_call(&namespace, &key)?;
        Ok(self.items.delete(namespace, key).await.map_err(refusal))
    }

    async fn search(
        &mut self,
        prefix: Vec<String>,
        query: String,
    ) -> wasmtime::Result<Result<String, GuestFailure>> {
        self.begin_call(&prefix, "")?;
        let query = self.take_json("the query of store.search", query)?;
        let found = self.items.search(prefix, query).await;
        Ok(found
            .map(|items| items.as_str().to_owned())
            .map_err(refusal))
    }

    async fn list_namespaces(
        &mut self,
        query: String,
    ) -> wasmtime::Result<Result<String, GuestFailure>> {
        self.begin_call(&[], "")?;
        let query = self.take_json("the query of store.list-namespaces", query)?;
        let found = self.items.list_namespaces(query).await;
        Ok(found
            .map(|namespaces| namespaces.as_str().to_owned())
            .map_err(refusal))
    }
}

impl TaskState {
    /// Counts a call, and weighs the name that it is about: what the host is handed must not grow without bound.
    fn begin_call(&mut self, namespace: &[String], key: &str) -> wasmtime::Result<()> {
        self.progress.made();
        self.store_calls = self.store_calls.saturating_add(1);
        let most = self.limits.store_calls;
        if self.store_calls > most {
            return Err(Exceeded::new(
                "StoreCallLimitExceeded",
                format!("the task called the store more than {most} times (sandbox.store_calls)"),
            )
            .into());
        }
        let labels: usize = namespace.iter().map(String::len).sum();
        let (bytes, limit) = (labels.saturating_add(key.len()), self.limits.output_bytes);
        if bytes > limit {
            return Err(Exceeded::new(
                "OutputLimitExceeded",
                format!(
                    "the name of an item has {bytes} bytes, more than {limit} (sandbox.output_bytes)"
                ),
            )
            .into());
        }
        Ok(())
    }
}

/// No store at all: for a component that is asked what it is made of, whose answer must not depend on any item.
pub struct NoStore;

#[async_trait]
impl ItemStore for NoStore {
    async fn get(&self, _: Vec<String>, _: String, _: Json) -> Result<Option<Json>, Failure> {
        Err(no_store())
    }

    async fn put(&self, _: Vec<String>, _: String, _: Json, _: Json) -> Result<(), Failure> {
        Err(no_store())
    }

    async fn delete(&self, _: Vec<String>, _: String) -> Result<(), Failure> {
        Err(no_store())
    }

    async fn search(&self, _: Vec<String>, _: Json) -> Result<Json, Failure> {
        Err(no_store())
    }

    async fn list_namespaces(&self, _: Json) -> Result<Json, Failure> {
        Err(no_store())
    }
}

fn no_store() -> Failure {
    Failure {
        kind: "StoreUnavailable".into(),
        message: "there is no store here".into(),
        retryable: false,
    }
}

fn refusal(failure: Failure) -> GuestFailure {
    GuestFailure {
        kind: failure.kind,
        message: failure.message,
        retryable: failure.retryable,
    }
}
