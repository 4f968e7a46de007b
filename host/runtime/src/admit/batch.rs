//! Several runs at once: all of them are accepted, or none.

use selvedge_model::run::Run;
use selvedge_model::{Caller, Scope};
use selvedge_storage::{Batch, NewRun, StorageError};

use super::request::{AdmitError, CreateRun};
use crate::{Runtime, queue};

impl Runtime {
    /// Accepts runs that have nothing to do with each other, or says why one of them, and so all, are not accepted.
    pub async fn create_runs(
        &self,
        caller: &Caller,
        requests: &[CreateRun],
    ) -> Result<Vec<Run>, AdmitError> {
        let mut runs = Vec::with_capacity(requests.len());
        for request in requests {
            runs.push(self.prepare(caller, request).await?);
        }
        // On a task of its own: a caller that goes away must not leave claimed runs that nobody executes.
        let (runtime, scope) = (self.clone(), caller.scope.clone());
        let admission = tokio::spawn(async move { runtime.admit_all(&scope, runs).await });
        admission
            .await
            .unwrap_or_else(|error| Err(StorageError::Failed(error.to_string()).into()))
    }

    async fn admit_all(
        &self,
        scope: &Scope,
        mut runs: Vec<NewRun>,
    ) -> Result<Vec<Run>, AdmitError> {
        let shared = &self.0;
        let mut places: Vec<Option<queue::Place>> = Vec::with_capacity(runs.len());
        for new in &mut runs {
            let place = shared.queue.place_for_new_run();
            new.claim_by = place.is_some().then_some(new.run.updated_at);
            places.push(place);
        }
        let admissions = match shared.storage.admit_runs(scope, runs).await? {
            Batch::Accepted(admissions) => admissions,
            Batch::Refused { refusal, .. } => return Err(self.refusal(refusal)),
        };
        let mut accepted = Vec::with_capacity(admissions.len());
        for (admission, place) in admissions.into_iter().zip(places) {
            accepted.push(self.take_over(admission, place).await?);
        }
        Ok(accepted)
    }
}
