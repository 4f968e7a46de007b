//! The table of keys as a JSON Schema, for editors.

use serde_json::{Map, Value, json};

use super::keys::{Fallback, Item, Key, Kind, Status};
use super::table::KEYS;

/// The schema of `langgraph.json`. Keys that stop the start are not in it.
#[must_use]
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "langgraph.json, as Selvedge reads it",
    });
    let root = object("");
    if let (Some(schema), Value::Object(root)) = (schema.as_object_mut(), root) {
        schema.extend(root);
    }
    schema
}

fn object(path: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut others = Value::Bool(false);
    for (name, key) in children(path) {
        if matches!(key.status, Status::Later | Status::Refused) {
            continue;
        }
        if name == "*" {
            others = property(key);
            continue;
        }
        if matches!(key.default, Fallback::Required) {
            required.push(name);
        }
        properties.insert(name.to_owned(), property(key));
    }
    let mut object = json!({ "type": "object", "additionalProperties": others });
    if !properties.is_empty() {
        object["properties"] = Value::Object(properties);
    }
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn children(path: &str) -> impl Iterator<Item = (&'static str, &'static Key)> {
    KEYS.iter().filter_map(move |key| {
        let (parent, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        (parent == path).then_some((name, key))
    })
}

fn property(key: &Key) -> Value {
    let mut property = shape(key);
    property["description"] = match key.default {
        Fallback::Words(words) => Value::from(format!("{} Default: {words}.", key.meaning)),
        Fallback::Required | Fallback::Json(_) => Value::from(key.meaning),
    };
    if let Some(default) = key.default_value() {
        property["default"] = default;
    }
    property
}

fn shape(key: &Key) -> Value {
    match key.kind {
        Kind::Section | Kind::Map(_) => object(key.path),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Uint { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Fraction => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Embedding => json!({ "type": "string", "pattern": "^openai:." }),
        Kind::Text | Kind::Identity => json!({ "type": "string", "minLength": 1 }),
        Kind::AnyText | Kind::LogFilter | Kind::KeyHash => json!({ "type": "string" }),
        Kind::Choice(choices) => json!({ "enum": choices }),
        Kind::List(item) => json!({ "type": "array", "items": element(item) }),
        Kind::Sections => {
            let element = children(key.path)
                .map(|(_, element)| property(element))
                .next();
            json!({ "type": "array", "items": element })
        }
        Kind::Environment => json!({
            "anyOf": [{ "type": "object", "additionalProperties": { "type": "string" } }, { "type": "string" }],
        }),
        Kind::Component => component(),
        Kind::Graph => json!({ "anyOf": [component(), object(key.path)] }),
        Kind::Object => json!({ "type": "object" }),
        Kind::Any => json!({}),
    }
}

fn component() -> Value {
    json!({ "type": "string", "pattern": r"\.wasm(:.+)?$" })
}

fn element(item: Item) -> Value {
    match item {
        Item::Port => json!({ "type": "integer", "minimum": 1, "maximum": 65_535 }),
        Item::Seconds => json!({ "type": "integer", "minimum": 0 }),
        Item::Domain
        | Item::Host
        | Item::Network
        | Item::Method
        | Item::Field
        | Item::Path
        | Item::Secret
        | Item::Permission
        | Item::Origin
        | Item::HostName => json!({ "type": "string" }),
    }
}
