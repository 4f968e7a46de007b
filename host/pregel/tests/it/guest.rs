//! Interprets the declarative behaviours of `tests/differential/graphs.py`: a guest that needs no component.

use std::collections::HashMap;

use selvedge_model::Json;
use selvedge_pregel::{Failure, GuestCall, Outcome, Work, retry};
use serde_json::{Value, json};

/// The behaviours of one case, and what its nodes were called with.
pub struct Guest {
    nodes: Value,
    branches: Value,
    failed: HashMap<String, u64>,
    /// `[node, input]` of every run of a node.
    pub calls: Vec<Value>,
}

/// How a node left.
enum Left {
    Returned(Value),
    Asked(Value),
    Failed(Failure),
}

impl Guest {
    pub fn new(behaviour: &Value) -> Self {
        Self {
            nodes: behaviour["nodes"].clone(),
            branches: behaviour["branches"].clone(),
            failed: HashMap::new(),
            calls: Vec::new(),
        }
    }

    /// Does a piece of work, retries included.
    pub fn work(&mut self, work: &Work) -> Outcome {
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(work, attempt);
            let Outcome::Failed(failure) = &outcome else {
                return outcome;
            };
            let policies = work.task.as_ref().map_or(&[][..], |t| &t.retry);
            if retry::pause(policies, failure, attempt, 0.0).is_none() {
                return outcome;
            }
            attempt += 1;
        }
    }

    fn attempt(&mut self, work: &Work, attempt: u32) -> Outcome {
        let mut program = work.program(attempt);
        while let Some(call) = program.next() {
            let answer = match call {
                GuestCall::RunNode { node, task } => {
                    let task = task.to_value();
                    let sent = task["task"]["path"][0] == "__pregel_push";
                    match self.run(&node, &task["state"], sent, work.answers()) {
                        Left::Returned(value) => Ok(Json::from(value)),
                        Left::Asked(value) => return Outcome::Interrupted(Json::from(value)),
                        Left::Failed(failure) => Err(failure),
                    }
                }
                GuestCall::Route {
                    branch,
                    node,
                    state,
                    ..
                } => Ok(Json::from(self.route(&node, &branch, &state.to_value()))),
                GuestCall::Reduce {
                    current, updates, ..
                } => Ok(Json::from(concat(&current.to_value(), &updates.to_value()))),
            };
            program.answer(answer);
        }
        program.finish().map_or_else(Outcome::Failed, Outcome::Done)
    }

    fn run(&mut self, node: &str, state: &Value, sent: bool, answers: &[Json]) -> Left {
        self.calls.push(json!([node, state]));
        let mut got = Vec::new();
        let steps = self.nodes[node].as_array().cloned().unwrap_or_default();
        for step in steps {
            if !holds(&step["if"], state) {
                continue;
            }
            if let Some(question) = step.get("interrupt") {
                match answers.get(got.len()) {
                    Some(answer) => got.push(answer.to_value()),
                    None => return Left::Asked(question.clone()),
                }
            } else if let Some(kind) = step.get("fail") {
                if sent && step.get("if").is_none() {
                    continue;
                }
                let count = self.failed.entry(node.to_owned()).or_default();
                *count += 1;
                if *count <= step["times"].as_u64().unwrap() {
                    return Left::Failed(failure(
                        kind.as_str().unwrap(),
                        step["message"].as_str().unwrap(),
                    ));
                }
            } else if let Some(template) = step.get("return") {
                return Left::Returned(fill(template, state, &got, node));
            } else if let Some(raw) = step.get("raw") {
                return Left::Returned(raw.clone());
            }
        }
        Left::Returned(json!({}))
    }

    fn route(&self, node: &str, branch: &str, state: &Value) -> Value {
        let options = self.branches[format!("{node}/{branch}")]
            .as_array()
            .cloned();
        let chosen = options
            .unwrap_or_default()
            .into_iter()
            .find(|o| holds(&o["if"], state));
        let Some(option) = chosen else {
            return json!([]);
        };
        let Some(channel) = option["each"].as_str() else {
            return fill(&option["to"], state, &[], branch);
        };
        let items = state[channel].as_array().cloned().unwrap_or_default();
        let send = |item| json!({"node": option["node"], "input": {"item": item}});
        items.into_iter().map(send).collect()
    }
}

fn failure(kind: &str, message: &str) -> Failure {
    Failure {
        kind: kind.to_owned(),
        message: message.to_owned(),
        retryable: false,
    }
}

/// The reducer of every custom channel.
pub fn concat(current: &Value, updates: &Value) -> Value {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let updates = updates.as_array().unwrap().iter();
    Value::from(
        std::iter::once(current)
            .chain(updates)
            .map(text)
            .collect::<String>(),
    )
}

fn holds(condition: &Value, state: &Value) -> bool {
    let Some([kind, channel, value]) = condition.as_array().map(Vec::as_slice) else {
        return true;
    };
    let held = &state[channel.as_str().unwrap()];
    match kind.as_str().unwrap() {
        "eq" => held == value,
        _ => (held.as_array().map_or(0, Vec::len) as u64) < value.as_u64().unwrap(),
    }
}

fn fill(template: &Value, state: &Value, answers: &[Value], name: &str) -> Value {
    match template {
        Value::Array(items) => items
            .iter()
            .map(|t| fill(t, state, answers, name))
            .collect(),
        Value::Object(members) => match members.get("$").and_then(Value::as_str) {
            None => Value::Object(
                members
                    .iter()
                    .map(|(k, v)| (k.clone(), fill(v, state, answers, name)))
                    .collect(),
            ),
            Some("name") => Value::from(name),
            Some("input") => state.clone(),
            Some("answers") => Value::from(answers.to_vec()),
            Some("get") => state[members["channel"].as_str().unwrap()].clone(),
            Some(_) => selvedge_pregel::messages::coerce(&Json::from(members["message"].clone()))
                .unwrap()
                .to_value(),
        },
        other => other.clone(),
    }
}
