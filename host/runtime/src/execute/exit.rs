//! What a run in the mode `exit` leaves to be stored at its end: of each namespace the last checkpoint, with the writes
//! on it.

use std::collections::BTreeMap;

use selvedge_model::checkpoint::{Change, CheckpointWrite};
use selvedge_storage::{PendingCommit, StepCommit};

/// The last of each namespace.
#[derive(Default)]
pub(super) struct AtExit {
    by_namespace: BTreeMap<String, Last>,
    bytes: usize,
}

/// The last checkpoint of a namespace, unless it is one that an earlier run stored, and writes on it and that one.
#[derive(Default)]
struct Last {
    checkpoint: Option<CheckpointWrite>,
    pending: Vec<PendingCommit>,
    checkpoint_bytes: usize,
    pending_bytes: usize,
}

impl AtExit {
    /// What waits in memory, without the names.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a checkpoint in the place of the one before it, which is never stored, nor are the writes on it.
    pub(super) fn add_checkpoint(&mut self, checkpoint: CheckpointWrite) {
        let last = self.last(&checkpoint.namespace);
        let before = last.bytes();
        last.replace(checkpoint);
        let after = last.bytes();
        self.bytes = self.bytes - before + after;
    }

    pub(super) fn add_pending(&mut self, pending: PendingCommit) {
        let bytes = bytes_of(&pending);
        let last = self.last(&pending.namespace);
        last.pending_bytes += bytes;
        last.pending.push(pending);
        self.bytes += bytes;
    }

    /// A task is done, so nobody goes on with the graphs inside it: nothing is kept of them.
    pub(super) fn forget(&mut self, task: &str) {
        let from = self.by_namespace.range(task.to_owned()..);
        let names = from.map(|(name, _)| name);
        let begins = names.take_while(|name| name.starts_with(task));
        let inside =
            begins.filter(|name| matches!(name.as_bytes().get(task.len()), None | Some(b'|')));
        for name in inside.cloned().collect::<Vec<_>>() {
            if let Some(gone) = self.by_namespace.remove(&name) {
                self.bytes -= gone.bytes();
            }
        }
    }

    /// Gives out all of it.
    pub(super) fn take(&mut self) -> StepCommit {
        let mut step = StepCommit::default();
        self.bytes = 0;
        for last in std::mem::take(&mut self.by_namespace).into_values() {
            step.checkpoints.extend(last.checkpoint);
            step.pending.extend(last.pending);
        }
        step.checkpoints.sort_by_key(|checkpoint| checkpoint.id);
        step
    }

    fn last(&mut self, namespace: &str) -> &mut Last {
        self.by_namespace.entry(namespace.to_owned()).or_default()
    }
}

impl Last {
    fn bytes(&self) -> usize {
        self.checkpoint_bytes + self.pending_bytes
    }

    fn replace(&mut self, mut checkpoint: CheckpointWrite) {
        let mut bytes: usize = checkpoint.changes.values().map(Change::bytes).sum();
        if let Some(earlier) = self.checkpoint.take() {
            self.pending
                .retain(|pending| pending.checkpoint != earlier.id);
            self.pending_bytes = self.pending.iter().map(bytes_of).sum();
            // What is no child of it began anew: the task was tried again.
            if checkpoint.parent == Some(earlier.id) {
                bytes += self.checkpoint_bytes;
                bytes -= superseded(&earlier, &checkpoint);
                checkpoint.absorb(earlier);
            }
        }
        self.checkpoint = Some(checkpoint);
        self.checkpoint_bytes = bytes;
    }
}

/// What goes of a checkpoint when the next one takes it up: the values that change as a whole.
fn superseded(earlier: &CheckpointWrite, later: &CheckpointWrite) -> usize {
    let replaced = later
        .changes
        .iter()
        .filter(|(_, change)| !matches!(change, Change::Append(_)));
    replaced
        .filter_map(|(channel, _)| earlier.changes.get(channel))
        .map(Change::bytes)
        .sum()
}

fn bytes_of(pending: &PendingCommit) -> usize {
    let bytes = pending.writes.iter().map(|write| write.value.len());
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use selvedge_model::checkpoint::{ChannelValue, PendingWrite, Source};
    use selvedge_model::{CheckpointId, Json, TaskId, Timestamp};
    use uuid::Uuid;

    use super::*;

    fn checkpoint(id: u128, namespace: &str, change: Change) -> CheckpointWrite {
        CheckpointWrite {
            id: CheckpointId(Uuid::from_u128(id)),
            parent: Some(CheckpointId(Uuid::from_u128(id - 1))),
            namespace: namespace.to_owned(),
            created_at: Timestamp::from_micros(0),
            step: 0,
            source: Source::Loop,
            metadata: Json::default(),
            versions: BTreeMap::new(),
            versions_seen: BTreeMap::new(),
            updated_channels: Vec::new(),
            changes: BTreeMap::from([("c".to_owned(), change)]),
        }
    }

    fn set(text: &str) -> Change {
        Change::Set(ChannelValue::Whole(Json::string(text)))
    }

    fn append(text: &str) -> Change {
        Change::Append(vec![Json::string(text)])
    }

    fn pending(checkpoint: u128, namespace: &str) -> PendingCommit {
        PendingCommit {
            checkpoint: CheckpointId(Uuid::from_u128(checkpoint)),
            namespace: namespace.to_owned(),
            writes: vec![PendingWrite {
                task: TaskId(Uuid::nil()),
                index: 0,
                channel: "c".to_owned(),
                value: Json::string("1234"),
            }],
        }
    }

    #[test]
    fn the_last_checkpoint_of_each_namespace_is_kept_and_what_was_added_to_lists_before() {
        let mut left = AtExit::default();
        left.add_pending(pending(1, ""));
        left.add_checkpoint(checkpoint(2, "", append("ab")));
        left.add_pending(pending(2, ""));
        assert_eq!(left.bytes(), 6 + 4 + 6);
        left.add_checkpoint(checkpoint(3, "", append("cd")));
        assert_eq!(left.bytes(), 6 + 4 + 4);
        left.add_checkpoint(checkpoint(4, "", set("x")));
        assert_eq!(left.bytes(), 6 + 3);
        left.add_checkpoint(checkpoint(2, "n:1", set("y")));
        let step = left.take();
        let kept = step.checkpoints.iter().map(|kept| kept.id.0.as_u128());
        assert_eq!(kept.collect::<Vec<_>>(), [2, 4]);
        assert_eq!((step.pending.len(), left.bytes()), (1, 0));
    }

    #[test]
    fn nothing_is_kept_of_graphs_inside_a_task_that_is_done() {
        let mut left = AtExit::default();
        let inside = ["n:1", "n:1|2", "n:1|m:2"];
        let others = ["", "n:10", "n:0", "n"];
        for namespace in inside.iter().chain(&others) {
            left.add_checkpoint(checkpoint(2, namespace, set("x")));
            left.add_pending(pending(2, namespace));
        }
        left.forget("n:1");
        assert_eq!(left.bytes(), others.len() * (3 + 6));
        assert_eq!(left.take().checkpoints.len(), others.len());
    }
}
