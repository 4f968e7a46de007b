//! Cancelling and deleting runs: storage decides what becomes of each, and here whoever has to do with it is told.
//!
//! A run that had not begun has ended by then, and so those who wait for it are answered. One that had begun is marked
//! in storage, and its execution, which hears of it through the run's stream, ends it. The mark is what counts: an
//! execution that never heard of it is told by storage when it ends, and the next process when it starts.

pub(crate) mod leash;

use std::sync::Arc;

use selvedge_model::cancel::CancelRequest;
use selvedge_model::run::{ClaimedRun, RunStatus};
use selvedge_model::thread::ThreadStatus;
use selvedge_model::{Json, RunId, Scope, ThreadId, Timestamp};
use selvedge_storage::{CancelRuns, Cancelled, StorageError, Values, WhichRuns};

use crate::finish::{How, unbegun};
use crate::hub::threads::OwnedThread;
use crate::hub::{Ending, Finished, Subscription};
use crate::shown::lifecycle;
use crate::{Runtime, Shared};

/// Runs that are named in one call to storage, so that nobody waits long behind it.
const MAX_NAMED: usize = 500;

/// What came of cancelling one run.
pub enum CancelOne {
    /// It ends, or has ended by now: here is how to wait for that.
    Cancelled(Subscription),
    /// It had ended before.
    Ended,
    /// There is no such run.
    Missing,
}

/// What came of cancelling several runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelMany {
    /// At least one of them ends, or has ended by now.
    Cancelled,
    /// All that there are of those that were named had ended before.
    Ended,
    /// There are no such runs.
    Missing,
}

impl Runtime {
    /// Cancels a run that has not ended. When this answers [`CancelOne::Cancelled`], the run will end so, whatever
    /// happens to this process.
    pub async fn cancel_run(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        run: RunId,
        request: CancelRequest,
    ) -> Result<CancelOne, StorageError> {
        let shared = &self.0;
        let _visit = shared.hub.visit(run);
        // Joined before it can end.
        let stream = shared.hub.open(run, &shared.options).subscribe();
        let which = WhichRuns::Named {
            thread,
            ids: vec![run],
        };
        Ok(match self.cancel(scope, which, request).await? {
            CancelMany::Cancelled => CancelOne::Cancelled(stream),
            CancelMany::Ended => CancelOne::Ended,
            CancelMany::Missing => CancelOne::Missing,
        })
    }

    /// Cancels runs that have not ended.
    pub async fn cancel(
        &self,
        scope: &Scope,
        which: WhichRuns,
        request: CancelRequest,
    ) -> Result<CancelMany, StorageError> {
        // On a task of its own: a caller that goes away must not leave others waiting for what was cancelled.
        let (runtime, scope) = (self.clone(), scope.clone());
        let cancelling =
            tokio::spawn(async move { runtime.cancel_all(&scope, which, &request).await });
        cancelling
            .await
            .unwrap_or_else(|error| Err(StorageError::Failed(error.to_string())))
    }

    async fn cancel_all(
        &self,
        scope: &Scope,
        which: WhichRuns,
        request: &CancelRequest,
    ) -> Result<CancelMany, StorageError> {
        let mut any = false;
        match which {
            WhichRuns::Named { thread, ids } => {
                for ids in ids.chunks(MAX_NAMED) {
                    let ids = ids.to_vec();
                    let cancelled = self
                        .mark(scope, WhichRuns::Named { thread, ids }, request)
                        .await?;
                    any |= !cancelled.is_empty();
                }
                if !any && self.knows_one(scope, thread, &ids).await? {
                    return Ok(CancelMany::Ended);
                }
            }
            all => loop {
                let cancelled = self.mark(scope, all.clone(), request).await?;
                any |= !cancelled.is_empty();
                if !cancelled.more {
                    break;
                }
            },
        }
        Ok(match any {
            true => CancelMany::Cancelled,
            false => CancelMany::Missing,
        })
    }

    /// Looks at some of them: it is about the words of a refusal only.
    async fn knows_one(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        ids: &[RunId],
    ) -> Result<bool, StorageError> {
        for id in ids.iter().take(MAX_NAMED) {
            if self.0.storage.run(scope, thread, *id).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn mark(
        &self,
        scope: &Scope,
        which: WhichRuns,
        request: &CancelRequest,
    ) -> Result<Cancelled, StorageError> {
        let cancelled = self
            .0
            .storage
            .cancel_runs(
                scope,
                CancelRuns {
                    which,
                    request: request.clone(),
                    last_words: unbegun(&self.0),
                    now: Timestamp::now(),
                },
            )
            .await?;
        self.make_known(&cancelled, request).await;
        Ok(cancelled)
    }

    /// Tells those who execute runs that storage has marked, and those who wait for runs that it has ended.
    pub(crate) async fn make_known(&self, cancelled: &Cancelled, request: &CancelRequest) {
        for run in &cancelled.marked {
            self.stop(*run, request).await;
        }
        for told in &cancelled.told {
            (told.show)();
        }
        for run in cancelled.ended.iter().chain(&cancelled.deleted) {
            self.0.ended.count(RunStatus::Interrupted);
            self.tell_that_it_never_began(*run).await;
        }
        if !cancelled.is_empty() {
            // A marked run that waits to be taken up again is claimed for its end; others may be next on their threads.
            self.0.queue.look_again();
            self.0.webhooks.wake();
        }
    }

    async fn stop(&self, run: RunId, request: &CancelRequest) {
        let shared = &self.0;
        shared.hub.open(run, &shared.options).cancel(request);
        // One that ended meanwhile has closed its stream already, and nobody else closes the one that this opened.
        if let Ok(row) = shared.storage.run(&Scope::Host, None, run).await
            && row.is_none_or(|row| row.status.is_terminal())
        {
            shared.hub.close(run);
        }
    }

    async fn tell_that_it_never_began(&self, run: RunId) {
        let shared = &self.0;
        let Some(stream) = shared.hub.find(run) else {
            return;
        };
        let left = match shared.storage.run(&Scope::Host, None, run).await {
            Ok(Some(row)) => self.what_is_left_of(&row).await.ok().flatten(),
            _ => None,
        };
        stream.end(Ending::Finished(Arc::new(left.unwrap_or(Finished {
            status: RunStatus::Interrupted,
            values: Json::null(),
            interrupts: Vec::new(),
            error: None,
        }))));
        shared.hub.close(run);
    }

    async fn owned(&self, thread: ThreadId) -> Result<OwnedThread, StorageError> {
        let storage = &self.0.storage;
        let found = storage.thread(&Scope::Host, thread, Values::Skip).await?;
        Ok(OwnedThread {
            thread,
            owner: found.and_then(|found| found.owner),
        })
    }

    /// Deletes a run; `false` when there is none. One that had not ended stops, what it did is undone, and whoever
    /// waits for it is told.
    pub async fn delete_run(
        &self,
        scope: &Scope,
        thread: Option<ThreadId>,
        run: RunId,
    ) -> Result<bool, StorageError> {
        let (runtime, scope) = (self.clone(), scope.clone());
        let deletion = tokio::spawn(async move {
            let shared = &runtime.0;
            let row = shared.storage.run(&scope, thread, run).await?;
            let shown_to = match &row {
                Some(row) => Some(runtime.owned(row.thread_id).await?),
                None => None,
            };
            let was = shared
                .storage
                .delete_run(&scope, thread, run, Timestamp::now());
            let Some(status) = was.await? else {
                return Ok(false);
            };
            if !status.is_terminal() {
                if let Some((row, thread)) = row.zip(shown_to) {
                    let ended = lifecycle::ended(&row, RunStatus::Interrupted, false, None);
                    shared.hub.threads.show(&thread, None, &Arc::new(ended));
                }
                shared.hub.release(run);
                shared.queue.look_again();
            }
            Ok(true)
        });
        deletion
            .await
            .unwrap_or_else(|error| Err(StorageError::Failed(error.to_string())))
    }
}

/// How a run ends that is not taken up again because someone wants it cancelled.
pub(crate) async fn not_taken_up(
    shared: &Arc<Shared>,
    claimed: &ClaimedRun,
    wish: &CancelRequest,
) -> How {
    let (values, rests) = what_it_left(shared, claimed).await;
    How::cancelled(wish, values, thread_status(rests))
}

/// What a run that is not taken up again has left: its last values, and whether its thread rests there.
pub(crate) async fn what_it_left(shared: &Arc<Shared>, claimed: &ClaimedRun) -> (Json, bool) {
    let runtime = Runtime(shared.clone());
    match runtime
        .thread_state(&Scope::Host, claimed.run.thread_id, "", None, false)
        .await
    {
        Ok(Some(state)) => (state.view.values, state.view.next.is_empty()),
        // A temporary run has left nothing.
        _ => (Json::null(), true),
    }
}

/// The status of a thread on which a run was cancelled.
pub(crate) fn thread_status(rests: bool) -> ThreadStatus {
    if rests {
        ThreadStatus::Idle
    } else {
        ThreadStatus::Interrupted
    }
}
