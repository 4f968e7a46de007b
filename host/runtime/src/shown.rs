//! What a task shows while it runs, as events of the run's stream.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use selvedge_model::Json;
use selvedge_model::event::{EventKind, StreamEvent};
use selvedge_model::run::StreamMode;
use selvedge_pregel::{TaskInfo, Writes, messages};
use selvedge_sandbox::TaskEvents;
use serde_json::json;

use crate::assemble::members;
use crate::graphs::ServedGraph;
use crate::hub::RunStream;

/// Turns what one task emits into events.
pub(crate) struct Shown {
    stream: Arc<RunStream>,
    modes: Arc<[StreamMode]>,
    /// What message events say about where a message comes from.
    metadata: Json,
    /// Whose channels hold messages.
    graph: Arc<ServedGraph>,
    /// Messages that went out in pieces already.
    streamed: Mutex<HashSet<String>>,
}

impl Shown {
    pub(crate) fn new(
        stream: Arc<RunStream>,
        modes: Arc<[StreamMode]>,
        run_metadata: &Json,
        graph: &Arc<ServedGraph>,
        task: Option<&TaskInfo>,
    ) -> Self {
        let wants_messages = modes.contains(&StreamMode::MessagesTuple);
        Self {
            metadata: match task {
                Some(task) if wants_messages => task_metadata(run_metadata, task),
                _ => Json::null(),
            },
            stream,
            modes,
            graph: graph.clone(),
            streamed: Mutex::default(),
        }
    }

    /// Shows the messages that the finished task returned and had not streamed.
    pub(crate) fn finished(&self, writes: &Writes) {
        if !self.wants(StreamMode::MessagesTuple) {
            return;
        }
        let streamed = self.streamed.lock();
        let messages = writes
            .updates()
            .filter(|(channel, _)| self.graph.holds_messages(channel))
            .filter_map(|(_, value)| messages::coerce_all(value).ok())
            .flatten();
        for message in messages {
            let known = id_of(&message).is_some_and(|id| streamed.contains(&id));
            if !known {
                self.push(
                    StreamMode::MessagesTuple,
                    Json::array([&message, &self.metadata]),
                );
            }
        }
    }

    fn wants(&self, mode: StreamMode) -> bool {
        self.modes.contains(&mode)
    }

    fn push(&self, mode: StreamMode, data: Json) {
        self.stream.push(StreamEvent {
            kind: EventKind::Mode(mode),
            namespace: String::new(),
            data,
        });
    }
}

impl TaskEvents for Shown {
    fn custom(&self, value: Json) {
        if self.wants(StreamMode::Custom) {
            self.push(StreamMode::Custom, value);
        }
    }

    fn message(&self, chunk: Json, metadata: Json) {
        if !self.wants(StreamMode::MessagesTuple) {
            return;
        }
        if let Some(id) = id_of(&chunk) {
            self.streamed.lock().insert(id);
        }
        let metadata = match metadata.members() {
            Some(more) if !more.is_empty() => {
                let mut all = self.metadata.members().unwrap_or_default();
                all.extend(more);
                Json::object(&all)
            }
            _ => self.metadata.clone(),
        };
        self.push(StreamMode::MessagesTuple, Json::array([&chunk, &metadata]));
    }
}

/// The id by which a message is known to have been streamed. Longer ones are made by nobody and are not remembered.
fn id_of(message: &Json) -> Option<String> {
    const LONGEST: usize = 256;
    let id: String = message.members()?.get("id")?.decode().ok()?;
    (id.len() <= LONGEST).then_some(id)
}

fn task_metadata(run_metadata: &Json, task: &TaskInfo) -> Json {
    let mut metadata = members(run_metadata);
    let mut set = |name: &str, value: serde_json::Value| {
        metadata.insert(name.to_owned(), Json::from(value));
    };
    set("langgraph_step", json!(task.step));
    set("langgraph_node", json!(task.name));
    set("langgraph_triggers", json!(task.triggers));
    set("langgraph_path", json!(task.path));
    set("langgraph_checkpoint_ns", json!(task.namespace));
    set("checkpoint_ns", json!(task.namespace));
    Json::object(&metadata)
}
