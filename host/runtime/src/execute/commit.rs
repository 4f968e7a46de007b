//! Making a run's progress durable, in the mode that its caller chose.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use selvedge_model::checkpoint::CheckpointWrite;
use selvedge_model::run::{Durability, Lease};
use selvedge_storage::{PendingCommit, StepCommit, StorageError};

use super::exit::AtExit;
use crate::Shared;
use crate::hub::RunStream;

/// How long to wait before storage is asked again after it failed; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A full disk may stay full for long, and asking costs little.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Super-steps that a run may be ahead of storage, so that one on a full disk does not gather its steps in memory.
const MOST_WAITING_STEPS: usize = 64;

/// How often storage may fail for a reason that it has no name for.
const MOST_FAILURES: u32 = 5;

type Commit = Pin<Box<dyn Future<Output = Result<(), Unstored>> + Send>>;

/// Gathers what a run leaves behind and brings it to storage: at most one commit is under way, and what comes
/// meanwhile is the next, in order.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    lease: Lease,
    /// Whose events are stored with the run's progress.
    stream: Arc<RunStream>,
    mode: Mode,
    gathered: StepCommit,
    /// The same in the mode `exit`.
    at_exit: AtExit,
    under_way: Option<Commit>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Checkpoints are stored as they come.
    Steps,
    /// Only the last checkpoint of each namespace, when the run ends.
    Exit,
    /// A temporary run has no checkpoints.
    Never,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        lease: Lease,
        stream: Arc<RunStream>,
        durability: Durability,
        temporary: bool,
    ) -> Self {
        let mode = match durability {
            _ if temporary => Mode::Never,
            Durability::Exit => Mode::Exit,
            Durability::Sync | Durability::Async => Mode::Steps,
        };
        Self {
            shared,
            lease,
            stream,
            mode,
            gathered: StepCommit::default(),
            at_exit: AtExit::default(),
            under_way: None,
        }
    }

    pub(crate) fn add_checkpoint(&mut self, checkpoint: CheckpointWrite) {
        match self.mode {
            Mode::Steps => self.gathered.checkpoints.push(checkpoint),
            Mode::Exit => self.at_exit.add_checkpoint(checkpoint),
            Mode::Never => {}
        }
    }

    pub(crate) fn add_pending(&mut self, pending: PendingCommit) {
        match self.mode {
            Mode::Steps => self.gathered.pending.push(pending),
            Mode::Exit => self.at_exit.add_pending(pending),
            Mode::Never => {}
        }
    }

    /// A task of this namespace is done.
    pub(crate) fn task_is_done(&mut self, namespace: &str) {
        self.at_exit.forget(namespace);
    }

    /// Whether more waits for the end of the run than may.
    pub(crate) fn has_too_much(&self) -> bool {
        self.at_exit.bytes() > self.shared.options.max_exit_bytes
    }

    fn has_work(&self) -> bool {
        let has_progress =
            !(self.gathered.checkpoints.is_empty() && self.gathered.pending.is_empty());
        has_progress || self.stream.has_unstored()
    }

    /// Whether so much waits behind the commit under way that the run should wait too.
    pub(crate) fn is_behind(&self) -> bool {
        self.under_way.is_some() && self.gathered.checkpoints.len() >= MOST_WAITING_STEPS
    }

    /// Begins the next commit unless one is under way.
    pub(crate) fn begin(&mut self) {
        if self.under_way.is_none() && self.has_work() {
            // What is stored at the end waits for it; events do not.
            let mut step = std::mem::take(&mut self.gathered);
            step.events = self.stream.to_store();
            let (shared, lease, stream) = (self.shared.clone(), self.lease, self.stream.clone());
            self.under_way = Some(Box::pin(async move {
                insist(&shared, || shared.storage.commit_step(lease, step.clone())).await?;
                if let Some(last) = step.events.last() {
                    stream.stored(last.id);
                }
                Ok(())
            }));
        }
    }

    /// Waits for the commit that is under way; for ever when there is none.
    pub(crate) async fn progress(&mut self) -> Result<(), Unstored> {
        let Some(commit) = &mut self.under_way else {
            return pending().await;
        };
        let result = commit.await;
        self.under_way = None;
        self.begin();
        result
    }

    /// Waits until everything so far is durable.
    pub(crate) async fn flush(&mut self) -> Result<(), Unstored> {
        self.begin();
        while self.under_way.is_some() {
            self.progress().await?;
        }
        Ok(())
    }

    /// Waits for the commit under way and gives out what is left, for the transaction that ends the run.
    pub(crate) async fn rest(&mut self) -> Result<StepCommit, Unstored> {
        if let Some(commit) = self.under_way.take() {
            commit.await?;
        }
        Ok(match self.mode {
            Mode::Steps | Mode::Never => std::mem::take(&mut self.gathered),
            Mode::Exit => self.at_exit.take(),
        })
    }
}

/// Why storage did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unstored {
    /// Asking again might have helped, and the next process does.
    #[error("this process stops: {0}")]
    Stopping(StorageError),
    /// It never will.
    #[error(transparent)]
    Refused(StorageError),
}

/// Asks storage until it does what it is asked, so that a disk that is full for a while loses no run. A lost lease,
/// damage, a failure that lasts and the end of this process are answers.
pub(crate) async fn insist<T, F>(shared: &Shared, mut ask: impl FnMut() -> F) -> Result<T, Unstored>
where
    F: Future<Output = Result<T, StorageError>>,
{
    let mut pause = FIRST_PAUSE;
    let mut failures = 0;
    loop {
        let error = match ask().await {
            Err(error) if may_pass(&error, &mut failures) => error,
            answer => return answer.map_err(Unstored::Refused),
        };
        tracing::warn!(%error, pause_ms = pause.as_millis(), "storage is asked again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.released() => return Err(Unstored::Stopping(error)),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether asking again may help. An unnamed failure gets a few tries.
fn may_pass(error: &StorageError, failures: &mut u32) -> bool {
    match error {
        error if error.may_pass() => true,
        StorageError::Failed(_) => {
            *failures += 1;
            *failures < MOST_FAILURES
        }
        _ => false,
    }
}
