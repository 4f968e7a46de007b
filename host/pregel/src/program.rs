//! The calls that one piece of work makes on one guest instance, one after the other: run the node, reduce what its
//! branches are to see, ask the branches.
//!
//! The sandbox drives it: [`next`](Program::next), call the guest, [`answer`](Program::answer), until there is none,
//! then [`finish`](Program::finish). It knows nothing of guests.

use std::collections::VecDeque;
use std::sync::Arc;

use indexmap::IndexMap;
use selvedge_model::run::RunError;
use selvedge_model::{Json, TaskId};
use serde::Serialize;
use uuid::Uuid;

use crate::board::{self, ReduceCall, Reduced};
use crate::channel::{self, Held, Kind};
use crate::errors::as_failure;
use crate::graph::Graph;
use crate::task::{PathPart, TaskInfo};
use crate::writes::{self, Writes};

/// Why a guest call, and with it a task, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A class name, as in LangGraph: `ValueError`, …
    pub kind: String,
    /// What happened.
    pub message: String,
    /// Whether a retry policy without kinds of its own tries it again.
    pub retryable: bool,
}

/// A call to make on the guest instance.
#[derive(Clone, Debug)]
pub enum GuestCall {
    /// `run-node`.
    RunNode {
        /// The node.
        node: String,
        /// `{"state", "task", …facts}`.
        task: Json,
    },
    /// `route`.
    Route {
        /// The branch.
        branch: String,
        /// The node that it leaves; `__start__` for START.
        node: String,
        /// The node's view with its own writes applied.
        state: Json,
        /// `{"task", …facts}`.
        task: Json,
    },
    /// `reduce`.
    Reduce {
        /// The channel.
        channel: String,
        /// What it holds.
        current: Json,
        /// An array.
        updates: Json,
    },
}

/// What the calls are about; shared by all attempts.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) graph: Arc<Graph>,
    pub(crate) node: usize,
    pub(crate) opening: Opening,
    /// What the node reads, as it was before the step.
    pub(crate) state: Vec<(usize, Held)>,
    pub(crate) info: Arc<TaskInfo>,
    pub(crate) facts: Arc<IndexMap<String, Json>>,
    /// What ids of messages derive from.
    pub(crate) seed: Uuid,
}

/// How the work begins.
#[derive(Debug)]
pub(crate) enum Opening {
    /// The node runs, with a `Send`'s input or its view of the state.
    Run(Option<Json>),
    /// The node is taken to have given this (START with an input, a state update).
    Given(Json),
    /// No node: reducers are asked.
    Reduce(Vec<ReduceCall>),
}

/// What a guest is told of its task.
#[derive(Serialize)]
struct ShownTask<'a> {
    id: TaskId,
    name: &'a str,
    path: &'a [PathPart],
    triggers: &'a [String],
    step: i64,
    namespace: &'a str,
    attempt: u32,
}

/// One attempt at a piece of work.
#[derive(Debug)]
pub struct Program {
    plan: Arc<Plan>,
    attempt: u32,
    stage: Stage,
    writes: Vec<(String, Json)>,
    passthrough: Option<Json>,
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Stage {
    Open,
    /// Reducers are asked; afterwards either branches follow or the answers are the result.
    Reduce {
        calls: VecDeque<ReduceCall>,
        reduced: Reduced,
    },
    Route {
        next: usize,
        state: Json,
    },
    Done,
}

impl Program {
    pub(crate) fn new(plan: &Arc<Plan>, attempt: u32) -> Self {
        let mut program = Self {
            plan: Arc::clone(plan),
            attempt,
            stage: Stage::Open,
            writes: Vec::new(),
            passthrough: None,
            failure: None,
        };
        match &plan.opening {
            Opening::Run(_) => {}
            Opening::Given(output) => program.opened(output),
            Opening::Reduce(calls) => {
                program.stage = Stage::Reduce {
                    calls: calls.iter().cloned().collect(),
                    reduced: Reduced::new(),
                };
            }
        }
        program
    }

    /// The call to make now; the same one until it is answered. `None`: finished.
    #[allow(clippy::should_implement_trait)] // Not an iterator: each call wants its answer first.
    pub fn next(&mut self) -> Option<GuestCall> {
        if self.failure.is_some() {
            return None;
        }
        let plan = &self.plan;
        let node = &plan.graph.nodes[plan.node];
        match &self.stage {
            Stage::Open => Some(GuestCall::RunNode {
                node: node.name.clone(),
                task: self.task_json(Some(&self.plan.input())),
            }),
            Stage::Reduce { calls, .. } => calls.front().map(|call| GuestCall::Reduce {
                channel: plan.graph.channel_name(call.channel).to_owned(),
                current: call.current.clone(),
                updates: Json::array(&call.updates),
            }),
            Stage::Route { next, state } => {
                node.branches.get(*next).map(|branch| GuestCall::Route {
                    branch: branch.clone(),
                    node: node.name.clone(),
                    state: state.clone(),
                    task: self.task_json(None),
                })
            }
            Stage::Done => None,
        }
    }

    /// The guest's answer to the last call.
    pub fn answer(&mut self, answer: Result<Json, Failure>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                self.failure = Some(failure);
                return;
            }
        };
        match &mut self.stage {
            Stage::Open => self.opened(&answer),
            Stage::Reduce { calls, reduced } => {
                if let Some(call) = calls.pop_front() {
                    reduced.insert(call.channel, answer);
                }
                if calls.is_empty() {
                    self.reduced();
                }
            }
            Stage::Route { next, .. } => {
                *next += 1;
                match writes::of_route(&answer) {
                    Ok(routed) => self.writes.extend(routed),
                    Err(error) => self.fail(error),
                }
            }
            Stage::Done => {}
        }
    }

    /// What came of it.
    ///
    /// # Errors
    /// The guest's failure, or the algorithm's own for an answer that is none.
    pub fn finish(self) -> Result<Writes, Failure> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(Writes {
                entries: self.writes,
            }),
        }
    }

    fn fail(&mut self, error: RunError) {
        self.failure = Some(as_failure(error));
    }

    /// The node has answered: its writes, its edges, then its branches.
    fn opened(&mut self, output: &Json) {
        let plan = Arc::clone(&self.plan);
        let answer = match writes::of_node(&plan.graph, plan.node, output, plan.seed) {
            Ok(answer) => answer,
            Err(error) => return self.fail(error),
        };
        let node = &plan.graph.nodes[plan.node];
        self.writes = answer.writes;
        self.passthrough = answer.passthrough;
        if node.branches.is_empty() {
            self.writes.extend(node.edges.iter().cloned());
            self.stage = Stage::Done;
            return;
        }
        match self.calls_before_branches() {
            Ok(calls) => {
                self.writes.extend(node.edges.iter().cloned());
                let done = calls.is_empty();
                self.stage = Stage::Reduce {
                    calls,
                    reduced: Reduced::new(),
                };
                if done {
                    self.reduced();
                }
            }
            Err(error) => self.fail(error),
        }
    }

    fn calls_before_branches(&self) -> Result<VecDeque<ReduceCall>, RunError> {
        let mut calls = VecDeque::new();
        for (channel, held) in &self.plan.state {
            if self.plan.graph.channels[*channel].kind != Kind::Custom {
                continue;
            }
            if let Some((current, updates)) = channel::to_reduce(held, &self.writes_to(*channel))? {
                calls.push_back(ReduceCall {
                    channel: *channel,
                    current,
                    updates,
                });
            }
        }
        Ok(calls)
    }

    /// All reducers have answered: either that is the result, or the branches can be asked now.
    fn reduced(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        let Stage::Reduce { reduced, .. } = stage else {
            return;
        };
        if matches!(self.plan.opening, Opening::Reduce(_)) {
            let graph = &self.plan.graph;
            self.writes = reduced
                .into_iter()
                .map(|(channel, value)| (graph.channel_name(channel).to_owned(), value))
                .collect();
            return;
        }
        match self.view_with_own_writes(&reduced) {
            Ok(state) => self.stage = Stage::Route { next: 0, state },
            Err(error) => self.fail(error),
        }
    }

    /// LangGraph's `local_read(fresh=True)`: channels that hold for one step only are empty unless written just now.
    fn view_with_own_writes(&self, reduced: &Reduced) -> Result<Json, RunError> {
        let graph = &self.plan.graph;
        let mut state = self.plan.state.clone();
        for (channel, held) in &mut state {
            let writes = self.writes_to(*channel);
            let spec = &graph.channels[*channel];
            if writes.is_empty() {
                spec.expire(held);
            } else {
                spec.update(held, &writes, reduced.get(channel))?
                    .commit(held);
            }
        }
        let view = board::object(graph, state.iter().map(|(c, held)| (*c, held)));
        let beside = self.passthrough.as_ref().and_then(Json::members);
        let Some(mut members) = beside.filter(|b| !b.is_empty()) else {
            return Ok(view);
        };
        members.extend(view.members().unwrap_or_default());
        Ok(Json::object(members.iter()))
    }

    fn writes_to(&self, channel: usize) -> Vec<Json> {
        let name = self.plan.graph.channel_name(channel);
        self.writes
            .iter()
            .filter(|(to, _)| to == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    fn task_json(&self, state: Option<&Json>) -> Json {
        let info = &self.plan.info;
        let task = Json::written(&ShownTask {
            id: info.id,
            name: &info.name,
            path: &info.path,
            triggers: &info.triggers,
            step: info.step,
            namespace: &info.namespace,
            attempt: self.attempt,
        });
        let facts = self.plan.facts.iter();
        let facts = facts.filter(|(name, _)| !matches!(name.as_str(), "state" | "task"));
        let own = state
            .map(|s| ("state", s))
            .into_iter()
            .chain([("task", &task)]);
        Json::object(own.chain(facts.map(|(name, value)| (name.as_str(), value))))
    }
}

impl Plan {
    /// What the node is given: a `Send`'s input as it is, else its view of the state.
    pub(crate) fn input(&self) -> Json {
        match &self.opening {
            Opening::Run(Some(packet)) => packet.clone(),
            _ => board::object(&self.graph, self.state.iter().map(|(c, held)| (*c, held))),
        }
    }
}
