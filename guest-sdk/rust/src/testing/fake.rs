//! A context for one node, which collects what the node shows and answers what it asks.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use serde_json::{Value, json};

use crate::component::Graphs;
use crate::configured::Setting;
use crate::context::Context;
use crate::error::NodeError;
use crate::host::Host;
use crate::ids;
use crate::testing::{MemoryStore, Run};

/// A fake host for a node. Set it up, then hand [`ctx`](Self::ctx) to the node.
///
/// ```
/// # use selvedge_sdk::prelude::*;
/// # use selvedge_sdk::testing::Fake;
/// # #[derive(State, Serialize, Deserialize, JsonSchema)] struct Chat { done: bool }
/// fn ask(_: Chat, ctx: &Context) -> NodeResult<Chat> {
///     Ok(Chat::update().done(ctx.interrupt("Done?")?))
/// }
/// let fake = Fake::new().answer(true);
/// let update = ask(Chat { done: false }, fake.ctx()).unwrap();
/// assert_eq!(update.written::<bool>("done"), Some(true));
/// assert_eq!(fake.questions(), ["Done?"]);
/// ```
pub struct Fake {
    host: Rc<FakeHost>,
    task: Value,
    ctx: OnceCell<(Context, ids::Scope)>,
}

/// What was shown and asked. Shared with the driver of whole graphs.
#[derive(Default)]
pub(super) struct FakeHost {
    pub vars: RefCell<BTreeMap<String, String>>,
    pub answers: RefCell<VecDeque<Value>>,
    pub questions: RefCell<Vec<Value>>,
    pub custom: RefCell<Vec<Value>>,
    pub chunks: RefCell<Vec<Value>>,
    pub tools: RefCell<Vec<Value>>,
    pub store: OnceCell<MemoryStore>,
    /// Those that a node may call.
    pub graphs: Cell<Option<Graphs>>,
    /// For which these are built that depend on it.
    pub setting: OnceCell<Setting>,
    /// The graphs that the node under way has called, in this try or an earlier one.
    pub calls: RefCell<Vec<Run>>,
    /// How many of them it has called in this try.
    pub called: Cell<usize>,
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl Fake {
    /// No answers, no variables, a task with the id `test`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            host: Rc::default(),
            task: task("test", "node", 1),
            ctx: OnceCell::new(),
        }
    }

    /// The n-th interrupt gets the n-th answer.
    #[must_use]
    pub fn answer(self, answer: impl Into<Value>) -> Self {
        self.host.answers.borrow_mut().push_back(answer.into());
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn var(self, name: &str, value: &str) -> Self {
        self.host
            .vars
            .borrow_mut()
            .insert(name.to_owned(), value.to_owned());
        self
    }

    /// Gives the node this store; otherwise it has an empty one of its own.
    #[must_use]
    pub fn store(self, store: &MemoryStore) -> Self {
        self.host.use_store(store);
        self
    }

    /// Gives the node these graphs to call.
    #[must_use]
    pub fn graphs(self, graphs: &Graphs) -> Self {
        self.host.graphs.set(Some(*graphs));
        self
    }

    /// Sets `config.configurable`.
    #[must_use]
    pub fn configurable(mut self, settings: Value) -> Self {
        self.task["config"]["configurable"] = settings;
        self
    }

    /// Sets the run's `context`.
    #[must_use]
    pub fn context(mut self, context: Value) -> Self {
        self.task["context"] = context;
        self
    }

    /// The context for the node.
    pub fn ctx(&self) -> &Context {
        let make = || {
            (
                Context::new(self.task.to_string(), self.host.clone()),
                ids::enter("test".to_owned()),
            )
        };
        &self.ctx.get_or_init(make).0
    }

    /// The text that was streamed so far.
    #[must_use]
    pub fn tokens(&self) -> String {
        self.host.tokens()
    }

    /// The pieces of messages that were streamed so far.
    #[must_use]
    pub fn chunks(&self) -> Vec<Value> {
        self.host.chunks.borrow().clone()
    }

    /// What was shown in mode `custom`.
    #[must_use]
    pub fn custom(&self) -> Vec<Value> {
        self.host.custom.borrow().clone()
    }

    /// What was shown of tools.
    #[must_use]
    pub fn tools(&self) -> Vec<Value> {
        self.host.tools.borrow().clone()
    }

    /// What people were asked.
    #[must_use]
    pub fn questions(&self) -> Vec<Value> {
        self.host.questions.borrow().clone()
    }
}

impl FakeHost {
    /// To be called before a node uses the store.
    pub fn use_store(&self, store: &MemoryStore) {
        let _ = self.store.set(store.clone());
    }

    /// How the run is configured.
    pub fn setting(&self) -> &Setting {
        self.setting.get_or_init(Setting::default)
    }

    /// With what a graph that is called has in common with its caller.
    fn inside(&self) -> Self {
        let host = Self {
            vars: self.vars.clone(),
            setting: self.setting.clone(),
            ..Self::default()
        };
        host.use_store(self.store());
        host
    }

    pub fn tokens(&self) -> String {
        self.chunks
            .borrow()
            .iter()
            .filter_map(|c| c["content"].as_str().map(str::to_owned))
            .collect()
    }
}

/// A task without a state, in the contract's form.
pub(super) fn task(id: &str, node: &str, step: u32) -> Value {
    json!({
        "task": {"id": id, "name": node, "triggers": [], "step": step, "namespace": "", "attempt": 1},
        "run": {"run_id": "test-run", "thread_id": null, "assistant_id": "test", "graph_id": "test", "attempt": 1, "user": null},
        "config": {"configurable": {}, "metadata": {}, "tags": [], "recursion_limit": 10_007},
        "context": {},
    })
}

impl Host for FakeHost {
    fn emit_custom(&self, value: &str) {
        self.custom.borrow_mut().push(parse(value));
    }

    fn emit_message(&self, chunk: &str, _metadata: &str) {
        self.chunks.borrow_mut().push(parse(chunk));
    }

    fn interrupt(&self, value: &str) -> Option<String> {
        self.questions.borrow_mut().push(parse(value));
        self.answers
            .borrow_mut()
            .pop_front()
            .map(|answer| answer.to_string())
    }

    fn remaining_ms(&self) -> u64 {
        60_000
    }

    fn var(&self, name: &str) -> Option<String> {
        self.vars.borrow().get(name).cloned()
    }

    fn emit_tool(&self, event: &str) {
        self.tools.borrow_mut().push(parse(event));
    }

    fn call_graph(&self, name: &str, input: &str) -> Result<String, NodeError> {
        let number = self.called.replace(self.called.get() + 1);
        if self.calls.borrow().len() <= number {
            let unknown = || NodeError::new("GraphNotFound", format!("there is no graph `{name}`"));
            let graphs = self.graphs.get().ok_or_else(unknown)?;
            graphs.get(name).ok_or_else(unknown)?;
            let run = Run::start_on(&graphs, name, parse(input), self.inside())?;
            self.calls.borrow_mut().push(run);
        }
        let calls = self.calls.borrow();
        if !calls[number].questions().is_empty() {
            return Err(NodeError::interrupted());
        }
        Ok(calls[number].output().to_string())
    }

    fn store(&self) -> &MemoryStore {
        self.store.get_or_init(MemoryStore::new)
    }
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).expect("the SDK writes JSON")
}
