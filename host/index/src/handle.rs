//! The part that `runtime` holds: embed what is searched for, wait for the vectors of what was put.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use selvedge_egress::ClientError;
use selvedge_storage::{IndexTicket, Storage, StorageError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::endpoint::{EmbedError, Endpoint};
use crate::options::{Options, OptionsError};
use crate::progress::Progress;
use crate::text::front;
use crate::worker::{Bench, Counters, Worker};

/// How long whoever puts an item waits for its vectors. It is there either way, and they follow.
const PUT_PATIENCE: Duration = Duration::from_secs(10);

/// The index of one process. When it is dropped without [`shutdown`](Self::shutdown) the worker ends too.
pub struct Index {
    endpoint: Arc<Endpoint>,
    progress: Arc<Progress>,
    counters: Arc<Counters>,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An option cannot be taken.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Connections cannot be made at all.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What has become of items since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Items whose vectors were made.
    pub indexed: u64,
    /// How often the endpoint failed while vectors were to be made, or storage did.
    pub failed: u64,
}

impl Index {
    /// Checks the options and starts the worker. When they are not those that storage has vectors of, all are made
    /// anew. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// An option cannot be taken, or storage failed.
    pub async fn start(options: Options, storage: Arc<dyn Storage>) -> Result<Self, StartError> {
        let checked = options.check()?;
        let endpoint = Arc::new(Endpoint::new(&options, checked)?);
        let waiting = storage.open_index(options.identity()).await?;
        if waiting > 0 {
            tracing::info!(items = waiting, "items of the store wait for their vectors");
        }
        let (progress, counters) = (Arc::<Progress>::default(), Arc::<Counters>::default());
        let wake = Arc::new(Notify::new());
        let (stop, stopped) = watch::channel(false);
        let bench = Bench {
            storage,
            endpoint: Arc::clone(&endpoint),
            fields: options.fields,
            progress: Arc::clone(&progress),
            counters: Arc::clone(&counters),
        };
        let worker = Worker {
            bench: Arc::new(bench),
            wake: Arc::clone(&wake),
        };
        Ok(Self {
            endpoint,
            progress,
            counters,
            wake,
            stop,
            worker: Mutex::new(Some(tokio::spawn(worker.run(stopped)))),
        })
    }

    /// The vector of what is searched for. Of a long text the front counts.
    ///
    /// # Errors
    /// The endpoint refuses it, or fails.
    pub async fn embed(&self, query: &str) -> Result<Vec<f32>, EmbedError> {
        let vectors = self.endpoint.embed(&[front(query).to_owned()]).await?;
        // There are as many as texts.
        Ok(vectors.into_iter().next().unwrap_or_default())
    }

    /// An item was put, and committed: its vectors are made, and waited for as long as that makes sense.
    pub async fn was_put(&self, ticket: IndexTicket) {
        self.wake.notify_one();
        if timeout(PUT_PATIENCE, self.progress.over(ticket))
            .await
            .is_err()
        {
            self.progress.forget(ticket);
        }
    }

    /// What has become of items.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            indexed: self.counters.indexed.load(Ordering::Relaxed),
            failed: self.counters.failed.load(Ordering::Relaxed),
        }
    }

    /// Ends the worker at once. What it has not made is made by the next process.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        let worker = self.worker.lock().take();
        if let Some(worker) = worker {
            // A worker that panicked has said so already.
            let _ = worker.await;
        }
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
