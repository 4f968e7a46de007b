//! One execution of a run: from its last checkpoint to its end.
//!
//! `pregel` says what to do next, the sandbox does it, storage keeps what came of it, the stream shows it. Nothing
//! that says "this has ended" leaves before it is durable.

pub(crate) mod commit;
mod configured;
mod exit;
pub(crate) mod facts;
mod level;
mod nested;
pub(crate) mod node_cache;
mod perform;
mod standing;
mod together;
mod walk;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use selvedge_model::Json;
use selvedge_model::cancel::CancelRequest;
use selvedge_model::event::{EventKind, StreamEvent};
use selvedge_model::run::{ClaimedRun, RunError};
use selvedge_pregel::End;
use selvedge_storage::StorageError;
use serde_json::json;

use crate::finish::{self, How};
use crate::graphs::ServedGraph;
use crate::graphs::setting::Setting;
use crate::hub::{Ending, RunStream};
use crate::queue::Place;
use crate::shown::lifecycle;
use crate::{Options, Runtime, Shared, cancel};
use commit::Unstored;
use configured::{Unbuilt, configured};
use standing::NoStanding;
use walk::Walk;

/// Why an execution stopped without the graph having ended.
enum Cut {
    /// Another worker has the run, or it was deleted: leave no trace.
    Fenced,
    /// Storage is damaged, or gone for good.
    Storage(StorageError),
    /// This process stops.
    Stopping,
    /// `run_timeout` has passed.
    TimedOut,
    /// More than `max_exit_bytes` waits to be stored at its end.
    TooMuch,
    /// Someone wants it cancelled.
    Cancelled(CancelRequest),
}

impl Runtime {
    /// Executes a claimed run in the background.
    pub(crate) fn execute(&self, claimed: ClaimedRun, place: Place) {
        let shared = self.0.clone();
        tokio::spawn(async move {
            let stream = shared.stream_of(&claimed).await;
            let execution = AssertUnwindSafe(execute(&shared, &claimed, &stream));
            if execution.catch_unwind().await.is_err() {
                // A mistake of ours: it costs its own run, and nobody waits for ever.
                let error = RunError::new(
                    "InternalError",
                    "the server made a mistake; its log says more",
                );
                finish::finish(&shared, &claimed, &stream, How::failed(error)).await;
            }
            drop(place);
            shared.queue.run_ended();
        });
    }
}

async fn execute(shared: &Arc<Shared>, claimed: &ClaimedRun, stream: &Arc<RunStream>) {
    stream.push(StreamEvent {
        kind: EventKind::Metadata,
        namespace: String::new(),
        data: Json::from(json!({"run_id": claimed.run.run_id, "attempt": claimed.attempt})),
    });
    if stream.tells_of_the_end() {
        stream.push(lifecycle::began(&claimed.run));
    }
    if let Some(wish) = &claimed.cancel {
        let how = cancel::not_taken_up(shared, claimed, wish).await;
        return finish::finish(shared, claimed, stream, how).await;
    }
    let Some(graph) = served_graph(shared, claimed) else {
        let gone = RunError::new(
            "GraphNotFound",
            format!(
                "this server does not serve the graph of assistant {}",
                claimed.run.assistant_id
            ),
        );
        finish::finish(shared, claimed, stream, How::failed(gone)).await;
        return;
    };
    let setting = Setting::of_run(&graph, &claimed.run.kwargs);
    let part = match configured(shared, claimed, &graph, &setting, stream).await {
        Ok(part) => part,
        Err(unbuilt) => return without_graph(shared, claimed, stream, unbuilt).await,
    };
    match Walk::start(shared, claimed, &graph, part, setting, stream.clone()).await {
        Ok(mut walk) => {
            let ended = walk.until_the_end().await;
            settle(shared, claimed, walk, ended).await;
        }
        Err(NoStanding::NoCheckpoint(named)) => {
            let thread = claimed.run.thread_id;
            let message = format!("Checkpoint {named} not found on thread {thread}");
            let gone = RunError::new("CheckpointNotFound", message);
            finish::finish(shared, claimed, stream, How::failed(gone)).await;
        }
        Err(NoStanding::Unstored(
            Unstored::Stopping(_) | Unstored::Refused(StorageError::Fenced),
        )) => abandon(shared, claimed, stream),
        Err(NoStanding::Unstored(Unstored::Refused(error))) => {
            let unreadable = RunError::new("CheckpointUnreadable", error.to_string());
            finish::finish(shared, claimed, stream, How::failed(unreadable)).await;
        }
    }
}

fn served_graph(shared: &Shared, claimed: &ClaimedRun) -> Option<Arc<ServedGraph>> {
    let metadata = claimed.run.metadata.members()?;
    let graph_id: String = metadata.get("graph_id")?.decode().ok()?;
    shared.graphs.get(&graph_id).cloned()
}

/// Ends a run whose graph could not be built, or that had to end before.
async fn without_graph(
    shared: &Arc<Shared>,
    claimed: &ClaimedRun,
    stream: &Arc<RunStream>,
    unbuilt: Unbuilt,
) {
    let how = match unbuilt {
        Unbuilt::Failed(failure) => How::failed(RunError::new(failure.kind, failure.message)),
        Unbuilt::Cut(Cut::TimedOut) => How::timed_out(Json::null()),
        Unbuilt::Cut(Cut::TooMuch) => How::failed(too_much(&shared.options)),
        Unbuilt::Cut(Cut::Cancelled(wish)) => cancel::not_taken_up(shared, claimed, &wish).await,
        Unbuilt::Cut(Cut::Storage(error)) => return give_up(shared, claimed, stream, &error).await,
        Unbuilt::Cut(Cut::Fenced) => return abandon(shared, claimed, stream),
        Unbuilt::Cut(Cut::Stopping) => {
            finish::release(shared, claimed).await;
            return abandon(shared, claimed, stream);
        }
    };
    finish::finish(shared, claimed, stream, how).await;
}

fn too_much(options: &Options) -> RunError {
    let most = options.max_exit_bytes;
    let what = format!(
        "the run left more than {most} bytes to be stored at its end (runtime.max_exit_bytes)"
    );
    RunError::new("ExitLimitExceeded", what)
}

async fn settle(
    shared: &Arc<Shared>,
    claimed: &ClaimedRun,
    mut walk: Walk,
    result: Result<End, Cut>,
) {
    let how = match result {
        Ok(end) => How::ended(end),
        Err(Cut::TimedOut) => How::timed_out(walk.execution.values()),
        Err(Cut::TooMuch) => {
            How::failed(too_much(&shared.options)).with_values(walk.execution.values())
        }
        // It was doing something: there are nodes to run next.
        Err(Cut::Cancelled(wish)) => {
            let values = walk.execution.values();
            How::cancelled(&wish, values, cancel::thread_status(false))
        }
        Err(Cut::Fenced) => return abandon(shared, claimed, &walk.stream),
        Err(Cut::Storage(error)) => {
            return give_up(shared, claimed, &walk.stream, &error).await;
        }
        Err(Cut::Stopping) => {
            if walk.committer.flush().await.is_ok() {
                finish::release(shared, claimed).await;
            }
            return abandon(shared, claimed, &walk.stream);
        }
    };
    match walk.committer.rest().await {
        Ok(rest) => {
            let how = how.with_rest(rest, walk.last_events);
            finish::finish(shared, claimed, &walk.stream, how).await;
        }
        Err(Unstored::Stopping(_) | Unstored::Refused(StorageError::Fenced)) => {
            abandon(shared, claimed, &walk.stream);
        }
        Err(Unstored::Refused(error)) => give_up(shared, claimed, &walk.stream, &error).await,
    }
}

/// Ends a run whose progress storage refuses for good.
async fn give_up(
    shared: &Arc<Shared>,
    claimed: &ClaimedRun,
    stream: &RunStream,
    error: &StorageError,
) {
    tracing::error!(run = %claimed.run.run_id, %error, "what the run did cannot be stored");
    finish::finish(shared, claimed, stream, How::unstorable()).await;
}

fn abandon(shared: &Shared, claimed: &ClaimedRun, stream: &RunStream) {
    stream.end(Ending::Released);
    shared.hub.close(claimed.run.run_id);
}

impl From<Unstored> for Cut {
    fn from(error: Unstored) -> Self {
        match error {
            Unstored::Stopping(_) => Self::Stopping,
            Unstored::Refused(StorageError::Fenced) => Self::Fenced,
            Unstored::Refused(other) => Self::Storage(other),
        }
    }
}
