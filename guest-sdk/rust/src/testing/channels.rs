//! The values of a graph's channels and the reducers, as far as tests of graphs need them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::plan::ChannelPlan;
use crate::component::Graph;
use crate::error::NodeError;
use crate::message::{Message, Role};

#[derive(Clone)]
pub(super) struct Channels {
    values: BTreeMap<String, Value>,
    order: Vec<(String, String)>,
    /// Counts the messages that came without an id.
    messages: u32,
}

pub(super) type Write = (String, Value);

impl Channels {
    pub fn new(plans: &[ChannelPlan]) -> Self {
        let start = |plan: &ChannelPlan| match plan.reducer.as_str() {
            _ if plan.default.is_some() => plan.default.clone(),
            "append" | "add_messages" => Some(Value::Array(Vec::new())),
            "merge" => Some(Value::Object(Map::new())),
            "sum" => Some(0.into()),
            _ => None,
        };
        Self {
            values: plans
                .iter()
                .filter_map(|p| Some((p.name.clone(), start(p)?)))
                .collect(),
            order: plans
                .iter()
                .map(|p| (p.name.clone(), p.reducer.clone()))
                .collect(),
            messages: 0,
        }
    }

    /// The values of these channels, or of all.
    pub fn view(&self, names: Option<&[String]>) -> Value {
        let wanted = |name: &String| names.is_none_or(|names| names.contains(name));
        self.values
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect()
    }

    /// Ends a super-step: the writes of all its tasks, in their order.
    pub fn apply(&mut self, graph: &dyn Graph, writes: &[Write]) -> Result<(), NodeError> {
        if let Some((name, _)) = writes
            .iter()
            .find(|(name, _)| !self.order.iter().any(|(n, _)| n == name))
        {
            return Err(NodeError::new(
                "InvalidUpdateError",
                format!("there is no channel `{name}`"),
            ));
        }
        for (name, reducer) in self.order.clone() {
            let written: Vec<&Value> = writes
                .iter()
                .filter(|(n, _)| *n == name)
                .map(|(_, v)| v)
                .collect();
            if written.is_empty() {
                if reducer == "ephemeral" {
                    self.values.remove(&name);
                }
                continue;
            }
            let value = self.combine(graph, &name, &reducer, &written)?;
            self.values.insert(name, value);
        }
        Ok(())
    }

    fn combine(
        &mut self,
        graph: &dyn Graph,
        name: &str,
        reducer: &str,
        writes: &[&Value],
    ) -> Result<Value, NodeError> {
        let refuse =
            |what: &str| NodeError::new("InvalidUpdateError", format!("at key `{name}`: {what}"));
        let mut current = self.values.get(name).cloned();
        let overwrite = |write: &Value| write.get("__overwrite__").cloned();
        if matches!(reducer, "last_value" | "untracked" | "ephemeral") && writes.len() > 1 {
            return Err(refuse("can receive only one value per step"));
        }
        if reducer == "custom" {
            let kept: Vec<&Value> = match writes.iter().position(|w| overwrite(w).is_some()) {
                Some(at) => {
                    current = overwrite(writes[at]);
                    writes[at + 1..].to_vec()
                }
                None => writes.to_vec(),
            };
            let current = current.unwrap_or(Value::Null).to_string();
            return Ok(serde_json::from_str(&graph.reduce(
                name,
                &current,
                &serde_json::to_string(&kept)?,
            )?)?);
        }
        for write in writes {
            current = Some(match (overwrite(write), current, reducer) {
                (Some(value), _, _) => value,
                (None, Some(Value::Array(list)), "append") => appended(list, write),
                (None, Some(Value::Array(list)), "add_messages") => {
                    self.add_messages(list, write)?
                }
                (None, Some(Value::Object(object)), "merge") => {
                    merged(object, write).ok_or_else(|| refuse("expected an object"))?
                }
                (None, Some(sum), "sum") => {
                    added(&sum, write).ok_or_else(|| refuse("expected a number"))?
                }
                (None, _, _) => (*write).clone(),
            });
        }
        Ok(current.unwrap_or(Value::Null))
    }

    fn add_messages(&mut self, list: Vec<Value>, write: &Value) -> Result<Value, NodeError> {
        let mut messages: Vec<Message> = serde_json::from_value(Value::Array(list))?;
        let new: Vec<Message> = match write {
            Value::Array(_) => serde_json::from_value(write.clone())?,
            one => vec![serde_json::from_value(one.clone())?],
        };
        for mut message in new {
            if message.id.is_none() {
                message.id = Some(format!("message-{}", self.messages));
                self.messages += 1;
            }
            match messages.iter().position(|m| m.id == message.id) {
                Some(at) if message.role == Role::Remove => drop(messages.remove(at)),
                Some(at) => messages[at] = message,
                None if message.role == Role::Remove => {
                    return Err(NodeError::value("there is no message to remove"));
                }
                None => messages.push(message),
            }
        }
        Ok(serde_json::to_value(messages)?)
    }
}

fn appended(mut list: Vec<Value>, write: &Value) -> Value {
    match write {
        Value::Array(more) => list.extend(more.iter().cloned()),
        one => list.push(one.clone()),
    }
    Value::Array(list)
}

fn merged(mut object: Map<String, Value>, write: &Value) -> Option<Value> {
    object.extend(write.as_object()?.clone());
    Some(Value::Object(object))
}

fn added(sum: &Value, write: &Value) -> Option<Value> {
    match (sum.as_i64(), write.as_i64()) {
        (Some(a), Some(b)) => a.checked_add(b).map(Value::from),
        _ => Some(Value::from(sum.as_f64()? + write.as_f64()?)),
    }
}
