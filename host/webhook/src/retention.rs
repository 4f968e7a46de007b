//! Deletes deliveries that ended long ago. Storage does it in small writes; this file says when.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::time::Clock;
use selvedge_storage::{Storage, StorageError};
use tokio::sync::watch;
use tokio::time::sleep;

/// How often it looks: what is kept for days may be kept an hour longer.
const EVERY: Duration = Duration::from_secs(3600);

/// Goes on until told to stop.
pub(crate) async fn keep(
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    retention: Duration,
    mut stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        match prune(storage.as_ref(), clock.as_ref(), retention, &stop).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old webhook deliveries deleted"),
            Err(error) => tracing::warn!(%error, "old webhook deliveries cannot be deleted yet"),
        }
        tokio::select! {
            changed = stop.changed() => if changed.is_err() { return },
            () = sleep(EVERY) => {}
        }
    }
}

async fn prune(
    storage: &dyn Storage,
    clock: &dyn Clock,
    retention: Duration,
    stop: &watch::Receiver<bool>,
) -> Result<u64, StorageError> {
    let ended_before = clock.now().before(retention);
    let mut count = 0;
    while !*stop.borrow() {
        match storage.prune_deliveries(ended_before).await? {
            0 => break,
            deleted => count += deleted,
        }
    }
    Ok(count)
}
