//! Whether one value fits its kind; the error says what to write instead.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, Uri};
use selvedge_auth::options::KeyHash;
use selvedge_egress::domain::DomainRule;
use selvedge_egress::options::{method, network};
use selvedge_model::Identity;
use selvedge_model::caller::MAX_IDENTITY_BYTES;
use selvedge_webhook::Field;
use selvedge_webhook::options::is_ours;
use selvedge_webhook::signing::Secret;
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use super::keys::{Item, Kind, Name};
use super::template;

/// A value of a kind that has no parts.
pub(super) fn scalar(kind: Kind, value: &Value) -> Result<(), String> {
    match (kind, value) {
        (Kind::Bool, Value::Bool(_)) | (Kind::AnyText, Value::String(_)) => Ok(()),
        (Kind::Uint { min, max }, Value::Number(number)) => match number.as_u64() {
            Some(number) if (min..=max).contains(&number) => Ok(()),
            _ => Err(format!(
                "must be a whole number from {min} to {max}, not {number}"
            )),
        },
        (Kind::Fraction, Value::Number(number)) => match number.as_f64() {
            Some(fraction) if (0.0..=1.0).contains(&fraction) => Ok(()),
            _ => Err(format!("must be a number from 0 to 1, not {number}")),
        },
        (Kind::Text, Value::String(text)) => match text.is_empty() {
            true => Err("must not be empty".to_owned()),
            false => Ok(()),
        },
        (Kind::Choice(choices), Value::String(text)) => choice(choices, text),
        (Kind::Identity, Value::String(text)) => match Identity::new(text) {
            Some(_) => Ok(()),
            None => Err(format!(
                "must have 1 to {MAX_IDENTITY_BYTES} bytes that can be printed"
            )),
        },
        (Kind::Embedding, Value::String(text)) => match embedding_model(text) {
            Some(_) => Ok(()),
            None => Err(format!(
                "must be \"openai:MODEL\", not \"{text}\": functions in Python cannot run here, and other models are \
                 reached where somebody offers them as OpenAI does (store.index.url)"
            )),
        },
        // Nothing of the text is repeated.
        (Kind::KeyHash, Value::String(text)) => text.parse::<KeyHash>().map(drop),
        (Kind::LogFilter, Value::String(text)) => EnvFilter::try_new(text)
            .map(drop)
            .map_err(|error| format!("\"{text}\" is not a filter for log lines: {error}")),
        (kind, value) => Err(format!(
            "must be {}, not {}",
            expected(kind),
            describe(value)
        )),
    }
}

fn choice(choices: &[&str], text: &str) -> Result<(), String> {
    if choices.contains(&text) {
        return Ok(());
    }
    let choices: Vec<String> = choices
        .iter()
        .map(|choice| format!("\"{choice}\""))
        .collect();
    Err(format!("must be {}, not \"{text}\"", choices.join(" or ")))
}

/// An element of a list.
pub(super) fn item(item: Item, value: &Value) -> Result<(), String> {
    match (item, value) {
        (Item::Host, Value::String(text)) if text.parse::<IpAddr>().is_ok() => Ok(()),
        (Item::Domain | Item::Host, Value::String(text)) => DomainRule::parse(text).map(drop),
        (Item::Network, Value::String(text)) => network(text).map(drop),
        (Item::Method, Value::String(text)) => method(text).map(drop),
        (Item::Field, Value::String(text)) => match text.parse::<Field>().is_ok() {
            true => Ok(()),
            false => {
                let fields = Field::ALL.map(Field::as_str).join(", ");
                Err(format!(
                    "\"{text}\" is no member of a webhook's body: {fields}"
                ))
            }
        },
        (Item::Path, Value::String(text)) => match text.parse::<selvedge_index::Path>() {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        // Nothing of the text is repeated.
        (Item::Secret, Value::String(text)) => match text.parse::<Secret>() {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        (Item::Permission, Value::String(text)) => match text.is_empty() {
            true => Err("must not be empty".to_owned()),
            false => Ok(()),
        },
        (Item::Origin, Value::String(text)) => origin(text),
        (Item::HostName, Value::String(text)) => match text == "*" {
            true => Ok(()),
            false => DomainRule::parse(text).map(drop),
        },
        (Item::Port, value) => match value.as_u64() {
            Some(1..=65_535) => Ok(()),
            _ => Err(format!(
                "must be a port from 1 to 65535, not {}",
                describe(value)
            )),
        },
        (Item::Seconds, value) => match value.as_u64() {
            Some(0..=31_536_000) => Ok(()),
            _ => Err(format!(
                "must be whole seconds, a year at most, not {}",
                describe(value)
            )),
        },
        (_, value) => Err(format!("must be a text, not {}", describe(value))),
    }
}

/// Compared as a text, so that anything behind the port would keep it from ever being met.
fn origin(text: &str) -> Result<(), String> {
    let uri: Option<Uri> = text.parse().ok();
    let is_origin = uri.is_some_and(|uri| {
        let scheme = uri.scheme_str().unwrap_or_default();
        matches!(scheme, "http" | "https")
            && uri.authority().is_some_and(|authority| {
                text.eq_ignore_ascii_case(&format!("{scheme}://{authority}"))
            })
    });
    match text == "*" || is_origin {
        true => Ok(()),
        false => Err(format!(
            "\"{text}\" is not an origin: write it like https://ui.example.com, without a path"
        )),
    }
}

/// A name that the operator chose.
pub(super) fn name(kind: Name, name: &str) -> Result<(), String> {
    match kind {
        Name::Variable if name == "LANGGRAPH_AES_KEY" => Err(
            "checkpoints are not encrypted here: keep the data directory on an encrypted volume"
                .to_owned(),
        ),
        Name::Variable if template::is_variable_name(name) => Ok(()),
        Name::Variable => Err(format!("\"{name}\" cannot be the name of a variable")),
        Name::Graph if !name.is_empty() && !name.chars().any(char::is_control) => Ok(()),
        Name::Graph => Err("a graph needs a name that can be printed".to_owned()),
        Name::Header => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if is_ours(&name) => Err("this header is set by Selvedge".to_owned()),
            Ok(_) => Ok(()),
            Err(_) => Err(format!("\"{name}\" cannot be the name of a header")),
        },
    }
}

/// A header's value, which may hold a secret: it is not repeated.
pub(super) fn header_value(text: &str) -> Result<(), String> {
    match HeaderValue::from_str(text) {
        Ok(_) => Ok(()),
        Err(_) => Err("holds a character that a header cannot have".to_owned()),
    }
}

/// `./agent.wasm` or `./agent.wasm:name`.
pub(super) fn component(text: &str) -> Result<(), String> {
    if template::is_template(text) {
        return Err("variables are not replaced in this key".to_owned());
    }
    match split_component(text) {
        Some(_) => Ok(()),
        None => Err(format!(
            "\"{text}\" is not a WebAssembly component (\"./agent.wasm\" or \"./agent.wasm:name\"); \
             `selvedge build` makes one"
        )),
    }
}

/// The file and the graph's name in it.
pub(super) fn split_component(text: &str) -> Option<(&str, Option<&str>)> {
    let is_file = |path: &str| path.len() > ".wasm".len() && path.ends_with(".wasm");
    if is_file(text) {
        return Some((text, None));
    }
    text.rsplit_once(':')
        .filter(|(path, name)| is_file(path) && !name.is_empty())
        .map(|(path, name)| (path, Some(name)))
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Section | Kind::Map(_) | Kind::Object => "an object",
        Kind::Bool => "true or false",
        Kind::Uint { .. } => "a whole number",
        Kind::Fraction => "a number from 0 to 1",
        Kind::Text
        | Kind::AnyText
        | Kind::Choice(_)
        | Kind::LogFilter
        | Kind::Identity
        | Kind::Embedding
        | Kind::KeyHash
        | Kind::Component => "a text",
        Kind::List(_) => "a list",
        Kind::Sections => "a list of objects",
        Kind::Environment => "an object of texts or the path of a .env file",
        Kind::Graph => "the path of a component or an object",
        Kind::Any => "anything",
    }
}

/// What a value is, for messages; texts are not repeated, since some are secrets.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// The model of `openai:MODEL`.
pub(super) fn embedding_model(text: &str) -> Option<&str> {
    text.strip_prefix("openai:")
        .filter(|model| !model.is_empty())
}
