//! Storage that a test looks over the shoulder of: what it is asked to write, and the end of a run held until the test
//! lets it through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use selvedge_model::assistant::Assistant;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::delivery::{Attempt, Verdict};
use selvedge_model::run::{Lease, Run};
use selvedge_model::thread::Thread;
use selvedge_model::{AssistantId, CheckpointId, DeliveryId, RunId, ThreadId, Timestamp};
use selvedge_storage::sqlite::Sqlite;
use selvedge_storage::{
    Admission, AssistantQuery, Claims, DeliveryRecord, DueDeliveries, Insert, NewRun, NewThread,
    Page, Reads, Recovery, RunEnd, RunQuery, StepCommit, Storage, StorageError, Values,
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

pub struct Watched {
    inner: Arc<Sqlite>,
    writes: UnboundedSender<Write>,
    /// Whether steps are refused as by a disk that is away.
    pub steps_fail: Arc<AtomicBool>,
}

impl Watched {
    pub fn new(inner: Arc<Sqlite>) -> (Self, UnboundedReceiver<Write>) {
        let (writes, seen) = unbounded_channel();
        let watched = Self {
            inner,
            writes,
            steps_fail: Arc::default(),
        };
        (watched, seen)
    }
}

#[async_trait]
impl Reads for Watched {
    async fn assistant(&self, id: AssistantId) -> Result<Option<Assistant>, StorageError> {
        self.inner.assistant(id).await
    }

    async fn search_assistants(
        &self,
        query: AssistantQuery,
    ) -> Result<Page<Assistant>, StorageError> {
        self.inner.search_assistants(query).await
    }

    async fn thread(&self, id: ThreadId, values: Values) -> Result<Option<Thread>, StorageError> {
        self.inner.thread(id, values).await
    }

    async fn checkpoint(
        &self,
        thread: ThreadId,
        namespace: &str,
        at: Option<CheckpointId>,
    ) -> Result<Option<SavedCheckpoint>, StorageError> {
        self.inner.checkpoint(thread, namespace, at).await
    }

    async fn run(&self, thread: Option<ThreadId>, id: RunId) -> Result<Option<Run>, StorageError> {
        self.inner.run(thread, id).await
    }

    async fn list_runs(&self, query: RunQuery) -> Result<Vec<Run>, StorageError> {
        self.inner.list_runs(query).await
    }

    async fn count_pending_runs(&self) -> Result<u64, StorageError> {
        self.inner.count_pending_runs().await
    }

    async fn deliveries_of_run(&self, run: RunId) -> Result<Vec<DeliveryRecord>, StorageError> {
        self.inner.deliveries_of_run(run).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        self.inner.check().await
    }
}

#[async_trait]
impl Storage for Watched {
    async fn ensure_assistants(&self, defaults: Vec<Assistant>) -> Result<(), StorageError> {
        self.inner.ensure_assistants(defaults).await
    }

    async fn create_thread(&self, thread: NewThread) -> Result<Insert<Thread>, StorageError> {
        self.inner.create_thread(thread).await
    }

    async fn delete_thread(&self, id: ThreadId) -> Result<Option<Vec<RunId>>, StorageError> {
        self.inner.delete_thread(id).await
    }

    async fn admit_run(&self, run: NewRun) -> Result<Admission, StorageError> {
        self.inner.admit_run(run).await
    }

    async fn claim_runs(&self, now: Timestamp, limit: usize) -> Result<Claims, StorageError> {
        self.inner.claim_runs(now, limit).await
    }

    async fn commit_step(&self, lease: Lease, step: StepCommit) -> Result<(), StorageError> {
        let _ = self.writes.send(Write::Step);
        if self.steps_fail.load(Ordering::SeqCst) {
            return Err(StorageError::Unavailable("the test says so".into()));
        }
        self.inner.commit_step(lease, step).await
    }

    async fn finish_run(&self, lease: Lease, end: RunEnd) -> Result<(), StorageError> {
        let (verdict, told) = oneshot::channel();
        let _ = self.writes.send(Write::End(Box::new(end.clone()), verdict));
        match told.await {
            Ok(Then::Failed) => Err(StorageError::Unavailable("the test says so".into())),
            // A test that does not look does not hold.
            Ok(Then::Stored) | Err(_) => self.inner.finish_run(lease, end).await,
        }
    }

    async fn release_run(&self, lease: Lease, now: Timestamp) -> Result<(), StorageError> {
        self.inner.release_run(lease, now).await
    }

    async fn claim_deliveries(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<DueDeliveries, StorageError> {
        self.inner.claim_deliveries(now, limit).await
    }

    async fn record_attempt(
        &self,
        id: DeliveryId,
        attempt: Option<Attempt>,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        self.inner.record_attempt(id, attempt, verdict, now).await
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
}
