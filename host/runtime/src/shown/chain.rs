//! The mode `events`: LangChain's events (version 2) of the graph and of its nodes, made of what `pregel` shows of
//! the run's tasks. Those of chat models come from the pieces of messages; see `spoken`.

use std::collections::HashMap;

use indexmap::IndexMap;
use selvedge_model::Json;
use selvedge_model::event::{EventKind, StreamEvent};
use selvedge_model::run::{ClaimedRun, StreamMode};
use selvedge_pregel::{TaskInfo, Work};
use serde_json::json;

use super::inspect::origin;
use crate::admit::assemble::members;

/// Turns the starts and ends of one run's tasks into events.
pub(crate) struct Chain {
    graph: String,
    run: Json,
    metadata: IndexMap<String, Json>,
    /// The tasks that have begun and not ended, by the texts of their ids.
    under_way: HashMap<String, UnderWay>,
}

struct UnderWay {
    tags: Json,
    metadata: Json,
    input: Json,
}

impl Chain {
    /// `None` when nobody asked for the mode.
    pub(crate) fn new(claimed: &ClaimedRun, graph: &str) -> Option<Self> {
        let run = &claimed.run;
        if !run.kwargs.stream_mode.contains(&StreamMode::Events) {
            return None;
        }
        let mut metadata = origin(claimed);
        metadata.insert("ls_integration".into(), Json::string("langgraph"));
        Some(Self {
            graph: graph.to_owned(),
            run: Json::string(&run.run_id.to_string()),
            metadata,
            under_way: HashMap::new(),
        })
    }

    /// The graph begins.
    pub(crate) fn begun(&self, input: &Json) -> StreamEvent {
        self.of_graph("on_chain_start", "input", input)
    }

    /// The graph has ended with these values.
    pub(crate) fn ended(&self, values: &Json) -> StreamEvent {
        self.of_graph("on_chain_end", "output", values)
    }

    /// Work is about to begin, whose tasks `pregel` shows now.
    pub(crate) fn begins<'w>(&mut self, work: impl Iterator<Item = &'w Work>) {
        for task in work.filter_map(|work| work.task.as_ref()) {
            let told = UnderWay {
                tags: Json::from(json!([format!("graph:step:{}", task.step)])),
                metadata: self.metadata_of(task),
                input: Json::null(),
            };
            self.under_way.insert(task.id.to_string(), told);
        }
    }

    /// What an event of the mode `tasks` says in this mode.
    pub(crate) fn of_task(&mut self, payload: &Json) -> Vec<StreamEvent> {
        let payload = members(payload);
        let text = |name: &str| payload.get(name).and_then(|j| j.decode::<String>().ok());
        let (Some(id), Some(name)) = (text("id"), text("name")) else {
            return Vec::new();
        };
        if let Some(input) = payload.get("input") {
            let Some(task) = self.under_way.get_mut(&id) else {
                return Vec::new();
            };
            task.input = input.clone();
            let data = Json::object([("input", input)]);
            let task = &self.under_way[&id];
            return vec![self.of_node("on_chain_start", &id, &name, task, &data)];
        }
        let (Some(task), Some(result)) = (self.under_way.remove(&id), payload.get("result")) else {
            return Vec::new();
        };
        let failed = payload.get("error").is_some_and(|error| !error.is_null());
        let asks = payload
            .get("interrupts")
            .is_some_and(|i| i.as_str() != "[]");
        if failed || asks {
            return Vec::new();
        }
        let chunk = Json::object([("chunk", result)]);
        let end = Json::object([("output", result), ("input", &task.input)]);
        vec![
            self.of_node("on_chain_stream", &id, &name, &task, &chunk),
            self.of_node("on_chain_end", &id, &name, &task, &end),
        ]
    }

    fn metadata_of(&self, task: &TaskInfo) -> Json {
        let mut metadata = self.metadata.clone();
        let facts = json!({
            "langgraph_step": task.step,
            "langgraph_node": task.name,
            "langgraph_triggers": task.triggers,
            "langgraph_path": task.path,
            "langgraph_checkpoint_ns": task.namespace,
        });
        metadata.extend(members(&Json::from(facts)));
        Json::object(&metadata)
    }

    fn of_graph(&self, event: &str, name: &str, value: &Json) -> StreamEvent {
        let nothing = Json::array([]);
        chain_event([
            ("event", &Json::string(event)),
            ("data", &Json::object([(name, value)])),
            ("name", &Json::string(&self.graph)),
            ("tags", &nothing),
            ("run_id", &self.run),
            ("metadata", &Json::object(&self.metadata)),
            ("parent_ids", &nothing),
        ])
    }

    /// The id of a node's run is that of its task.
    fn of_node(
        &self,
        event: &str,
        id: &str,
        name: &str,
        task: &UnderWay,
        data: &Json,
    ) -> StreamEvent {
        chain_event([
            ("event", &Json::string(event)),
            ("data", data),
            ("name", &Json::string(name)),
            ("tags", &task.tags),
            ("run_id", &Json::string(id)),
            ("metadata", &task.metadata),
            ("parent_ids", &Json::array([&self.run])),
        ])
    }
}

/// An event of this mode.
pub(crate) fn chain_event<'a>(
    members: impl IntoIterator<Item = (&'static str, &'a Json)>,
) -> StreamEvent {
    StreamEvent {
        kind: EventKind::Mode(StreamMode::Events),
        namespace: String::new(),
        data: Json::object(members),
    }
}
