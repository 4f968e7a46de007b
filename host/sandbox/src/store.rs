//! The long-term store as a guest reaches it: each call is counted and bounded here, and answered by the runtime.

use std::future::Future;

use async_trait::async_trait;
use selvedge_model::Json;
use selvedge_pregel::Failure;
use tokio::runtime::Handle;

use crate::bound::{Bound, Exceeded};
use crate::guest::{GuestFailure, StoreImport, TaskState};
use crate::spawned::Spawned;

/// Carries out what a task asks of the store; a refusal is for the node to deal with. A call whose task has ended is dropped, which need not undo it.
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
        let items = self.items.clone();
        let found = on_host(&self.host, async move {
            items.get(namespace, key, options).await
        });
        Ok(found.await.map(|item| item.map(text)))
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
        self.count_stored(&namespace, &key, &value)?;
        let options = self.take_json("the options of store.put", options)?;
        let items = self.items.clone();
        let put = on_host(&self.host, async move {
            items.put(namespace, key, value, options).await
        });
        Ok(put.await)
    }

    async fn delete(
        &mut self,
        namespace: Vec<String>,
        key: String,
    ) -> wasmtime::Result<Result<(), GuestFailure>> {
        self.begin_call(&namespace, &key)?;
        let items = self.items.clone();
        let deleted = on_host(
            &self.host,
            async move { items.delete(namespace, key).await },
        );
        Ok(deleted.await)
    }

    async fn search(
        &mut self,
        prefix: Vec<String>,
        query: String,
    ) -> wasmtime::Result<Result<String, GuestFailure>> {
        self.begin_call(&prefix, "")?;
        let query = self.take_json("the query of store.search", query)?;
        let items = self.items.clone();
        let found = on_host(&self.host, async move { items.search(prefix, query).await });
        Ok(found.await.map(text))
    }

    async fn list_namespaces(
        &mut self,
        query: String,
    ) -> wasmtime::Result<Result<String, GuestFailure>> {
        self.begin_call(&[], "")?;
        let query = self.take_json("the query of store.list-namespaces", query)?;
        let items = self.items.clone();
        let found = on_host(
            &self.host,
            async move { items.list_namespaces(query).await },
        );
        Ok(found.await.map(text))
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
                Bound::StoreCalls,
                format_args!("the task called the store more than {most} times"),
            )
            .into());
        }
        let (bytes, limit) = (name_bytes(namespace, key), self.limits.output_bytes);
        if bytes > limit {
            return Err(Exceeded::new(
                Bound::Output,
                format_args!("the name of an item has {bytes} bytes, more than {limit}"),
            )
            .into());
        }
        Ok(())
    }

    /// Counts what is put, whatever becomes of it: an item that replaces another costs the same work.
    fn count_stored(
        &mut self,
        namespace: &[String],
        key: &str,
        value: &Json,
    ) -> wasmtime::Result<()> {
        let bytes = name_bytes(namespace, key).saturating_add(value.len());
        self.stored_bytes = self.stored_bytes.saturating_add(bytes);
        let most = self.limits.store_bytes;
        if self.stored_bytes > most {
            return Err(Exceeded::new(
                Bound::StoreBytes,
                format_args!("the task put more than {most} bytes into the store"),
            )
            .into());
        }
        Ok(())
    }
}

fn name_bytes(namespace: &[String], key: &str) -> usize {
    let labels: usize = namespace.iter().map(String::len).sum();
    labels.saturating_add(key.len())
}

/// Carries out a call on the host's runtime: what it holds while it waits must not depend on when a guest's thread is
/// free again.
async fn on_host<T: Send + 'static>(
    host: &Handle,
    call: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, GuestFailure> {
    let answer = Spawned(host.spawn(call)).await;
    answer
        .unwrap_or_else(|error| Err(unavailable(format!("the call failed: {error}"))))
        .map_err(GuestFailure::from)
}

/// The bindings want a `String`; the copy is small beside the one into the guest's memory.
#[allow(clippy::needless_pass_by_value, reason = "the form that map wants")]
fn text(json: Json) -> String {
    json.as_str().to_owned()
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
    unavailable("there is no store here".into())
}

fn unavailable(message: String) -> Failure {
    Failure {
        kind: "StoreUnavailable".into(),
        message,
        retryable: true,
    }
}
