//! Makes the vectors that are to be made, oldest first and a few requests at a time; rests while the endpoint fails.
//!
//! What is to be made stands in storage, so the worker remembers nothing that a restart would lose. A failure of the
//! endpoint or of storage is nobody's item's fault: all is taken up again after a pause, as often as it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use selvedge_storage::{IndexTicket, PendingItem, Storage};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::batch::{Job, embed};
use crate::endpoint::Endpoint;
use crate::path::Path;
use crate::progress::Progress;

/// Items that are taken up together; what they are embedded with is bounded for itself.
const ITEMS_AT_ONCE: u32 = 64;
/// Batches under way at once. Searches have the endpoint's other places.
const BATCHES_AT_ONCE: usize = 4;
/// The pause after the first failure; it doubles with each.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// What has become of requests since the process began.
#[derive(Default)]
pub(crate) struct Counters {
    /// Items whose vectors were made.
    pub(crate) indexed: AtomicU64,
    /// How often the endpoint failed, or storage did.
    pub(crate) failed: AtomicU64,
}

/// What a batch needs.
pub(crate) struct Bench {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) fields: Vec<Path>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) counters: Arc<Counters>,
}

pub(crate) struct Worker {
    pub(crate) bench: Arc<Bench>,
    pub(crate) wake: Arc<Notify>,
}

impl Worker {
    /// Until it is told to stop. What is under way then is made anew by the next process.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut failures = 0;
        while !*stop.borrow() {
            let failure = tokio::select! {
                failure = self.work(&mut failures) => failure,
                _ = stop.changed() => return,
            };
            self.bench.counters.failed.fetch_add(1, Ordering::Relaxed);
            let pause = pause(failures);
            failures += 1;
            tracing::warn!(
                failure,
                pause_secs = pause.as_secs(),
                "items of the store wait for their vectors"
            );
            self.bench.progress.down();
            tokio::select! {
                () = sleep(pause) => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// Works until something fails, which it answers with.
    async fn work(&self, failures: &mut u32) -> String {
        let mut batches: JoinSet<Result<(), String>> = JoinSet::new();
        let mut is_exhausted = false;
        loop {
            // While it is not known whether the endpoint answers again, one batch asks.
            let most = if *failures == 0 { BATCHES_AT_ONCE } else { 1 };
            while !is_exhausted && batches.len() < most {
                match self.take_up().await {
                    Ok(items) if items.is_empty() => is_exhausted = true,
                    Ok(items) => {
                        batches.spawn(Arc::clone(&self.bench).index(items));
                    }
                    Err(failure) => return failure,
                }
            }
            tokio::select! {
                Some(ended) = batches.join_next() => match ended {
                    Ok(Ok(())) => {
                        *failures = 0;
                        self.bench.progress.up();
                    }
                    Ok(Err(failure)) => return failure,
                    Err(panic) => return format!("a batch broke off: {panic}"),
                },
                () = self.wake.notified(), if is_exhausted => is_exhausted = false,
            }
        }
    }

    async fn take_up(&self) -> Result<Vec<PendingItem>, String> {
        let progress = &self.bench.progress;
        let last = progress.last_awaited();
        let items = self
            .bench
            .storage
            .pending_items(progress.taken_up(), ITEMS_AT_ONCE)
            .await
            .map_err(|error| error.to_string())?;
        match items.is_empty() {
            true => progress.nothing_until(last),
            false => progress.begin(tickets(&items)),
        }
        Ok(items)
    }
}

impl Bench {
    async fn index(self: Arc<Self>, items: Vec<PendingItem>) -> Result<(), String> {
        let bench = Arc::clone(&self);
        // Values may be large, and are parsed here.
        let read = tokio::task::spawn_blocking(move || {
            let jobs: Vec<Job> = items
                .iter()
                .map(|item| Job::new(item, &bench.fields))
                .collect();
            (items, jobs)
        });
        let (items, jobs) = read.await.map_err(|panic| panic.to_string())?;
        let indexed = embed(&self.endpoint, &jobs).await?;
        let made = indexed.iter().filter(|item| item.vectors.is_some()).count();
        self.storage
            .index_items(indexed)
            .await
            .map_err(|error| error.to_string())?;
        self.counters
            .indexed
            .fetch_add(made as u64, Ordering::Relaxed);
        self.progress.end(tickets(&items));
        Ok(())
    }
}

fn tickets(items: &[PendingItem]) -> impl Iterator<Item = IndexTicket> {
    items.iter().map(|item| item.ticket)
}

fn pause(failures: u32) -> Duration {
    let doubled = MIN_PAUSE.saturating_mul(2u32.saturating_pow(failures));
    doubled.min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let secs = [0, 1, 2, 5, 6, 40].map(|failures| pause(failures).as_secs());
        assert_eq!(secs, [1, 2, 4, 32, 60, 60]);
    }
}
