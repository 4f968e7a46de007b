//! The part that `runtime` holds: judge a URL, make a delivery, wake the worker, end it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use selvedge_egress::{Client, ClientOptions, Policy, Refusal};
use selvedge_model::delivery::{DeliveryStatus, NewDelivery};
use selvedge_model::time::Clock;
use selvedge_model::{DeliveryId, Scope, Timestamp};
use selvedge_storage::{Redeliver, Storage, StorageError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::attempt::Sender;
use crate::counts::{Counters, Counts};
use crate::options::{Field, Options, StartError};
use crate::payload::{self, Ended};
use crate::queue::{Limits, Queue};
use crate::worker::Worker;
use crate::{retention, switch};

/// A delivery whose host is left alone ends so long after its schedule would have been over, had each attempt been made
/// in its time: `Retry-After` and put-offs make it longer.
const LEEWAY: Duration = Duration::from_hours(1);

/// Webhooks of one process. When it is dropped without [`shutdown`](Self::shutdown) the worker claims nothing more.
pub struct Webhooks {
    policy: Arc<Policy>,
    counters: Arc<Counters>,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    enabled: bool,
    allowed_fields: Option<Vec<Field>>,
    max_body_bytes: usize,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl Webhooks {
    /// Checks the options and starts the worker, which looks for what is due at once. Storage must have recovered
    /// from a process that died before. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// An option that cannot be taken, by its key.
    pub fn start(
        options: Options,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        options.validate()?;
        let policy = Arc::new(Policy::new(&options.policy)?);
        let limits = Limits {
            in_all: options.max_concurrent,
            per_host: options.max_concurrent_per_host,
            first_delay: Duration::from_secs(
                options.retry.secs.first().copied().unwrap_or_default(),
            ),
            patience: options.retry.length().saturating_add(LEEWAY),
        };
        let client = ClientOptions {
            // The queue says who may begin; nobody whose turn it is waits for a slot of the client's.
            max_concurrent: limits.hard(),
            ..options.client
        };
        let client = Client::new(Arc::clone(&policy), &client)?;
        let wake = Arc::new(Notify::new());
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::new(Counters::default());
        let retention = retention::keep(
            Arc::clone(&storage),
            Arc::clone(&clock),
            options.retention,
            stopped.clone(),
        );
        let sender = Sender {
            client,
            storage: Arc::clone(&storage),
            clock: Arc::clone(&clock),
            headers: options.headers,
            secrets: options.secrets,
            counters: Arc::clone(&counters),
            schedule: options.retry,
            timeout: options.timeout,
        };
        let task = if options.enabled {
            let worker = Worker::new(
                sender,
                Queue::new(limits, clock.now()),
                Arc::clone(&wake),
                stopped.clone(),
            );
            let enabling = switch::enable_disabled(
                Arc::clone(&storage),
                Arc::clone(&clock),
                Arc::clone(&wake),
                stopped,
            );
            tokio::spawn(async { tokio::join!(worker.run(), enabling, retention).0 })
        } else {
            tracing::info!("webhooks are disabled: URLs are checked, nothing is sent");
            let disabling =
                switch::disable_pending(Arc::clone(&storage), Arc::clone(&clock), stopped);
            tokio::spawn(async { tokio::join!(disabling, retention).0 })
        };
        Ok(Self {
            policy,
            counters,
            storage,
            clock,
            enabled: options.enabled,
            allowed_fields: options.allowed_fields,
            max_body_bytes: options.max_body_bytes,
            wake,
            stop,
            worker: Mutex::new(Some(task)),
        })
    }

    /// Judges the URL of a webhook when a run is admitted, without network I/O; also while webhooks are disabled.
    pub fn check(&self, url: &str) -> Result<(), Refusal> {
        self.policy.admit_url(url).map(|_| ())
    }

    /// The same, and where refusals are only reported this reports none: for a URL that nothing is accepted with yet.
    pub fn would_accept(&self, url: &str) -> Result<(), Refusal> {
        self.policy.check_url(url).map(|_| ())
    }

    /// What to store with the end of a run; `None` when it has no webhook or webhooks are disabled.
    #[must_use]
    pub fn delivery(&self, ended: &Ended<'_>) -> Option<NewDelivery> {
        if !self.enabled {
            return None;
        }
        payload::delivery(ended, self.allowed_fields.as_deref(), self.max_body_bytes)
    }

    /// Tells the worker that a delivery was committed. Cheap, and never waits.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Delivers once more what had ended, or what waits for its next attempt; `false` when there is no such delivery.
    ///
    /// # Errors
    /// Webhooks are disabled, or storage failed.
    pub async fn redeliver(&self, scope: &Scope, id: DeliveryId) -> Result<bool, RedeliverError> {
        self.must_be_enabled()?;
        let is_there = self.storage.redeliver(scope, id, self.clock.now()).await?;
        self.wake();
        Ok(is_there)
    }

    /// Delivers once more what ended in one of these ways since a time, and says how many those were. Whoever stops
    /// waiting for the answer may have stopped half of it; asking again does the rest.
    ///
    /// # Errors
    /// As [`redeliver`](Self::redeliver).
    pub async fn redeliver_ended(
        &self,
        scope: &Scope,
        statuses: Vec<DeliveryStatus>,
        since: Timestamp,
    ) -> Result<u64, RedeliverError> {
        self.must_be_enabled()?;
        let now = self.clock.now();
        let which = Redeliver {
            statuses,
            since,
            before: now,
        };
        let mut count = 0;
        loop {
            match self
                .storage
                .redeliver_ended(scope, which.clone(), now)
                .await?
            {
                0 => return Ok(count),
                some => count += some,
            }
            self.wake();
        }
    }

    fn must_be_enabled(&self) -> Result<(), RedeliverError> {
        if self.enabled {
            Ok(())
        } else {
            Err(RedeliverError::Disabled)
        }
    }

    /// What has become of attempts since the process began, and what the policy has only reported.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counters.read(self.policy.reported())
    }

    /// Claims nothing more, waits for attempts in flight, and ends. What has not ended within `grace` is cut off and
    /// is tried again by the next process, as is what was claimed and not begun.
    pub async fn shutdown(&self, grace: Duration) {
        self.stop.send_replace(true);
        let task = self
            .worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut task) = task else {
            return;
        };
        if tokio::time::timeout(grace, &mut task).await.is_err() {
            tracing::warn!("webhook attempts in flight were cut off; they will be tried again");
            task.abort();
            // Until it is gone, so that nothing writes to a storage that is being closed.
            let _ = task.await;
        }
    }
}

/// Why nothing is delivered again.
#[derive(Debug, thiserror::Error)]
pub enum RedeliverError {
    /// It would wait for ever.
    #[error("webhooks are disabled (http.disable_webhooks)")]
    Disabled,
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks")
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}
