//! The events that the algorithm itself makes: `values`, `updates`, `tasks`, `checkpoints` and `debug`. Those of
//! messages and of custom data are the runtime's: they come from inside the guests.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use selvedge_model::Json;
use selvedge_model::checkpoint::Source;
use selvedge_model::event::{EventKind, StreamEvent};
use selvedge_model::run::StreamMode;
use serde_json::{Value, json};

use crate::board::{Channels, TaskWrites};
use crate::execution::{Execution, Mint, Output};
use crate::graph::Graph;
use crate::interrupt::{self, Status};
use crate::task::Task;

/// The member that carries interrupts in `updates` and `values`.
const INTERRUPT: &str = "__interrupt__";

impl Execution {
    /// The state, whatever changed.
    pub(crate) fn show_values(&mut self) {
        if self.shows(StreamMode::Values) {
            let values = self.values();
            self.emit(StreamMode::Values, values);
        }
    }

    /// The state, if a write changed what callers see of it.
    pub(crate) fn show_changed_values(&mut self, tasks: &[TaskWrites], updated: &Channels) {
        if !self.shows(StreamMode::Values) {
            return;
        }
        let outputs = &self.graph.outputs;
        let is_output = |name: &str| {
            self.graph
                .channel(name)
                .is_some_and(|c| outputs.contains(&c))
        };
        let wrote = tasks
            .iter()
            .any(|t| t.writes.iter().any(|(c, _)| is_output(c)));
        if wrote && outputs.iter().any(|c| updated.contains(c)) {
            self.show_values();
        }
    }

    /// The checkpoint that the next step starts from, with its tasks.
    pub(crate) fn show_checkpoint(&mut self, mint: &mut dyn Mint) {
        if !self.shows(StreamMode::Checkpoints) && !self.shows(StreamMode::Debug) {
            return;
        }
        let statuses = interrupt::statuses(&self.pending);
        let tasks = self
            .tasks
            .iter()
            .map(|t| checkpoint_task(&self.graph, t, statuses.get(&t.info.id)));
        let tasks: Vec<Json> = tasks.collect();
        let next: Vec<&str> = self.tasks.iter().map(|t| t.info.name.as_str()).collect();
        let payload = Json::object([
            (
                "config",
                &self.config(self.at.is_stored.then_some(self.at.id)),
            ),
            (
                "parent_config",
                &self
                    .at
                    .parent
                    .map_or_else(Json::null, |p| self.config(Some(p))),
            ),
            ("values", &self.board.read(&self.graph.state)),
            (
                "metadata",
                &metadata(&self.at.metadata, self.at.source, self.at.step),
            ),
            ("next", &Json::from(json!(next))),
            ("tasks", &Json::array(&tasks)),
        ]);
        self.emit_debuggable(
            StreamMode::Checkpoints,
            "checkpoint",
            self.step - 1,
            payload,
            mint,
        );
    }

    /// Tasks begin.
    pub(crate) fn show_tasks(&mut self, mint: &mut dyn Mint) {
        if !self.shows(StreamMode::Tasks) && !self.shows(StreamMode::Debug) {
            return;
        }
        let visible = self.tasks.iter().filter(|t| !t.is_internal());
        let started: Vec<Json> = visible.map(|t| self.started(t)).collect();
        for payload in started {
            self.emit_debuggable(StreamMode::Tasks, "task", self.step, payload, mint);
        }
    }

    /// What tasks wrote that had finished before the run stopped the last time.
    pub(crate) fn show_reused_updates(&mut self) {
        for index in 0..self.tasks.len() {
            let writes = Arc::clone(&self.tasks[index].writes);
            if !writes.is_empty() {
                self.show_reused_update(index, &writes);
            }
        }
    }

    /// What a task wrote that need not run: its writes, and nothing that would say that it has run.
    pub(crate) fn show_reused_update(&mut self, index: usize, entries: &[(String, Json)]) {
        let task = &self.tasks[index];
        if task.is_internal() || !self.shows(StreamMode::Updates) {
            return;
        }
        let mut members = self.update_of(task, entries);
        members.insert(
            "__metadata__".to_owned(),
            Json::from(json!({"cached": true})),
        );
        self.emit(StreamMode::Updates, Json::object(members.iter()));
    }

    /// A task has finished.
    pub(crate) fn show_finished(
        &mut self,
        index: usize,
        entries: &[(String, Json)],
        mint: &mut dyn Mint,
    ) {
        if self.tasks[index].is_internal() {
            return;
        }
        if self.shows(StreamMode::Updates) {
            let update = self.update_of(&self.tasks[index], entries);
            self.emit(StreamMode::Updates, Json::object(update.iter()));
        }
        if self.shows_task_ends() {
            let result = result_of(&self.graph, entries);
            self.show_task_end(index, &Json::null(), &result, &Json::array([]), mint);
        }
    }

    /// A task asks.
    pub(crate) fn show_asked(&mut self, index: usize, questions: &Json, mint: &mut dyn Mint) {
        if self.tasks[index].is_internal() {
            return;
        }
        if self.shows(StreamMode::Updates) {
            self.emit(StreamMode::Updates, Json::object([(INTERRUPT, questions)]));
        }
        if self.shows(StreamMode::Values) {
            let mut members = self.values().members().unwrap_or_default();
            members.insert(INTERRUPT.to_owned(), questions.clone());
            self.emit(StreamMode::Values, Json::object(members.iter()));
        }
        if self.shows_task_ends() {
            let nothing = Json::object::<&str>([]);
            self.show_task_end(index, &Json::null(), &nothing, questions, mint);
        }
    }

    /// A task has failed.
    pub(crate) fn show_failed(&mut self, index: usize, error: &Json, mint: &mut dyn Mint) {
        let task = &self.tasks[index];
        if !task.is_internal() {
            if !task.answers.is_empty() && self.shows(StreamMode::Updates) {
                // LangGraph shows a task that was answered before it failed as one that gave nothing.
                let update = self.update_of(task, &[]);
                self.emit(StreamMode::Updates, Json::object(update.iter()));
            }
            if self.shows_task_ends() {
                let nothing = Json::object::<&str>([]);
                self.show_task_end(index, error, &nothing, &Json::array([]), mint);
            }
        }
    }

    /// The run stops at a breakpoint.
    pub(crate) fn show_breakpoint(&mut self) {
        if self.shows(StreamMode::Updates) {
            self.emit(
                StreamMode::Updates,
                Json::object([(INTERRUPT, &Json::array([]))]),
            );
        }
    }

    fn shows_task_ends(&self) -> bool {
        self.shows(StreamMode::Tasks) || self.shows(StreamMode::Debug)
    }

    fn show_task_end(
        &mut self,
        index: usize,
        error: &Json,
        result: &Json,
        interrupts: &Json,
        mint: &mut dyn Mint,
    ) {
        let task = &self.tasks[index];
        let payload = Json::object([
            ("id", &Json::string(&task.info.id.to_string())),
            ("name", &Json::string(&task.info.name)),
            ("error", error),
            ("result", result),
            ("interrupts", interrupts),
        ]);
        self.emit_debuggable(StreamMode::Tasks, "task_result", self.step, payload, mint);
    }

    fn started(&self, task: &Task) -> Json {
        let reads = &self.graph.nodes[task.node].reads;
        let input = task
            .packet
            .clone()
            .unwrap_or_else(|| self.board.read(reads));
        Json::object([
            ("id", &Json::string(&task.info.id.to_string())),
            ("name", &Json::string(&task.info.name)),
            ("input", &input),
            ("triggers", &Json::from(json!(task.info.triggers))),
            ("metadata", &self.options.metadata),
            ("interrupts", &Json::array([])),
        ])
    }

    /// What `updates` shows of a task: `{name: update}`, several updates of one channel one by one.
    fn update_of(&self, task: &Task, entries: &[(String, Json)]) -> IndexMap<String, Json> {
        let outputs = &self.graph.outputs;
        let shown: Vec<(&str, &Json)> = entries
            .iter()
            .filter(|(name, _)| {
                self.graph
                    .channel(name)
                    .is_some_and(|c| outputs.contains(&c))
            })
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for (name, _) in &shown {
            *counts.entry(name).or_default() += 1;
        }
        let update = if shown.is_empty() {
            Json::null()
        } else if counts.values().any(|&n| n > 1) {
            let single: Vec<Json> = shown
                .iter()
                .map(|(name, value)| Json::object([(*name, *value)]))
                .collect();
            Json::array(&single)
        } else {
            Json::object(shown)
        };
        IndexMap::from([(task.info.name.clone(), update)])
    }

    /// The runtime adds the thread.
    fn config(&self, checkpoint: Option<selvedge_model::CheckpointId>) -> Json {
        let namespace = &self.options.namespace;
        let mut named = json!({"checkpoint_ns": namespace, "checkpoint_id": checkpoint});
        if !namespace.is_empty() {
            named["checkpoint_map"] = json!(*self.options.parents);
            named["checkpoint_map"][namespace] = json!(checkpoint);
        }
        Json::from(json!({"configurable": named}))
    }

    fn shows(&self, mode: StreamMode) -> bool {
        self.options.modes.contains(&mode)
    }

    fn emit(&mut self, mode: StreamMode, data: Json) {
        self.output.push(Output::Event(StreamEvent {
            kind: EventKind::Mode(mode),
            namespace: self.options.namespace.clone(),
            data,
        }));
    }

    /// An event that the mode `debug` shows as well, wrapped.
    fn emit_debuggable(
        &mut self,
        mode: StreamMode,
        kind: &str,
        step: i64,
        payload: Json,
        mint: &mut dyn Mint,
    ) {
        if self.shows(StreamMode::Debug) {
            let wrapped = Json::object([
                ("step", &Json::from(Value::from(step))),
                ("timestamp", &Json::string(&mint.now().to_string())),
                ("type", &Json::string(kind)),
                ("payload", &payload),
            ]);
            if self.shows(mode) {
                self.emit(mode, payload);
            }
            self.emit(StreamMode::Debug, wrapped);
        } else {
            self.emit(mode, payload);
        }
    }
}

/// The metadata of a checkpoint as callers see it: the run's members with the algorithm's own.
pub(crate) fn metadata(own: &Json, source: Source, step: i64) -> Json {
    let mut members = own.members().unwrap_or_default();
    members.insert(
        "source".to_owned(),
        Json::encode(&source).unwrap_or_default(),
    );
    members.insert("step".to_owned(), Json::from(Value::from(step)));
    members
        .entry("parents".to_owned())
        .or_insert_with(|| Json::object::<&str>([]));
    Json::object(members.iter())
}

/// What a task wrote to the author's channels, several writes to one as `{"$writes": […]}`.
pub(crate) fn result_of(graph: &Graph, entries: &[(String, Json)]) -> Json {
    let mut by_channel: IndexMap<&str, Vec<&Json>> = IndexMap::new();
    for (name, value) in entries.iter().filter(|(name, _)| graph.is_state(name)) {
        by_channel.entry(name).or_default().push(value);
    }
    let members: Vec<(&str, Json)> = by_channel
        .into_iter()
        .map(|(name, values)| match values.as_slice() {
            [one] => (name, (*one).clone()),
            several => {
                let writes = Json::array(several.iter().copied());
                (name, Json::object([("$writes", &writes)]))
            }
        })
        .collect();
    Json::object(members.iter().map(|(name, value)| (*name, value)))
}

fn checkpoint_task(graph: &Graph, task: &Task, status: Option<&Status>) -> Json {
    let id = Json::string(&task.info.id.to_string());
    let name = Json::string(&task.info.name);
    let mut members = vec![("id", id), ("name", name)];
    let nothing = Status::default();
    let status = status.unwrap_or(&nothing);
    if let Some(error) = &status.error {
        members.push(("error", Json::encode(error).unwrap_or_default()));
    } else {
        if status.is_finished() {
            let result = result_of(graph, &status.output);
            if result.as_str() != "{}" {
                members.push(("result", result));
            }
        }
        members.push((
            "interrupts",
            Json::encode(&status.interrupts).unwrap_or_default(),
        ));
    }
    // The runtime adds the thread.
    let state = match &task.info.nested {
        Some(_) => Json::from(json!({"configurable": {"checkpoint_ns": task.info.namespace}})),
        None => Json::null(),
    };
    members.push(("state", state));
    Json::object(members.iter().map(|(name, value)| (*name, value)))
}
