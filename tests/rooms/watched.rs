//! Storage that a test looks over the shoulder of: what it is asked to write, and the end of a run held until the test
//! lets it through.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use selvedge_model::assistant::Assistant;
use selvedge_model::cancel::CancelRequest;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::cron::Cron;
use selvedge_model::delivery::{Attempt, NewDelivery, PutOff, Verdict};
use selvedge_model::event::{EventId, StoredEvent};
use selvedge_model::item::{FoundItem, Item};
use selvedge_model::run::{Lease, Run, RunStatus};
use selvedge_model::thread::Thread;
use selvedge_model::{
    AssistantId, Caller, CheckpointId, CronId, DeliveryId, RunId, Scope, ThreadId, Timestamp,
};
use selvedge_storage::sqlite::Sqlite;
use selvedge_storage::{
    Admission, AssistantPatch, AssistantQuery, Batch, CancelRuns, Cancelled, Claims, CronFilter,
    CronInsert, CronQuery, CronReplace, CronTick, DeliveryQuery, DeliveryRecord, DueCrons,
    DueDeliveries, EventQuery, Finish, GoneThread, HistoryQuery, IndexTicket, IndexedItem, Insert,
    ItemQuery, LastWords, NamespaceQuery, NewRun, NewThread, Outbox, Page, PendingItem,
    PendingItems, Prune, Pruned, PutItem, Reads, Recovery, Redeliver, RunEnd, RunQuery, Share,
    StepCommit, Storage, StorageError, Swept, ThreadFilter, ThreadPatch, ThreadQuery,
    ThreadStorage, ThreadUpdate, Ticked, Truncate, Updated, Values, VersionQuery,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// Something that a run writes.
pub enum Write {
    Step,
    /// Goes on once it is told how.
    End(Box<RunEnd>, oneshot::Sender<Then>),
}

/// What is to become of the end of a run.
pub enum Then {
    Stored,
    Failed,
}

/// A step on the way from a due time to its run, and from the end of a run to the record of its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The scheduler is about to look for crons that are due.
    Looking,
    /// It knows what there is.
    Looked,
    /// It has found some, and nothing is stored.
    Firing,
    /// Their runs are stored, and nobody executes them.
    Fired,
    /// The run has come to its end, and nothing of that is stored.
    Ending,
    /// The end is stored with its delivery, and nobody knows.
    Ended,
    /// The worker is about to look for what is due.
    Claiming,
    /// It has got a delivery, and nothing is sent.
    Claimed,
    /// The receiver has answered, and that is not recorded.
    Answered,
    /// It is recorded.
    Recorded,
}

/// Is told of each step before the next.
pub type Observer = Arc<dyn Fn(Step) + Send + Sync>;

pub struct Watched {
    inner: Arc<Sqlite>,
    observer: Observer,
    writes: UnboundedSender<Write>,
    /// Whether steps are refused as by a disk that is away.
    pub steps_fail: Arc<AtomicBool>,
    /// The cron whose runs are refused as by an index that is damaged, with whatever is written beside them.
    pub unstorable: Arc<Mutex<Option<CronId>>>,
}

impl Watched {
    pub fn new(inner: Arc<Sqlite>, observer: Observer) -> (Self, UnboundedReceiver<Write>) {
        let (writes, seen) = unbounded_channel();
        let watched = Self {
            inner,
            observer,
            writes,
            steps_fail: Arc::default(),
            unstorable: Arc::default(),
        };
        (watched, seen)
    }
}

#[async_trait]
impl Reads for Watched {
    async fn assistant(
        &self,
        scope: &Scope,
        id: AssistantId,
    ) -> Result<Option<Assistant>, StorageError> {
        self.inner.assistant(scope, id).await
    }

    async fn search_assistants(
        &self,
        scope: &Scope,
        query: AssistantQuery,
    ) -> Result<Page<Assistant>, StorageError> {
        self.inner.search_assistants(scope, query).await
    }

    async fn thread(
        &self,
        scope: &Scope,
        id: ThreadId,
        values: Values,
    ) -> Result<Option<Thread>, StorageError> {
        self.inner.thread(scope, id, values).await
    }

    async fn checkpoint(
        &self,
        scope: &Scope,
        thread: ThreadId,
        namespace: &str,
        at: Option<CheckpointId>,
    ) -> Result<Option<SavedCheckpoint>, StorageError> {
        self.inner.checkpoint(scope, thread, namespace, at).await
    }

    async fn run(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        id: RunId,
    ) -> Result<Option<Run>, StorageError> {
        self.inner.run(scope, thread, id).await
    }

    async fn list_runs(&self, scope: &Scope, query: RunQuery) -> Result<Vec<Run>, StorageError> {
        self.inner.list_runs(scope, query).await
    }

    async fn count_pending_runs(&self) -> Result<u64, StorageError> {
        self.inner.count_pending_runs().await
    }

    async fn cron(&self, scope: &Scope, id: CronId) -> Result<Option<Cron>, StorageError> {
        self.inner.cron(scope, id).await
    }

    async fn search_crons(
        &self,
        scope: &Scope,
        query: CronQuery,
    ) -> Result<Page<Cron>, StorageError> {
        self.inner.search_crons(scope, query).await
    }

    async fn count_crons(&self, scope: &Scope, filter: CronFilter) -> Result<u64, StorageError> {
        self.inner.count_crons(scope, filter).await
    }

    async fn count_enabled_crons(&self) -> Result<u64, StorageError> {
        self.inner.count_enabled_crons().await
    }

    async fn due_crons(
        &self,
        within: RangeInclusive<Timestamp>,
        limit: u32,
    ) -> Result<DueCrons, StorageError> {
        (self.observer)(Step::Looking);
        let found = self.inner.due_crons(within, limit).await;
        (self.observer)(Step::Looked);
        found
    }

    async fn deliveries_of_run(
        &self,
        scope: &Scope,
        run: RunId,
    ) -> Result<Vec<DeliveryRecord>, StorageError> {
        self.inner.deliveries_of_run(scope, run).await
    }

    async fn delivery(
        &self,
        scope: &Scope,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, StorageError> {
        self.inner.delivery(scope, id).await
    }

    async fn list_deliveries(
        &self,
        scope: &Scope,
        query: DeliveryQuery,
    ) -> Result<Page<DeliveryRecord>, StorageError> {
        self.inner.list_deliveries(scope, query).await
    }

    async fn delivery_to_send(&self, id: DeliveryId) -> Result<Option<NewDelivery>, StorageError> {
        self.inner.delivery_to_send(id).await
    }

    async fn outbox(&self) -> Result<Outbox, StorageError> {
        self.inner.outbox().await
    }

    async fn check(&self) -> Result<(), StorageError> {
        self.inner.check().await
    }

    async fn count_assistants(
        &self,
        scope: &Scope,
        query: AssistantQuery,
    ) -> Result<u64, StorageError> {
        self.inner.count_assistants(scope, query).await
    }

    async fn assistant_versions(
        &self,
        scope: &Scope,
        query: VersionQuery,
    ) -> Result<Vec<Assistant>, StorageError> {
        self.inner.assistant_versions(scope, query).await
    }

    async fn search_threads(
        &self,
        scope: &Scope,
        query: ThreadQuery,
    ) -> Result<Page<Thread>, StorageError> {
        self.inner.search_threads(scope, query).await
    }

    async fn count_threads(
        &self,
        scope: &Scope,
        filter: ThreadFilter,
    ) -> Result<u64, StorageError> {
        self.inner.count_threads(scope, filter).await
    }

    async fn thread_storage(
        &self,
        scope: &Scope,
        id: ThreadId,
    ) -> Result<Option<ThreadStorage>, StorageError> {
        self.inner.thread_storage(scope, id).await
    }

    async fn history(
        &self,
        scope: &Scope,
        query: HistoryQuery,
    ) -> Result<Page<SavedCheckpoint>, StorageError> {
        self.inner.history(scope, query).await
    }

    async fn events(
        &self,
        scope: &Scope,
        query: EventQuery,
    ) -> Result<Page<StoredEvent>, StorageError> {
        self.inner.events(scope, query).await
    }

    async fn thread_of_events(
        &self,
        scope: &Scope,
        run: RunId,
    ) -> Result<Option<ThreadId>, StorageError> {
        self.inner.thread_of_events(scope, run).await
    }

    async fn last_event_id(&self, thread: ThreadId) -> Result<Option<EventId>, StorageError> {
        self.inner.last_event_id(thread).await
    }

    async fn item(
        &self,
        scope: &Scope,
        namespace: Vec<String>,
        key: String,
        now: Timestamp,
    ) -> Result<Option<Item>, StorageError> {
        self.inner.item(scope, namespace, key, now).await
    }

    async fn search_items(
        &self,
        scope: &Scope,
        query: ItemQuery,
    ) -> Result<Page<FoundItem>, StorageError> {
        self.inner.search_items(scope, query).await
    }

    async fn pending_items(
        &self,
        after: IndexTicket,
        limit: u32,
    ) -> Result<Vec<PendingItem>, StorageError> {
        self.inner.pending_items(after, limit).await
    }

    async fn count_pending_items(&self) -> Result<PendingItems, StorageError> {
        self.inner.count_pending_items().await
    }

    async fn list_namespaces(
        &self,
        scope: &Scope,
        query: NamespaceQuery,
    ) -> Result<Vec<Vec<String>>, StorageError> {
        self.inner.list_namespaces(scope, query).await
    }
}

#[async_trait]
impl Storage for Watched {
    async fn ensure_assistants(&self, defaults: Vec<Assistant>) -> Result<(), StorageError> {
        self.inner.ensure_assistants(defaults).await
    }

    async fn create_thread(
        &self,
        scope: &Scope,
        thread: NewThread,
        state: Option<ThreadUpdate>,
    ) -> Result<Insert<Thread>, StorageError> {
        self.inner.create_thread(scope, thread, state).await
    }

    async fn delete_thread(
        &self,
        scope: &Scope,
        id: ThreadId,
    ) -> Result<Option<GoneThread>, StorageError> {
        self.inner.delete_thread(scope, id).await
    }

    async fn admit_run(&self, scope: &Scope, run: NewRun) -> Result<Admission, StorageError> {
        self.inner.admit_run(scope, run).await
    }

    async fn claim_runs(
        &self,
        now: Timestamp,
        limit: usize,
        share: Option<Share>,
    ) -> Result<Claims, StorageError> {
        self.inner.claim_runs(now, limit, share).await
    }

    async fn commit_step(&self, lease: Lease, step: StepCommit) -> Result<(), StorageError> {
        let _ = self.writes.send(Write::Step);
        if self.steps_fail.load(Ordering::SeqCst) {
            return Err(StorageError::Unavailable("the test says so".into()));
        }
        self.inner.commit_step(lease, step).await
    }

    async fn finish_run(&self, lease: Lease, end: RunEnd) -> Result<Finish, StorageError> {
        let (verdict, told) = oneshot::channel();
        let _ = self.writes.send(Write::End(Box::new(end.clone()), verdict));
        match told.await {
            Ok(Then::Failed) => Err(StorageError::Unavailable("the test says so".into())),
            // A test that does not look does not hold.
            Ok(Then::Stored) | Err(_) => {
                (self.observer)(Step::Ending);
                let finish = self.inner.finish_run(lease, end).await;
                (self.observer)(Step::Ended);
                finish
            }
        }
    }

    async fn release_run(&self, lease: Lease, now: Timestamp) -> Result<(), StorageError> {
        self.inner.release_run(lease, now).await
    }

    async fn redeliver(
        &self,
        scope: &Scope,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        self.inner.redeliver(scope, id, now).await
    }

    async fn redeliver_ended(
        &self,
        scope: &Scope,
        which: Redeliver,
        now: Timestamp,
    ) -> Result<u64, StorageError> {
        self.inner.redeliver_ended(scope, which, now).await
    }

    async fn claim_deliveries(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<DueDeliveries, StorageError> {
        (self.observer)(Step::Claiming);
        let due = self.inner.claim_deliveries(now, limit).await?;
        if !due.deliveries.is_empty() {
            (self.observer)(Step::Claimed);
        }
        Ok(due)
    }

    async fn record_attempt(
        &self,
        id: DeliveryId,
        attempt: Attempt,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        (self.observer)(Step::Answered);
        let recorded = self.inner.record_attempt(id, attempt, verdict, now).await;
        (self.observer)(Step::Recorded);
        recorded
    }

    async fn put_off(&self, deliveries: Vec<PutOff>) -> Result<(), StorageError> {
        self.inner.put_off(deliveries).await
    }

    async fn disable_deliveries(&self, now: Timestamp) -> Result<u64, StorageError> {
        self.inner.disable_deliveries(now).await
    }

    async fn prune_deliveries(&self, ended_before: Timestamp) -> Result<u64, StorageError> {
        self.inner.prune_deliveries(ended_before).await
    }

    async fn recover(&self, now: Timestamp, max_attempts: u32) -> Result<Recovery, StorageError> {
        self.inner.recover(now, max_attempts).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }

    async fn create_assistant(
        &self,
        scope: &Scope,
        assistant: Assistant,
    ) -> Result<Insert<Assistant>, StorageError> {
        self.inner.create_assistant(scope, assistant).await
    }

    async fn update_assistant(
        &self,
        scope: &Scope,
        id: AssistantId,
        patch: AssistantPatch,
        now: Timestamp,
    ) -> Result<Option<Assistant>, StorageError> {
        self.inner.update_assistant(scope, id, patch, now).await
    }

    async fn set_latest(
        &self,
        scope: &Scope,
        id: AssistantId,
        version: i64,
        now: Timestamp,
    ) -> Result<Option<Assistant>, StorageError> {
        self.inner.set_latest(scope, id, version, now).await
    }

    async fn delete_assistant(
        &self,
        scope: &Scope,
        id: AssistantId,
        request: CancelRequest,
        last_words: LastWords,
        now: Timestamp,
    ) -> Result<Option<Cancelled>, StorageError> {
        let deletion = self
            .inner
            .delete_assistant(scope, id, request, last_words, now);
        deletion.await
    }

    async fn patch_thread(
        &self,
        scope: &Scope,
        id: ThreadId,
        patch: ThreadPatch,
    ) -> Result<Option<Thread>, StorageError> {
        self.inner.patch_thread(scope, id, patch).await
    }

    async fn update_thread(
        &self,
        scope: &Scope,
        id: ThreadId,
        update: ThreadUpdate,
    ) -> Result<Updated, StorageError> {
        self.inner.update_thread(scope, id, update).await
    }

    async fn copy_thread(
        &self,
        scope: &Scope,
        from: ThreadId,
        to: ThreadId,
        now: Timestamp,
    ) -> Result<Option<Thread>, StorageError> {
        self.inner.copy_thread(scope, from, to, now).await
    }

    async fn prune_threads(
        &self,
        scope: &Scope,
        ids: Vec<ThreadId>,
        how: Prune,
    ) -> Result<Pruned, StorageError> {
        self.inner.prune_threads(scope, ids, how).await
    }

    async fn sweep_threads(&self, now: Timestamp, limit: u32) -> Result<Swept, StorageError> {
        self.inner.sweep_threads(now, limit).await
    }

    async fn admit_runs(&self, scope: &Scope, runs: Vec<NewRun>) -> Result<Batch, StorageError> {
        self.inner.admit_runs(scope, runs).await
    }

    async fn cancel_runs(
        &self,
        scope: &Scope,
        cancel: CancelRuns,
    ) -> Result<Cancelled, StorageError> {
        self.inner.cancel_runs(scope, cancel).await
    }

    async fn delete_run(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        id: RunId,
        now: Timestamp,
    ) -> Result<Option<RunStatus>, StorageError> {
        self.inner.delete_run(scope, thread, id, now).await
    }

    async fn create_cron(
        &self,
        creator: &Caller,
        cron: Cron,
        share: Option<Share>,
    ) -> Result<CronInsert, StorageError> {
        self.inner.create_cron(creator, cron, share).await
    }

    async fn replace_cron(
        &self,
        scope: &Scope,
        seen: Cron,
        cron: Cron,
    ) -> Result<CronReplace, StorageError> {
        self.inner.replace_cron(scope, seen, cron).await
    }

    async fn delete_cron(&self, scope: &Scope, id: CronId) -> Result<bool, StorageError> {
        self.inner.delete_cron(scope, id).await
    }

    async fn fire_crons(&self, ticks: Vec<CronTick>) -> Result<Vec<Ticked>, StorageError> {
        (self.observer)(Step::Firing);
        let unstorable = *self.unstorable.lock().expect("a lock");
        if ticks
            .iter()
            .any(|tick| tick.run.is_some() && Some(tick.cron_id) == unstorable)
        {
            return Err(StorageError::Failed("on purpose".to_owned()));
        }
        let ticked = self.inner.fire_crons(ticks).await;
        (self.observer)(Step::Fired);
        ticked
    }

    async fn append_events(
        &self,
        lease: Lease,
        events: Vec<StoredEvent>,
    ) -> Result<(), StorageError> {
        self.inner.append_events(lease, events).await
    }

    async fn sweep_events(&self, untouched_since: Timestamp) -> Result<u64, StorageError> {
        self.inner.sweep_events(untouched_since).await
    }

    async fn put_item(
        &self,
        scope: &Scope,
        item: PutItem,
    ) -> Result<Option<IndexTicket>, StorageError> {
        self.inner.put_item(scope, item).await
    }

    async fn delete_item(
        &self,
        scope: &Scope,
        namespace: Vec<String>,
        key: String,
    ) -> Result<bool, StorageError> {
        self.inner.delete_item(scope, namespace, key).await
    }

    async fn refresh_items(
        &self,
        scope: &Scope,
        items: Vec<(Vec<String>, String)>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        self.inner.refresh_items(scope, items, now).await
    }

    async fn open_index(&self, identity: String) -> Result<u64, StorageError> {
        self.inner.open_index(identity).await
    }

    async fn index_items(&self, items: Vec<IndexedItem>) -> Result<(), StorageError> {
        self.inner.index_items(items).await
    }

    async fn sweep_items(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.inner.sweep_items(now, limit).await
    }

    async fn truncate(&self, what: Truncate, now: Timestamp) -> Result<Vec<RunId>, StorageError> {
        self.inner.truncate(what, now).await
    }
}
