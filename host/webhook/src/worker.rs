//! Claims what is due and hands it out; sleeps until the next is due or somebody wakes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use selvedge_model::delivery::{DueDelivery, Verdict};
use selvedge_model::{DeliveryId, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use crate::attempt::{Done, MAX_PAUSE, MIN_PAUSE, Sender};
use crate::queue::{Host, Offer, Queue, Seen};
use crate::record::{Record, Refused};

/// How many are claimed at once.
const BATCH: usize = 64;
/// Storage is asked at least so often, should the system's clock jump.
const MAX_NAP: Duration = Duration::from_secs(60);

pub(crate) struct Worker {
    sender: Arc<Sender>,
    queue: Queue,
    max_concurrent: usize,
    attempts: JoinSet<Done>,
    /// What each attempt is about, known here so that even one that panics gives its slot back and is recorded.
    running: HashMap<Id, Running>,
    refused: Refused,
    wake: Arc<Notify>,
    stop: watch::Receiver<bool>,
    /// Storage may have something that is due.
    look: bool,
    next_due: Option<Timestamp>,
    /// Storage failed: it is left alone until then.
    not_before: Instant,
    pause: Duration,
}

/// An attempt under way.
struct Running {
    host: Host,
    began: Timestamp,
    id: DeliveryId,
    url: String,
    /// Of this attempt, and of those that count for the schedule.
    number: u32,
    tries: u32,
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
            refused: Refused::default(),
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
            self.record_refused().await;
            if self.look && self.room() > 0 && Instant::now() >= self.not_before {
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

    /// How many more may be claimed.
    fn room(&self) -> usize {
        if self.refused.is_full() {
            0
        } else {
            self.queue.room()
        }
    }

    /// How long until there is something to do that nobody tells.
    fn nap(&self) -> Duration {
        let refused = self.refused.next_at();
        let refused = refused.map(|at| at.saturating_duration_since(Instant::now()));
        let now = self.sender.clock.now();
        let pause = self.queue.next_pause_end(now).map(|end| now.until(end));
        let others = refused.into_iter().chain(pause).min();
        self.until_due().min(others.unwrap_or(MAX_NAP))
    }

    fn until_due(&self) -> Duration {
        if self.room() == 0 {
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
        let limit = self.room().min(BATCH);
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
        let mut later = Vec::new();
        for due in &deliveries {
            if let Offer::Later(at) = self.queue.offer(due, now) {
                self.comes_at(at);
                later.push(Record {
                    id: due.delivery.id,
                    attempt: None,
                    verdict: Verdict::RetryAt(at),
                });
            }
        }
        self.record(later).await;
    }

    /// Offers again what storage refused before.
    async fn record_refused(&mut self) {
        let due = self.refused.take_due(Instant::now());
        if !due.is_empty() {
            self.record(due).await;
            // What was put off meanwhile may be due by now.
            self.look = true;
        }
    }

    async fn record(&mut self, records: Vec<Record>) {
        let sender = &self.sender;
        let results = join_all(records.iter().map(|record| sender.record(record))).await;
        for (result, record) in results.into_iter().zip(records) {
            if let Err(error) = result {
                tracing::error!(delivery = %record.id, %error, "what became of a webhook cannot be recorded; it is tried again later");
                self.refused.push(record, Instant::now());
            }
        }
    }

    fn comes_at(&mut self, at: Timestamp) {
        self.next_due = Some(self.next_due.map_or(at, |due| due.min(at)));
    }

    fn dispatch(&mut self) {
        let now = self.sender.clock.now();
        while self.attempts.len() < self.max_concurrent
            && let Some((host, due)) = self.queue.next(now)
        {
            let running = Running {
                host,
                began: now,
                id: due.delivery.id,
                url: due.delivery.url.clone(),
                number: due.attempts.saturating_add(1),
                tries: due.tries.saturating_add(1),
            };
            let task = self.attempts.spawn(Arc::clone(&self.sender).deliver(due));
            self.running.insert(task.id(), running);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Done), JoinError>) {
        let (task, done) = match ended {
            Ok((task, done)) => (task, Some(done)),
            Err(error) => {
                tracing::error!(%error, "a webhook attempt broke off");
                (error.id(), None)
            }
        };
        let Some(running) = self.running.remove(&task) else {
            return;
        };
        let now = self.sender.clock.now();
        let Some(done) = done else {
            self.queue
                .done(&running.host, running.began, Seen::default(), now);
            let record =
                self.sender
                    .broken(running.id, &running.url, running.number, running.tries);
            return self.refused.offer(record, Instant::now());
        };
        let seen = Seen {
            answers: done.answers.map(|answers| (answers, done.took)),
            reached: done.address.map(|address| (done.url.as_str(), address)),
        };
        let opened = self.queue.done(&running.host, running.began, seen, now);
        if let Some(pause) = opened {
            self.sender.counters.breaker_opened();
            tracing::warn!(host = %running.host, ?pause, "a webhook receiver fails again and again and is left alone for a while");
        }
        if let Some(at) = done.retry_at {
            self.comes_at(at);
        }
        if let Some(record) = done.refused {
            self.refused.push(record, Instant::now());
        }
    }

    fn back_off(&mut self) {
        self.not_before = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }
}
