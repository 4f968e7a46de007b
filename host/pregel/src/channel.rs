//! One channel: what it holds, and its rules for a step's writes.
//!
//! The rules are those of LangGraph's channel classes; the name in each comment says which.

use std::collections::BTreeSet;
use std::sync::Arc;

use selvedge_model::Json;
use selvedge_model::checkpoint::ChannelValue;
use selvedge_model::graph::{ChannelDescription, Reducer};
use selvedge_model::run::RunError;
use serde_json::{Number, Value};

use crate::errors::{CONCURRENT_UPDATE, invalid_update, type_error, value_error, with_help};
use crate::messages::{self, Merged};
use crate::python;

/// A channel's name and rules.
#[derive(Debug)]
pub(crate) struct ChannelSpec {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    default: Option<Json>,
}

/// Which rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `LastValue`.
    LastValue,
    /// `AnyValue`: gone after the step that did not write it.
    AnyValue,
    /// `EphemeralValue`; a guarded one takes one write per step.
    Ephemeral {
        guard: bool,
    },
    /// `UntrackedValue`.
    Untracked,
    /// `BinaryOperatorAggregate`, with one of these operators.
    Append,
    AddMessages,
    Merge,
    Sum,
    Custom,
    /// `LastValueAfterFinish`: what triggers a deferred node.
    Deferred,
    /// `NamedBarrierValue`, or `NamedBarrierValueAfterFinish` when deferred.
    Join {
        names: BTreeSet<String>,
        deferred: bool,
    },
    /// `Topic` of `Send`s.
    Packets,
}

/// A `Send`: run this node with this input in the next step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packet {
    pub(crate) node: String,
    pub(crate) input: Json,
}

/// What a channel holds.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    Nothing,
    Value(ChannelValue),
    Deferred { value: Json, finished: bool },
    Join { seen: BTreeSet<String>, finished: bool },
    Packets(Arc<Vec<Packet>>),
}

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
    pub(crate) fn of_state(channel: &ChannelDescription) -> Self {
        let kind = match channel.reducer {
            Reducer::LastValue => Kind::LastValue,
            Reducer::Append => Kind::Append,
            Reducer::AddMessages => Kind::AddMessages,
            Reducer::Merge => Kind::Merge,
            Reducer::Sum => Kind::Sum,
            Reducer::AnyValue => Kind::AnyValue,
            Reducer::Ephemeral => Kind::Ephemeral { guard: true },
            Reducer::Untracked => Kind::Untracked,
            Reducer::Custom => Kind::Custom,
        };
        Self {
            name: channel.name.clone(),
            kind,
            default: channel.default.clone(),
        }
    }

    pub(crate) fn internal(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            default: None,
        }
    }

    /// What it holds before the first write.
    pub(crate) fn initial(&self) -> Held {
        match (&self.default, &self.kind) {
            (Some(default), _) => self.load(&ChannelValue::Whole(default.clone())),
            (None, Kind::Append | Kind::AddMessages) => {
                Held::Value(ChannelValue::List(Arc::default()))
            }
            (None, Kind::Merge) => whole(Json::object::<&str>([])),
            (None, Kind::Sum) => whole(Json::from(Value::from(0))),
            _ => Held::Nothing,
        }
    }

    /// What a checkpoint says it holds.
    pub(crate) fn load(&self, saved: &ChannelValue) -> Held {
        match &self.kind {
            Kind::Append | Kind::AddMessages => match saved {
                ChannelValue::List(_) => Held::Value(saved.clone()),
                ChannelValue::Whole(json) => match json.items() {
                    Some(items) => Held::Value(ChannelValue::List(Arc::new(items))),
                    None => Held::Value(saved.clone()),
                },
            },
            Kind::Untracked => Held::Nothing,
            Kind::Deferred => match saved.to_json().decode::<(Json, bool)>() {
                Ok((value, finished)) => Held::Deferred { value, finished },
                Err(_) => Held::Nothing,
            },
            Kind::Join { deferred: true, .. } => {
                match saved.to_json().decode::<(BTreeSet<String>, bool)>() {
                    Ok((seen, finished)) => Held::Join { seen, finished },
                    Err(_) => Held::Nothing,
                }
            }
            Kind::Join { .. } => match saved.to_json().decode::<BTreeSet<String>>() {
                Ok(seen) => Held::Join {
                    seen,
                    finished: false,
                },
                Err(_) => Held::Nothing,
            },
            Kind::Packets => {
                let packets: Vec<Packet> = saved
                    .to_json()
                    .items()
                    .unwrap_or_default()
                    .iter()
                    .filter_map(Packet::from_json)
                    .collect();
                if packets.is_empty() {
                    Held::Nothing
                } else {
                    Held::Packets(Arc::new(packets))
                }
            }
            _ => Held::Value(saved.clone()),
        }
    }

    /// What a checkpoint is to say; `None` for nothing.
    pub(crate) fn save(&self, held: &Held) -> Option<ChannelValue> {
        match held {
            Held::Nothing => None,
            Held::Value(_) if self.kind == Kind::Untracked => None,
            Held::Value(value) => Some(value.clone()),
            Held::Deferred { value, finished } => {
                let finished = Json::from(Value::from(*finished));
                Some(ChannelValue::Whole(Json::array([value, &finished])))
            }
            Held::Join { seen, finished } => {
                if seen.is_empty() && !finished {
                    return None;
                }
                let names = Json::array(&seen.iter().map(|n| Json::string(n)).collect::<Vec<_>>());
                let deferred = matches!(self.kind, Kind::Join { deferred: true, .. });
                Some(ChannelValue::Whole(if deferred {
                    Json::array([&names, &Json::from(Value::from(*finished))])
                } else {
                    names
                }))
            }
            Held::Packets(packets) => {
                let packets: Vec<Json> = packets.iter().map(Packet::to_json).collect();
                Some(ChannelValue::Whole(Json::array(&packets)))
            }
        }
    }

    /// Whether it can be read and can trigger.
    pub(crate) fn is_available(&self, held: &Held) -> bool {
        match held {
            Held::Nothing => false,
            Held::Value(_) => true,
            Held::Deferred { finished, .. } => *finished,
            Held::Join { seen, finished } => match &self.kind {
                Kind::Join { names, deferred } => seen == names && (*finished || !deferred),
                _ => false,
            },
            Held::Packets(packets) => !packets.is_empty(),
        }
    }

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

    /// What becomes of it in a step that did not write it.
    pub(crate) fn expire(&self, held: &mut Held) -> bool {
        let fleeting = matches!(self.kind, Kind::AnyValue | Kind::Ephemeral { .. } | Kind::Packets);
        if !fleeting || matches!(held, Held::Nothing) {
            return false;
        }
        *held = Held::Nothing;
        true
    }

    /// A task that it triggered has run.
    pub(crate) fn consume(&self, held: &mut Held) -> bool {
        let consumed = match held {
            Held::Deferred { finished, .. } => *finished,
            Held::Join { .. } => self.is_available(held),
            _ => false,
        };
        if consumed {
            *held = Held::Nothing;
        }
        consumed
    }

    /// Nothing else is left to run.
    pub(crate) fn finish(&self, held: &mut Held) -> bool {
        match (&self.kind, held) {
            (Kind::Deferred, Held::Deferred { finished, .. }) if !*finished => {
                *finished = true;
                true
            }
            (Kind::Join { names, deferred: true }, Held::Join { seen, finished })
                if !*finished && seen == names =>
            {
                *finished = true;
                true
            }
            _ => false,
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

    fn join(&self, names: &BTreeSet<String>, held: &Held, writes: &[Json]) -> Result<Updated, RunError> {
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

    fn aggregate(&self, held: &Held, writes: &[Json], reduced: Option<&Json>) -> Result<Updated, RunError> {
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
            type_error(format!("At key '{}': cannot merge 'dict' and '{kind}'", self.name))
        })
    }

    fn sum(&self, held: &Held, writes: &[Json]) -> Result<Updated, RunError> {
        let mut total = value_of(held).map_or(Ok(Number::from(0)), |v| self.number(&v))?;
        for write in writes {
            total = add(&total, &self.number(write)?).ok_or_else(|| {
                value_error(format!("At key '{}': the sum is not a number that JSON has", self.name))
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

    fn custom(&self, held: &Held, writes: &[Json], reduced: Option<&Json>) -> Result<Updated, RunError> {
        // Without a value the first write is one; only what comes after it needs the graph's reducer.
        match (reduced, writes) {
            (Some(reduced), _) => Ok(set(reduced.clone())),
            (None, [only]) if matches!(held, Held::Nothing) => Ok(set(only.clone())),
            _ => Err(invalid_update(format!("At key '{}': the graph did not reduce it", self.name))),
        }
    }
}

/// What the graph's own reducer must be asked for these writes: the current value and the updates. `None` when it
/// need not be asked.
pub(crate) fn to_reduce(held: &Held, writes: &[Json]) -> Result<Option<(Json, Vec<Json>)>, RunError> {
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

impl Packet {
    /// `{"node": …, "input": …}`; `arg` is taken for `input`, as LangGraph names it.
    pub(crate) fn from_json(json: &Json) -> Option<Self> {
        let members = json.members()?;
        let input = members.get("input").or_else(|| members.get("arg"));
        Some(Self {
            node: members.get("node")?.decode().ok()?,
            input: input.cloned().unwrap_or_default(),
        })
    }

    pub(crate) fn to_json(&self) -> Json {
        Json::object([("node", &Json::string(&self.node)), ("input", &self.input)])
    }
}

/// The value that a reader gets.
pub(crate) fn value_of(held: &Held) -> Option<Json> {
    match held {
        Held::Value(value) => Some(value.to_json()),
        _ => None,
    }
}

fn whole(json: Json) -> Held {
    Held::Value(ChannelValue::Whole(json))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(reducer: Reducer) -> ChannelSpec {
        ChannelSpec::of_state(&ChannelDescription {
            name: "k".to_owned(),
            reducer,
            default: None,
        })
    }

    fn fold(reducer: Reducer, writes: &[Value]) -> Result<Value, RunError> {
        let spec = spec(reducer);
        let mut held = spec.initial();
        let writes: Vec<Json> = writes.iter().cloned().map(Json::from).collect();
        spec.update(&held, &writes, None)?.commit(&mut held);
        Ok(value_of(&held).map_or(Value::Null, |v| v.to_value()))
    }

    #[test]
    fn a_last_value_takes_one_write_per_step() {
        assert_eq!(fold(Reducer::LastValue, &[json!(1)]).unwrap(), json!(1));
        let error = fold(Reducer::LastValue, &[json!(1), json!(2)]).unwrap_err();
        assert_eq!(error.kind, "InvalidUpdateError");
        assert!(error.message.starts_with("At key 'k': Can receive only one value per step."));
        assert!(error.message.ends_with("errors/INVALID_CONCURRENT_GRAPH_UPDATE"));
    }

    #[test]
    fn aggregates_fold_in_order_and_start_from_their_empty_value() {
        assert_eq!(fold(Reducer::Append, &[json!([1]), json!(2), json!([])]).unwrap(), json!([1, 2]));
        assert_eq!(fold(Reducer::Merge, &[json!({"a": 1}), json!({"b": 2, "a": 3})]).unwrap(), json!({"a": 3, "b": 2}));
        assert_eq!(fold(Reducer::Sum, &[json!(1), json!(2.5)]).unwrap(), json!(3.5));
        assert_eq!(fold(Reducer::AnyValue, &[json!(1), json!(2)]).unwrap(), json!(2));
        assert_eq!(fold(Reducer::Sum, &[json!("x")]).unwrap_err().kind, "TypeError");
        assert_eq!(fold(Reducer::Merge, &[json!([])]).unwrap_err().kind, "TypeError");
    }

    #[test]
    fn one_overwrite_per_step_replaces_whatever_else_was_written() {
        let overwrite = json!({"__overwrite__": [9]});
        let typed = json!({"value": [8], "type": "__overwrite__"});
        assert_eq!(fold(Reducer::Append, &[json!([1]), overwrite.clone(), json!([2])]).unwrap(), json!([9]));
        assert_eq!(fold(Reducer::Append, std::slice::from_ref(&typed)).unwrap(), json!([8]));
        let error = fold(Reducer::Append, &[overwrite, typed]).unwrap_err();
        assert!(error.message.starts_with("Can receive only one Overwrite value per super-step."));
    }

    #[test]
    fn what_is_saved_is_loaded_again() {
        let names = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        for (kind, writes) in [
            (Kind::Deferred, vec![json!(null)]),
            (Kind::Join { names: names.clone(), deferred: false }, vec![json!("a")]),
            (Kind::Join { names, deferred: true }, vec![json!("b"), json!("a")]),
            (Kind::Packets, vec![json!({"node": "n", "input": 1}), json!({"node": "m", "input": null})]),
        ] {
            let spec = ChannelSpec::internal("x", kind);
            let mut held = spec.initial();
            let writes: Vec<Json> = writes.into_iter().map(Json::from).collect();
            assert!(spec.update(&held, &writes, None).unwrap().commit(&mut held));
            spec.finish(&mut held);
            let again = spec.load(&spec.save(&held).unwrap());
            assert_eq!(format!("{again:?}"), format!("{held:?}"));
            assert_eq!(spec.is_available(&again), spec.is_available(&held));
        }
    }

    #[test]
    fn an_untracked_value_is_never_saved() {
        let spec = spec(Reducer::Untracked);
        let mut held = spec.initial();
        spec.update(&held, &[Json::from(json!(1))], None).unwrap().commit(&mut held);
        assert!(spec.is_available(&held));
        assert!(spec.save(&held).is_none());
    }
}
