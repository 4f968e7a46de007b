//! The tasks of a run in a test: one node in one super-step each.

use serde::Deserialize;
use serde_json::Value;

use super::channels::Write;
use super::run::Run;
use crate::error::NodeError;

/// One node in one super-step.
pub(super) struct Task {
    pub id: String,
    pub node: String,
    /// The argument of a `Send`.
    pub argument: Option<Value>,
    pub answers: Vec<Value>,
    pub outcome: Outcome,
    /// The graphs that its node has called.
    pub calls: Vec<Run>,
}

/// What came of a task so far.
pub(super) enum Outcome {
    Waiting,
    Asked(Value),
    /// A graph that the node called has asked.
    Calling,
    /// The graph that the node stands for has begun.
    Inside(Box<Run>),
    Done(Vec<Output>),
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Output {
    pub update: serde_json::Map<String, Value>,
    pub goto: Vec<Target>,
    /// Which graph it is for, when not for the node's own.
    pub graph: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Target {
    Node(String),
    Send { node: String, input: Value },
}

impl Task {
    pub fn questions(&self) -> Vec<Value> {
        match &self.outcome {
            Outcome::Asked(question) => vec![question.clone()],
            Outcome::Inside(run) => run.questions(),
            Outcome::Calling => self.calls.iter().flat_map(Run::questions).collect(),
            Outcome::Waiting | Outcome::Done(_) => Vec::new(),
        }
    }

    pub fn writes(&self) -> Vec<Write> {
        let Outcome::Done(outputs) = &self.outcome else {
            return Vec::new();
        };
        outputs
            .iter()
            .flat_map(|o| o.update.iter().map(|(n, v)| (n.clone(), v.clone())))
            .collect()
    }
}

/// One object or an array of them.
pub(super) fn read_outputs(json: &str) -> Result<Vec<Output>, NodeError> {
    Ok(match serde_json::from_str(json)? {
        Value::Array(outputs) => outputs
            .into_iter()
            .map(serde_json::from_value)
            .collect::<Result<_, _>>()?,
        output => vec![serde_json::from_value(output)?],
    })
}
