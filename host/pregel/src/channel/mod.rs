//! One channel: what it holds and when it triggers. How a checkpoint holds it is in `saved`, what writes do to it in
//! `update`.
//!
//! The rules are those of LangGraph's channel classes; the name in each comment says which.

mod saved;
mod update;

use std::collections::BTreeSet;
use std::sync::Arc;

use selvedge_model::Json;
use selvedge_model::checkpoint::ChannelValue;
use selvedge_model::graph::{ChannelDescription, Reducer};

pub(crate) use update::{Updated, overwrite, to_reduce};

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
    Deferred {
        value: Json,
        finished: bool,
    },
    Join {
        seen: BTreeSet<String>,
        finished: bool,
    },
    Packets(Arc<Vec<Packet>>),
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

    /// What becomes of it in a step that did not write it.
    pub(crate) fn expire(&self, held: &mut Held) -> bool {
        let fleeting = matches!(
            self.kind,
            Kind::AnyValue | Kind::Ephemeral { .. } | Kind::Packets
        );
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
            (
                Kind::Join {
                    names,
                    deferred: true,
                },
                Held::Join { seen, finished },
            ) if !*finished && seen == names => {
                *finished = true;
                true
            }
            _ => false,
        }
    }
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

#[cfg(test)]
mod tests {
    use selvedge_model::run::RunError;
    use serde_json::{Value, json};

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
        assert!(
            error
                .message
                .starts_with("At key 'k': Can receive only one value per step.")
        );
        assert!(
            error
                .message
                .ends_with("errors/INVALID_CONCURRENT_GRAPH_UPDATE")
        );
    }

    #[test]
    fn aggregates_fold_in_order_and_start_from_their_empty_value() {
        assert_eq!(
            fold(Reducer::Append, &[json!([1]), json!(2), json!([])]).unwrap(),
            json!([1, 2])
        );
        assert_eq!(
            fold(Reducer::Merge, &[json!({"a": 1}), json!({"b": 2, "a": 3})]).unwrap(),
            json!({"a": 3, "b": 2})
        );
        assert_eq!(
            fold(Reducer::Sum, &[json!(1), json!(2.5)]).unwrap(),
            json!(3.5)
        );
        assert_eq!(
            fold(Reducer::AnyValue, &[json!(1), json!(2)]).unwrap(),
            json!(2)
        );
        assert_eq!(
            fold(Reducer::Sum, &[json!("x")]).unwrap_err().kind,
            "TypeError"
        );
        assert_eq!(
            fold(Reducer::Merge, &[json!([])]).unwrap_err().kind,
            "TypeError"
        );
    }

    #[test]
    fn one_overwrite_per_step_replaces_whatever_else_was_written() {
        let overwrite = json!({"__overwrite__": [9]});
        let typed = json!({"value": [8], "type": "__overwrite__"});
        assert_eq!(
            fold(
                Reducer::Append,
                &[json!([1]), overwrite.clone(), json!([2])]
            )
            .unwrap(),
            json!([9])
        );
        assert_eq!(
            fold(Reducer::Append, std::slice::from_ref(&typed)).unwrap(),
            json!([8])
        );
        let error = fold(Reducer::Append, &[overwrite, typed]).unwrap_err();
        assert!(
            error
                .message
                .starts_with("Can receive only one Overwrite value per super-step.")
        );
    }
}
