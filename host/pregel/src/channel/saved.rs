//! How a checkpoint holds a channel, and what a channel holds before the first.

use std::collections::BTreeSet;
use std::sync::Arc;

use selvedge_model::Json;
use selvedge_model::checkpoint::ChannelValue;
use serde_json::Value;

use super::{ChannelSpec, Held, Kind, Packet, whole};

impl ChannelSpec {
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
}

#[cfg(test)]
mod tests {
    use selvedge_model::graph::{ChannelDescription, Reducer};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_saved_is_loaded_again() {
        let names = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        for (kind, writes) in [
            (Kind::Deferred, vec![json!(null)]),
            (
                Kind::Join {
                    names: names.clone(),
                    deferred: false,
                },
                vec![json!("a")],
            ),
            (
                Kind::Join {
                    names,
                    deferred: true,
                },
                vec![json!("b"), json!("a")],
            ),
            (
                Kind::Packets,
                vec![
                    json!({"node": "n", "input": 1}),
                    json!({"node": "m", "input": null}),
                ],
            ),
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
        let spec = ChannelSpec::of_state(&ChannelDescription {
            name: "k".to_owned(),
            reducer: Reducer::Untracked,
            default: None,
        });
        let mut held = spec.initial();
        spec.update(&held, &[Json::from(json!(1))], None)
            .unwrap()
            .commit(&mut held);
        assert!(spec.is_available(&held));
        assert!(spec.save(&held).is_none());
    }
}
