//! `http.disable_webhooks`: what becomes of deliveries when it is switched on, and when it is switched off again.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::delivery::{DeliveryStatus, Verdict};
use selvedge_model::time::Clock;
use selvedge_model::{DeliveryId, Timestamp};
use selvedge_storage::{Redeliver, Storage, StorageError};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use crate::attempt::{MAX_PAUSE, MIN_PAUSE};

/// How many are ended in one go.
const BATCH: usize = 64;

/// Ends every delivery that is still pending, due or not: webhooks were switched off.
pub(crate) async fn disable_pending(
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    mut stop: watch::Receiver<bool>,
) {
    let mut claimed = Vec::new();
    let mut pause = MIN_PAUSE;
    loop {
        match disable_some(storage.as_ref(), &mut claimed, clock.now()).await {
            Ok(0) => return,
            Ok(count) => tracing::info!(count, "pending webhooks ended as disabled"),
            Err(error) => {
                tracing::warn!(%error, "pending webhooks cannot be ended yet");
                if is_stopped(&mut stop, &mut pause).await {
                    return;
                }
            }
        }
    }
}

/// Ends some deliveries. Those that storage fails to end stay in `claimed`: no claim gives them out a second time.
async fn disable_some(
    storage: &dyn Storage,
    claimed: &mut Vec<DeliveryId>,
    now: Timestamp,
) -> Result<usize, StorageError> {
    if claimed.is_empty() {
        // Every due time lies before this one.
        let end_of_time = Timestamp::from_micros(i64::MAX);
        let due = storage.claim_deliveries(end_of_time, BATCH).await?;
        claimed.extend(due.deliveries.iter().map(|due| due.delivery.id));
    }
    let count = claimed.len();
    while let Some(id) = claimed.last() {
        let disabled = Verdict::End(DeliveryStatus::Disabled);
        storage.record_attempt(*id, None, disabled, now).await?;
        claimed.pop();
    }
    Ok(count)
}

/// Makes due what was ended so: webhooks were switched on again.
pub(crate) async fn enable_disabled(
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    wake: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
) {
    let now = clock.now();
    let which = Redeliver {
        statuses: vec![DeliveryStatus::Disabled],
        since: Timestamp::from_micros(i64::MIN),
        before: Timestamp::from_micros(i64::MAX),
    };
    let mut pause = MIN_PAUSE;
    loop {
        match storage.redeliver_ended(which.clone(), now).await {
            Ok(0) => return,
            Ok(count) => {
                tracing::info!(
                    count,
                    "webhooks that were ended as disabled are pending again"
                );
                wake.notify_one();
            }
            Err(error) => {
                tracing::warn!(%error, "disabled webhooks cannot be made pending yet");
                if is_stopped(&mut stop, &mut pause).await {
                    return;
                }
            }
        }
    }
}

/// Waits before storage is asked again; whether the process stops meanwhile.
async fn is_stopped(stop: &mut watch::Receiver<bool>, pause: &mut Duration) -> bool {
    let wake_at = Instant::now() + *pause;
    *pause = (*pause * 2).min(MAX_PAUSE);
    tokio::select! {
        _ = stop.changed() => true,
        () = sleep_until(wake_at) => false,
    }
}
