//! Claims what is due and hands it out; sleeps until the next is due or somebody wakes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use selvedge_model::delivery::{DeliveryStatus, DueDelivery, Verdict};
use selvedge_model::time::Clock;
use selvedge_model::{DeliveryId, Timestamp};
use selvedge_storage::Storage;
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::attempt::{Done, MAX_PAUSE, MIN_PAUSE, Sender};
use crate::queue::{Host, Offer, Queue};

/// How many are claimed at once.
const BATCH: usize = 64;
/// Storage is asked at least so often, should the system's clock jump or another process have stored a delivery.
const MAX_NAP: Duration = Duration::from_secs(60);

pub(crate) struct Worker {
    sender: Arc<Sender>,
    queue: Queue,
    max_concurrent: usize,
    attempts: JoinSet<Done>,
    /// Whose slot each attempt holds, known here so that even one that panics gives it back.
    running: HashMap<Id, Host>,
    wake: Arc<Notify>,
    stop: watch::Receiver<bool>,
    /// Storage may have something that is due.
    look: bool,
    next_due: Option<Timestamp>,
    /// Storage failed: it is left alone until then.
    not_before: Instant,
    pause: Duration,
}

impl Worker {
    pub fn new(
        sender: Sender,
        queue: Queue,
        max_concurrent: usize,
        wake: Arc<Notify>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            sender: Arc::new(sender),
            queue,
            max_concurrent,
            attempts: JoinSet::new(),
            running: HashMap::new(),
            wake,
            stop,
            look: true,
            next_due: None,
            not_before: Instant::now(),
            pause: MIN_PAUSE,
        }
    }

    /// Goes on until told to stop, then waits for the attempts in flight.
    pub async fn run(mut self) {
        while !*self.stop.borrow() {
            if self.look && self.queue.room() > 0 && Instant::now() >= self.not_before {
                self.claim().await;
            }
            self.dispatch();
            let nap = self.nap();
            tokio::select! {
                biased;
                changed = self.stop.changed() => if changed.is_err() { break },
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended),
                () = self.wake.notified() => self.look = true,
                () = sleep(nap) => self.look = true,
            }
        }
        while self.attempts.join_next().await.is_some() {}
    }

    /// How long until there is something to do that nobody tells.
    fn nap(&self) -> Duration {
        if self.queue.room() == 0 {
            return MAX_NAP;
        }
        if self.look {
            return self.not_before.saturating_duration_since(Instant::now());
        }
        let due = self
            .next_due
            .map_or(MAX_NAP, |due| self.sender.clock.now().until(due));
        due.min(MAX_NAP)
    }

    async fn claim(&mut self) {
        let now = self.sender.clock.now();
        let limit = self.queue.room().min(BATCH);
        let due = match self.sender.storage.claim_deliveries(now, limit).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "due webhooks cannot be read");
                return self.back_off();
            }
        };
        self.pause = MIN_PAUSE;
        self.look = due.more;
        self.next_due = due.next_due;
        self.take(due.deliveries, now).await;
    }

    /// Puts claimed deliveries into the queue, and those that have to wait back into storage.
    async fn take(&mut self, deliveries: Vec<DueDelivery>, now: Timestamp) {
        let mut later: Vec<(DeliveryId, Timestamp)> = Vec::new();
        for due in &deliveries {
            if let Offer::Later(at) = self.queue.offer(due, now) {
                later.push((due.delivery.id, at));
            }
        }
        let sent_back = later.iter().map(|(id, at)| {
            let storage = &self.sender.storage;
            async move {
                storage
                    .record_attempt(*id, None, Verdict::RetryAt(*at), now)
                    .await
            }
        });
        for (result, (id, at)) in join_all(sent_back).await.into_iter().zip(&later) {
            self.next_due = Some(self.next_due.map_or(*at, |due| due.min(*at)));
            if let Err(error) = result {
                tracing::error!(delivery = %id, %error, "a webhook cannot be put off; it is tried after a restart");
            }
        }
    }

    fn dispatch(&mut self) {
        while self.attempts.len() < self.max_concurrent
            && let Some((host, due)) = self.queue.next()
        {
            let task = self.attempts.spawn(Arc::clone(&self.sender).deliver(due));
            self.running.insert(task.id(), host);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Done), JoinError>) {
        let (id, done) = match ended {
            Ok((id, done)) => (id, Some(done)),
            Err(error) => {
                tracing::error!(%error, "a webhook attempt broke; it is tried again after a restart");
                (error.id(), None)
            }
        };
        let now = self.sender.clock.now();
        if let Some(host) = self.running.remove(&id) {
            let reached = done
                .as_ref()
                .and_then(|done| Some((done.url.as_str(), done.address?)));
            self.queue
                .done(&host, done.as_ref().map(|done| done.took), reached, now);
        }
        if let Some(at) = done.and_then(|done| done.retry_at) {
            self.next_due = Some(self.next_due.map_or(at, |due| due.min(at)));
        }
    }

    fn back_off(&mut self) {
        self.not_before = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }
}

/// Ends every delivery that is still pending, due or not: webhooks were switched off.
pub(crate) async fn disable_pending(
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    mut stop: watch::Receiver<bool>,
) {
    // Every due time lies before this one.
    let end_of_time = Timestamp::from_micros(i64::MAX);
    let mut pause = MIN_PAUSE;
    loop {
        match disable_some(storage.as_ref(), end_of_time, clock.now()).await {
            Ok(0) => return,
            Ok(count) => tracing::info!(count, "pending webhooks ended as disabled"),
            Err(error) => {
                tracing::warn!(%error, "pending webhooks cannot be ended yet");
                let wake_at = Instant::now() + pause;
                pause = (pause * 2).min(MAX_PAUSE);
                tokio::select! {
                    _ = stop.changed() => return,
                    () = sleep_until(wake_at) => {}
                }
            }
        }
    }
}

async fn disable_some(
    storage: &dyn Storage,
    by: Timestamp,
    now: Timestamp,
) -> Result<usize, selvedge_storage::StorageError> {
    let due = storage.claim_deliveries(by, BATCH).await?;
    for due in &due.deliveries {
        storage
            .record_attempt(
                due.delivery.id,
                None,
                Verdict::End(DeliveryStatus::Disabled),
                now,
            )
            .await?;
    }
    Ok(due.deliveries.len())
}
