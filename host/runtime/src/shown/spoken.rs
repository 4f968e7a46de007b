//! The events of chat models in the mode `events`, made of the pieces of the messages that a task shows: a message that
//! comes in pieces is a call of a model to LangChain.
//!
//! What the model was asked is known to the guest alone, so `input` holds no messages.

use std::collections::HashMap;

use selvedge_model::event::StreamEvent;
use selvedge_model::{Json, RunId};
use selvedge_pregel::TaskInfo;

use super::chain::chain_event;
use super::pieces::Pieces;
use crate::shown::LONGEST_GROWING_BYTES;

/// What a model is called that does not say its name in the metadata of its pieces.
const UNNAMED: &str = "ChatModel";

/// The models that speak in one task.
pub(crate) struct Spoken {
    /// The run and the task, as the ids of what a model's call is part of.
    parents: Json,
    /// By the messages' ids.
    under_way: HashMap<String, Call>,
}

struct Call {
    id: Json,
    name: Json,
    metadata: Json,
    said: Pieces,
    bytes: usize,
}

impl Spoken {
    pub(crate) fn new(run: RunId, task: &TaskInfo) -> Self {
        let parents = [run.to_string(), task.id.to_string()].map(|id| Json::string(&id));
        Self {
            parents: Json::array(&parents),
            under_way: HashMap::new(),
        }
    }

    /// A piece of a message: the model begins, speaks, and ends with the last of them.
    pub(crate) fn piece(&mut self, id: &str, piece: &Json, metadata: &Json) -> Vec<StreamEvent> {
        let parents = &self.parents;
        let mut events = Vec::new();
        let call = self.under_way.entry(id.to_owned()).or_insert_with(|| {
            let call = Call::new(metadata);
            let data = Json::object([("input", &no_messages())]);
            events.push(call.event("on_chat_model_start", &data, parents));
            call
        });
        call.hear(piece);
        let data = Json::object([("chunk", piece)]);
        events.push(call.event("on_chat_model_stream", &data, parents));
        if is_last(piece)
            && let Some(call) = self.under_way.remove(id)
        {
            events.push(call.ended(parents));
        }
        events
    }

    /// The task has failed and is tried again.
    pub(crate) fn forget(&mut self) {
        self.under_way.clear();
    }

    /// The task has finished, and with it whoever spoke.
    pub(crate) fn finished(&mut self) -> Vec<StreamEvent> {
        let parents = &self.parents;
        let calls = self.under_way.drain();
        calls.map(|(_, call)| call.ended(parents)).collect()
    }
}

impl Call {
    fn new(metadata: &Json) -> Self {
        let mut metadata = metadata.members().unwrap_or_default();
        let name = metadata.get("ls_model_name").cloned();
        metadata
            .entry("ls_model_type".to_owned())
            .or_insert_with(|| Json::string("chat"));
        Self {
            id: Json::string(&RunId::new().to_string()),
            name: name.unwrap_or_else(|| Json::string(UNNAMED)),
            metadata: Json::object(&metadata),
            said: Pieces::default(),
            bytes: 0,
        }
    }

    /// What is too long is not put together.
    fn hear(&mut self, piece: &Json) {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes <= LONGEST_GROWING_BYTES {
            self.said.hear(piece);
        }
    }

    fn ended(&self, parents: &Json) -> StreamEvent {
        let output = match self.bytes <= LONGEST_GROWING_BYTES {
            true => self.said.message(),
            false => Json::null(),
        };
        let data = Json::object([("output", &output), ("input", &no_messages())]);
        self.event("on_chat_model_end", &data, parents)
    }

    fn event(&self, event: &str, data: &Json, parents: &Json) -> StreamEvent {
        chain_event([
            ("event", &Json::string(event)),
            ("data", data),
            ("name", &self.name),
            ("tags", &Json::array([])),
            ("run_id", &self.id),
            ("metadata", &self.metadata),
            ("parent_ids", parents),
        ])
    }
}

/// One list of messages, without any.
fn no_messages() -> Json {
    Json::object([("messages", &Json::array([&Json::array([])]))])
}

fn is_last(piece: &Json) -> bool {
    let position = piece
        .members()
        .and_then(|piece| piece.get("chunk_position").cloned());
    position.is_some_and(|position| position.as_str() == "\"last\"")
}
