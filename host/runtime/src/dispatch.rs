//! The dispatcher: claims pending runs for free places, when something tells it that there may be some.

use std::time::Duration;

use selvedge_model::Timestamp;
use selvedge_storage::StorageError;

use crate::Runtime;

/// How long to leave storage alone after it failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);
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
            let free = shared.queue.free_places();
            let claims = shared.storage.claim_runs(Timestamp::now(), free).await?;
            let full = claims.runs.len() == free;
            let mut runs = claims.runs.into_iter();
            for run in runs.by_ref() {
                match shared.queue.place().await {
                    Some(place) => self.execute(run, place),
                    None => return Ok(None),
                }
            }
            let waiting = shared.storage.count_pending_runs().await?;
            shared.queue.dispatched(waiting, full);
            // When places are taken, the next end of a run wakes us; one that came meanwhile did already.
            if full || shared.queue.ended() == ended_before {
                return Ok(claims.next_due);
            }
        }
    }
}
