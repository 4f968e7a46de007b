//! From the events of a thread's runs to the protocol's.
//!
//! What goes in are the events in the order of their ids, from the first that is kept; what comes out is numbered by
//! them. Every reader has a translator of its own. Nothing that is not wanted is written down, only numbered.

use std::collections::HashSet;
use std::sync::Arc;

use selvedge_model::event::{EventId, EventKind, StreamEvent};
use selvedge_model::run::StreamMode;
use selvedge_model::{Json, RunId};
use serde::Deserialize;
use serde_json::json;

use crate::compact::{self, INTERRUPT};
use crate::event::{Address, Event, Method, Namespace, namespace};
use crate::messages::{Messages, Told};
use crate::number::number;
use crate::tree::{Branch, Nest, Nested, Status};

/// The most questions of one run that are told apart.
const MOST_QUESTIONS: usize = 10_000;

/// The most that is kept of questions until the run has stopped. What is beyond that is told at once.
const MOST_WAITING_BYTES: usize = 1 << 20;

/// The events of one thread, as somebody reads them.
#[derive(Default)]
pub struct Translator {
    first: Option<u64>,
    through: u64,
    run: Run,
}

/// The run that was last to begin.
#[derive(Default)]
struct Run {
    id: Option<RunId>,
    graph: String,
    status: Option<Status>,
    /// Whether a checkpoint is shown with each state. It is told before the state, which clients pair with it.
    pairs: bool,
    /// A state whose checkpoint has not come yet.
    held: Option<(EventId, Arc<StreamEvent>)>,
    /// Ids of questions that were heard.
    asked: HashSet<String>,
    /// Those that are told when the run has stopped: nobody can answer before.
    waiting: Vec<(Namespace, Question)>,
    waiting_bytes: usize,
    nest: Nest,
    messages: Messages,
}

/// What the runtime says when a run begins or ends.
#[derive(Deserialize)]
struct Lifecycle {
    run_id: RunId,
    graph_name: String,
    event: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    modes: Vec<StreamMode>,
}

#[derive(Deserialize)]
struct Question {
    id: String,
    #[serde(default)]
    value: Json,
}

/// Where the events that one event becomes are put.
struct Out<'a> {
    wants: &'a dyn Fn(u64, &Address) -> bool,
    events: Vec<Event>,
    /// Of the event that is being read. All that comes out now is numbered by it, also a state that was held.
    now: EventId,
    numbered: u64,
    /// Of the event that is told of.
    id: EventId,
    parts: u32,
}

impl<'a> Out<'a> {
    fn new(now: EventId, wants: &'a dyn Fn(u64, &Address) -> bool) -> Self {
        Self {
            wants,
            events: Vec::new(),
            now,
            numbered: 0,
            id: now,
            parts: 0,
        }
    }

    /// What comes next is of this event.
    fn of(&mut self, id: EventId) -> &mut Self {
        (self.id, self.parts) = (id, 0);
        self
    }

    /// Under the id of the event that it is made of; further ones with a suffix.
    fn put(&mut self, address: Address, node: Option<String>, data: impl FnOnce() -> Json) {
        let suffix = match self.parts {
            0 => String::new(),
            n => format!(".{n}"),
        };
        self.parts += 1;
        let id = format!("{}{suffix}", self.id);
        self.put_as(id, address, node, data);
    }

    /// Under an id of its own.
    fn put_as(
        &mut self,
        id: String,
        address: Address,
        node: Option<String>,
        data: impl FnOnce() -> Json,
    ) {
        let seq = number(self.now, self.numbered);
        self.numbered += 1;
        if (self.wants)(seq, &address) {
            self.events.push(Event {
                seq,
                id,
                address,
                timestamp: self.id.ms,
                node,
                data: data(),
            });
        }
    }
}

impl Translator {
    /// What the next event becomes, as far as it is wanted: `wants` is told its number, what it is, and from where.
    pub fn take(
        &mut self,
        id: EventId,
        event: &Arc<StreamEvent>,
        wants: &dyn Fn(u64, &Address) -> bool,
    ) -> Vec<Event> {
        self.first.get_or_insert(number(id, 0));
        let mut out = Out::new(id, wants);
        let run = &mut self.run;
        let is_checkpoint = event.kind == EventKind::Mode(StreamMode::Checkpoints);
        match run.held.take() {
            Some((state_id, state)) if is_checkpoint && state.namespace == event.namespace => {
                run.read(event, &mut out);
                run.show_state(&state, out.of(state_id));
            }
            Some((state_id, state)) => {
                run.show_state(&state, out.of(state_id));
                run.read(event, out.of(id));
            }
            None => run.read(event, &mut out),
        }
        if let Some(last) = out.numbered.checked_sub(1) {
            self.through = number(id, last);
        }
        out.events
    }

    /// A number that nothing told so far exceeds, wanted or not, and all that comes does.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.through
    }

    /// The number from which on there were events.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// How the newest run and the graphs within it stand; `None` before there was one.
    #[must_use]
    pub fn tree(&self) -> Option<Branch> {
        let status = self.run.status?;
        Some(self.run.nest.below(Branch {
            namespace: Namespace::default(),
            status,
            graph_name: self.run.graph.clone(),
            children: Vec::new(),
        }))
    }

    /// The newest run.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        self.run.id
    }
}

impl Run {
    fn read(&mut self, event: &Arc<StreamEvent>, out: &mut Out<'_>) {
        match event.kind {
            EventKind::Lifecycle => self.lifecycle(event, out),
            // What they tell is in the run's lifecycle.
            EventKind::Metadata
            | EventKind::Error
            | EventKind::RunDone
            | EventKind::StateUpdate => {}
            // Its pieces are what is told of.
            EventKind::Messages(_) => {}
            EventKind::Mode(mode) => {
                let place = namespace(&event.namespace);
                self.hear_from(&place, out);
                if mode == StreamMode::Values && self.pairs {
                    self.ask_within(&place, event, out);
                    self.held = Some((out.id, event.clone()));
                } else {
                    self.show(mode, &place, event, out);
                }
            }
        }
    }

    fn show_state(&mut self, event: &StreamEvent, out: &mut Out<'_>) {
        let place = namespace(&event.namespace);
        self.show(StreamMode::Values, &place, event, out);
    }

    fn lifecycle(&mut self, event: &StreamEvent, out: &mut Out<'_>) {
        let Ok(said) = event.data.decode::<Lifecycle>() else {
            return;
        };
        let Some(status) = Status::parse(&said.event) else {
            return;
        };
        let is_newest = self.id == Some(said.run_id);
        if status == Status::Running {
            if is_newest {
                // Taken up again: what it had begun to say is said anew.
                let given_up = self.messages.give_up("the run was taken up again");
                tell(given_up, &Namespace::default(), out);
                return;
            }
            *self = Self {
                id: Some(said.run_id),
                graph: said.graph_name.clone(),
                status: Some(status),
                pairs: [StreamMode::Values, StreamMode::Checkpoints]
                    .iter()
                    .all(|mode| said.modes.contains(mode)),
                ..Self::default()
            };
        } else if is_newest {
            let finished = self.messages.finish_all();
            tell(finished, &Namespace::default(), out);
            for nested in self.nest.end_all(status) {
                put_end(said.run_id, &nested, out);
            }
            for (place, question) in std::mem::take(&mut self.waiting) {
                self.tell_question(&place, &question, out);
            }
            self.status = Some(status);
        }
        let mut data = json!({"event": status.as_str(), "graph_name": said.graph_name});
        if let Some(error) = said.error {
            data["error"] = json!(error);
        }
        let root = Namespace::default();
        let id = format!("synth:{}:lc||{}", said.run_id, status.as_str());
        out.put_as(id, Address::new(Method::Lifecycle, &root), None, || {
            Json::from(data)
        });
    }

    fn show(
        &mut self,
        mode: StreamMode,
        place: &Namespace,
        event: &StreamEvent,
        out: &mut Out<'_>,
    ) {
        let data = &event.data;
        match mode {
            StreamMode::Values => {
                let finished = self.messages.finish(&event.namespace);
                tell(finished, place, out);
                self.ask_within(place, event, out);
                out.put(Address::new(Method::Values, place), None, || {
                    compact::state(data)
                });
            }
            StreamMode::Updates => self.updates(place, data, out),
            StreamMode::MessagesTuple => {
                let told = self.messages.piece(&event.namespace, data);
                tell(told, place, out);
            }
            StreamMode::Tasks => self.task(place, data, out),
            StreamMode::Checkpoints => self.checkpoint(place, data, out),
            StreamMode::Custom => custom(place, data, out),
            StreamMode::Tools => tool(place, data, out),
            // The same in other words.
            StreamMode::Messages | StreamMode::Events | StreamMode::Debug => {}
        }
    }

    /// Tells that graphs within the run's have begun, of which nothing was heard before.
    fn hear_from(&mut self, place: &Namespace, out: &mut Out<'_>) {
        for nested in self.nest.heard_from(place) {
            let id = self.made_up(&nested.namespace, "lc", "started");
            let address = Address::new(Method::Lifecycle, &nested.namespace);
            match id {
                Some(id) => out.put_as(id, address, None, || nested.started()),
                None => out.put(address, None, || nested.started()),
            }
        }
    }

    fn updates(&mut self, place: &Namespace, data: &Json, out: &mut Out<'_>) {
        for (node, update) in data.members().unwrap_or_default() {
            match node.as_str() {
                INTERRUPT => self.ask(place, &update, out),
                // Whether it was computed or known.
                "__metadata__" => {}
                _ => out.put(Address::new(Method::Updates, place), Some(node), || {
                    compact::state(&update)
                }),
            }
        }
    }

    fn task(&mut self, place: &Namespace, data: &Json, out: &mut Out<'_>) {
        #[derive(Deserialize)]
        struct Ended {
            id: String,
            result: Option<Json>,
            error: Option<Json>,
            #[serde(default)]
            interrupts: Json,
        }
        if let Ok(Ended {
            id,
            result: Some(_),
            error,
            interrupts,
        }) = data.decode()
        {
            let asks = interrupts.as_str() != "[]" && interrupts.is_array();
            if asks {
                self.ask(place, &interrupts, out);
            }
            let status = match error {
                _ if asks => Status::Interrupted,
                Some(error) if !error.is_null() => Status::Failed,
                _ => Status::Completed,
            };
            for nested in self.nest.end_of_task(place, &id, status) {
                if let Some(run) = self.id {
                    put_end(run, &nested, out);
                }
            }
        }
        out.put(Address::new(Method::Tasks, place), None, || data.clone());
    }

    fn checkpoint(&mut self, place: &Namespace, data: &Json, out: &mut Out<'_>) {
        #[derive(Deserialize)]
        struct Shown {
            config: Config,
            parent_config: Option<Config>,
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Config {
            configurable: Configurable,
        }
        #[derive(Deserialize)]
        struct Configurable {
            checkpoint_id: Option<String>,
        }
        #[derive(Deserialize)]
        struct Metadata {
            step: i64,
            source: String,
        }
        let Ok(shown) = data.decode::<Shown>() else {
            return;
        };
        let Some(id) = shown.config.configurable.checkpoint_id else {
            return;
        };
        let parent = shown
            .parent_config
            .and_then(|parent| parent.configurable.checkpoint_id);
        let mut envelope =
            json!({"id": id, "step": shown.metadata.step, "source": shown.metadata.source});
        if let Some(parent) = parent {
            envelope["parent_id"] = json!(parent);
        }
        let address = Address::new(Method::Checkpoints, place);
        match self.made_up(place, "checkpoint", &id) {
            Some(id) => out.put_as(id, address, None, || Json::from(envelope)),
            None => out.put(address, None, || Json::from(envelope)),
        }
    }

    /// The questions that a state carries.
    fn ask_within(&mut self, place: &Namespace, event: &StreamEvent, out: &mut Out<'_>) {
        if !event.data.as_str().contains(INTERRUPT) {
            return;
        }
        let asked = event
            .data
            .members()
            .and_then(|mut state| state.swap_remove(INTERRUPT));
        if let Some(questions) = asked {
            self.ask(place, &questions, out);
        }
    }

    /// Each question counts once, where it was first heard: the graphs around one that asks repeat it.
    fn ask(&mut self, place: &Namespace, questions: &Json, out: &mut Out<'_>) {
        for question in questions.items().unwrap_or_default() {
            let Ok(question) = question.decode::<Question>() else {
                continue;
            };
            if self.asked.len() >= MOST_QUESTIONS || !self.asked.insert(question.id.clone()) {
                continue;
            }
            self.waiting_bytes += question.value.len();
            if self.waiting_bytes > MOST_WAITING_BYTES {
                self.tell_question(place, &question, out);
            } else {
                self.waiting.push((place.clone(), question));
            }
        }
    }

    fn tell_question(&self, place: &Namespace, question: &Question, out: &mut Out<'_>) {
        let Question { id, value } = question;
        let address = Address::new(Method::Input, place);
        let data = || Json::object([("interrupt_id", &Json::string(id)), ("payload", value)]);
        match self.made_up(place, "input", id) {
            Some(made_up) => out.put_as(made_up, address, None, data),
            None => out.put(address, None, data),
        }
    }

    /// An id that is the same whichever event told of it first.
    fn made_up(&self, place: &Namespace, kind: &str, what: &str) -> Option<String> {
        let run = self.id?;
        Some(format!("synth:{run}:{kind}|{}|{what}", place.join("|")))
    }
}

fn put_end(run: RunId, nested: &Nested, out: &mut Out<'_>) {
    let status = nested.status.as_str();
    let id = format!("synth:{run}:lc|{}|{status}", nested.namespace.join("|"));
    let address = Address::new(Method::Lifecycle, &nested.namespace);
    out.put_as(id, address, None, || {
        Json::from(json!({"event": status, "graph_name": nested.graph_name()}))
    });
}

fn tell(told: Vec<Told>, place: &Namespace, out: &mut Out<'_>) {
    for Told { node, data } in told {
        out.put(Address::new(Method::Messages, place), node, || data);
    }
}

/// One with a name is found by it; then its payload is what is in the member `payload`, or all of it.
fn custom(place: &Namespace, data: &Json, out: &mut Out<'_>) {
    let members = data.members();
    let member = |name: &str| members.as_ref().and_then(|members| members.get(name));
    let name: Option<String> = member("name").and_then(|name| name.decode().ok());
    let payload = match &name {
        Some(_) => member("payload").unwrap_or(data),
        None => data,
    };
    let address = Address {
        name: name.clone(),
        ..Address::new(Method::Custom, place)
    };
    out.put(address, None, || match &name {
        Some(name) => Json::object([("name", &Json::string(name)), ("payload", payload)]),
        None => Json::object([("payload", payload)]),
    });
}

/// From the words of the stream mode `tools`.
fn tool(place: &Namespace, data: &Json, out: &mut Out<'_>) {
    let members = data.members().unwrap_or_default();
    let word = |name: &str| {
        members
            .get(name)
            .and_then(|word| word.decode::<String>().ok())
    };
    let part = |name: &str| members.get(name).cloned().unwrap_or_default();
    let told = match word("event").as_deref() {
        Some("on_tool_start") => vec![
            ("event", Json::string("tool-started")),
            ("tool_call_id", part("toolCallId")),
            ("tool_name", part("name")),
            ("input", part("input")),
        ],
        Some("on_tool_event") => vec![
            ("event", Json::string("tool-output-delta")),
            ("tool_call_id", part("toolCallId")),
            ("delta", part("data")),
        ],
        Some("on_tool_end") => vec![
            ("event", Json::string("tool-finished")),
            ("tool_call_id", part("toolCallId")),
            ("output", part("output")),
        ],
        Some("on_tool_error") => vec![
            ("event", Json::string("tool-error")),
            ("tool_call_id", part("toolCallId")),
            ("message", part("error")),
        ],
        _ => return,
    };
    out.put(Address::new(Method::Tools, place), None, || {
        Json::object(told.iter().map(|(name, value)| (name, value)))
    });
}
