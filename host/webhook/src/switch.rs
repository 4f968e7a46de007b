//! `http.disable_webhooks`: what becomes of deliveries when it is switched on, and when it is switched off again.

use std::sync::Arc;

use selvedge_model::delivery::DeliveryStatus;
use selvedge_model::time::Clock;
use selvedge_model::{Scope, Timestamp};
use selvedge_storage::{Redeliver, Storage, StorageError};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::attempt::{MAX_PAUSE, MIN_PAUSE};

/// Ends every delivery that is still pending, due or not: webhooks were switched off.
pub(crate) async fn disable_pending(
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    stop: watch::Receiver<bool>,
) {
    let some = || async {
        let count = storage.disable_deliveries(clock.now()).await?;
        if count > 0 {
            tracing::info!(count, "pending webhooks ended as disabled");
        }
        Ok(count)
    };
    until_none_is_left(some, stop).await;
}

/// Makes due what was ended so: webhooks were switched on again.
pub(crate) async fn enable_disabled(
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    wake: Arc<Notify>,
    stop: watch::Receiver<bool>,
) {
    let now = clock.now();
    let which = Redeliver {
        statuses: vec![DeliveryStatus::Disabled],
        since: Timestamp::from_micros(i64::MIN),
        before: Timestamp::from_micros(i64::MAX),
    };
    let some = || async {
        let count = storage
            .redeliver_ended(&Scope::Host, which.clone(), now)
            .await?;
        if count > 0 {
            tracing::info!(
                count,
                "webhooks that were ended as disabled are pending again"
            );
            wake.notify_one();
        }
        Ok(count)
    };
    until_none_is_left(some, stop).await;
}

/// Does as much as one write may do, over and over, until there is nothing more to do or the process stops.
async fn until_none_is_left<F>(some: impl Fn() -> F, mut stop: watch::Receiver<bool>)
where
    F: Future<Output = Result<u64, StorageError>>,
{
    let mut pause = MIN_PAUSE;
    while !*stop.borrow() {
        match some().await {
            Ok(0) => return,
            Ok(_) => pause = MIN_PAUSE,
            Err(error) => {
                tracing::warn!(%error, "webhooks cannot be switched on or off yet");
                tokio::select! {
                    _ = stop.changed() => return,
                    () = sleep(pause) => pause = (pause * 2).min(MAX_PAUSE),
                }
            }
        }
    }
}
