//! What the tasks of a run leave together until their super-steps end. Each has bounds of its own in the sandbox; their sum
//! lies in the host's memory, so it is bounded here: over the run's own execution and those of the graphs inside its tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use selvedge_pregel::{Failure, Outcome};

use crate::Options;

/// What all executions of a run hold.
pub(crate) struct Sums {
    max_sends: usize,
    max_bytes: usize,
    sends: AtomicUsize,
    bytes: AtomicUsize,
}

impl Sums {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            max_sends: options.max_step_sends,
            max_bytes: options.max_step_bytes,
            sends: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }
}

/// The part of one execution: what the tasks of its super-step left. It ends with the execution.
pub(crate) struct Together {
    run: Arc<Sums>,
    step: Option<i64>,
    sends: usize,
    bytes: usize,
}

impl Together {
    pub(crate) fn new(run: &Arc<Sums>) -> Self {
        Self {
            run: run.clone(),
            step: None,
            sends: 0,
            bytes: 0,
        }
    }

    /// Tasks of this step begin: those of the one before are counted no longer.
    pub(crate) fn begin(&mut self, step: i64) {
        if self.step != Some(step) {
            self.step = Some(step);
            self.let_go();
        }
    }

    /// Counts what a task left; the one that goes too far has failed.
    pub(crate) fn count(&mut self, outcome: Outcome) -> Outcome {
        let (sends, bytes) = match &outcome {
            Outcome::Done(writes) | Outcome::Reused(writes) => (writes.sends(), writes.bytes()),
            Outcome::Interrupted(question) => (0, question.len()),
            Outcome::Stopped(questions) => {
                let question = questions.iter().map(|q| q.id.len() + q.value.len());
                (0, question.sum())
            }
            Outcome::Failed(_) => return outcome,
        };
        self.sends += sends;
        self.bytes += bytes;
        let run = &self.run;
        let all_sends = run.sends.fetch_add(sends, Ordering::Relaxed) + sends;
        let all_bytes = run.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let (kind, message) = if all_sends > run.max_sends {
            (
                "StepSendLimitExceeded",
                format!(
                    "the tasks of the super-step made more than {} Sends (runtime.max_step_sends)",
                    run.max_sends
                ),
            )
        } else if all_bytes > run.max_bytes {
            (
                "StepOutputLimitExceeded",
                format!(
                    "the tasks of the super-step wrote more than {} bytes (runtime.max_step_bytes)",
                    run.max_bytes
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

    fn let_go(&mut self) {
        let (sends, bytes) = (
            std::mem::take(&mut self.sends),
            std::mem::take(&mut self.bytes),
        );
        self.run.sends.fetch_sub(sends, Ordering::Relaxed);
        self.run.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[cfg(test)]
mod tests {
    use selvedge_model::Json;

    use super::*;

    const MOST: usize = 100;

    /// A question of so many bytes, quotes included.
    fn question(bytes: usize) -> Outcome {
        Outcome::Interrupted(Json::string(&"x".repeat(bytes - 2)))
    }

    fn is_too_much(execution: &mut Together, bytes: usize) -> bool {
        matches!(execution.count(question(bytes)), Outcome::Failed(_))
    }

    #[test]
    fn executions_of_one_run_are_counted_together_until_their_steps_end() {
        let run = Arc::new(Sums::new(&Options {
            max_step_bytes: MOST,
            ..Options::default()
        }));
        let (mut own, mut inside) = (Together::new(&run), Together::new(&run));
        own.begin(0);
        inside.begin(0);
        assert!(!is_too_much(&mut own, MOST / 2));
        assert!(!is_too_much(&mut inside, MOST / 2));
        assert!(is_too_much(&mut inside, 2));
        inside.begin(1);
        assert!(!is_too_much(&mut inside, MOST / 2));
        drop(inside);
        assert!(!is_too_much(&mut own, MOST / 2));
        assert!(is_too_much(&mut own, 2));
    }
}
