//! That a run begins and how it ends, for those who read the event protocol.

use selvedge_model::event::{EventKind, StreamEvent};
use selvedge_model::run::{Run, RunError, RunStatus};
use selvedge_model::{Json, RunId};
use serde::Serialize;

/// How a run stands, in the protocol's words.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Running,
    Completed,
    Failed,
    Interrupted,
}

#[derive(Serialize)]
struct Lifecycle<'a> {
    run_id: RunId,
    graph_name: &'a str,
    event: Word,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// What it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    modes: Option<&'a [selvedge_model::run::StreamMode]>,
}

pub(crate) fn began(run: &Run) -> StreamEvent {
    event(run, Word::Running, None)
}

/// A run that stops at a question is a success for LangGraph, and interrupted in the protocol.
pub(crate) fn ended(
    run: &Run,
    status: RunStatus,
    asks: bool,
    error: Option<&RunError>,
) -> StreamEvent {
    let word = match status {
        RunStatus::Success if asks => Word::Interrupted,
        RunStatus::Success => Word::Completed,
        RunStatus::Error | RunStatus::Timeout => Word::Failed,
        RunStatus::Interrupted | RunStatus::Pending | RunStatus::Running => Word::Interrupted,
    };
    let why = error.map(|error| match error.message.as_str() {
        "" => error.kind.as_str(),
        message => message,
    });
    event(run, word, why.filter(|_| matches!(word, Word::Failed)))
}

fn event(run: &Run, word: Word, error: Option<&str>) -> StreamEvent {
    let metadata = run.metadata.members().unwrap_or_default();
    let graph: Option<String> = metadata.get("graph_id").and_then(|id| id.decode().ok());
    let modes = run.kwargs.stream_mode.as_slice();
    StreamEvent {
        kind: EventKind::Lifecycle,
        namespace: String::new(),
        data: Json::written(&Lifecycle {
            run_id: run.run_id,
            graph_name: graph.as_deref().unwrap_or_default(),
            event: word,
            error,
            modes: matches!(word, Word::Running).then_some(modes),
        }),
    }
}
