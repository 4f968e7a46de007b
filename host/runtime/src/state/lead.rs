//! The super-steps that a thread is created with: all of them are made first, and stored in one transaction with the
//! thread.

use selvedge_model::Scope;
use selvedge_pregel::Addressed;
use selvedge_pregel::update::Update;
use selvedge_storage::{NewThread, StepCommit, ThreadUpdate};
use tokio::time::Instant;

use super::UpdateError;
use super::make::{Base, Made};
use super::whose::Settings;
use crate::Runtime;
use crate::mint::SystemMint;

/// Super-steps of one new thread. Others wait while their checkpoints are stored: this many take tenths of a second.
const MAX_SUPERSTEPS: usize = 5_000;
/// Bytes of what these super-steps write together, for the same reason; they lie in memory until all are made.
const MAX_SUPERSTEPS_BYTES: usize = 64 << 20;

impl Runtime {
    /// Makes the state that a new thread begins with; `None` without super-steps.
    pub(crate) async fn first_state(
        &self,
        scope: &Scope,
        new: &NewThread,
        supersteps: Vec<Vec<Update>>,
    ) -> Result<Option<ThreadUpdate>, UpdateError> {
        if supersteps.len() > MAX_SUPERSTEPS {
            return Err(UpdateError::TooMuch {
                most: MAX_SUPERSTEPS,
                unit: "supersteps",
            });
        }
        let mut last: Option<Made> = None;
        let mut whole = StepCommit::default();
        let mut bytes = 0;
        let mut mint = SystemMint::after(None);
        let mut settings = Settings::new();
        let deadline = Instant::now() + self.0.options.run_timeout;
        for updates in supersteps {
            let served = self.served(new.thread_id, &new.metadata)?;
            let part = served.part.clone();
            let part = self.as_configured(part, &new.metadata, None, &mut settings);
            let base = Base {
                store: Scope::of_owner(scope.owner().cloned()),
                thread: new.thread_id,
                part: part.await?,
                namespace: String::new(),
                saved: last.map(|made| made.saved),
                named: None,
                addressed: Addressed::No,
            };
            let mut made = self
                .make(served, base, updates, &mut mint, deadline)
                .await?;
            let step = std::mem::take(&mut made.step);
            bytes += step.bytes();
            if bytes > MAX_SUPERSTEPS_BYTES {
                return Err(UpdateError::TooMuch {
                    most: MAX_SUPERSTEPS_BYTES,
                    unit: "bytes of supersteps",
                });
            }
            whole.checkpoints.extend(step.checkpoints);
            whole.pending.extend(step.pending);
            last = Some(made);
        }
        Ok(last.map(|made| {
            Made {
                step: whole,
                ..made
            }
            .into_update(None)
        }))
    }
}
