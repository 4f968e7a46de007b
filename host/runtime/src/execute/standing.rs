//! Where an execution begins: which checkpoint, and with what.

use indexmap::IndexMap;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::run::{ClaimedRun, Command, RunKwargs};
use selvedge_model::{CheckpointId, Json, Scope};
use selvedge_pregel::{Addressed, Entry, answers_by_id};

use super::commit::{Unstored, insist};
use crate::Shared;

/// Where an execution begins.
pub(crate) struct Standing {
    pub(crate) base: Option<SavedCheckpoint>,
    pub(crate) entry: Entry,
    /// Whether the caller named the checkpoint: history branches there.
    pub(crate) addressed: Addressed,
    /// The thread's newest checkpoint: new ones must sort after it.
    pub(crate) newest: Option<CheckpointId>,
}

/// Why an execution cannot begin.
pub(crate) enum NoStanding {
    /// The checkpoint that the run names is not there, or not any more: another run that was rolled back took it away.
    /// On an empty state in its place, the run would take away what the thread holds.
    NoCheckpoint(CheckpointId),
    Unstored(Unstored),
}

impl From<Unstored> for NoStanding {
    fn from(error: Unstored) -> Self {
        Self::Unstored(error)
    }
}

/// The same for a run that was cut off: `pregel` sees in what was stored how much of its beginning is there already.
pub(crate) async fn standing(
    shared: &Shared,
    claimed: &ClaimedRun,
    metadata: &Json,
) -> Result<Standing, NoStanding> {
    let kwargs = &claimed.run.kwargs;
    let entry = match &kwargs.command {
        Some(command) => Entry::Command(Command::clone(command)),
        None if kwargs.input.is_null() => Entry::Continue,
        None => Entry::Input(kwargs.input.clone()),
    };
    let from_nothing = Standing {
        base: None,
        entry,
        addressed: Addressed::No,
        newest: None,
    };
    if kwargs.temporary {
        return Ok(from_nothing);
    }
    let named = named_checkpoint(&kwargs.config);
    let thread = claimed.run.thread_id;
    let load = |at| {
        insist(shared, move || {
            shared.storage.checkpoint(&Scope::Host, thread, "", at)
        })
    };
    let Some(saved) = load(None).await? else {
        return match named {
            Some(named) => Err(NoStanding::NoCheckpoint(named)),
            None => Ok(from_nothing),
        };
    };
    let newest = saved.checkpoint.id;
    let here = Standing {
        newest: Some(newest),
        entry: taken_up_again(kwargs).unwrap_or(from_nothing.entry),
        ..from_nothing
    };
    // A run that was cut off goes on where it stood, wherever it had begun.
    if selvedge_pregel::made_by(&saved.checkpoint.metadata, metadata) {
        return Ok(Standing {
            base: Some(saved),
            ..here
        });
    }
    match named {
        Some(named) if named == newest => Ok(Standing {
            base: Some(saved),
            addressed: Addressed::Newest,
            ..here
        }),
        Some(named) => match load(Some(named)).await? {
            Some(base) => Ok(Standing {
                base: Some(base),
                addressed: Addressed::Earlier,
                ..here
            }),
            None => Err(NoStanding::NoCheckpoint(named)),
        },
        None => Ok(Standing {
            base: Some(saved),
            ..here
        }),
    }
}

/// A graph that runs elsewhere, with this one as a node, may be resumed: then the node runs again. LangGraph's
/// `RemoteGraph` sends the node's input once more, and says in `configurable` that it is not meant, with the answers that
/// the graph was given, by the ids of all questions in it.
fn taken_up_again(kwargs: &RunKwargs) -> Option<Entry> {
    let configurable = configurable(&kwargs.config)?;
    let goes_on: bool = configurable.get("__pregel_resuming")?.decode().ok()?;
    if !goes_on || kwargs.command.is_some() {
        return None;
    }
    let answers = configurable.get("__pregel_resume_map");
    let by_id = answers.filter(|answers| answers_by_id(answers).is_some());
    Some(by_id.map_or(Entry::Continue, |answers| {
        Entry::Command(Command {
            resume: Some(answers.clone()),
            ..Command::default()
        })
    }))
}

fn named_checkpoint(config: &Json) -> Option<CheckpointId> {
    configurable(config)?.get("checkpoint_id")?.decode().ok()
}

fn configurable(config: &Json) -> Option<IndexMap<String, Json>> {
    config.members()?.get("configurable")?.members()
}
