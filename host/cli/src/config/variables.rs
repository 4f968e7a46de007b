//! Environment variables that beat the file: `SELVEDGE_SANDBOX_CPU_MS`, and LangGraph's own such as
//! `N_JOBS_PER_WORKER`. Their values are put into the file's tree, so that one check holds for both.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::keys::{Item, Key, Kind};
use super::problems::Problems;
use super::suggest;
use super::table::KEYS;

/// Variables of the binary that are not keys of the file; see `args` and `build`.
const OTHERS: &[&str] = &[
    "SELVEDGE_CONFIG",
    "SELVEDGE_DATA_DIR",
    "SELVEDGE_HOME",
    "SELVEDGE_HOST",
    "SELVEDGE_LISTEN_SECRET",
    "SELVEDGE_NO_AUTH",
    "SELVEDGE_NO_RUSTUP",
    "SELVEDGE_PORT",
];

/// Puts the values of variables into the tree, and says which path came from which variable.
pub(super) fn apply(
    tree: &mut Map<String, Value>,
    environment: &[(String, String)],
) -> BTreeMap<String, String> {
    let mut origins = BTreeMap::new();
    for key in KEYS {
        // Our own variable is the more precise one: it beats LangGraph's.
        let names = key
            .selvedge_variable()
            .into_iter()
            .chain(key.variable.map(str::to_owned));
        let Some((name, text)) = names
            .filter_map(|name| value_of(environment, &name).map(|text| (name, text)))
            .next()
        else {
            continue;
        };
        if insert(tree, key.path, parse(key, text)) {
            origins.insert(key.path.to_owned(), name);
        }
    }
    origins
}

/// LangGraph's variables that ask for what cannot be honoured.
pub(super) fn refused(environment: &[(String, String)], problems: &mut Problems) {
    if value_of(environment, "LANGGRAPH_AES_KEY").is_some() {
        problems.add(
            "variable LANGGRAPH_AES_KEY",
            "checkpoints are not encrypted here: keep the data directory on an encrypted volume, and unset it",
        );
    }
    if let Some(kind) = value_of(environment, "LANGGRAPH_AUTH_TYPE").filter(|kind| *kind != "noop")
    {
        problems.add(
            "variable LANGGRAPH_AUTH_TYPE",
            format!(
                "\"{kind}\" is not supported by this version of Selvedge yet: keep it on loopback, behind a reverse \
                 proxy that authenticates"
            ),
        );
    }
}

/// One line for each `SELVEDGE_…` variable that nothing reads. A warning, since Kubernetes sets such variables for
/// a service of that name.
pub(super) fn unknown(environment: &[(String, String)]) -> Vec<String> {
    let known: Vec<String> = KEYS
        .iter()
        .filter_map(Key::selvedge_variable)
        .chain(OTHERS.iter().map(|name| (*name).to_owned()))
        .collect();
    environment
        .iter()
        .filter(|(name, _)| name.starts_with("SELVEDGE_") && !known.contains(name))
        .map(|(name, _)| {
            let hint = suggest::nearest(name, known.iter().map(String::as_str));
            let hint = hint.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            format!("variable {name} has no effect{hint}")
        })
        .collect()
}

/// An empty variable counts as unset, as shells and compose files make them.
fn value_of<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    environment
        .iter()
        .find(|(candidate, text)| candidate == name && !text.is_empty())
        .map(|(_, text)| text.as_str())
}

/// The text as the key's kind reads it. A text that does not fit stays a text, which the check then refuses.
fn parse(key: &Key, text: &str) -> Value {
    let scalar = |text: &str| match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
        _ => Value::from(text),
    };
    match key.kind {
        Kind::Bool if text == "1" => Value::Bool(true),
        Kind::Bool if text == "0" => Value::Bool(false),
        Kind::Bool | Kind::Uint { .. } | Kind::Fraction => scalar(text),
        Kind::List(item) => text
            .split(',')
            .map(str::trim)
            .map(|text| match item {
                Item::Port | Item::Seconds => scalar(text),
                Item::Domain
                | Item::Host
                | Item::Network
                | Item::Method
                | Item::Field
                | Item::Path
                | Item::Secret
                | Item::Permission
                | Item::Origin
                | Item::HostName => Value::from(text),
            })
            .collect(),
        _ => Value::from(text),
    }
}

/// Sets the value at a path and makes the groups on the way. `false` where the file has something else than a group;
/// the check will say so.
fn insert(tree: &mut Map<String, Value>, path: &str, value: Value) -> bool {
    match path.split_once('.') {
        None => {
            tree.insert(path.to_owned(), value);
            true
        }
        Some((group, rest)) => tree
            .entry(group)
            .or_insert_with(|| Value::Object(Map::new()))
            .as_object_mut()
            .is_some_and(|members| insert(members, rest, value)),
    }
}
