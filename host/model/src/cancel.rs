//! Cancelling runs: what becomes of what they did, and what their threads say about it.

use serde::{Deserialize, Serialize};

use crate::RunId;
use crate::run::{MultitaskStrategy, RunError};

/// What becomes of a run that is cancelled. Of two wishes for one run the later variant wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CancelAction {
    /// It stops, and what it did stays.
    #[default]
    Interrupt,
    /// It goes, and its thread is as if it had never been.
    Rollback,
}

impl CancelAction {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupt",
            Self::Rollback => "rollback",
        }
    }
}

/// A wish to cancel a run. It is kept with the run until the run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRequest {
    /// What becomes of it.
    pub action: CancelAction,
    /// Who wanted it, for the thread's error.
    pub message: String,
}

impl CancelRequest {
    /// The wish of a new run whose strategy ends those before it; `None` for the strategies that do not.
    #[must_use]
    pub fn superseded_by(run: RunId, strategy: MultitaskStrategy) -> Option<Self> {
        let action = match strategy {
            MultitaskStrategy::Interrupt => CancelAction::Interrupt,
            MultitaskStrategy::Rollback => CancelAction::Rollback,
            MultitaskStrategy::Reject | MultitaskStrategy::Enqueue => return None,
        };
        Some(Self {
            action,
            message: format!(
                "superseded by run {run} (multitask_strategy={})",
                action.as_str()
            ),
        })
    }

    /// What the thread says of the run that was cancelled, in LangGraph's words.
    #[must_use]
    pub fn error(&self) -> RunError {
        let kind = match self.action {
            CancelAction::Interrupt => "UserInterrupt",
            CancelAction::Rollback => "UserRollback",
        };
        RunError::new(kind, &self.message)
    }
}
