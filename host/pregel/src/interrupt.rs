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
use crate::nested;
use crate::recovery::{BEGUN, Given};
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
        BEGUN => Some(-5),
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
#[must_use]
pub fn answers_by_id(resume: &Json) -> Option<IndexMap<String, Json>> {
    let members = resume.members()?;
    members
        .keys()
        .all(|id| ids::is_interrupt_id(id))
        .then_some(members)
}

/// The answers that there are for the tasks of a step.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    /// With those that tasks had, and the loose one.
    pub(crate) pending: &'a [PendingWrite],
    /// By the questions' ids.
    pub(crate) by_id: Option<&'a IndexMap<String, Json>>,
    /// Who was given one, in a run that was cut off after that.
    pub(crate) given_before: Option<&'a Given>,
}

impl Answers<'_> {
    /// Gives the tasks that are not finished the answers they had, those that the map has for them, and the loose one
    /// if only one of them waits or can ask. Says to which task the loose one went.
    pub(crate) fn hand_out(&self, tasks: &mut [Task]) -> Option<usize> {
        if self.pending.is_empty() {
            return None;
        }
        let statuses = statuses(self.pending);
        for task in tasks.iter_mut() {
            let status = statuses.get(&task.info.id);
            task.answers = status.map(|s| s.answers.clone()).unwrap_or_default();
        }
        if let Some(given) = self.given_before {
            return self.hand_out_again(tasks, given);
        }
        let mut waiting = Vec::new();
        for (index, task) in tasks.iter_mut().enumerate() {
            let is_open = statuses
                .get(&task.info.id)
                .is_some_and(|s| !s.open().is_empty());
            match self.of_task(task) {
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
        match (loose_answer(self.pending), waiting.as_slice()) {
            (Some(answer), [only]) => {
                let task = &mut tasks[*only];
                let status = statuses.get(&task.info.id);
                give(task, status, answer.clone());
                Some(*only)
            }
            _ => None,
        }
    }

    /// How many answers those tasks have that were given one just now.
    pub(crate) fn given(&self, tasks: &[Task]) -> Given {
        let statuses = statuses(self.pending);
        let had = |task: &Task| statuses.get(&task.info.id).map_or(0, |s| s.answers.len());
        let has = |task: &Task| task.answers.len() + usize::from(task.below.is_some());
        let given = tasks.iter().filter(|t| has(t) > had(t));
        given.map(|t| (t.info.id, has(t))).collect()
    }

    /// Gives what was given before the run was cut off, unless the task has kept it: not who waits now decides.
    fn hand_out_again(&self, tasks: &mut [Task], given: &Given) -> Option<usize> {
        let statuses = statuses(self.pending);
        let mut loose_task = None;
        for (index, task) in tasks.iter_mut().enumerate() {
            let count = given.get(&task.info.id).copied().unwrap_or(0);
            if task.answers.len() < count
                && let Some(answer) = self.of_task(task)
            {
                task.answers.push(answer.clone());
            }
            if task.answers.len() < count
                && let Some(answer) = loose_answer(self.pending)
            {
                give(task, statuses.get(&task.info.id), answer.clone());
                loose_task = Some(index);
            }
        }
        loose_task
    }

    /// What the map has for a task's next question.
    fn of_task(&self, task: &Task) -> Option<&Json> {
        let map = self.by_id?;
        let by_index = |index| map.get(&ids::interrupt_id(&task.info.namespace, index));
        // Older versions gave all interrupts of a task the first id.
        by_index(task.answers.len()).or_else(|| by_index(0))
    }
}

/// Gives a task the answer that was meant for none in particular: for its node, or for a graph inside it.
fn give(task: &mut Task, status: Option<&Status>, answer: Json) {
    if nested::asks_itself(task, status) {
        task.answers.push(answer);
    } else {
        task.below = Some(answer);
    }
}
