//! How a step begins: its tasks, whether the run stops before them, and the answers and the work that they get.

use std::sync::Arc;

use selvedge_model::Json;
use selvedge_model::TaskId;
use selvedge_model::graph::TimeoutPolicy;
use uuid::Uuid;

use crate::begin;
use crate::channel::value_of;
use crate::errors;
use crate::execution::{EndKind, Execution, Issued, Mint, Outcome, Phase, Work, WorkId};
use crate::graph::START_NODE;
use crate::interrupt;
use crate::program::{Opening, Plan, Program};
use crate::task::{self, Path, Progress, Task, TaskInfo};

/// Where breakpoints are: the run's own, else the graph's. An empty list means none of its own, as in LangGraph.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Before,
    After,
}

impl Execution {
    pub(crate) fn tick(&mut self, mint: &mut dyn Mint) {
        self.prepare();
        self.show_checkpoint(mint);
        if self.step > self.stop {
            return self.fail(errors::recursion(self.options.recursion_limit));
        }
        if self.tasks.is_empty() {
            return self.end(EndKind::Success);
        }
        let statuses = interrupt::statuses(&self.pending);
        for task in &mut self.tasks {
            let status = statuses.get(&task.info.id);
            task.has_pending = status.is_some();
            if let Some(status) = status.filter(|s| s.is_finished() && !self.replaying) {
                task.writes = Arc::new(status.output.clone());
                task.progress = Progress::Done;
            }
        }
        if self.stops_at(When::Before) {
            return self.interrupted(true, mint);
        }
        self.give_answers();
        self.show_tasks(mint);
        self.show_reused_updates();
        self.phase = Phase::HandOut;
    }

    /// The tasks of the next step.
    pub(crate) fn prepare(&mut self) {
        self.tasks = task::prepare(&self.board, self.place(), self.updated.as_ref());
    }

    /// Whether one of the tasks is a breakpoint that the run has not passed yet.
    pub(crate) fn stops_at(&self, when: When) -> bool {
        let (own, graphs) = match when {
            When::Before => (
                &self.options.interrupt_before,
                &self.graph.description().interrupt_before,
            ),
            When::After => (
                &self.options.interrupt_after,
                &self.graph.description().interrupt_after,
            ),
        };
        let is_breakpoint = |node: &str| match own {
            Some(own) => own.contains(node),
            None => graphs.iter().any(|name| name == node) || *graphs == ["*"],
        };
        let mut stops = self.tasks.iter().filter(|t| !t.is_internal());
        stops.any(|t| is_breakpoint(&t.info.name)) && self.board.changed_since_breakpoint()
    }

    /// Work for every task that is ready. What needs no guest (START without branches) is done at once.
    pub(crate) fn hand_out(&mut self, mint: &mut dyn Mint) -> Vec<Work> {
        let mut work = Vec::new();
        let around = Arc::new(self.around());
        for index in 0..self.tasks.len() {
            if !matches!(self.tasks[index].progress, Progress::Ready) {
                continue;
            }
            let plan = Arc::new(self.plan_of(index));
            let mut program = Program::new(&plan, 1);
            if self.tasks[index].is_internal() && program.next().is_none() {
                let outcome = program.finish().map_or_else(Outcome::Failed, Outcome::Done);
                self.task_ended(index, outcome, mint);
                continue;
            }
            self.tasks[index].progress = Progress::Running;
            let info = (!self.tasks[index].is_internal()).then(|| Arc::clone(&plan.info));
            let task = &self.tasks[index];
            let (answers, below) = (task.answers.clone(), task.below.clone());
            work.push(Work {
                around: Arc::clone(&around),
                answers,
                below,
                ..self.issue(Issued::Task(index), info, plan)
            });
        }
        work
    }

    pub(crate) fn issue(
        &mut self,
        what: Issued,
        task: Option<Arc<TaskInfo>>,
        plan: Arc<Plan>,
    ) -> Work {
        let id = WorkId(self.next_work);
        self.next_work += 1;
        self.issued.insert(id, what);
        Work {
            id,
            task,
            plan,
            answers: Vec::new(),
            around: Arc::default(),
            below: None,
        }
    }

    fn plan_of(&self, index: usize) -> Plan {
        let task = &self.tasks[index];
        let opening = if let Path::Update(_) = task.path {
            Opening::Given(task.packet.clone().unwrap_or_default())
        } else if task.is_internal() {
            let channel = self.graph.nodes[START_NODE].triggers.first();
            let input = channel.and_then(|&c| value_of(&self.board.held[c]));
            Opening::Given(begin::start_output(&input.unwrap_or_default()))
        } else {
            Opening::Run(task.packet.clone())
        };
        self.plan(task.node, Some(task), opening)
    }

    pub(crate) fn plan(&self, node: usize, task: Option<&Task>, opening: Opening) -> Plan {
        let spec = &self.graph.nodes[node];
        let reads: &[usize] = if matches!(opening, Opening::Reduce(_)) {
            &[]
        } else {
            &spec.reads
        };
        let info = match task {
            Some(task) => Arc::clone(&task.info),
            None => Arc::new(TaskInfo::internal("", self.step)),
        };
        Plan {
            graph: Arc::clone(&self.graph),
            node,
            opening,
            state: reads
                .iter()
                .map(|&c| (c, self.board.held[c].clone()))
                .collect(),
            seed: info.id.0,
            info,
            facts: Arc::clone(&self.facts),
        }
    }

    fn give_answers(&mut self) {
        let answers = interrupt::Answers {
            pending: &self.pending,
            by_id: self.answers_by_id.as_ref(),
            given_before: self.given_before.as_ref(),
        };
        self.loose_task = answers.hand_out(&mut self.tasks);
        if self.command.is_some() {
            let given = answers.given(&self.tasks);
            self.store_command(given);
        }
    }

    /// The answer meant for no task in particular, if none has it yet.
    pub(crate) fn loose_answer(&self) -> Option<Json> {
        if self.loose_task.is_some() {
            return None;
        }
        interrupt::loose_answer(&self.pending).cloned()
    }

    pub(crate) fn give_loose_answer(&mut self, index: usize, answer: Json) {
        self.loose_task = Some(index);
        self.tasks[index].answers.push(answer);
        self.tasks[index].progress = Progress::Ready;
        self.phase = Phase::HandOut;
    }
}

impl TaskInfo {
    /// For work that belongs to no task.
    pub(crate) fn internal(name: &str, step: i64) -> Self {
        Self {
            id: TaskId(Uuid::nil()),
            name: name.to_owned(),
            path: Vec::new(),
            triggers: Vec::new(),
            step,
            retry: Vec::new(),
            timeout: TimeoutPolicy::default(),
            cache: None,
            namespace: String::new(),
            nested: None,
        }
    }
}
