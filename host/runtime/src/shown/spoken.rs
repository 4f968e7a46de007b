//! The events of chat models in the mode `events`, made of the pieces of the messages that a task shows: a message that
//! comes in pieces is a call of a model to LangChain.
//!
//! What the model was asked is known to the guest alone, so `input` holds no messages.

use std::collections::HashMap;

use selvedge_model::event::StreamEvent;
use selvedge_model::{Json, RunId};
use selvedge_pregel::TaskInfo;

use super::chain::{Lineage, chain_event};
use super::pieces::Pieces;
use crate::shown::{LONGEST_GROWING_BYTES, MOST_GROWING_BYTES};

/// What a model is called that does not say its name in the metadata of its pieces.
const UNNAMED: &str = "ChatModel";

/// Longer metadata of a call is left out of its events: each of them repeats it.
const LONGEST_METADATA_BYTES: usize = 16 << 10;

/// The models that speak in one task.
pub(crate) struct Spoken {
    /// The ids of what a model's call is part of: the run, the task, and what lies between them.
    parents: Json,
    /// By the messages' ids.
    under_way: HashMap<String, Call>,
    /// Of the pieces that are put together.
    bytes: usize,
}

struct Call {
    id: Json,
    name: Json,
    metadata: Json,
    /// `None`: what is too long is not put together.
    said: Option<Pieces>,
    /// Of the pieces in it.
    bytes: usize,
}

impl Spoken {
    pub(crate) fn new(lineage: &Lineage, task: &TaskInfo) -> Self {
        let task = Json::string(&task.id.to_string());
        Self {
            parents: Json::array(lineage.iter().chain([&task])),
            under_way: HashMap::new(),
            bytes: 0,
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
        self.bytes -= call.bytes;
        call.hear(piece, MOST_GROWING_BYTES - self.bytes);
        self.bytes += call.bytes;
        let data = Json::object([("chunk", piece)]);
        events.push(call.event("on_chat_model_stream", &data, parents));
        if is_last(piece)
            && let Some(call) = self.under_way.remove(id)
        {
            self.bytes -= call.bytes;
            events.push(call.ended(parents));
        }
        events
    }

    /// The task has failed and is tried again.
    pub(crate) fn forget(&mut self) {
        self.under_way.clear();
        self.bytes = 0;
    }

    /// The task has finished, and with it whoever spoke.
    pub(crate) fn finished(&mut self) -> Vec<StreamEvent> {
        let parents = &self.parents;
        self.bytes = 0;
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
            metadata: Some(Json::object(&metadata))
                .filter(|metadata| metadata.len() <= LONGEST_METADATA_BYTES)
                .unwrap_or_else(|| Json::object::<&str>([])),
            said: Some(Pieces::default()),
            bytes: 0,
        }
    }

    /// Adds a piece while all of them fit into `room`.
    fn hear(&mut self, piece: &Json, room: usize) {
        let Some(said) = &mut self.said else { return };
        let bytes = self.bytes.saturating_add(piece.len());
        if bytes <= LONGEST_GROWING_BYTES.min(room) {
            said.hear(piece);
            self.bytes = bytes;
        } else {
            self.said = None;
            self.bytes = 0;
        }
    }

    fn ended(&self, parents: &Json) -> StreamEvent {
        let output = self.said.as_ref().map(Pieces::message).unwrap_or_default();
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
