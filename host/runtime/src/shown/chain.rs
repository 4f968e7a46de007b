//! The mode `events`: LangChain's events (version 2) of the graph and of its nodes, made of what `pregel` shows of
//! the run's tasks. Those of chat models come from the pieces of messages; see `spoken`.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use selvedge_model::Json;
use selvedge_model::event::{EventKind, StreamEvent};
use selvedge_model::run::{ClaimedRun, StreamMode};
use selvedge_pregel::{TaskInfo, Work};
use serde_json::json;
use uuid::Uuid;

use super::inspect::origin;
use crate::admit::assemble::members;

/// What LangGraph calls a graph that has no name of its own.
pub(crate) const UNNAMED_GRAPH: &str = "LangGraph";

/// The ids of what a node is part of, from the outside in: the run, then each node around it with the graph inside that.
pub(crate) type Lineage = Arc<[Json]>;

/// Turns the starts and ends of one execution's tasks into events.
pub(crate) struct Chain {
    graph: String,
    /// Of the graph's nodes: the last is the graph's own.
    lineage: Lineage,
    /// Of the graph's own events.
    tags: Json,
    /// Of the graph's events, and of its nodes' beside what is theirs.
    metadata: IndexMap<String, Json>,
    /// What a graph inside a task began with: its end says it again.
    input: Option<Json>,
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
            lineage: [Json::string(&run.run_id.to_string())].into(),
            tags: Json::array([]),
            metadata,
            input: None,
            under_way: HashMap::new(),
        })
    }

    /// That of a graph inside a task, whose lineage is that of its execution's nodes.
    pub(crate) fn inside(claimed: &ClaimedRun, around: &Lineage, graph: &GraphInside<'_>) -> Self {
        let task = graph.task;
        let mut metadata = origin(claimed);
        metadata.insert("ls_integration".into(), Json::string("langgraph"));
        metadata.extend(of_task(task));
        metadata.insert("checkpoint_ns".into(), Json::string(graph.namespace));
        // The same when it goes on in a later attempt.
        let place = format!("{}|{}", claimed.run.run_id, graph.namespace);
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, place.as_bytes());
        let own = [task.id.to_string(), id.to_string()].map(|id| Json::string(&id));
        Self {
            graph: graph.name.to_owned(),
            lineage: around.iter().chain(&own).cloned().collect(),
            tags: match graph.called {
                true => Json::array([]),
                false => Json::from(json!(["seq:step:1"])),
            },
            metadata,
            input: Some(graph.input.clone()),
            under_way: HashMap::new(),
        }
    }

    /// Of its nodes.
    pub(crate) fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The graph begins.
    pub(crate) fn begun(&self, input: &Json) -> StreamEvent {
        self.of_graph("on_chain_start", &Json::object([("input", input)]))
    }

    /// A graph inside a task begins.
    pub(crate) fn begun_inside(&self) -> Option<StreamEvent> {
        self.input.as_ref().map(|input| self.begun(input))
    }

    /// The graph has ended with these values.
    pub(crate) fn ended(&self, values: &Json) -> StreamEvent {
        let input = self.input.iter().map(|input| ("input", input));
        let data = Json::object([("output", values)].into_iter().chain(input));
        self.of_graph("on_chain_end", &data)
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
        metadata.extend(of_task(task));
        Json::object(&metadata)
    }

    fn of_graph(&self, event: &str, data: &Json) -> StreamEvent {
        let (run, parents) = match self.lineage.split_last() {
            Some((run, around)) => (run.clone(), Json::array(around)),
            None => (Json::null(), Json::array([])),
        };
        chain_event([
            ("event", &Json::string(event)),
            ("data", data),
            ("name", &Json::string(&self.graph)),
            ("tags", &self.tags),
            ("run_id", &run),
            ("metadata", &Json::object(&self.metadata)),
            ("parent_ids", &parents),
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
            ("parent_ids", &Json::array(self.lineage.iter())),
        ])
    }
}

/// A graph inside a task.
pub(crate) struct GraphInside<'a> {
    pub(crate) task: &'a TaskInfo,
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) input: &'a Json,
    /// By the task's node, which does not stand for it.
    pub(crate) called: bool,
}

/// Where in its graph a task is.
fn of_task(task: &TaskInfo) -> IndexMap<String, Json> {
    members(&Json::from(json!({
        "langgraph_step": task.step,
        "langgraph_node": task.name,
        "langgraph_triggers": task.triggers,
        "langgraph_path": task.path,
        "langgraph_checkpoint_ns": task.namespace,
    })))
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
