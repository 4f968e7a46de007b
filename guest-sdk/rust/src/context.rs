//! What a node knows about its run and may ask of it while it works.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call;
use crate::error::NodeError;
use crate::host::Host;
use crate::ids;
use crate::log::{self, Level};
use crate::message::MessageChunk;
use crate::store::Store;
use crate::stream::MessageStream;

/// The second argument of every node.
pub struct Context {
    /// The task as the host gave it. Its facts are read on first use: many nodes never ask.
    task: String,
    facts: OnceCell<Facts>,
    pub(crate) host: Rc<dyn Host>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Facts {
    task: Task,
    run: Run,
    config: Config,
    context: Value,
}

/// Facts about the task: one node in one super-step.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Task {
    /// The same when the task is done again, after a failure or an interrupt.
    pub id: String,
    /// The node.
    pub name: String,
    /// What made it run.
    pub triggers: Vec<String>,
    /// The super-step.
    pub step: i64,
    /// Where the task is in the tree of graphs.
    pub namespace: String,
    /// 1 for the first try; counts the retries of this task.
    pub attempt: u32,
}

/// Facts about the run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Run {
    /// The run.
    pub run_id: Option<String>,
    /// The thread.
    pub thread_id: Option<String>,
    /// The assistant.
    pub assistant_id: Option<String>,
    /// The graph, by its name on the server.
    pub graph_id: Option<String>,
    /// 1 for the first try; counts the restarts of the run after crashes.
    pub attempt: u32,
    /// Who started it, as the server's authentication says.
    pub user: Value,
}

/// How the caller configured the run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Config {
    /// Free settings.
    pub configurable: Map<String, Value>,
    /// Data that goes along with the run.
    pub metadata: Map<String, Value>,
    /// Labels.
    pub tags: Vec<String>,
    /// The number of super-steps after which the run fails.
    pub recursion_limit: u64,
}

impl Context {
    pub(crate) fn new(task: String, host: Rc<dyn Host>) -> Self {
        Self {
            task,
            facts: OnceCell::new(),
            host,
        }
    }

    pub(crate) fn task_json(&self) -> &str {
        &self.task
    }

    fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| {
            serde_json::from_str(&self.task)
                .expect("the host gives a task's facts as the contract says")
        })
    }

    /// Facts about this task.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.facts().task
    }

    /// Facts about the run.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.facts().run
    }

    /// How the run was configured.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.facts().config
    }

    /// `config.configurable` as a type of the author's.
    ///
    /// # Errors
    /// `ConfigError` if it does not have that form.
    pub fn configurable<T: DeserializeOwned>(&self) -> Result<T, NodeError> {
        let settings = Value::Object(self.config().configurable.clone());
        serde_json::from_value(settings)
            .map_err(|e| NodeError::new("ConfigError", format!("config.configurable: {e}")))
    }

    /// The run's `context` as a type of the author's.
    ///
    /// # Errors
    /// `ContextError` if it does not have that form.
    pub fn context<T: DeserializeOwned>(&self) -> Result<T, NodeError> {
        let value = match &self.facts().context {
            Value::Null => Value::Object(Map::new()),
            value => value.clone(),
        };
        serde_json::from_value(value)
            .map_err(|e| NodeError::new("ContextError", format!("context: {e}")))
    }

    /// A variable of the environment. A graph sees those that the operator named for it, and nothing else.
    /// The value of a secret is a placeholder, which the host replaces in outgoing requests to the hosts that it is
    /// for.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<String> {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(value) = self.host.var(name) {
            return Some(value);
        }
        crate::env::var(name)
    }

    /// The long-term store, which threads share.
    #[must_use]
    pub fn store(&self) -> Store<'_> {
        Store::new(self)
    }

    /// How long the host lets this task go on.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        Duration::from_millis(self.host.remaining_ms())
    }

    /// Shows a value to those who stream the run in mode `custom`. It is not part of the state.
    ///
    /// # Errors
    /// If the value cannot be written as JSON.
    pub fn emit_custom(&self, value: impl Serialize) -> Result<(), NodeError> {
        self.host.emit_custom(&serde_json::to_string(&value)?);
        Ok(())
    }

    /// Shows a piece of the model's answer while it is made. The next [`Message::ai`](crate::Message::ai) of this
    /// node is the whole of it: it takes the id under which the pieces were shown.
    ///
    /// # Errors
    /// None today; the result is there so that `?` stays right when the contract grows.
    pub fn emit_token(&self, text: &str) -> Result<(), NodeError> {
        let id = ids::open().unwrap_or_default();
        self.emit_message(&MessageChunk::text(id, text))
    }

    /// Shows a piece of a message that you build yourself. [`stream`](Self::stream) is more convenient.
    ///
    /// # Errors
    /// If the chunk cannot be written as JSON.
    pub fn emit_message(&self, chunk: &MessageChunk) -> Result<(), NodeError> {
        self.host.emit_message(&serde_json::to_string(chunk)?, "{}");
        Ok(())
    }

    /// Shows that a tool is called, or what comes of it, to those who stream the run in mode `tools`: an object with
    /// `event` (`tool-started`, `tool-output-delta`, `tool-finished`, `tool-error`), `tool_call_id`, `tool_name`, and
    /// `input`, `delta`, `output` or `message`. [`Tool::call`](crate::Tool::call) does it by itself, but for pieces of an
    /// output.
    ///
    /// # Errors
    /// If the event cannot be written as JSON.
    pub fn emit_tool(&self, event: impl Serialize) -> Result<(), NodeError> {
        let event = serde_json::to_string(&event)?;
        #[cfg(target_arch = "wasm32")]
        crate::export::emit_tool(&event);
        #[cfg(not(target_arch = "wasm32"))]
        self.host.emit_tool(&event);
        Ok(())
    }

    /// Begins a message of the model that is shown while it is made.
    #[must_use]
    pub fn stream(&self) -> MessageStream<'_> {
        MessageStream::new(self)
    }

    /// Asks a person, and gives the answer when the run was resumed with one.
    ///
    /// Without an answer it returns an error that is to be handed on with `?`: the run then stops after this
    /// super-step and waits. When it is resumed, the node runs **again from its start**, and its n-th call gets the
    /// n-th answer. So keep what comes before free of side effects, or do it after.
    ///
    /// # Errors
    /// The interrupt itself; `InvalidAnswer` if the answer does not have the expected form.
    pub fn interrupt<A: DeserializeOwned>(&self, question: impl Serialize) -> Result<A, NodeError> {
        let answer = self
            .host
            .interrupt(&serde_json::to_string(&question)?)
            .ok_or_else(NodeError::interrupted)?;
        serde_json::from_str(&answer).map_err(|e| {
            NodeError::new("InvalidAnswer", format!("the answer to the interrupt: {e}"))
        })
    }

    /// Runs another graph inside this task, and gives its output: a graph of the same component or, if it has none of that
    /// name, of the server.
    ///
    /// The graph has checkpoints of its own, and callers see it below this node. When it asks a person, this returns an
    /// error that is to be handed on with `?`, as [`interrupt`](Self::interrupt) does; the node runs again from its start
    /// when the answer is there, and its n-th call gets what the n-th graph came to. So the calls before a question
    /// must be the same each time.
    ///
    /// ```
    /// # use selvedge_sdk::prelude::*;
    /// # #[derive(State, Serialize, Deserialize, JsonSchema)] struct Notes { #[channel(append)] notes: Vec<String> }
    /// fn look_twice(_: Notes, ctx: &Context) -> NodeResult<Notes> {
    ///     let mut notes = Vec::new();
    ///     for topic in ["cats", "dogs"] {
    ///         let found: Notes = ctx.call_graph("research", json!({"notes": [topic]}))?;
    ///         notes.extend(found.notes);
    ///     }
    ///     Ok(Notes::update().notes(notes))
    /// }
    /// ```
    ///
    /// # Errors
    /// What the graph failed of; the interrupt itself; `GraphNotFound`; `InvalidOutput` if its output does not have the
    /// expected form.
    pub fn call_graph<O: DeserializeOwned>(
        &self,
        name: &str,
        input: impl Serialize,
    ) -> Result<O, NodeError> {
        let output = call::graph(self, name, &serde_json::to_string(&input)?)?;
        serde_json::from_str(&output).map_err(|e| {
            let what = format!("the output of the graph `{name}`: {e}");
            NodeError::new("InvalidOutput", what)
        })
    }

    /// Writes a log line; the macros [`info!`](crate::info) and so on are shorter.
    pub fn log<'a>(&self, level: Level, message: impl Into<Cow<'a, str>>) {
        log::write(level, &message.into());
    }
}
