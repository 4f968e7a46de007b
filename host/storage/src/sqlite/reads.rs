//! [`Reads`]: each promise is sent to a reader.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use selvedge_model::assistant::Assistant;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::cron::Cron;
use selvedge_model::delivery::NewDelivery;
use selvedge_model::event::{EventId, StoredEvent};
use selvedge_model::item::{FoundItem, Item};
use selvedge_model::run::Run;
use selvedge_model::thread::Thread;
use selvedge_model::{
    AssistantId, CheckpointId, CronId, DeliveryId, RunId, Scope, ThreadId, Timestamp,
};

use super::{
    Sqlite, assistants, crons, deliveries, delivery_records, events, history, item_index, items,
    load, runs, search, threads, ticks, versions,
};
use crate::types::{
    AssistantQuery, CronFilter, CronQuery, DeliveryQuery, DeliveryRecord, DueCrons, EventQuery,
    HistoryQuery, IndexTicket, ItemQuery, NamespaceQuery, Outbox, Page, PendingItem, PendingItems,
    RunQuery, ThreadFilter, ThreadQuery, ThreadStorage, Values, VersionQuery,
};
use crate::{Reads, StorageError};

#[async_trait]
impl Reads for Sqlite {
    async fn assistant(
        &self,
        scope: &Scope,
        id: AssistantId,
    ) -> Result<Option<Assistant>, StorageError> {
        let scope = scope.clone();
        self.readers
            .read(move |conn| assistants::read(conn, &scope, id))
            .await
    }

    async fn search_assistants(
        &self,
        scope: &Scope,
        query: AssistantQuery,
    ) -> Result<Page<Assistant>, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| {
                assistants::search(conn, scope, &query)
            })
            .await
    }

    async fn count_assistants(
        &self,
        scope: &Scope,
        query: AssistantQuery,
    ) -> Result<u64, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| {
                assistants::count(conn, scope, &query)
            })
            .await
    }

    async fn assistant_versions(
        &self,
        scope: &Scope,
        query: VersionQuery,
    ) -> Result<Vec<Assistant>, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| {
                versions::list(conn, scope, &query)
            })
            .await
    }

    async fn thread(
        &self,
        scope: &Scope,
        id: ThreadId,
        values: Values,
    ) -> Result<Option<Thread>, StorageError> {
        let scope = scope.clone();
        self.readers
            .read(move |conn| threads::read(conn, &scope, id, values))
            .await
    }

    async fn search_threads(
        &self,
        scope: &Scope,
        query: ThreadQuery,
    ) -> Result<Page<Thread>, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| {
                search::search(conn, scope, &query)
            })
            .await
    }

    async fn count_threads(
        &self,
        scope: &Scope,
        filter: ThreadFilter,
    ) -> Result<u64, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| {
                search::count(conn, scope, &filter)
            })
            .await
    }

    async fn thread_storage(
        &self,
        scope: &Scope,
        id: ThreadId,
    ) -> Result<Option<ThreadStorage>, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| history::storage(conn, scope, id))
            .await
    }

    async fn checkpoint(
        &self,
        scope: &Scope,
        thread: ThreadId,
        namespace: &str,
        at: Option<CheckpointId>,
    ) -> Result<Option<SavedCheckpoint>, StorageError> {
        let scope = scope.clone();
        let namespace = namespace.to_owned();
        self.readers
            .read(move |conn| load::checkpoint(conn, &scope, thread, &namespace, at))
            .await
    }

    async fn history(
        &self,
        scope: &Scope,
        query: HistoryQuery,
    ) -> Result<Page<SavedCheckpoint>, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| history::read(conn, scope, &query))
            .await
    }

    async fn run(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        id: RunId,
    ) -> Result<Option<Run>, StorageError> {
        let scope = scope.clone();
        self.readers
            .read(move |conn| runs::find(conn, &scope, thread, id))
            .await
    }

    async fn list_runs(&self, scope: &Scope, query: RunQuery) -> Result<Vec<Run>, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| runs::list(conn, scope, &query))
            .await
    }

    async fn count_pending_runs(&self) -> Result<u64, StorageError> {
        self.writer.pending_runs()
    }

    async fn cron(&self, scope: &Scope, id: CronId) -> Result<Option<Cron>, StorageError> {
        let scope = scope.clone();
        self.readers
            .read(move |conn| crons::read(conn, &scope, id))
            .await
    }

    async fn search_crons(
        &self,
        scope: &Scope,
        query: CronQuery,
    ) -> Result<Page<Cron>, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| crons::search(conn, scope, &query))
            .await
    }

    async fn count_crons(&self, scope: &Scope, filter: CronFilter) -> Result<u64, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| crons::count(conn, scope, &filter))
            .await
    }

    async fn count_enabled_crons(&self) -> Result<u64, StorageError> {
        self.readers.read(|conn| crons::count_enabled(conn)).await
    }

    async fn due_crons(
        &self,
        within: RangeInclusive<Timestamp>,
        limit: u32,
    ) -> Result<DueCrons, StorageError> {
        self.readers
            .read(move |conn| ticks::due(conn, &within, limit))
            .await
    }

    async fn events(
        &self,
        scope: &Scope,
        query: EventQuery,
    ) -> Result<Page<StoredEvent>, StorageError> {
        let scope = scope.clone();
        self.readers
            .read(move |conn| events::read(conn, &scope, &query))
            .await
    }

    async fn thread_of_events(
        &self,
        scope: &Scope,
        run: RunId,
    ) -> Result<Option<ThreadId>, StorageError> {
        let scope = scope.clone();
        self.readers
            .read(move |conn| events::thread_of(conn, &scope, run))
            .await
    }

    async fn last_event_id(&self, thread: ThreadId) -> Result<Option<EventId>, StorageError> {
        self.readers
            .read(move |conn| events::last_id(conn, thread))
            .await
    }

    async fn item(
        &self,
        scope: &Scope,
        namespace: Vec<String>,
        key: String,
        now: Timestamp,
    ) -> Result<Option<Item>, StorageError> {
        let scope = scope.clone();
        self.readers
            .read(move |conn| items::read(conn, &scope, &namespace, &key, now))
            .await
    }

    async fn search_items(
        &self,
        scope: &Scope,
        query: ItemQuery,
    ) -> Result<Page<FoundItem>, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| items::search(conn, scope, &query))
            .await
    }

    async fn pending_items(
        &self,
        after: IndexTicket,
        limit: u32,
    ) -> Result<Vec<PendingItem>, StorageError> {
        self.readers
            .read(move |conn| item_index::pending(conn, after, limit))
            .await
    }

    async fn count_pending_items(&self) -> Result<PendingItems, StorageError> {
        self.readers
            .read(|conn| item_index::count_pending(conn))
            .await
    }

    async fn list_namespaces(
        &self,
        scope: &Scope,
        query: NamespaceQuery,
    ) -> Result<Vec<Vec<String>>, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| items::list(conn, scope, &query))
            .await
    }

    async fn deliveries_of_run(
        &self,
        scope: &Scope,
        run: RunId,
    ) -> Result<Vec<DeliveryRecord>, StorageError> {
        let scope = scope.clone();
        self.readers
            .read(move |conn| delivery_records::of_run(conn, &scope, run))
            .await
    }

    async fn delivery(
        &self,
        scope: &Scope,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, StorageError> {
        let scope = scope.clone();
        self.readers
            .read(move |conn| delivery_records::one(conn, &scope, id))
            .await
    }

    async fn delivery_to_send(&self, id: DeliveryId) -> Result<Option<NewDelivery>, StorageError> {
        self.readers
            .read(move |conn| deliveries::to_send(conn, id))
            .await
    }

    async fn list_deliveries(
        &self,
        scope: &Scope,
        query: DeliveryQuery,
    ) -> Result<Page<DeliveryRecord>, StorageError> {
        self.readers
            .walk(scope, move |conn, scope| {
                delivery_records::list(conn, scope, &query)
            })
            .await
    }

    async fn outbox(&self) -> Result<Outbox, StorageError> {
        self.readers
            .read(|conn| delivery_records::outbox(conn))
            .await
    }

    async fn check(&self) -> Result<(), StorageError> {
        self.writer.check()?;
        self.readers
            .read(|conn| {
                conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
                Ok(())
            })
            .await
    }
}
