//! What the tasks of one super-step leave together. Each has bounds of its own in the sandbox; their sum lies in the
//! host's memory until the step ends, so it is bounded here.

use selvedge_pregel::{Failure, Outcome};

use crate::Options;

/// Counts over the tasks of a super-step.
pub(crate) struct Together {
    max_sends: usize,
    max_bytes: usize,
    step: Option<i64>,
    sends: usize,
    bytes: usize,
}

impl Together {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            max_sends: options.max_step_sends,
            max_bytes: options.max_step_bytes,
            step: None,
            sends: 0,
            bytes: 0,
        }
    }

    /// Tasks of this step begin: those of the one before are counted no longer.
    pub(crate) fn begin(&mut self, step: i64) {
        if self.step != Some(step) {
            self.step = Some(step);
            self.sends = 0;
            self.bytes = 0;
        }
    }

    /// Counts what a task left; the one that goes too far has failed.
    pub(crate) fn count(&mut self, outcome: Outcome) -> Outcome {
        let (Outcome::Done(writes) | Outcome::Reused(writes)) = &outcome else {
            return outcome;
        };
        self.sends = self.sends.saturating_add(writes.sends());
        self.bytes = self.bytes.saturating_add(writes.bytes());
        let (kind, message) = if self.sends > self.max_sends {
            (
                "StepSendLimitExceeded",
                format!(
                    "the tasks of the super-step made more than {} Sends (runtime.max_step_sends)",
                    self.max_sends
                ),
            )
        } else if self.bytes > self.max_bytes {
            (
                "StepOutputLimitExceeded",
                format!(
                    "the tasks of the super-step wrote more than {} bytes (runtime.max_step_bytes)",
                    self.max_bytes
                ),
            )
        } else {
            return outcome;
        };
        Outcome::Failed(Failure {
            kind: kind.into(),
            message,
            retryable: false,
        })
    }
}
