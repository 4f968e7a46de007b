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
use crate::out::Out;
use crate::tree::{Branch, Nest, Nested, Status};
use crate::words;

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
            StreamMode::Custom => words::custom(place, data, out),
            StreamMode::Tools => words::tool(place, data, out),
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
        if let Some(ended) = words::EndedTask::read(data) {
            if let Some(questions) = &ended.asks {
                self.ask(place, questions, out);
            }
            for nested in self.nest.end_of_task(place, &ended.id, ended.status) {
                if let Some(run) = self.id {
                    put_end(run, &nested, out);
                }
            }
        }
        out.put(Address::new(Method::Tasks, place), None, || data.clone());
    }

    fn checkpoint(&mut self, place: &Namespace, data: &Json, out: &mut Out<'_>) {
        let Some(shown) = words::Checkpoint::read(data) else {
            return;
        };
        let address = Address::new(Method::Checkpoints, place);
        match self.made_up(place, "checkpoint", &shown.id) {
            Some(id) => out.put_as(id, address, None, || shown.to_json()),
            None => out.put(address, None, || shown.to_json()),
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
