//! How an execution begins: with an input, a command, or nothing, at the newest checkpoint or an earlier one.
//!
//! Follows `PregelLoop._first` of LangGraph.

use std::sync::Arc;

use selvedge_model::Json;
use selvedge_model::checkpoint::{PendingWrite, Source};
use selvedge_model::graph::START;
use selvedge_model::run::{Command, RunError};

use crate::board::{INTERRUPT, TaskWrites};
use crate::errors;
use crate::execution::{Addressed, Entry, Execution, Phase, Then};
use crate::ids::NULL_TASK;
use crate::interrupt::{self, NO_WRITES, RESUME};
use crate::task::{self, Path, TaskInfo};
use crate::writes;

/// The task name under which LangGraph applies what no task wrote.
const INPUT: &str = "__input__";

/// The member that marks a command that arrived as the input of a thread without a checkpoint.
const COMMAND: &str = "__command__";

/// What is known of the beginning once the command's writes are applied.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// The state goes on; there is no new input.
    resuming: bool,
    /// A new branch of history starts with a checkpoint of its own.
    forks: bool,
    input: Option<Json>,
}

impl Execution {
    pub(crate) fn begin(&mut self, addressed: Addressed, entry: Entry, mint: &mut dyn crate::Mint) {
        self.given_before = self.take_mark();
        if self.is_on_its_own_checkpoint() {
            // What the run began with is in it, and so is which breakpoints it has passed: it passes no other one.
            self.show_values();
            self.phase = Phase::Tick;
            return;
        }
        let entry = match entry {
            Entry::Input(input) if input.is_null() => Entry::Continue,
            Entry::Command(command) if command == Command::default() => Entry::Continue,
            entry => entry,
        };
        self.pending
            .retain(|w| !(w.task == NULL_TASK && w.channel == NO_WRITES));
        let has_state = !self.board.versions.is_empty();
        let goes_on = matches!(entry, Entry::Continue | Entry::Command(_));
        let answers = matches!(&entry, Entry::Command(command) if command.resume.is_some());
        let time_travel = addressed != Addressed::No && !answers;
        let earlier = addressed == Addressed::Earlier;
        let resuming = has_state && goes_on;
        let is_branch_already = matches!(self.at.source, Source::Update | Source::Fork) && !earlier;
        let forks = resuming && time_travel && !is_branch_already;

        self.replaying = time_travel || earlier;
        self.travels = time_travel;
        if time_travel {
            // Questions are asked again instead of being answered as they were before.
            self.pending.retain(|w| w.channel != RESUME);
        }
        let mut null_writes = Vec::new();
        let mut input = None;
        match entry {
            Entry::Continue => {}
            Entry::Input(given) => input = Some(given),
            Entry::Command(command) => {
                self.answers_by_id = command.resume.as_ref().and_then(interrupt::answers_by_id);
                if self.given_before.is_none() {
                    let of_command = match self.read_command(&command) {
                        Ok(writes) => writes,
                        Err(error) => return self.fail(error),
                    };
                    if forks {
                        for (channel, _) in &of_command {
                            self.take_superseded(channel);
                        }
                        null_writes = of_command;
                    } else {
                        let added = self.add_to_pending(&of_command);
                        // A thread without a checkpoint has nothing to keep them with.
                        self.command = has_state.then_some(added);
                    }
                }
                input = Some(command_as_input(&command));
            }
        }
        let saved = self.pending.iter().filter(|w| w.task == NULL_TASK);
        let saved: Vec<_> = saved
            .map(|w| (w.channel.clone(), w.value.clone()))
            .collect();
        null_writes.splice(0..0, saved);
        let beginning = Beginning {
            resuming,
            forks,
            input,
        };
        if null_writes.is_empty() {
            return self.begun(beginning, mint);
        }
        self.fold(vec![unasked(null_writes)], Then::Begin(beginning), mint);
    }

    /// The command's writes are applied.
    pub(crate) fn begun(&mut self, beginning: Beginning, mint: &mut dyn crate::Mint) {
        if beginning.resuming {
            self.board.pass_breakpoints();
            if beginning.forks {
                // The fork's tasks have other ids: old questions would never be answered.
                self.pending.retain(|w| w.channel != INTERRUPT);
                self.save(Source::Fork, None, mint);
            }
            self.show_values();
            self.phase = Phase::Tick;
            return;
        }
        let Some(input) = beginning.input else {
            return self.fail(errors::empty_input("Received no input for __start__"));
        };
        // A new input discards what the last run had left to do.
        let unfinished = task::prepare(&self.board, self.place(), None);
        let mut writes: Vec<TaskWrites> = unfinished.iter().map(task::Task::to_apply).collect();
        writes.push(unasked(vec![(START.to_owned(), input)]));
        self.fold(writes, Then::Input, mint);
    }

    fn read_command(&self, command: &Command) -> Result<Vec<(String, Json)>, RunError> {
        let mut found = Vec::new();
        if let Some(goto) = &command.goto {
            found.extend(writes::of_command_goto(goto)?);
        }
        if let Some(update) = &command.update {
            found.extend(writes::of_command_update(&self.graph, update, self.at.id.0));
        }
        match &command.resume {
            None => {}
            Some(_) if self.answers_by_id.is_some() => return Ok(found),
            Some(answer) => {
                let statuses = interrupt::statuses(&self.pending);
                if statuses.values().map(|s| s.open().len()).sum::<usize>() > 1 {
                    return Err(errors::several_interrupts());
                }
                found.push((RESUME.to_owned(), answer.clone()));
            }
        }
        if found.is_empty() {
            return Err(errors::empty_input("Received empty Command input"));
        }
        Ok(found)
    }

    /// The command's writes are among the pending ones now: those that are to be stored, so that they outlive a crash.
    fn add_to_pending(&mut self, found: &[(String, Json)]) -> Vec<PendingWrite> {
        if found.is_empty() {
            return Vec::new();
        }
        let had_answer = interrupt::loose_answer(&self.pending).is_some();
        self.pending
            .retain(|w| !(w.task == NULL_TASK && w.channel == RESUME));
        let mut index = 0;
        for write in self.pending.iter().filter(|w| w.task == NULL_TASK) {
            index = index.max(write.index.saturating_add(1));
        }
        let mut added = Vec::with_capacity(found.len());
        for (channel, value) in found {
            let place = interrupt::fixed_index(channel).or_else(|| self.take_superseded(channel));
            added.push(PendingWrite {
                task: NULL_TASK,
                index: place.unwrap_or(index),
                channel: channel.clone(),
                value: value.clone(),
            });
            index += i32::from(place.is_none());
        }
        self.pending.extend(added.iter().cloned());
        if had_answer && interrupt::loose_answer(&added).is_none() {
            added.push(used_answer());
        }
        added
    }

    /// Takes out what an earlier command wrote to a channel that keeps its last value: on a thread that rests, no
    /// step has come in between, and both would be the same step's. The new write takes its place.
    fn take_superseded(&mut self, channel: &str) -> Option<i32> {
        if !self.graph.keeps_last_value(channel) {
            return None;
        }
        let earlier = |w: &PendingWrite| w.task == NULL_TASK && w.channel == channel;
        let position = self.pending.iter().position(earlier)?;
        Some(self.pending.remove(position).index)
    }
}

/// What takes the place of an answer that a task has used, so that no later question is answered by it.
pub(crate) fn used_answer() -> PendingWrite {
    PendingWrite {
        task: NULL_TASK,
        index: interrupt::fixed_index(RESUME).unwrap_or_default(),
        channel: NO_WRITES.to_owned(),
        value: Json::null(),
    }
}

/// Writes that no task made.
pub(crate) fn unasked(writes: Vec<(String, Json)>) -> TaskWrites {
    TaskWrites {
        path: Path::Outside,
        info: Arc::new(TaskInfo::internal(INPUT, 0)),
        writes: Arc::new(writes),
    }
}

/// On a thread without a checkpoint a command also counts as the input.
pub(crate) fn command_as_input(command: &Command) -> Json {
    let command = Json::encode(command).unwrap_or_default();
    Json::object([(COMMAND, &command)])
}

/// What START is taken to have returned for an input, in the form of a node's answer.
pub(crate) fn start_output(input: &Json) -> Json {
    let command = input
        .as_str()
        .starts_with("{\"__command__\":")
        .then(|| input.members())
        .flatten()
        .and_then(|m| m.get(COMMAND).cloned())
        .and_then(|c| c.members());
    let Some(command) = command else {
        return Json::object([("update", input)]);
    };
    answer_of(command.get("update"), command.get("goto"))
}

/// A command in the form of a node's answer.
pub(crate) fn answer_of(update: Option<&Json>, goto: Option<&Json>) -> Json {
    let mut answer = Vec::new();
    match update.map(|u| (u, u.decode::<Vec<(String, Json)>>())) {
        Some((_, Ok(pairs))) => {
            for (key, value) in pairs {
                let update = Json::object([(key, &value)]);
                answer.push(Json::object([("update", &update)]));
            }
        }
        Some((update, Err(_))) if update.is_object() => {
            answer.push(Json::object([("update", update)]));
        }
        _ => {}
    }
    if let Some(goto) = goto {
        answer.push(Json::object([("goto", goto)]));
    }
    Json::array(&answer)
}
