//! What a task shows while it runs, as events of the run's stream.

pub(crate) mod chain;
pub(crate) mod inspect;
pub(crate) mod lifecycle;
mod pieces;
mod spoken;
mod tools;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use selvedge_model::Json;
use selvedge_model::event::{EventKind, MessagePart, StreamEvent};
use selvedge_model::run::{ClaimedRun, StreamMode};
use selvedge_pregel::{TaskInfo, Work, Writes, messages};
use selvedge_sandbox::{TaskEvents, ToolEvent};
use serde_json::json;

use crate::graphs::Part;
use crate::hub::RunStream;
use chain::Lineage;
use inspect::origin;
use pieces::Pieces;
use spoken::Spoken;

/// A message that grew beyond this is not shown piece by piece any longer in the mode `messages`, but once, whole, at
/// the end of its task: each of its events repeats all of it.
pub(crate) const LONGEST_GROWING_BYTES: usize = 1 << 20;

/// The same for all messages of one task together, which the host holds until the task ends.
pub(crate) const MOST_GROWING_BYTES: usize = 4 << 20;

/// Messages of graphs inside one task that are remembered, so that the task does not show them again.
const MOST_BELOW: usize = 10_000;

/// The modes that show messages.
const OF_MESSAGES: [StreamMode; 3] = [
    StreamMode::Messages,
    StreamMode::MessagesTuple,
    StreamMode::Events,
];

/// The execution that a task is of.
pub(crate) struct Place {
    pub(crate) stream: Arc<RunStream>,
    /// What is shown of it.
    pub(crate) modes: Arc<[StreamMode]>,
    pub(crate) namespace: Arc<str>,
    /// For the mode `events`: what the execution's nodes are part of.
    pub(crate) lineage: Option<Lineage>,
    /// Whose channels hold messages.
    pub(crate) part: Part,
    /// The task that the execution is inside.
    pub(crate) above: Option<Arc<Shown>>,
}

/// Turns what one task emits into events.
pub(crate) struct Shown {
    place: Place,
    /// What message events say about where a message comes from.
    metadata: Json,
    /// Messages that went out in pieces already, by their ids.
    streamed: Mutex<Streamed>,
    /// For the mode `events`.
    spoken: Option<Mutex<Spoken>>,
}

/// The messages that a task shows in pieces.
#[derive(Default)]
struct Streamed {
    by_id: HashMap<String, Growing>,
    /// Of those that are put together.
    bytes: usize,
}

/// A message that comes in pieces, as the mode `messages` shows it.
enum Growing {
    /// So far, and how long it is.
    To(Pieces, usize),
    /// Too long to be shown again and again.
    TooLong,
    /// In a run whose caller does not want it.
    Unseen,
    /// A graph inside the task has shown it.
    Below,
}

impl Shown {
    pub(crate) fn new(place: Place, claimed: &ClaimedRun, task: Option<&TaskInfo>) -> Self {
        let modes = &place.modes;
        let metadata = match task {
            Some(task) if modes.iter().any(|mode| OF_MESSAGES.contains(mode)) => {
                task_metadata(claimed, task)
            }
            _ => Json::null(),
        };
        let spoken = place.lineage.as_ref().zip(task);
        Self {
            metadata,
            spoken: spoken.map(|(lineage, task)| Mutex::new(Spoken::new(lineage, task))),
            place,
            streamed: Mutex::default(),
        }
    }

    /// Shows the messages that the finished task returned and had not streamed, except those that it was given: a node
    /// may return all messages and not just its own.
    pub(crate) fn finished(&self, writes: &Writes, work: &Work) {
        if let Some(spoken) = &self.spoken {
            self.push_all(spoken.lock().finished());
        }
        if !self.wants_messages() {
            return;
        }
        let returned: Vec<Json> = writes
            .updates()
            .filter(|(channel, _)| self.place.part.holds_messages(channel))
            .filter_map(|(_, value)| messages::coerce_all(value).ok())
            .flatten()
            .collect();
        if returned.is_empty() {
            return;
        }
        let given = ids_within(&work.input());
        let streamed = self.streamed.lock();
        for message in returned {
            let id = id_of(&message);
            if id.as_ref().is_some_and(|id| given.contains(id)) {
                continue;
            }
            let known = id.as_ref().and_then(|id| streamed.by_id.get(id));
            if matches!(known, Some(Growing::Below)) {
                continue;
            }
            if let Some(id) = &id {
                self.tell_above(id);
            }
            if self.wants(StreamMode::MessagesTuple) && known.is_none() {
                let data = Json::array([&message, &self.metadata]);
                self.push(EventKind::Mode(StreamMode::MessagesTuple), data);
            }
            if self.wants(StreamMode::Messages) && !matches!(known, Some(Growing::To(..))) {
                if known.is_none() {
                    self.introduce(id.as_deref(), &self.metadata);
                }
                self.tell(MessagePart::Complete, Json::array([&message]));
            }
        }
    }

    /// The graph around this one may return the message as its own: it need not show it again.
    fn tell_above(&self, id: &str) {
        let mut above = self.place.above.as_ref();
        while let Some(shown) = above {
            let mut streamed = shown.streamed.lock();
            if streamed.by_id.len() < MOST_BELOW && !streamed.by_id.contains_key(id) {
                streamed.by_id.insert(id.to_owned(), Growing::Below);
            }
            above = shown.place.above.as_ref();
        }
    }

    /// The task is tried again: what it said before does not belong to what it says now.
    pub(crate) fn begins_again(&self) {
        *self.streamed.lock() = Streamed::default();
        if let Some(spoken) = &self.spoken {
            spoken.lock().forget();
        }
    }

    /// Says where a message comes from, before anything else of it.
    fn introduce(&self, id: Option<&str>, metadata: &Json) {
        let about = Json::object([("metadata", metadata)]);
        let data = Json::object([(id.unwrap_or_default(), &about)]);
        self.tell(MessagePart::Metadata, data);
    }

    /// Shows a message that comes in pieces as it is with the newest of them.
    fn grow(&self, id: &str, chunk: &Json, metadata: &Json) {
        let mut streamed = self.streamed.lock();
        let Streamed { by_id, bytes } = &mut *streamed;
        let growing = by_id.entry(id.to_owned()).or_insert_with(|| {
            self.introduce(Some(id), metadata);
            Growing::To(Pieces::default(), 0)
        });
        if let Growing::To(pieces, length) = growing {
            let message = pieces.add(chunk);
            *bytes -= *length;
            if message.len() > LONGEST_GROWING_BYTES || *bytes + message.len() > MOST_GROWING_BYTES
            {
                *growing = Growing::TooLong;
            } else {
                *length = message.len();
                *bytes += *length;
                self.tell(MessagePart::Partial, Json::array([&message]));
            }
        }
    }

    fn wants_messages(&self) -> bool {
        self.wants(StreamMode::MessagesTuple) || self.wants(StreamMode::Messages)
    }

    fn tell(&self, part: MessagePart, data: Json) {
        self.push(EventKind::Messages(part), data);
    }

    fn wants(&self, mode: StreamMode) -> bool {
        self.place.modes.contains(&mode)
    }

    fn push(&self, kind: EventKind, data: Json) {
        self.place.stream.push(StreamEvent {
            kind,
            namespace: self.place.namespace.to_string(),
            data,
        });
    }

    fn push_all(&self, events: Vec<StreamEvent>) {
        for event in events {
            self.place.stream.push(event);
        }
    }
}

impl TaskEvents for Shown {
    fn custom(&self, value: Json) {
        if self.wants(StreamMode::Custom) {
            self.push(EventKind::Mode(StreamMode::Custom), value);
        }
    }

    fn tool(&self, event: ToolEvent) {
        if self.wants(StreamMode::Tools) {
            self.push(EventKind::Mode(StreamMode::Tools), tools::shown(&event));
        }
    }

    fn message(&self, id: Option<&str>, chunk: Json, metadata: Json) {
        if self.spoken.is_none() && !self.wants_messages() {
            return;
        }
        let metadata = match metadata.members() {
            Some(more) if !more.is_empty() => {
                let mut all = self.metadata.members().unwrap_or_default();
                all.extend(more);
                Json::object(&all)
            }
            _ => self.metadata.clone(),
        };
        if self.wants(StreamMode::MessagesTuple) {
            let data = Json::array([&chunk, &metadata]);
            self.push(EventKind::Mode(StreamMode::MessagesTuple), data);
        }
        let Some(id) = id else { return };
        if self.wants_messages() {
            self.tell_above(id);
        }
        if let Some(spoken) = &self.spoken {
            self.push_all(spoken.lock().piece(id, &chunk, &metadata));
        }
        if self.wants(StreamMode::Messages) {
            self.grow(id, &chunk, &metadata);
        } else {
            let mut streamed = self.streamed.lock();
            if !streamed.by_id.contains_key(id) {
                streamed.by_id.insert(id.to_owned(), Growing::Unseen);
            }
        }
    }
}

/// The id by which a message is known to have been streamed. Longer ones are made by nobody and are not remembered.
fn id_of(message: &Json) -> Option<String> {
    const LONGEST: usize = 256;
    let id: String = message.members()?.get("id")?.decode().ok()?;
    (id.len() <= LONGEST).then_some(id)
}

/// The ids of the messages that an input holds, in whichever of its members.
fn ids_within(input: &Json) -> HashSet<String> {
    let members = input.members().unwrap_or_default();
    let lists = members.values().filter_map(Json::items);
    lists.flatten().filter_map(|item| id_of(&item)).collect()
}

fn task_metadata(claimed: &ClaimedRun, task: &TaskInfo) -> Json {
    let mut metadata = origin(claimed);
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
