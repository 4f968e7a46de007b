//! What came of a task: its writes to channels, and how a guest's answer becomes them.

use selvedge_model::Json;
use selvedge_model::graph::{END, START, is_internal_channel};
use selvedge_model::run::RunError;
use uuid::Uuid;

use crate::channel::{Kind, Packet};
use crate::errors::{PARENT_COMMAND, expected_dict, invalid_update, type_error, value_error};
use crate::graph::{Graph, START_NODE, TASKS, branch_channel};
use crate::messages;
use crate::python;

/// The writes of a finished task, opaque but for [`updates`](Writes::updates), their number of [`sends`](Writes::sends)
/// and their [`bytes`](Writes::bytes).
#[derive(Clone, Debug, Default)]
pub struct Writes {
    pub(crate) entries: Vec<(String, Json)>,
}

impl Writes {
    /// What the task wrote to the author's channels, in its order. Messages have their ids.
    pub fn updates(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.entries
            .iter()
            .filter(|(channel, _)| !is_internal_channel(channel))
            .map(|(channel, value)| (channel.as_str(), value))
    }

    /// How many `Send`s there are among them: tasks of the next step.
    #[must_use]
    pub fn sends(&self) -> usize {
        self.entries
            .iter()
            .filter(|(channel, _)| channel == TASKS)
            .count()
    }

    /// What they weigh.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let weight = |(channel, value): &(String, Json)| channel.len() + value.len();
        self.entries.iter().map(weight).sum()
    }
}

/// A node's answer in writes, with the object that its branches see beside the state (a plain update's own members).
pub(crate) struct Answer {
    pub(crate) writes: Vec<(String, Json)>,
    pub(crate) passthrough: Option<Json>,
}

/// Reads what `run-node` gave: one object or several `{"update", "goto", "graph"}`.
pub(crate) fn of_node(
    graph: &Graph,
    node: usize,
    output: &Json,
    seed: Uuid,
) -> Result<Answer, RunError> {
    let items = match output.items() {
        Some(items) => items,
        None if output.is_null() => Vec::new(),
        None => vec![output.clone()],
    };
    let mut updates = Vec::new();
    let mut gotos = Vec::new();
    let mut passthrough = None;
    let only = items.len() == 1;
    for item in &items {
        let Some(members) = item.members() else {
            return Err(expected_dict(&python::text(&item.to_value())));
        };
        if members
            .get("graph")
            .is_some_and(|g| g.as_str() == "\"__parent__\"")
        {
            return Err(RunError::new(PARENT_COMMAND, item.as_str()));
        }
        let goto = members.get("goto").filter(|g| !g.is_null());
        if let Some(update) = members.get("update").filter(|u| !u.is_null()) {
            updates.extend(of_update(graph, node, update, seed)?);
            passthrough = (only && goto.is_none()).then(|| update.clone());
        }
        if let Some(goto) = goto {
            gotos.extend(of_goto(goto)?);
        }
    }
    updates.extend(gotos);
    Ok(Answer {
        writes: updates,
        passthrough,
    })
}

/// Reads an update of the state: an object. Keys that are no channels are ignored.
pub(crate) fn of_update(
    graph: &Graph,
    node: usize,
    update: &Json,
    seed: Uuid,
) -> Result<Vec<(String, Json)>, RunError> {
    let Some(members) = update.members() else {
        return Err(expected_dict(&python::text(&update.to_value())));
    };
    let writable = |key: &str| match node {
        START_NODE => graph.is_input(key),
        _ => graph.is_state(key),
    };
    Ok(members
        .into_iter()
        .filter(|(key, _)| writable(key))
        .map(|(key, value)| {
            let value = identified(graph, &key, value, seed);
            (key, value)
        })
        .collect())
}

/// A value as it is written to a channel: messages get their ids here, before anyone stores or shows them.
pub(crate) fn identified(graph: &Graph, channel: &str, value: Json, seed: Uuid) -> Json {
    let index = graph.channel(channel);
    match index.map(|c| &graph.channels[c].kind) {
        Some(Kind::AddMessages) => messages::identified(&value, seed, channel),
        _ => value,
    }
}

/// Reads where a node wants to go: names or `Send`s, one or several.
fn of_goto(goto: &Json) -> Result<Vec<(String, Json)>, RunError> {
    let mut writes = Vec::new();
    for target in one_or_more(goto) {
        match Target::read(&target) {
            Some(Target::Node(name)) if name == END => {}
            Some(target) => writes.push(target.write()),
            None => return Err(expected_dict(&python::text(&target.to_value()))),
        }
    }
    Ok(writes)
}

/// Reads what `route` gave: node names or `Send`s, END for none.
pub(crate) fn of_route(output: &Json) -> Result<Vec<(String, Json)>, RunError> {
    let mut writes = Vec::new();
    for target in one_or_more(output) {
        match Target::read(&target) {
            Some(Target::Node(name)) if name == END => {}
            Some(Target::Node(name)) if name == START => {
                return Err(value_error("Branch did not return a valid destination"));
            }
            Some(Target::Send(packet)) if packet.node == END => {
                return Err(invalid_update("Cannot send a packet to the END node"));
            }
            Some(target) => writes.push(target.write()),
            None => return Err(value_error("Branch did not return a valid destination")),
        }
    }
    Ok(writes)
}

/// Reads where a command from outside leads.
pub(crate) fn of_command_goto(goto: &Json) -> Result<Vec<(String, Json)>, RunError> {
    let mut writes = Vec::new();
    for target in one_or_more(goto) {
        match Target::read(&target) {
            Some(Target::Node(name)) if name.is_empty() => {}
            Some(Target::Node(name)) => writes.push((branch_channel(&name), Json::string(START))),
            Some(target) => writes.push(target.write()),
            None => {
                let kind = python::type_name(&target.to_value());
                return Err(type_error(format!(
                    "In Command.goto, expected Send/str, got {kind}"
                )));
            }
        }
    }
    Ok(writes)
}

/// Reads the state writes of a command from outside: an object, or `[key, value]` pairs.
pub(crate) fn of_command_update(graph: &Graph, update: &Json, seed: Uuid) -> Vec<(String, Json)> {
    let pairs: Vec<(String, Json)> = match update.members() {
        Some(members) => members.into_iter().collect(),
        None => update.decode().unwrap_or_default(),
    };
    pairs
        .into_iter()
        .filter(|(key, _)| graph.is_state(key))
        .map(|(key, value)| {
            let value = identified(graph, &key, value, seed);
            (key, value)
        })
        .collect()
}

enum Target {
    Node(String),
    Send(Packet),
}

impl Target {
    fn read(json: &Json) -> Option<Self> {
        // What is sent is not looked into: it may be large.
        if json.is_object() {
            return Packet::from_json(json).map(Self::Send);
        }
        json.decode().ok().map(Self::Node)
    }

    fn write(self) -> (String, Json) {
        match self {
            Self::Node(name) => (branch_channel(&name), Json::null()),
            Self::Send(packet) => (TASKS.to_owned(), packet.to_json()),
        }
    }
}

fn one_or_more(json: &Json) -> Vec<Json> {
    match json.items() {
        Some(items) => items,
        None if json.is_null() => Vec::new(),
        None => vec![json.clone()],
    }
}
