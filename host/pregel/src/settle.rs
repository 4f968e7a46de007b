//! How tasks and steps end: saving a task's writes, applying a step's, the checkpoint, the end of the run.

use std::sync::Arc;

use indexmap::IndexMap;
use selvedge_model::Json;
use selvedge_model::checkpoint::{CheckpointWrite, PendingWrite, Source};
use selvedge_model::run::RunError;
use selvedge_model::thread::Interrupt;

use crate::begin;
use crate::board::{Channels, INTERRUPT, Reduced, TaskWrites, sanitized_packet};
use crate::channel::Kind;
use crate::errors::PARENT_COMMAND;
use crate::execution::{At, End, EndKind, Execution, Mint, Outcome, Output, Phase, Then};
use crate::graph::TASKS;
use crate::ids;
use crate::interrupt::{self, ERROR, NO_WRITES, RESUME};
use crate::program::Failure;
use crate::recovery::Given;
use crate::task::{Path, Progress, Task};
use crate::tick::When;
use crate::writes::Writes;

impl Execution {
    pub(crate) fn task_ended(&mut self, index: usize, outcome: Outcome, mint: &mut dyn Mint) {
        match outcome {
            Outcome::Done(writes) => {
                let entries = self.keep(index, writes);
                self.show_finished(index, &entries, mint);
            }
            Outcome::Reused(writes) => {
                let entries = self.keep(index, writes);
                self.show_reused_update(index, &entries);
            }
            // Whether an answer is left for it shows when all tasks have ended: not who asks first decides.
            Outcome::Interrupted(value) if self.loose_answer().is_some() => {
                self.tasks[index].progress = Progress::Asking(value);
            }
            Outcome::Interrupted(value) => self.asked(index, &value, mint),
            Outcome::Stopped(questions) => self.stopped(index, &questions, mint),
            Outcome::Failed(failure) => self.failed(index, failure, mint),
        }
    }

    /// All tasks of the step have ended.
    pub(crate) fn settle(&mut self, mint: &mut dyn Mint) {
        let asking = |t: &Task| matches!(t.progress, Progress::Asking(_));
        if let (Some(first), Some(answer)) =
            (self.tasks.iter().position(asking), self.loose_answer())
        {
            return self.give_loose_answer(first, answer);
        }
        for index in 0..self.tasks.len() {
            if let Progress::Asking(value) = self.tasks[index].progress.clone() {
                self.asked(index, &value, mint);
            }
        }
        if let Some(failure) = self.first_failure().cloned() {
            return self.fail(RunError::new(failure.kind, failure.message));
        }
        if self
            .tasks
            .iter()
            .any(|t| matches!(t.progress, Progress::Stopped))
        {
            return self.fail(RunError::new("CancelledError", "a task was stopped"));
        }
        let any = |is: fn(&Progress) -> bool| self.tasks.iter().any(|t| is(&t.progress));
        let (asked, paused) = (
            any(|p| matches!(p, Progress::Asked)),
            any(|p| matches!(p, Progress::Paused)),
        );
        if asked || paused {
            return self.interrupted(!asked, mint);
        }
        let writes = self.tasks.iter().map(Task::to_apply).collect();
        let is_update = self.tasks.iter().any(|t| matches!(t.path, Path::Update(_)));
        let then = if is_update {
            Then::Updated(Source::Update)
        } else {
            Then::Step
        };
        self.fold(writes, then, mint);
    }

    /// Writes can be applied: the graph's own reducers have answered.
    pub(crate) fn folded(
        &mut self,
        tasks: &[TaskWrites],
        then: Then,
        reduced: &Reduced,
        mint: &mut dyn Mint,
    ) {
        let updated = match self.board.apply(tasks, reduced) {
            Ok(updated) => updated,
            Err(error) => return self.fail(error),
        };
        match then {
            Then::Begin(beginning) => {
                if let Some(known) = &mut self.updated {
                    known.extend(updated);
                }
                self.begun(beginning, mint);
            }
            Then::Input => {
                self.updated = Some(updated.clone());
                self.save(Source::Input, Some(&updated), mint);
                self.phase = Phase::Tick;
            }
            Then::Step => self.step_ended(tasks, updated, mint),
            Then::Cleared => {
                let writes = self.tasks.iter().map(Task::to_apply).collect();
                self.fold(writes, Then::Updated(Source::Update), mint);
            }
            Then::Updated(source) => self.updated_from_outside(source, mint),
            Then::Interrupted { at_breakpoint } => {
                self.show_changed_values(tasks, &updated);
                self.end_interrupted(at_breakpoint);
            }
        }
    }

    /// The run stops at a question or a breakpoint. What finished siblings wrote is shown, but stays pending.
    pub(crate) fn interrupted(&mut self, at_breakpoint: bool, mint: &mut dyn Mint) {
        // To LangGraph an answer that a task has used is a write of it, too.
        let has_writes = self
            .tasks
            .iter()
            .any(|t| !t.writes.is_empty() || !t.answers.is_empty());
        // The graph around a nested one takes nothing of it before it has ended.
        let is_nested = !self.options.namespace.is_empty();
        if is_nested || !has_writes || self.pending.is_empty() {
            return self.end_interrupted(at_breakpoint);
        }
        let writes = self.tasks.iter().map(Task::to_apply).collect();
        self.fold(writes, Then::Interrupted { at_breakpoint }, mint);
    }

    fn first_failure(&self) -> Option<&Failure> {
        self.tasks.iter().find_map(|t| match &t.progress {
            Progress::Failed(failure) => Some(failure),
            _ => None,
        })
    }

    pub(crate) fn fail(&mut self, error: RunError) {
        self.end(EndKind::Failed(error));
    }

    pub(crate) fn end(&mut self, kind: EndKind) {
        // What a command wrote stays with the checkpoint although nothing came of it.
        self.store_command(Given::new());
        let mut interrupts: IndexMap<_, Vec<Interrupt>> = IndexMap::new();
        let statuses = interrupt::statuses(&self.pending);
        for task in &self.tasks {
            let open = statuses
                .get(&task.info.id)
                .map(interrupt::Status::open)
                .unwrap_or_default();
            if !open.is_empty() {
                interrupts.insert(task.info.id, open.to_vec());
            }
        }
        self.phase = Phase::Ended(End {
            kind,
            values: self.values(),
            next: self.next(),
            interrupts,
            retryable: self
                .first_failure()
                .is_some_and(|failure| failure.retryable),
        });
    }

    /// Makes a checkpoint of the board as it is.
    pub(crate) fn save(&mut self, source: Source, updated: Option<&Channels>, mint: &mut dyn Mint) {
        let id = mint.checkpoint_id(self.step);
        let parent = self.at.is_stored.then_some(self.at.id);
        let names = updated.into_iter().flatten();
        let mut updated_channels: Vec<String> = names
            .map(|&c| self.graph.channel_name(c).to_owned())
            .collect();
        updated_channels.sort();
        self.output.push(Output::Checkpoint(CheckpointWrite {
            id,
            parent,
            namespace: self.options.namespace.clone(),
            created_at: mint.now(),
            step: self.step,
            source,
            metadata: self.options.metadata.clone(),
            versions: self.board.versions.clone(),
            versions_seen: self.board.seen.clone(),
            updated_channels,
            changes: self.board.take_changes(),
        }));
        self.at = At {
            id,
            parent,
            step: self.step,
            source,
            metadata: self.options.metadata.clone(),
            is_stored: true,
        };
        self.step += 1;
    }

    /// Leaves writes to be stored with the checkpoint. A thread without one has nothing to store them with.
    pub(crate) fn store(&mut self, writes: Vec<PendingWrite>) {
        let tracked = |w: &PendingWrite| {
            let index = self.graph.channel(&w.channel);
            index.is_none_or(|c| self.graph.channels[c].kind != Kind::Untracked)
        };
        let mut writes = writes;
        if self.graph.has_untracked {
            writes.retain(tracked);
            for write in writes.iter_mut().filter(|w| w.channel == TASKS) {
                write.value = sanitized_packet(&self.graph, &write.value);
            }
        }
        if writes.is_empty() || !self.at.is_stored || !self.keeps_writes {
            return;
        }
        self.output.push(Output::Pending {
            checkpoint: self.at.id,
            namespace: self.options.namespace.clone(),
            writes,
        });
    }

    fn step_ended(&mut self, tasks: &[TaskWrites], updated: Channels, mint: &mut dyn Mint) {
        self.show_changed_values(tasks, &updated);
        self.pending.clear();
        self.replaying = false;
        self.save(Source::Loop, Some(&updated), mint);
        self.updated = Some(updated);
        if self.stops_at(When::After) {
            self.prepare();
            self.show_checkpoint(mint);
            return self.end_interrupted(true);
        }
        self.phase = Phase::Tick;
    }

    /// A state update has its checkpoint, and what would run next is known.
    pub(crate) fn updated_from_outside(&mut self, source: Source, mint: &mut dyn Mint) {
        self.save(source, None, mint);
        self.pending.clear();
        self.updated = None;
        self.prepare();
        self.end(EndKind::Success);
    }

    fn end_interrupted(&mut self, at_breakpoint: bool) {
        // That a nested graph stops is shown by the root graph, which stops with it.
        if at_breakpoint && self.options.namespace.is_empty() {
            self.show_breakpoint();
        }
        self.end(EndKind::Interrupted);
    }

    /// A task has finished with these writes.
    fn keep(&mut self, index: usize, writes: Writes) -> Vec<(String, Json)> {
        let mut entries = writes.entries;
        if entries.is_empty() {
            // What marks a task as finished is that it wrote something.
            entries.push((NO_WRITES.to_owned(), Json::null()));
        }
        self.tasks[index].writes = Arc::new(entries.clone());
        self.tasks[index].progress = Progress::Done;
        entries.splice(0..0, self.used_answers(index));
        self.put(index, &entries);
        entries
    }

    fn asked(&mut self, index: usize, value: &Json, mint: &mut dyn Mint) {
        let task = &mut self.tasks[index];
        task.progress = Progress::Asked;
        let question = Interrupt {
            value: value.clone(),
            id: ids::interrupt_id(&task.info.namespace, task.answers.len()),
        };
        let kept = Json::written(&[&question]);
        let mut entries = vec![(INTERRUPT.to_owned(), kept)];
        entries.extend(self.used_answers(index));
        self.put(index, &entries);
        self.show_asked(index, &Json::array([&question.shown()]), mint);
    }

    /// A graph inside the task stopped.
    fn stopped(&mut self, index: usize, questions: &[Interrupt], mint: &mut dyn Mint) {
        let asks = !questions.is_empty();
        self.tasks[index].progress = if asks {
            Progress::Asked
        } else {
            Progress::Paused
        };
        let kept = asks.then(|| (INTERRUPT.to_owned(), Json::written(&questions)));
        let mut entries: Vec<(String, Json)> = kept.into_iter().collect();
        entries.extend(self.used_answers(index));
        self.put(index, &entries);
        if asks {
            let shown: Vec<Json> = questions.iter().map(Interrupt::shown).collect();
            self.show_asked(index, &Json::array(&shown), mint);
        }
    }

    fn failed(&mut self, index: usize, failure: Failure, mint: &mut dyn Mint) {
        self.tasks[index].progress = Progress::Failed(failure.clone());
        if failure.kind == PARENT_COMMAND {
            return;
        }
        let error = RunError::new(failure.kind, failure.message);
        let error = Json::encode(&error).unwrap_or_default();
        let mut entries: Vec<(String, Json)> = self.used_answers(index).into_iter().collect();
        entries.push((ERROR.to_owned(), error.clone()));
        self.put(index, &entries);
        self.show_failed(index, &error, mint);
    }

    /// The answers that the task had, to be kept: it gets them again when it runs again.
    fn used_answers(&self, index: usize) -> Option<(String, Json)> {
        let answers = &self.tasks[index].answers;
        (!answers.is_empty()).then(|| (RESUME.to_owned(), Json::array(answers)))
    }

    /// Keeps a task's writes with the checkpoint, in place of those it had.
    fn put(&mut self, index: usize, entries: &[(String, Json)]) {
        let task = self.tasks[index].info.id;
        // With thousands of tasks in a step, looking for what is not there would cost more than the step.
        if std::mem::replace(&mut self.tasks[index].has_pending, true) {
            self.pending.retain(|w| w.task != task);
        }
        let mut writes: Vec<PendingWrite> = Vec::with_capacity(entries.len());
        for (position, (channel, value)) in (0..).zip(entries) {
            writes.push(PendingWrite {
                task,
                index: interrupt::fixed_index(channel).unwrap_or(position),
                channel: channel.clone(),
                value: value.clone(),
            });
        }
        self.pending.extend(writes.iter().cloned());
        if self.loose_task == Some(index) && interrupt::loose_answer(&self.pending).is_some() {
            self.pending
                .retain(|w| !(w.task == ids::NULL_TASK && w.channel == RESUME));
            writes.push(begin::used_answer());
        }
        self.store(writes);
    }

    /// The nodes of the tasks that are not finished, `Send`s first, in the graph's order.
    fn next(&self) -> Vec<String> {
        let mut open: Vec<&Task> = self.tasks.iter().filter(|t| t.writes.is_empty()).collect();
        open.sort_by_key(|t| match t.path {
            Path::Push(index) => (0, index),
            Path::Pull | Path::Update(_) | Path::Outside => (1, t.node),
        });
        open.into_iter().map(|t| t.info.name.clone()).collect()
    }
}
