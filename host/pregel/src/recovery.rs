//! A run that was cut off and is taken up again: how much of its beginning the state holds already.
//!
//! A run is known by the `run_id` of its metadata. Its first checkpoint holds what it began with. Before that only a
//! command has left anything: its writes lie beside a checkpoint that an earlier run made, with a mark that came to
//! storage together with them. So a command is put once, and its answers go to the same tasks, however often the run
//! is begun.

use std::collections::BTreeMap;

use selvedge_model::checkpoint::PendingWrite;
use selvedge_model::{Json, TaskId};
use serde::{Deserialize, Serialize};

use crate::execution::Execution;
use crate::ids::NULL_TASK;
use crate::interrupt;

/// Where the mark is written, by no task.
pub(crate) const BEGUN: &str = "__begun__";

/// How many answers the tasks have that were given one when the run began.
pub(crate) type Given = BTreeMap<TaskId, usize>;

/// The mark that a run leaves with the writes of its command.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    run_id: Json,
    given: Given,
}

/// Whether a checkpoint with this metadata was made by the run with that.
#[must_use]
pub fn made_by(checkpoint: &Json, run: &Json) -> bool {
    run_id(run).is_some_and(|own| Some(own) == run_id(checkpoint))
}

impl Execution {
    /// Whether the checkpoint is one of this very run. So it is, too, when the task around a nested graph is tried
    /// again.
    pub(crate) fn is_on_its_own_checkpoint(&self) -> bool {
        made_by(&self.at.metadata, &self.options.metadata)
    }

    /// Takes the mark out of the pending writes. If it is this run's, the command has been put already.
    pub(crate) fn take_mark(&mut self) -> Option<Given> {
        let is_mark = |w: &PendingWrite| w.task == NULL_TASK && w.channel == BEGUN;
        let at = self.pending.iter().position(is_mark)?;
        let mark: Mark = self.pending.remove(at).value.decode().ok()?;
        (run_id(&self.options.metadata) == Some(mark.run_id)).then_some(mark.given)
    }

    /// Leaves the command's writes to be stored, once it is known who was given its answers.
    pub(crate) fn store_command(&mut self, given: Given) {
        if let Some(mut writes) = self.command.take() {
            // A run without an id is never taken up again.
            writes.extend(self.mark(given));
            self.store(writes);
        }
    }

    fn mark(&self, given: Given) -> Option<PendingWrite> {
        let run_id = run_id(&self.options.metadata)?;
        Some(PendingWrite {
            task: NULL_TASK,
            index: interrupt::fixed_index(BEGUN)?,
            channel: BEGUN.to_owned(),
            value: Json::encode(&Mark { run_id, given }).ok()?,
        })
    }
}

fn run_id(metadata: &Json) -> Option<Json> {
    metadata.members()?.get("run_id").cloned()
}
