//! What the writes of an open super-step say about its tasks: finished, asked, answered, failed.
//!
//! The rules are LangGraph's (`_task_status`): a task is finished when it has an output write, and its last question
//! waits for an answer only as long as it is not.

use indexmap::IndexMap;
use selvedge_model::checkpoint::PendingWrite;
use selvedge_model::run::RunError;
use selvedge_model::thread::Interrupt;
use selvedge_model::{Json, TaskId};

use crate::board::INTERRUPT;
use crate::ids::{self, NULL_TASK};
use crate::task::Task;

pub(crate) const ERROR: &str = "__error__";
pub(crate) const RESUME: &str = "__resume__";
pub(crate) const NO_WRITES: &str = "__no_writes__";

/// The fixed place of one of the algorithm's own writes among a task's writes.
pub(crate) fn fixed_index(channel: &str) -> Option<i32> {
    match channel {
        ERROR => Some(-1),
        INTERRUPT => Some(-3),
        RESUME => Some(-4),
        _ => None,
    }
}

/// One task, read from its writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    pub(crate) output: Vec<(String, Json)>,
    pub(crate) interrupts: Vec<Interrupt>,
    pub(crate) answers: Vec<Json>,
    pub(crate) error: Option<RunError>,
}

impl Status {
    pub(crate) fn is_finished(&self) -> bool {
        !self.output.is_empty()
    }

    /// The questions that wait for an answer.
    pub(crate) fn open(&self) -> &[Interrupt] {
        if self.is_finished() {
            &[]
        } else {
            &self.interrupts
        }
    }
}

/// The status of every task that wrote.
pub(crate) fn statuses(pending: &[PendingWrite]) -> IndexMap<TaskId, Status> {
    let mut all: IndexMap<TaskId, Status> = IndexMap::new();
    for write in pending.iter().filter(|w| w.task != NULL_TASK) {
        let status = all.entry(write.task).or_default();
        match write.channel.as_str() {
            INTERRUPT => status
                .interrupts
                .extend(write.value.decode::<Vec<Interrupt>>().unwrap_or_default()),
            RESUME => {
                status.answers = write
                    .value
                    .items()
                    .unwrap_or_else(|| vec![write.value.clone()]);
            }
            ERROR => status.error = write.value.decode().ok(),
            _ => status
                .output
                .push((write.channel.clone(), write.value.clone())),
        }
    }
    all
}

/// The answer that a command gave to no task in particular and that nobody has used.
pub(crate) fn loose_answer(pending: &[PendingWrite]) -> Option<&Json> {
    pending
        .iter()
        .find(|w| w.task == NULL_TASK && w.channel == RESUME)
        .map(|w| &w.value)
}

/// The answers by interrupt id, if a resume value is such a map.
pub(crate) fn as_map(resume: &Json) -> Option<IndexMap<String, Json>> {
    let members = resume.members()?;
    members
        .keys()
        .all(|id| ids::is_interrupt_id(id))
        .then_some(members)
}

/// Gives the tasks that are not finished the answers they had, those that the map has for them, and the loose one if
/// only one of them waits or can ask. Says to which task the loose one went.
pub(crate) fn hand_out_answers(
    tasks: &mut [Task],
    pending: &[PendingWrite],
    by_id: Option<&IndexMap<String, Json>>,
) -> Option<usize> {
    if pending.is_empty() {
        return None;
    }
    let statuses = statuses(pending);
    let mut waiting = Vec::new();
    for (index, task) in tasks.iter_mut().enumerate() {
        let status = statuses.get(&task.id);
        task.answers = status.map(|s| s.answers.clone()).unwrap_or_default();
        let answer = by_id.and_then(|map| {
            let next = ids::interrupt_id(&task.namespace, task.answers.len());
            // Older versions gave all interrupts of a task the first id.
            map.get(&next)
                .or_else(|| map.get(&ids::interrupt_id(&task.namespace, 0)))
        });
        let is_open = status.is_some_and(|s| !s.open().is_empty());
        match answer {
            Some(answer) => task.answers.push(answer.clone()),
            None if is_open && task.writes.is_empty() => waiting.push(index),
            None => {}
        }
    }
    if waiting.is_empty() {
        // Nobody waits: if only one task can ask at all, the answer is its own.
        let unfinished = tasks
            .iter()
            .enumerate()
            .filter(|(_, t)| t.writes.is_empty());
        waiting = unfinished.map(|(index, _)| index).collect();
        waiting.retain(|&index| !tasks[index].is_internal());
    }
    match (loose_answer(pending), waiting.as_slice()) {
        (Some(answer), [only]) => {
            tasks[*only].answers.push(answer.clone());
            Some(*only)
        }
        _ => None,
    }
}
