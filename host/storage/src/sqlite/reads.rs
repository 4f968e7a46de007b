//! [`Reads`]: each promise is sent to a reader.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use selvedge_model::assistant::Assistant;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::cron::Cron;
use selvedge_model::delivery::NewDelivery;
use selvedge_model::event::{EventId, StoredEvent};
use selvedge_model::item::Item;
use selvedge_model::run::Run;
use selvedge_model::thread::Thread;
use selvedge_model::{AssistantId, CheckpointId, CronId, DeliveryId, RunId, ThreadId, Timestamp};

use super::{
    Sqlite, assistants, crons, deliveries, delivery_records, events, history, items, load, runs,
    search, threads, ticks, versions,
};
use crate::types::{
    AssistantQuery, CronFilter, CronQuery, DeliveryQuery, DeliveryRecord, DueCrons, EventQuery,
    HistoryQuery, ItemQuery, NamespaceQuery, Outbox, Page, RunQuery, ThreadFilter, ThreadQuery,
    ThreadStorage, Values, VersionQuery,
};
use crate::{Reads, StorageError};

#[async_trait]
impl Reads for Sqlite {
    async fn assistant(&self, id: AssistantId) -> Result<Option<Assistant>, StorageError> {
        self.readers
            .read(move |conn| assistants::read(conn, id))
            .await
    }

    async fn search_assistants(
        &self,
        query: AssistantQuery,
    ) -> Result<Page<Assistant>, StorageError> {
        self.readers
            .walk(move |conn| assistants::search(conn, &query))
            .await
    }

    async fn count_assistants(&self, query: AssistantQuery) -> Result<u64, StorageError> {
        self.readers
            .walk(move |conn| assistants::count(conn, &query))
            .await
    }

    async fn assistant_versions(
        &self,
        query: VersionQuery,
    ) -> Result<Vec<Assistant>, StorageError> {
        self.readers
            .read(move |conn| versions::list(conn, &query))
            .await
    }

    async fn thread(&self, id: ThreadId, values: Values) -> Result<Option<Thread>, StorageError> {
        self.readers
            .read(move |conn| threads::read(conn, id, values))
            .await
    }

    async fn search_threads(&self, query: ThreadQuery) -> Result<Page<Thread>, StorageError> {
        self.readers
            .walk(move |conn| search::search(conn, &query))
            .await
    }

    async fn count_threads(&self, filter: ThreadFilter) -> Result<u64, StorageError> {
        self.readers
            .walk(move |conn| search::count(conn, &filter))
            .await
    }

    async fn thread_storage(&self, id: ThreadId) -> Result<Option<ThreadStorage>, StorageError> {
        self.readers
            .walk(move |conn| history::storage(conn, id))
            .await
    }

    async fn checkpoint(
        &self,
        thread: ThreadId,
        namespace: &str,
        at: Option<CheckpointId>,
    ) -> Result<Option<SavedCheckpoint>, StorageError> {
        let namespace = namespace.to_owned();
        self.readers
            .read(move |conn| load::checkpoint(conn, thread, &namespace, at))
            .await
    }

    async fn history(&self, query: HistoryQuery) -> Result<Page<SavedCheckpoint>, StorageError> {
        self.readers
            .walk(move |conn| history::read(conn, &query))
            .await
    }

    async fn run(&self, thread: Option<ThreadId>, id: RunId) -> Result<Option<Run>, StorageError> {
        self.readers
            .read(move |conn| runs::find(conn, thread, id))
            .await
    }

    async fn list_runs(&self, query: RunQuery) -> Result<Vec<Run>, StorageError> {
        self.readers
            .read(move |conn| runs::list(conn, &query))
            .await
    }

    async fn count_pending_runs(&self) -> Result<u64, StorageError> {
        self.writer.pending_runs()
    }

    async fn cron(&self, id: CronId) -> Result<Option<Cron>, StorageError> {
        self.readers.read(move |conn| crons::read(conn, id)).await
    }

    async fn search_crons(&self, query: CronQuery) -> Result<Page<Cron>, StorageError> {
        self.readers
            .walk(move |conn| crons::search(conn, &query))
            .await
    }

    async fn count_crons(&self, filter: CronFilter) -> Result<u64, StorageError> {
        self.readers
            .walk(move |conn| crons::count(conn, &filter))
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

    async fn events(&self, query: EventQuery) -> Result<Page<StoredEvent>, StorageError> {
        self.readers
            .read(move |conn| events::read(conn, &query))
            .await
    }

    async fn thread_of_events(&self, run: RunId) -> Result<Option<ThreadId>, StorageError> {
        self.readers
            .read(move |conn| events::thread_of(conn, run))
            .await
    }

    async fn last_event_id(&self, thread: ThreadId) -> Result<Option<EventId>, StorageError> {
        self.readers
            .read(move |conn| events::last_id(conn, thread))
            .await
    }

    async fn item(
        &self,
        namespace: Vec<String>,
        key: String,
        now: Timestamp,
    ) -> Result<Option<Item>, StorageError> {
        self.readers
            .read(move |conn| items::read(conn, &namespace, &key, now))
            .await
    }

    async fn search_items(&self, query: ItemQuery) -> Result<Page<Item>, StorageError> {
        self.readers
            .walk(move |conn| items::search(conn, &query))
            .await
    }

    async fn list_namespaces(
        &self,
        query: NamespaceQuery,
    ) -> Result<Vec<Vec<String>>, StorageError> {
        self.readers
            .walk(move |conn| items::list(conn, &query))
            .await
    }

    async fn deliveries_of_run(&self, run: RunId) -> Result<Vec<DeliveryRecord>, StorageError> {
        self.readers
            .read(move |conn| delivery_records::of_run(conn, run))
            .await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>, StorageError> {
        self.readers
            .read(move |conn| delivery_records::one(conn, id))
            .await
    }

    async fn delivery_to_send(&self, id: DeliveryId) -> Result<Option<NewDelivery>, StorageError> {
        self.readers
            .read(move |conn| deliveries::to_send(conn, id))
            .await
    }

    async fn list_deliveries(
        &self,
        query: DeliveryQuery,
    ) -> Result<Page<DeliveryRecord>, StorageError> {
        self.readers
            .read(move |conn| delivery_records::list(conn, &query))
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
