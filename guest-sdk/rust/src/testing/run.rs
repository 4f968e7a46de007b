//! Drives a whole graph natively: the host's algorithm in small.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::Value;

use super::channels::{Channels, Write};
use super::fake::{FakeHost, task};
use super::plan::Plan;
use super::store::MemoryStore;
use super::task::{Outcome, Output, Target, Task, read_outputs};
use crate::component::{Graph, Graphs};
use crate::configured::Setting;
use crate::context::Context;
use crate::error::NodeError;
use crate::update::{END, START};

/// More super-steps than any test needs.
const STEPS: u32 = 1_000;

/// By which error a command for the graph around this one leaves it, as on the host.
const TO_PARENT: &str = "ParentCommand";

/// A run of a graph in a test. It goes on until its end, or until someone has to answer.
pub struct Run {
    graphs: Graphs,
    graph: Rc<dyn Graph>,
    plan: Plan,
    channels: Channels,
    host: Rc<FakeHost>,
    /// The nodes that the last super-step led to.
    triggered: BTreeSet<String>,
    sends: Vec<(String, Value)>,
    /// For each edge with several sources, those that have run.
    joins: BTreeMap<usize, BTreeSet<String>>,
    /// The tasks of the super-step that is under way.
    tasks: Vec<Task>,
    step: u32,
}

impl Run {
    /// Starts a graph with an input and goes as far as it can.
    ///
    /// # Errors
    /// The mistakes of the graph, or what a node failed with.
    pub fn start(graphs: &Graphs, name: &str, input: Value) -> Result<Self, NodeError> {
        Self::start_with(graphs, name, input, &[])
    }

    /// As [`start`](Self::start), with a store whose items are shared with the test and with other runs.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_in(
        graphs: &Graphs,
        name: &str,
        input: Value,
        store: &MemoryStore,
    ) -> Result<Self, NodeError> {
        let host = FakeHost::default();
        host.use_store(store);
        Self::start_on(graphs, name, input, host)
    }

    /// As [`start`](Self::start), with variables in the environment.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(
        graphs: &Graphs,
        name: &str,
        input: Value,
        vars: &[(&str, &str)],
    ) -> Result<Self, NodeError> {
        let host = FakeHost::default();
        *host.vars.borrow_mut() = vars
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Self::start_on(graphs, name, input, host)
    }

    /// As [`start`](Self::start), with a run that is configured: what its assistant and its caller gave.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_for(
        graphs: &Graphs,
        name: &str,
        input: Value,
        setting: Setting,
    ) -> Result<Self, NodeError> {
        let host = FakeHost {
            setting: setting.into(),
            ..FakeHost::default()
        };
        Self::start_on(graphs, name, input, host)
    }

    pub(super) fn start_on(
        graphs: &Graphs,
        name: &str,
        input: Value,
        host: FakeHost,
    ) -> Result<Self, NodeError> {
        let mut run = Self::begin(graphs, name, input, Rc::new(host))?;
        run.advance()?;
        Ok(run)
    }

    fn begin(
        graphs: &Graphs,
        name: &str,
        input: Value,
        host: Rc<FakeHost>,
    ) -> Result<Self, NodeError> {
        let graph = graphs.find(name, host.setting())?;
        let problems = graph.problems();
        if !problems.is_empty() {
            return Err(NodeError::new("InvalidGraph", problems.join("\n")));
        }
        let plan = Plan::of(graph.as_ref(), name);
        host.graphs.set(Some(*graphs));
        let mut run = Self {
            graphs: *graphs,
            channels: Channels::new(&plan.channels),
            graph,
            plan,
            host,
            triggered: BTreeSet::new(),
            sends: Vec::new(),
            joins: BTreeMap::new(),
            tasks: Vec::new(),
            step: 0,
        };
        run.enter(input)?;
        Ok(run)
    }

    /// Gives the answer to the first open question, and goes on once all are answered.
    ///
    /// # Errors
    /// What a node failed with, or that nobody asked.
    pub fn resume(&mut self, answer: impl Into<Value>) -> Result<(), NodeError> {
        let asked = self.tasks.iter_mut().find(|t| !t.questions().is_empty());
        let task = asked.ok_or_else(|| NodeError::value("the run waits for no answer"))?;
        match &mut task.outcome {
            Outcome::Inside(run) => run.resume(answer)?,
            outcome @ Outcome::Calling => {
                let asked = task
                    .calls
                    .iter_mut()
                    .find(|run| !run.questions().is_empty());
                if let Some(run) = asked {
                    run.resume(answer)?;
                }
                *outcome = Outcome::Waiting;
            }
            outcome => {
                *outcome = Outcome::Waiting;
                task.answers.push(answer.into());
            }
        }
        if self.questions().is_empty() {
            self.advance()
        } else {
            Ok(())
        }
    }

    /// What people are asked, as long as the run waits.
    #[must_use]
    pub fn questions(&self) -> Vec<Value> {
        self.tasks.iter().flat_map(Task::questions).collect()
    }

    /// The whole state.
    #[must_use]
    pub fn state(&self) -> Value {
        self.channels.view(None)
    }

    /// What a caller sees of the state.
    #[must_use]
    pub fn output(&self) -> Value {
        self.channels.view(self.plan.output_channels.as_deref())
    }

    /// The number of super-steps so far.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.step
    }

    /// The text that was streamed so far.
    #[must_use]
    pub fn tokens(&self) -> String {
        self.host.tokens()
    }

    /// What was shown in mode `custom`.
    #[must_use]
    pub fn custom(&self) -> Vec<Value> {
        self.host.custom.borrow().clone()
    }

    fn enter(&mut self, input: Value) -> Result<(), NodeError> {
        let Value::Object(input) = input else {
            return Err(NodeError::value("an input is an object"));
        };
        let allowed = |name: &String| {
            self.plan
                .input_channels
                .as_ref()
                .is_none_or(|names| names.contains(name))
        };
        let known = |name: &String| self.plan.channels.iter().any(|c| c.name == *name);
        let writes: Vec<Write> = input
            .into_iter()
            .filter(|(name, _)| known(name) && allowed(name))
            .collect();
        self.channels.apply(self.graph.as_ref(), &writes)?;
        let ctx = self.context("input", START, 1, None);
        let state = self.channels.view(None).to_string();
        self.leave(START, &state, &ctx)
    }

    fn advance(&mut self) -> Result<(), NodeError> {
        loop {
            if self.tasks.is_empty() {
                self.prepare();
            }
            if self.tasks.is_empty() {
                return Ok(());
            }
            if self.step > STEPS {
                return Err(NodeError::new(
                    "GraphRecursionError",
                    format!("no end after {STEPS} super-steps"),
                ));
            }
            for at in 0..self.tasks.len() {
                match &mut self.tasks[at].outcome {
                    Outcome::Waiting => {
                        *self.host.calls.borrow_mut() = std::mem::take(&mut self.tasks[at].calls);
                        let outcome = self.execute(&self.tasks[at])?;
                        self.tasks[at].calls = self.host.calls.take();
                        self.tasks[at].outcome = outcome;
                    }
                    Outcome::Inside(run) => {
                        if let Some(done) = run.go_on()? {
                            self.tasks[at].outcome = Outcome::Done(self.shared(done));
                        }
                    }
                    Outcome::Asked(_) | Outcome::Calling | Outcome::Done(_) => {}
                }
            }
            if !self.questions().is_empty() {
                return Ok(());
            }
            self.finish()?;
        }
    }

    /// The tasks of the next super-step: nodes by name, then sends in order. Deferred nodes wait until edges and
    /// branches lead to no other; as in LangGraph, sends do not hold them up.
    fn prepare(&mut self) {
        let deferred = |name: &String| self.plan.node(name).is_some_and(|n| n.defer);
        let (late, now): (BTreeSet<_>, BTreeSet<_>) = std::mem::take(&mut self.triggered)
            .into_iter()
            .partition(deferred);
        let sends = std::mem::take(&mut self.sends);
        let (now, late) = if now.is_empty() {
            (late, BTreeSet::new())
        } else {
            (now, late)
        };
        self.triggered = late;
        let nodes = now
            .into_iter()
            .map(|node| (node, None))
            .chain(sends.into_iter().map(|(n, i)| (n, Some(i))));
        let nodes: Vec<_> = nodes.collect();
        if !nodes.is_empty() {
            self.step += 1;
        }
        let made = nodes
            .into_iter()
            .enumerate()
            .map(|(index, (node, argument))| Task {
                id: format!("task-{}-{index}", self.step),
                node,
                argument,
                answers: Vec::new(),
                outcome: Outcome::Waiting,
                calls: Vec::new(),
            });
        self.tasks = made.collect();
    }

    fn execute(&self, task: &Task) -> Result<Outcome, NodeError> {
        let unknown = || NodeError::value(format!("there is no node `{}` to go to", task.node));
        let node = self.plan.node(&task.node).ok_or_else(unknown)?;
        let state = task
            .argument
            .clone()
            .unwrap_or_else(|| self.channels.view(node.reads.as_deref()));
        if let Some(graph) = node.graph() {
            let mut inside = Self::begin(&self.graphs, graph, state, self.host.clone())?;
            return Ok(match inside.go_on()? {
                Some(done) => Outcome::Done(self.shared(done)),
                None => Outcome::Inside(Box::new(inside)),
            });
        }
        for attempt in 1.. {
            *self.host.answers.borrow_mut() = task.answers.iter().cloned().collect();
            self.host.questions.borrow_mut().clear();
            self.host.called.set(0);
            let ctx = self.context(&task.id, &task.node, attempt, Some(state.clone()));
            match self.graph.run_node(&task.node, &ctx) {
                Err(e) if attempt < node.attempts(e.kind(), e.is_retryable()) => {}
                Err(e) => return Err(e),
                Ok(json) => {
                    let mut questions = self.host.questions.borrow_mut();
                    if questions.len() > task.answers.len() {
                        return Ok(Outcome::Asked(questions.pop().unwrap_or_default()));
                    }
                    let calls = self.host.calls.borrow();
                    if calls.iter().any(|run| !run.questions().is_empty()) {
                        return Ok(Outcome::Calling);
                    }
                    let outputs = read_outputs(&json)?;
                    if outputs.iter().any(|output| output.graph.is_some()) {
                        // It ends this graph, and is for the one around it.
                        return Err(NodeError::new(TO_PARENT, json));
                    }
                    return Ok(Outcome::Done(outputs));
                }
            }
        }
        unreachable!("the loop ends with the last attempt")
    }

    /// What a graph inside a node gave, as far as this one has the channels.
    fn shared(&self, mut outputs: Vec<Output>) -> Vec<Output> {
        let known = |name: &String| self.plan.channels.iter().any(|c| c.name == *name);
        for output in &mut outputs {
            output.update.retain(|name, _| known(name));
        }
        outputs
    }

    /// As a node of another graph: what it came to, unless somebody has to answer.
    fn go_on(&mut self) -> Result<Option<Vec<Output>>, NodeError> {
        if let Err(error) = self.advance() {
            return match error.kind() {
                TO_PARENT => Ok(Some(read_outputs(error.message())?)),
                _ => Err(error),
            };
        }
        if !self.questions().is_empty() {
            return Ok(None);
        }
        let Value::Object(update) = self.output() else {
            return Ok(Some(Vec::new()));
        };
        Ok(Some(vec![Output {
            update,
            ..Output::default()
        }]))
    }

    fn finish(&mut self) -> Result<(), NodeError> {
        let tasks = std::mem::take(&mut self.tasks);
        let before = self.channels.clone();
        let writes: Vec<Write> = tasks.iter().flat_map(Task::writes).collect();
        self.channels.apply(self.graph.as_ref(), &writes)?;
        for task in &tasks {
            // A branch sees what its own node wrote, and not what the others did.
            let mut own = before.clone();
            own.apply(self.graph.as_ref(), &task.writes())?;
            let ctx = self.context(&task.id, &task.node, 1, None);
            self.leave(&task.node, &own.view(None).to_string(), &ctx)?;
        }
        let targets = tasks.into_iter().filter_map(|t| {
            if let Outcome::Done(o) = t.outcome {
                Some(o)
            } else {
                None
            }
        });
        for target in targets.flatten().flat_map(|output| output.goto) {
            self.follow(target);
        }
        Ok(())
    }

    /// Follows the edges and branches that leave a node.
    fn leave(&mut self, node: &str, state: &str, ctx: &Context) -> Result<(), NodeError> {
        for (index, edge) in self
            .plan
            .edges
            .iter()
            .enumerate()
            .filter(|(_, e)| e.from.iter().any(|f| f == node))
        {
            let seen = self.joins.entry(index).or_default();
            seen.insert(node.to_owned());
            if seen.len() == edge.from.iter().collect::<BTreeSet<_>>().len() {
                seen.clear();
                if edge.to != END {
                    self.triggered.insert(edge.to.clone());
                }
            }
        }
        let branches: Vec<String> = self
            .plan
            .branches
            .iter()
            .filter(|b| b.from == node)
            .map(|b| b.name.clone())
            .collect();
        for branch in branches {
            let targets: Vec<Target> =
                serde_json::from_str(&self.graph.route(node, &branch, state, ctx)?)?;
            targets.into_iter().for_each(|t| self.follow(t));
        }
        Ok(())
    }

    fn follow(&mut self, target: Target) {
        match target {
            Target::Node(node) if node == END => {}
            Target::Node(node) => drop(self.triggered.insert(node)),
            Target::Send { node, input } => self.sends.push((node, input)),
        }
    }

    fn context(&self, id: &str, node: &str, attempt: u32, state: Option<Value>) -> Context {
        let mut task = task(id, node, self.step);
        task["task"]["attempt"] = attempt.into();
        let setting = self.host.setting();
        task["config"]["configurable"] = setting.configurable.clone().into();
        task["context"] = setting.context.clone().into();
        if let Some(state) = state {
            task["state"] = state;
        }
        Context::new(task.to_string(), self.host.clone())
    }
}
