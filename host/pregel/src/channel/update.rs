//! What a step's writes do to a channel, kind by kind.

use std::collections::BTreeSet;
use std::sync::Arc;

use selvedge_model::Json;
use selvedge_model::checkpoint::ChannelValue;
use selvedge_model::run::RunError;
use serde_json::{Number, Value};

use super::{ChannelSpec, Held, Kind, Packet, value_of, whole};
use crate::errors::{CONCURRENT_UPDATE, invalid_update, type_error, value_error, with_help};
use crate::messages::{self, Merged};
use crate::python;

/// What a step's writes do to a channel. Found out for all channels before any is changed, so that a write that is
/// refused leaves all of them as they were.
#[derive(Debug)]
pub(crate) enum Updated {
    No,
    /// It holds this now.
    Set(Held),
    /// Its list has these items more.
    Grown(Vec<Json>),
}

impl Updated {
    /// Changes the channel; says whether it was changed.
    pub(crate) fn commit(self, held: &mut Held) -> bool {
        match self {
            Self::No => return false,
            Self::Set(new) => *held = new,
            Self::Grown(more) => {
                let mut list = take_list(held);
                Arc::make_mut(&mut list).extend(more);
                *held = Held::Value(ChannelValue::List(list));
            }
        }
        true
    }
}

impl ChannelSpec {
    /// What the writes of one step do. `reduced` is the graph's own reducer's answer, for a custom channel.
    pub(crate) fn update(
        &self,
        held: &Held,
        writes: &[Json],
        reduced: Option<&Json>,
    ) -> Result<Updated, RunError> {
        let Some(last) = writes.last() else {
            return Ok(Updated::No);
        };
        match &self.kind {
            Kind::LastValue => {
                let rule = "Can receive only one value per step. Use an Annotated key to handle multiple values.";
                match writes {
                    [only] => Ok(set(only.clone())),
                    _ => {
                        let message = format!("At key '{}': {rule}", self.name);
                        Err(invalid_update(with_help(&message, CONCURRENT_UPDATE)))
                    }
                }
            }
            Kind::Ephemeral { guard: true } => self.guarded(writes, "EphemeralValue"),
            Kind::Untracked => self.guarded(writes, "UntrackedValue"),
            Kind::AnyValue | Kind::Ephemeral { guard: false } => Ok(set(last.clone())),
            Kind::Append | Kind::AddMessages | Kind::Merge | Kind::Sum | Kind::Custom => {
                self.aggregate(held, writes, reduced)
            }
            Kind::Deferred => Ok(Updated::Set(Held::Deferred {
                value: last.clone(),
                finished: false,
            })),
            Kind::Join { names, .. } => self.join(names, held, writes),
            Kind::Packets => {
                let packets: Vec<Packet> = writes.iter().filter_map(Packet::from_json).collect();
                Ok(Updated::Set(Held::Packets(Arc::new(packets))))
            }
        }
    }

    fn guarded(&self, writes: &[Json], class: &str) -> Result<Updated, RunError> {
        match writes {
            [only] => Ok(set(only.clone())),
            _ => Err(invalid_update(format!(
                "At key '{}': {class}(guard=True) can receive only one value per step. Use guard=False if you want \
                 to store any one of multiple values.",
                self.name
            ))),
        }
    }

    fn join(
        &self,
        names: &BTreeSet<String>,
        held: &Held,
        writes: &[Json],
    ) -> Result<Updated, RunError> {
        let (mut seen, finished) = match held {
            Held::Join { seen, finished } => (seen.clone(), *finished),
            _ => (BTreeSet::new(), false),
        };
        let mut is_new = false;
        for write in writes {
            let name = python::text(&write.to_value());
            if !names.contains(&name) {
                let message = format!("At key '{}': Value {name} not in {names:?}", self.name);
                return Err(invalid_update(message));
            }
            is_new |= seen.insert(name);
        }
        Ok(if is_new {
            Updated::Set(Held::Join { seen, finished })
        } else {
            Updated::No
        })
    }

    fn aggregate(
        &self,
        held: &Held,
        writes: &[Json],
        reduced: Option<&Json>,
    ) -> Result<Updated, RunError> {
        if let Some(value) = overwritten(writes)? {
            return Ok(Updated::Set(self.load(&ChannelValue::Whole(value))));
        }
        match self.kind {
            Kind::Append => Ok(Updated::Grown(appended(writes))),
            Kind::AddMessages => self.add_messages(held, writes),
            Kind::Merge => self.merge(held, writes),
            Kind::Sum => self.sum(held, writes),
            _ => self.custom(held, writes, reduced),
        }
    }

    fn add_messages(&self, held: &Held, writes: &[Json]) -> Result<Updated, RunError> {
        let history = list_of(held);
        if let [only] = writes {
            return Ok(match messages::merge(&history, only, &self.name)? {
                Merged::Append(more) => Updated::Grown(more),
                Merged::Replace(all) => set_list(all),
            });
        }
        // Each write meets what the ones before it left.
        let mut all = history.to_vec();
        let mut only_grown = true;
        for write in writes {
            match messages::merge(&all, write, &self.name)? {
                Merged::Append(more) => all.extend(more),
                Merged::Replace(new) => {
                    all = new;
                    only_grown = false;
                }
            }
        }
        Ok(if only_grown {
            Updated::Grown(all.split_off(history.len()))
        } else {
            set_list(all)
        })
    }

    fn merge(&self, held: &Held, writes: &[Json]) -> Result<Updated, RunError> {
        let current = value_of(held).unwrap_or_else(|| Json::object::<&str>([]));
        let mut members = self.object(&current)?;
        for write in writes {
            members.extend(self.object(write)?);
        }
        Ok(set(Json::object(members.iter())))
    }

    fn object(&self, json: &Json) -> Result<indexmap::IndexMap<String, Json>, RunError> {
        json.members().ok_or_else(|| {
            let kind = python::type_name(&json.to_value());
            type_error(format!(
                "At key '{}': cannot merge 'dict' and '{kind}'",
                self.name
            ))
        })
    }

    fn sum(&self, held: &Held, writes: &[Json]) -> Result<Updated, RunError> {
        let mut total = value_of(held).map_or(Ok(Number::from(0)), |v| self.number(&v))?;
        for write in writes {
            total = add(&total, &self.number(write)?).ok_or_else(|| {
                value_error(format!(
                    "At key '{}': the sum is not a number that JSON has",
                    self.name
                ))
            })?;
        }
        Ok(set(Json::from(Value::Number(total))))
    }

    fn number(&self, json: &Json) -> Result<Number, RunError> {
        match json.to_value() {
            Value::Number(number) => Ok(number),
            other => Err(type_error(format!(
                "At key '{}': unsupported operand type(s) for +: 'int' and '{}'",
                self.name,
                python::type_name(&other)
            ))),
        }
    }

    fn custom(
        &self,
        held: &Held,
        writes: &[Json],
        reduced: Option<&Json>,
    ) -> Result<Updated, RunError> {
        // Without a value the first write is one; only what comes after it needs the graph's reducer.
        match (reduced, writes) {
            (Some(reduced), _) => Ok(set(reduced.clone())),
            (None, [only]) if matches!(held, Held::Nothing) => Ok(set(only.clone())),
            _ => Err(invalid_update(format!(
                "At key '{}': the graph did not reduce it",
                self.name
            ))),
        }
    }
}

/// What the graph's own reducer must be asked for these writes: the current value and the updates. `None` when it
/// need not be asked.
pub(crate) fn to_reduce(
    held: &Held,
    writes: &[Json],
) -> Result<Option<(Json, Vec<Json>)>, RunError> {
    if writes.is_empty() || overwritten(writes)?.is_some() {
        return Ok(None);
    }
    Ok(match value_of(held) {
        Some(current) => Some((current, writes.to_vec())),
        None if writes.len() > 1 => Some((writes[0].clone(), writes[1..].to_vec())),
        None => None,
    })
}

/// The value of the one `Overwrite` among the writes of a step.
fn overwritten(writes: &[Json]) -> Result<Option<Json>, RunError> {
    let mut found = None;
    for value in writes.iter().filter_map(overwrite) {
        if found.replace(value).is_some() {
            let message = "Can receive only one Overwrite value per super-step.";
            return Err(invalid_update(with_help(message, CONCURRENT_UPDATE)));
        }
    }
    Ok(found)
}

/// `{"__overwrite__": v}`, or `Overwrite(v)` as JSON encoders write the dataclass down.
pub(crate) fn overwrite(write: &Json) -> Option<Json> {
    if !write.is_object() || !write.as_str().contains("\"__overwrite__\"") {
        return None;
    }
    let members = write.members()?;
    if let (1, Some(value)) = (members.len(), members.get("__overwrite__")) {
        return Some(value.clone());
    }
    if members.get("type")?.as_str() != "\"__overwrite__\"" {
        return None;
    }
    members.get("value").cloned()
}

fn set(json: Json) -> Updated {
    Updated::Set(whole(json))
}

fn set_list(items: Vec<Json>) -> Updated {
    Updated::Set(Held::Value(ChannelValue::List(Arc::new(items))))
}

fn list_of(held: &Held) -> Arc<Vec<Json>> {
    match held {
        Held::Value(ChannelValue::List(list)) => Arc::clone(list),
        Held::Value(ChannelValue::Whole(value)) => Arc::new(vec![value.clone()]),
        _ => Arc::default(),
    }
}

/// Takes the list out, so that it can grow in place when nobody else reads it.
fn take_list(held: &mut Held) -> Arc<Vec<Json>> {
    match std::mem::replace(held, Held::Nothing) {
        Held::Value(ChannelValue::List(list)) => list,
        Held::Value(ChannelValue::Whole(value)) => Arc::new(vec![value]),
        _ => Arc::default(),
    }
}

fn appended(writes: &[Json]) -> Vec<Json> {
    let mut more = Vec::new();
    for write in writes {
        match write.items() {
            Some(items) => more.extend(items),
            None => more.push(write.clone()),
        }
    }
    more
}

/// Integers stay integers as long as they fit; everything else is a float.
fn add(a: &Number, b: &Number) -> Option<Number> {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64())
        && let Some(sum) = a.checked_add(b)
    {
        return Some(Number::from(sum));
    }
    Number::from_f64(a.as_f64()? + b.as_f64()?)
}
