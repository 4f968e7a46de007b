//! The embedded default: SQLite in one data directory that one process owns.
//!
//! | module | job |
//! |---|---|
//! | `open` | the lock on the directory, pragmas, migrations |
//! | `queue` | the bounded queue before the threads |
//! | `writer`, `memory` | group commit on one thread, and what that thread remembers |
//! | `readers` | read-only connections on a few threads |
//! | `runs`, `claims`, `steps` | admission and reading; claims, fences, recovery; what a running run writes |
//! | `checkpoints`, `places`, `segments`, `load` | snapshots: writing, where values are, the values, reading |
//! | `threads`, `assistants`, `contains`, `deliveries` | the other resources |
//! | `codec`, `error` | columns and errors |
//!
//! [`Sqlite`] itself only sends each promise of [`Reads`] to a reader and of [`Storage`] to the writer.

mod assistants;
mod checkpoints;
mod claims;
mod codec;
mod contains;
mod deliveries;
mod error;
mod load;
mod memory;
mod open;
mod places;
mod queue;
mod readers;
mod runs;
mod segments;
mod steps;
mod threads;
mod writer;

use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use parking_lot::Mutex;
use selvedge_model::assistant::Assistant;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::delivery::{Attempt, Verdict};
use selvedge_model::run::{Lease, Run};
use selvedge_model::thread::Thread;
use selvedge_model::{AssistantId, CheckpointId, DeliveryId, RunId, ThreadId, Timestamp};
use tokio::sync::watch;

pub use open::{Options, Synchronous};

use crate::types::{
    Admission, AssistantQuery, Claims, DeliveryRecord, DueDeliveries, Insert, NewRun, NewThread,
    Page, Recovery, RunEnd, RunQuery, StepCommit, Values,
};
use crate::{Reads, Storage, StorageError};
use readers::Readers;
use writer::Writer;

/// What the fixed-size columns of a write weigh in the queue, beside its texts.
const UNIT_BYTES: usize = 256;

/// An open data directory. Dropping the last reference closes it too, and waits for what is queued.
pub struct Sqlite {
    writer: Writer,
    readers: Readers,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Its sender goes away when all threads have ended and the lock is free.
    ended: watch::Receiver<()>,
}

impl Sqlite {
    /// Opens a data directory, creating it when it is missing.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when another process has it open, [`StorageError::Incompatible`] when a newer
    /// version wrote it or it is damaged, [`StorageError::ReadOnly`], [`StorageError::Full`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are written where they are used and of no use afterwards"
    )]
    pub fn open(options: Options) -> Result<Arc<Self>, StorageError> {
        let options = &options;
        let lock = open::lock_directory(&options.path)?;
        let conn = open::open_writer(options)?;
        // Each thread holds this until its connection is closed, so that the lock outlives them all.
        let (alive, ended) = watch::channel(());
        let hold = Arc::new((lock, alive));
        let (readers, mut threads) = Readers::start(options, &hold)?;
        let (writer, thread) = Writer::start(conn, options, hold)?;
        threads.push(thread);
        Ok(Arc::new(Self {
            writer,
            readers,
            threads: Mutex::new(threads),
            ended,
        }))
    }

    fn close_queues(&self) {
        self.readers.close();
        self.writer.close();
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close_queues();
        for thread in self.threads.get_mut().drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

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
            .read(move |conn| assistants::search(conn, &query))
            .await
    }

    async fn thread(&self, id: ThreadId, values: Values) -> Result<Option<Thread>, StorageError> {
        self.readers
            .read(move |conn| threads::read(conn, id, values))
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

    async fn deliveries_of_run(&self, run: RunId) -> Result<Vec<DeliveryRecord>, StorageError> {
        self.readers
            .read(move |conn| deliveries::of_run(conn, run))
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

#[async_trait]
impl Storage for Sqlite {
    async fn ensure_assistants(&self, defaults: Vec<Assistant>) -> Result<(), StorageError> {
        let bytes = defaults
            .iter()
            .map(|a| UNIT_BYTES + a.config.len() + a.context.len() + a.metadata.len())
            .sum();
        self.writer
            .write(bytes, |desk| assistants::ensure(desk, defaults))
            .await
    }

    async fn create_thread(&self, thread: NewThread) -> Result<Insert<Thread>, StorageError> {
        self.writer
            .write(UNIT_BYTES + thread.metadata.len(), move |desk| {
                threads::create(desk, &thread)
            })
            .await
    }

    async fn delete_thread(&self, id: ThreadId) -> Result<Option<Vec<RunId>>, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| threads::delete(desk, id))
            .await
    }

    async fn admit_run(&self, run: NewRun) -> Result<Admission, StorageError> {
        self.writer
            .write(UNIT_BYTES + runs::weight(&run), |desk| {
                runs::admit(desk, run)
            })
            .await
    }

    async fn claim_runs(&self, now: Timestamp, limit: usize) -> Result<Claims, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| claims::claim(desk, now, limit))
            .await
    }

    async fn commit_step(&self, lease: Lease, step: StepCommit) -> Result<(), StorageError> {
        self.writer
            .write(UNIT_BYTES + checkpoints::weight(&step), move |desk| {
                steps::commit(desk, &lease, step)
            })
            .await
    }

    async fn finish_run(&self, lease: Lease, end: RunEnd) -> Result<(), StorageError> {
        let body = end.delivery.as_ref().map_or(0, |d| d.body.len());
        let bytes = UNIT_BYTES + checkpoints::weight(&end.step) + body;
        self.writer
            .write(bytes, move |desk| steps::finish(desk, &lease, end))
            .await
    }

    async fn release_run(&self, lease: Lease, now: Timestamp) -> Result<(), StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| claims::release(desk, &lease, now))
            .await
    }

    async fn claim_deliveries(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<DueDeliveries, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| deliveries::claim(desk, now, limit))
            .await
    }

    async fn record_attempt(
        &self,
        id: DeliveryId,
        attempt: Option<Attempt>,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let response = attempt.as_ref().and_then(|a| a.response.as_ref());
        let bytes = UNIT_BYTES + response.map_or(0, String::len);
        self.writer
            .write(bytes, move |desk| {
                deliveries::record(desk, id, attempt.as_ref(), verdict, now)
            })
            .await
    }

    async fn prune_deliveries(&self, ended_before: Timestamp) -> Result<u64, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| {
                deliveries::prune(desk.conn, ended_before)
            })
            .await
    }

    async fn recover(&self, now: Timestamp, max_attempts: u32) -> Result<Recovery, StorageError> {
        self.writer
            .write(UNIT_BYTES, move |desk| {
                claims::recover(desk, now, max_attempts)
            })
            .await
    }

    async fn close(&self) {
        self.close_queues();
        // An error is the news that is waited for: the sender is gone.
        let _ = self.ended.clone().changed().await;
    }
}
