//! The dispatcher: claims pending runs for free places, when something tells it that there may be some.

use std::time::Duration;

use selvedge_model::Timestamp;
use selvedge_storage::StorageError;

use crate::Runtime;

/// How long to leave storage alone after it failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);
/// Runs that are claimed in one go.
const LARGEST_BATCH: usize = 64;
/// The longest sleep towards a run that is due later; the system clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

impl Runtime {
    /// Runs until the runtime stops.
    pub(crate) async fn dispatch(self) {
        let shared = self.0.clone();
        let mut next_due: Option<Timestamp> = None;
        loop {
            let sleep = next_due.map_or(LONGEST_SLEEP, |due| {
                Timestamp::now().until(due).min(LONGEST_SLEEP)
            });
            tokio::select! {
                () = shared.queue.woken() => {}
                () = tokio::time::sleep(sleep), if next_due.is_some() => {}
                () = shared.draining() => return,
            }
            match self.claim().await {
                Ok(due) => next_due = due,
                Err(error) => {
                    tracing::warn!(%error, "pending runs cannot be claimed; trying again");
                    next_due = Some(Timestamp::now().after(PAUSE_AFTER_FAILURE));
                }
            }
        }
    }

    /// Fills the free places. Says when the next run is due that is too early now.
    async fn claim(&self) -> Result<Option<Timestamp>, StorageError> {
        let shared = &self.0;
        loop {
            let ended_before = shared.queue.ended();
            // Taken before runs are claimed for them: a claimed run must not wait for a place.
            let mut places = shared.queue.take_places(LARGEST_BATCH);
            let wanted = places.len();
            let (now, share) = (Timestamp::now(), shared.options.share);
            let claims = shared.storage.claim_runs(now, wanted, share).await?;
            let crowded = claims.unfinished || claims.runs.len() == wanted;
            let left = places.split_off(claims.runs.len().min(wanted));
            for (run, place) in claims.runs.into_iter().zip(places) {
                self.execute(run, place);
            }
            let waiting = shared.storage.count_pending_runs().await?;
            shared.queue.dispatched(waiting, crowded);
            // Not before it is known whether anyone wants them, or giving them back would wake us for nothing.
            drop(left);
            // When all places are taken, the next run that ends wakes us; one that ended meanwhile is looked for now.
            let more = claims.unfinished
                || (crowded && wanted == LARGEST_BATCH)
                || shared.queue.ended() != ended_before;
            if waiting == 0 || !more {
                return Ok(claims.next_due);
            }
        }
    }
}
