//! Which events somebody wants.

use indexmap::IndexMap;
use selvedge_model::Json;
use selvedge_model::event::EventId;

use crate::event::{Address, Method};
use crate::number::{is_after, last_of};

/// The most channels, and the most namespaces, that one filter names.
const MOST_ENTRIES: usize = 256;

/// Channels, and where their events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    channels: Vec<Channel>,
    /// Beginnings of namespaces; any when there are none.
    namespaces: Vec<Vec<String>>,
    /// How far below such a beginning.
    depth: Option<usize>,
    /// Only what comes after this number.
    since: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Channel {
    /// All of a method.
    Of(Method),
    /// `custom:<name>`
    Named(String),
}

/// Why a filter cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// There are none.
    NoChannels,
    /// These are none.
    Unsupported(Vec<String>),
    /// Another member.
    Malformed(&'static str),
}

impl std::fmt::Display for FilterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoChannels => f.write_str("channels is required and must be a non-empty array"),
            Self::Unsupported(names) => {
                let known: Vec<&str> = Method::ALL.iter().map(|m| m.channel()).collect();
                write!(
                    f,
                    "channels contains unsupported entries: {}. Allowed: {}, or any `custom:<name>`.",
                    names.join(", "),
                    known.join(", ")
                )
            }
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for FilterError {}

impl Filter {
    /// Reads `{"channels", "namespaces"?, "depth"?, "since"?}`; other members are somebody else's.
    pub fn read(members: &IndexMap<String, Json>) -> Result<Self, FilterError> {
        let given = |name: &str| members.get(name).filter(|value| !value.is_null());
        let names: Vec<Json> = given("channels")
            .and_then(Json::items)
            .filter(|names| !names.is_empty())
            .ok_or(FilterError::NoChannels)?;
        if names.len() > MOST_ENTRIES {
            return Err(FilterError::Malformed("channels has more than 256 entries"));
        }
        let mut channels = Vec::new();
        let mut unsupported = Vec::new();
        for name in &names {
            match name.decode::<String>().ok().as_deref().and_then(channel) {
                Some(channel) => channels.push(channel),
                None => unsupported.push(shown(name)),
            }
        }
        if !unsupported.is_empty() {
            return Err(FilterError::Unsupported(unsupported));
        }
        let namespaces: Vec<Vec<String>> = match given("namespaces") {
            None => Vec::new(),
            Some(list) => list.decode().map_err(|_| {
                FilterError::Malformed("namespaces must be an array of arrays of strings")
            })?,
        };
        if namespaces.len() > MOST_ENTRIES {
            return Err(FilterError::Malformed(
                "namespaces has more than 256 entries",
            ));
        }
        let number = |name: &str, complaint| {
            let read = |value: &Json| {
                value
                    .decode::<u64>()
                    .map_err(|_| FilterError::Malformed(complaint))
            };
            given(name).map(read).transpose()
        };
        let depth = number("depth", "depth must be a non-negative integer")?;
        let since = number("since", "since must be a non-negative integer")?;
        Ok(Self {
            channels,
            namespaces,
            depth: depth.map(|depth| usize::try_from(depth).unwrap_or(usize::MAX)),
            since: since.unwrap_or(0),
        })
    }

    /// The number of the last event that need not be told.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.since
    }

    /// A number beyond the last that can have been given is of another server, or of a clock that went ahead: it says
    /// nothing of what its reader has had, so all is wanted. Says whether it was so.
    pub fn forget_since_beyond(&mut self, last_given: EventId) -> bool {
        let is_beyond = self.since > last_of(last_given);
        if is_beyond {
            self.since = 0;
        }
        is_beyond
    }

    /// Whether an event with this number is wanted.
    #[must_use]
    pub fn wants_now(&self, seq: u64, address: &Address) -> bool {
        is_after(seq, self.since) && self.wants(address)
    }

    /// Whether an event of this kind from this place is wanted, whatever its number.
    #[must_use]
    pub fn wants(&self, address: &Address) -> bool {
        self.has_channel(address) && self.has_place(&address.namespace)
    }

    fn has_channel(&self, address: &Address) -> bool {
        self.channels.iter().any(|channel| match channel {
            Channel::Of(method) => *method == address.method,
            Channel::Named(name) => {
                address.method == Method::Custom && address.name.as_ref() == Some(name)
            }
        })
    }

    fn has_place(&self, namespace: &[String]) -> bool {
        // Without a beginning there is nothing that a depth could be counted from; the clients see it so, too.
        self.namespaces.is_empty()
            || self.namespaces.iter().any(|prefix| {
                begins_with(namespace, prefix)
                    && self
                        .depth
                        .is_none_or(|depth| namespace.len() - prefix.len() <= depth)
            })
    }
}

fn channel(name: &str) -> Option<Channel> {
    if let Some(name) = name.strip_prefix("custom:") {
        return (!name.is_empty()).then(|| Channel::Named(name.to_owned()));
    }
    let method = Method::ALL
        .into_iter()
        .find(|method| method.channel() == name);
    method.map(Channel::Of)
}

fn shown(name: &Json) -> String {
    const LONGEST: usize = 80;
    let text = name.decode().unwrap_or_else(|_| name.as_str().to_owned());
    text.chars().take(LONGEST).collect()
}

/// A segment without a task (`node`) stands for every task of its node (`node:…`).
fn begins_with(namespace: &[String], prefix: &[String]) -> bool {
    prefix.len() <= namespace.len()
        && prefix.iter().zip(namespace).all(|(wanted, segment)| {
            wanted == segment
                || (!wanted.contains(':') && segment.split(':').next() == Some(wanted.as_str()))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::namespace;

    fn filter(value: Value) -> Result<Filter, String> {
        let members = Json::from(value).members().unwrap();
        Filter::read(&members).map_err(|error| error.to_string())
    }

    fn wants(filter: &Filter, method: Method, place: &str) -> bool {
        filter.wants(&Address::new(method, &namespace(place)))
    }

    #[test]
    fn channels_are_those_that_are_named() {
        let wanted =
            filter(json!({"channels": ["values", "input", "custom:a"], "since": 3})).unwrap();
        assert_eq!(wanted.since(), 3);
        assert!(wants(&wanted, Method::Values, ""));
        assert!(wants(&wanted, Method::Input, "a:1|b:2"));
        assert!(!wants(&wanted, Method::Updates, ""));
        let custom = |name: Option<&str>| Address {
            name: name.map(str::to_owned),
            ..Address::new(Method::Custom, &namespace(""))
        };
        assert!(wanted.wants(&custom(Some("a"))));
        assert!(!wanted.wants(&custom(Some("b"))));
        assert!(!wanted.wants(&custom(None)));
        let all = filter(json!({"channels": ["custom"]})).unwrap();
        assert!(all.wants(&custom(Some("a"))) && all.wants(&custom(None)));
    }

    #[test]
    fn namespaces_match_by_their_beginning_and_depth_counts_below_it() {
        let of = |more: Value| {
            let mut whole = json!({"channels": ["values"]});
            whole
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            filter(whole).unwrap()
        };
        let seen = |filter: &Filter| {
            ["", "sub:1", "sub:1|in:2", "other:1"].map(|n| wants(filter, Method::Values, n))
        };
        assert_eq!(seen(&of(json!({}))), [true; 4]);
        assert_eq!(seen(&of(json!({"depth": 0}))), [true; 4]);
        assert_eq!(
            seen(&of(json!({"namespaces": [[]], "depth": 0}))),
            [true, false, false, false]
        );
        assert_eq!(
            seen(&of(json!({"namespaces": [[]], "depth": 1}))),
            [true, true, false, true]
        );
        assert_eq!(
            seen(&of(json!({"namespaces": [["sub"]]}))),
            [false, true, true, false]
        );
        assert_eq!(
            seen(&of(json!({"namespaces": [["sub:1"]], "depth": 0}))),
            [false, true, false, false]
        );
        assert_eq!(
            seen(&of(json!({"namespaces": [["sub:2"], ["su"]]}))),
            [false; 4]
        );
    }

    #[test]
    fn what_is_no_filter_is_refused_with_a_reason() {
        let none = "channels is required and must be a non-empty array";
        for bad in [
            json!({}),
            json!({"channels": []}),
            json!({"channels": "values"}),
        ] {
            assert_eq!(filter(bad), Err(none.to_owned()));
        }
        let unsupported =
            filter(json!({"channels": ["values", "bogus", "custom:", 5]})).unwrap_err();
        assert_eq!(
            unsupported,
            "channels contains unsupported entries: bogus, custom:, 5. Allowed: values, updates, checkpoints, messages, \
             tools, custom, lifecycle, input, tasks, or any `custom:<name>`."
        );
        for bad in [
            json!({"channels": ["values"], "since": -1}),
            json!({"channels": ["values"], "depth": "x"}),
            json!({"channels": ["values"], "namespaces": ["a"]}),
        ] {
            assert!(filter(bad).is_err());
        }
    }
}
