//! What only `selvedge dev` offers: emptying tables, as test suites of others do before they begin.

use selvedge_model::Timestamp;
use selvedge_storage::{StorageError, Truncate};

use crate::Runtime;

impl Runtime {
    /// Empties tables. The default assistants are there again afterwards, and whoever waits for a run that is gone is
    /// told.
    pub async fn truncate(&self, what: Truncate) -> Result<(), StorageError> {
        // On a task of its own: a caller that goes away must not leave others waiting for what is gone.
        let runtime = self.clone();
        let truncation = tokio::spawn(async move { runtime.empty_and_tell(what).await });
        truncation
            .await
            .unwrap_or_else(|error| Err(StorageError::Failed(error.to_string())))
    }

    async fn empty_and_tell(&self, what: Truncate) -> Result<(), StorageError> {
        let shared = &self.0;
        let gone = shared.storage.truncate(what, Timestamp::now()).await?;
        for run in gone {
            shared.hub.release(run);
        }
        let defaults = shared.graphs.default_assistants();
        shared.storage.ensure_assistants(defaults).await
    }
}
