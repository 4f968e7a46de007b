//! Delivering webhooks again, for callers that ask for it.

use selvedge_model::delivery::DeliveryStatus;
use selvedge_model::{DeliveryId, Scope, Timestamp};
pub use selvedge_webhook::RedeliverError;

use crate::Runtime;

impl Runtime {
    /// Delivers a webhook once more, under its own id; `false` when there is no such delivery.
    pub async fn redeliver(&self, scope: &Scope, id: DeliveryId) -> Result<bool, RedeliverError> {
        self.0.webhooks.redeliver(scope, id).await
    }

    /// The same for those that ended in one of these ways since a time; how many those were.
    pub async fn redeliver_ended(
        &self,
        scope: &Scope,
        statuses: Vec<DeliveryStatus>,
        since: Timestamp,
    ) -> Result<u64, RedeliverError> {
        self.0
            .webhooks
            .redeliver_ended(scope, statuses, since)
            .await
    }
}
