//! Claims what is due and hands it out; sleeps until the next is due or somebody wakes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use selvedge_model::delivery::{DueDelivery, PutOff};
use selvedge_model::{DeliveryId, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use crate::attempt::{Done, MAX_PAUSE, MIN_PAUSE, Sender};
use crate::queue::{Offer, Opened, Queue, Seen, Ticket};
use crate::record::{Record, Refused};

/// How many are claimed at once.
const BATCH: usize = 256;
/// How long a delivery waits whose attempt broke off by a mistake of ours, and nobody knows how far it had come.
const PAUSE_AFTER_BREAK: Duration = Duration::from_secs(60);
/// Storage is asked at least so often, should the system's clock jump.
const MAX_NAP: Duration = Duration::from_secs(60);

pub(crate) struct Worker {
    sender: Arc<Sender>,
    queue: Queue,
    attempts: JoinSet<Done>,
    /// What each attempt is about, known here so that even one that panics gives its slots back.
    running: HashMap<Id, (Ticket, DeliveryId)>,
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

impl Worker {
    pub fn new(
        sender: Sender,
        queue: Queue,
        wake: Arc<Notify>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            sender: Arc::new(sender),
            queue,
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
            self.put_back().await;
            if self.look && !self.refused.is_full() && Instant::now() >= self.not_before {
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
            // However much storage has to say, slots that are free are not kept waiting for it.
            while let Some(ended) = self.attempts.try_join_next_with_id() {
                self.ended(ended);
            }
        }
        while self.attempts.join_next().await.is_some() {}
    }

    /// How long until there is something to do that nobody tells.
    fn nap(&self) -> Duration {
        let refused = self.refused.next_at();
        let refused = refused.map(|at| at.saturating_duration_since(Instant::now()));
        let now = self.sender.clock.now();
        let change = self.queue.next_change(now).map(|at| now.until(at));
        let others = refused.into_iter().chain(change).min();
        self.until_due().min(others.unwrap_or(MAX_NAP))
    }

    fn until_due(&self) -> Duration {
        if self.refused.is_full() {
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
        let due = match self.sender.storage.claim_deliveries(now, BATCH).await {
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
        let mut back = Vec::new();
        for due in &deliveries {
            match self.queue.offer(due, now) {
                Offer::Taken => {}
                Offer::Later { until, behind } => {
                    self.comes_at(until);
                    let id = due.id;
                    back.push(Record::PutOff(PutOff { id, until, behind }));
                }
                Offer::Over => back.push(self.sender.over(due)),
            }
        }
        self.record(back).await;
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

    /// Gives storage back what the queue took for a name that answers no more.
    async fn put_back(&mut self) {
        let back = self.queue.take_back();
        for PutOff { until, .. } in &back {
            self.comes_at(*until);
        }
        self.record(back.into_iter().map(Record::PutOff).collect())
            .await;
    }

    /// Writes down what it can, all that was put off in one write, and keeps the rest.
    async fn record(&mut self, records: Vec<Record>) {
        let mut put_off = Vec::new();
        let mut attempts = Vec::new();
        for record in records {
            match record {
                Record::PutOff(one) => put_off.push(one),
                Record::Attempt { .. } | Record::Over { .. } => attempts.push(record),
            }
        }
        let sender = &self.sender;
        let results = join_all(attempts.iter().map(|record| sender.record(record))).await;
        for (result, record) in results.into_iter().zip(attempts) {
            if let Err(error) = result {
                tracing::error!(%error, "what became of a webhook cannot be recorded; it is tried again later");
                self.refused.push(record, error.may_pass(), Instant::now());
            }
        }
        if put_off.is_empty() {
            return;
        }
        if let Err(error) = sender.storage.put_off(put_off.clone()).await {
            tracing::error!(%error, count = put_off.len(), "webhooks cannot be put off; that is tried again later");
            for one in put_off {
                let record = Record::PutOff(one);
                self.refused.push(record, error.may_pass(), Instant::now());
            }
        }
    }

    fn comes_at(&mut self, at: Timestamp) {
        self.next_due = Some(self.next_due.map_or(at, |due| due.min(at)));
    }

    fn dispatch(&mut self) {
        let now = self.sender.clock.now();
        while let Some(turn) = self.queue.next(now) {
            let about = (turn.ticket, turn.id);
            let task = self.attempts.spawn(Arc::clone(&self.sender).deliver(turn));
            self.running.insert(task.id(), about);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Done), JoinError>) {
        let now = self.sender.clock.now();
        let (task, done) = match ended {
            Ok((task, done)) => (task, Some(done)),
            Err(error) => {
                tracing::error!(%error, "a webhook attempt broke off");
                (error.id(), None)
            }
        };
        let Some((ticket, id)) = self.running.remove(&task) else {
            return;
        };
        let Some(done) = done else {
            self.queue.done(ticket, Seen::default(), now);
            let until = now.after(PAUSE_AFTER_BREAK);
            let put_off = PutOff {
                id,
                until,
                behind: true,
            };
            self.refused.offer(Record::PutOff(put_off), Instant::now());
            return self.comes_at(until);
        };
        if let Some(Opened { name, pause }) = self.queue.done(ticket, done.seen, now) {
            self.sender.counters.breaker_opened();
            tracing::warn!(host = %name, ?pause, "a webhook receiver fails again and again and is left alone for a while");
        }
        if let Some(at) = done.retry_at {
            self.comes_at(at);
        }
        if let Some(record) = done.refused {
            self.refused.push(record, false, Instant::now());
        }
    }

    fn back_off(&mut self) {
        self.not_before = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }
}
