//! Ids that are derived from what they stand for, with LangGraph's own ingredients: a step that runs again has the
//! same task ids and asks under the same interrupt ids.

use selvedge_model::{CheckpointId, TaskId};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// The kind of a task that an edge triggered.
pub(crate) const PULL: &str = "__pregel_pull";
/// The kind of a task that a `Send` asked for, and its only trigger.
pub(crate) const PUSH: &str = "__pregel_push";

/// The writer of what did not come from a task: commands.
pub(crate) const NULL_TASK: TaskId = TaskId(Uuid::nil());

/// xxh3-128 over the checkpoint's id and the parts, printed as a UUID.
pub(crate) fn task_id<'a>(
    checkpoint: CheckpointId,
    namespace: &str,
    step: i64,
    node: &str,
    kind: &str,
    rest: impl IntoIterator<Item = &'a str>,
) -> TaskId {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(checkpoint.0.as_bytes());
    bytes.extend_from_slice(namespace.as_bytes());
    bytes.extend_from_slice(step.to_string().as_bytes());
    bytes.extend_from_slice(node.as_bytes());
    bytes.extend_from_slice(kind.as_bytes());
    for part in rest {
        bytes.extend_from_slice(part.as_bytes());
    }
    TaskId(Uuid::from_u128(xxh3_128(&bytes)))
}

/// The id of a task's next interrupt, when `answered` of its interrupts have an answer.
pub(crate) fn interrupt_id(task_namespace: &str, answered: usize) -> String {
    let hash = if answered == 0 {
        xxh3_128(task_namespace.as_bytes())
    } else {
        xxh3_128(format!("{task_namespace}|{answered}").as_bytes())
    };
    format!("{hash:032x}")
}

/// Whether a member name of a resume map can be an interrupt's id.
pub(crate) fn is_interrupt_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The task that a state update stands for when no task of the checkpoint can lend its id.
pub(crate) fn update_task_id(checkpoint: CheckpointId, index: usize) -> TaskId {
    let name = match index {
        0 => "__interrupt__".to_owned(),
        n => format!("__interrupt__:{n}"),
    };
    TaskId(Uuid::new_v5(&checkpoint.0, name.as_bytes()))
}

/// An id for a message that came without one: the same message of the same task always gets the same id.
pub(crate) fn message_id(seed: Uuid, channel: &str, index: usize, text: &str) -> String {
    Uuid::new_v5(&seed, format!("{channel}|{index}|{text}").as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_and_interrupt_ids_are_langgraphs() {
        // Computed with langgraph 1.2.22: _xxhash_str(bytes(16), "a", "1", "a", PULL, "branch:to:a").
        let id = task_id(
            CheckpointId(Uuid::nil()),
            "a",
            1,
            "a",
            PULL,
            ["branch:to:a"],
        );
        assert_eq!(id.to_string(), "10846533-63f8-4de2-c0df-5078f24c9bf8");
        assert_eq!(interrupt_id("a:1", 0), "b65aa096a1ddcbb45dc317ce993bf219");
        assert_eq!(interrupt_id("a:1", 2), "662f7f2d1a145006329290cc6a0b83f2");
    }
}
