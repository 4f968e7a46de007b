//! What holds for every key of the table.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::keys::{self, Fallback, Kind, Status};
use super::super::table::KEYS;
use super::super::{page, schema};
use super::{hash, load_text, with};

/// A value that fits a key and differs from its default.
fn sample(key: &keys::Key) -> Value {
    match key.kind {
        Kind::Section | Kind::Object | Kind::Map(_) => json!({}),
        Kind::Sections => json!([]),
        Kind::Identity => json!("ann"),
        Kind::Embedding => json!("openai:small"),
        Kind::Text if key.path == "store.index.url" => json!("https://models.example.com/v1"),
        Kind::KeyHash => json!(hash("0a")),
        Kind::Bool => json!(key.default_value() != Some(json!(true))),
        Kind::Uint { min, .. } => json!(min + 1),
        Kind::Fraction => json!(0.5),
        Kind::Text | Kind::AnyText => json!("text"),
        Kind::Choice(choices) => json!(choices.last()),
        Kind::LogFilter => json!("warn,selvedge_api=debug"),
        Kind::List(item) => json!([match item {
            keys::Item::Domain | keys::Item::Host => json!("*.example.com"),
            keys::Item::Network => json!("10.20.0.0/16"),
            keys::Item::Port => json!(8443),
            keys::Item::Method => json!("GET"),
            keys::Item::Field => json!("run_id"),
            keys::Item::Path => json!("a.b[*].c"),
            keys::Item::Seconds => json!(7),
            keys::Item::Secret => json!("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            keys::Item::Permission => json!("admin"),
            keys::Item::Origin => json!("https://ui.example.com"),
            keys::Item::HostName => json!("agents.example.com"),
        }]),
        Kind::Environment => json!({ "NAME": "value" }),
        Kind::Graph | Kind::Component => json!("./agent.wasm:name"),
        Kind::Any => json!({}),
    }
}

/// Larger than any bound of one.
const LARGE: u64 = 1 << 34;

/// A bound of many, which is larger than that of one, or the start stops.
fn is_of_all(path: &str) -> bool {
    matches!(
        path,
        "sandbox.total_memory_bytes" | "http.max_body_bytes_total"
    )
}

/// A group that is nothing without some of its members.
fn group(path: &str) -> Option<Value> {
    let api_key = json!({ "name": "ann", "hash": hash("0a") });
    let jwt = json!({ "jwks": "./jwks.json", "issuer": "https://issuer.example", "audience": "selvedge" });
    Some(match path {
        "auth" => json!({ "api_keys": [api_key], "jwt": jwt }),
        "auth.api_keys" => json!([api_key]),
        "auth.api_keys.*" => api_key,
        "auth.jwt" => jwt,
        "store.index" => json!({ "dims": 3, "embed": "openai:small" }),
        "http.tls" => json!({ "certificate": "./cert.pem", "key": "./key.pem" }),
        "http.rate_limit" => json!({ "requests_per_second": 5 }),
        _ => return None,
    })
}

/// A file in which one key has a value; parents that need other keys get them.
fn file_with(path: &str, value: Value) -> Value {
    let mut file = json!({ "graphs": { "echo": { "path": "./echo.wasm" } } });
    let names: Vec<&str> = path.split('.').collect();
    let mut at = &mut file;
    for (depth, name) in names.iter().enumerate() {
        let name = match (*name, depth, names[0]) {
            ("*", 1, "graphs") => "echo",
            ("*", ..) if path.contains("headers") => "X-Team",
            ("*", ..) => "NAME",
            (name, ..) => name,
        };
        at = match at.is_array() {
            true => &mut at[0],
            false => &mut at[name],
        };
        if let Some(group) = group(&names[..=depth].join(".")) {
            *at = group;
        }
        let is_secret = names[depth] == "*" && names[depth - 1] == "secrets";
        if is_secret && depth + 1 < names.len() {
            *at = json!({ "value": "v", "hosts": ["a.example"] });
        }
    }
    *at = value;
    file
}

#[test]
fn every_key_that_works_is_accepted_and_every_other_stops_the_start() {
    for key in KEYS {
        let value = match key.path {
            "graphs" => json!({ "a": "./a.wasm" }),
            path if path.ends_with("secrets.*") => json!({ "value": "v", "hosts": ["127.0.0.1"] }),
            path if is_of_all(path) => json!(LARGE),
            path => group(path).unwrap_or_else(|| sample(key)),
        };
        let file = file_with(key.path, value).to_string();
        let result = load_text(&file, &[]);
        match key.status {
            Status::Works => assert_eq!(result.err(), None, "{}", key.path),
            Status::Ignored => assert!(result.unwrap().warnings[0].contains(key.path)),
            Status::Later => assert!(
                result.unwrap_err()[0].ends_with("not supported by this version of Selvedge yet")
            ),
            Status::Refused => assert!(
                result.unwrap_err()[0].ends_with(key.meaning),
                "{}",
                key.path
            ),
        }
    }
}

#[test]
fn every_key_that_works_refuses_another_type() {
    for key in KEYS.iter().filter(|key| key.status == Status::Works) {
        let wrong = Value::Null;
        let problems = load_text(&file_with(key.path, wrong).to_string(), &[]).unwrap_err();
        assert_eq!(problems.len(), 1, "{}: {problems:?}", key.path);
        assert!(
            problems[0].contains("not null"),
            "{}: {problems:?}",
            key.path
        );
    }
}

#[test]
fn every_default_of_the_table_fits_its_kind() {
    for key in KEYS {
        if let Fallback::Json(text) = key.default {
            let value = key.default_value().unwrap_or_else(|| panic!("{text}"));
            assert_eq!(
                load_text(&file_with(key.path, value).to_string(), &[]).err(),
                None,
                "{}",
                key.path
            );
        }
    }
}

#[test]
fn every_scalar_key_has_a_variable_that_beats_the_file() {
    for key in KEYS {
        let Some(name) = key.selvedge_variable() else {
            continue;
        };
        let text = match sample(key) {
            Value::String(text) => text,
            Value::Array(items) => items[0]
                .as_str()
                .map_or_else(|| items[0].to_string(), str::to_owned),
            other => other.to_string(),
        };
        let text = match is_of_all(key.path) {
            true => LARGE.to_string(),
            false => text,
        };
        let file = match key.path.rsplit_once('.').and_then(|(path, _)| group(path)) {
            Some(_) => file_with(key.path, sample(key)).to_string(),
            None => with(&json!({})),
        };
        let result = load_text(&file, &[(&name, &text)]);
        assert_eq!(result.err(), None, "{name}={text}");
        let takes_any_word = matches!(
            key.kind,
            Kind::Text | Kind::Choice(_) | Kind::LogFilter | Kind::List(keys::Item::Path)
        );
        if !takes_any_word {
            let problems = load_text(&with(&json!({})), &[(&name, "?*?")]).unwrap_err();
            assert!(
                problems[0].starts_with(&format!("variable {name}: ")),
                "{problems:?}"
            );
        }
    }
    let file = with(&json!({ "sandbox": { "cpu_ms": 5 }, "runtime": { "max_running_runs": 5 } }));
    let variables = [
        ("SELVEDGE_SANDBOX_CPU_MS", "7"),
        ("N_JOBS_PER_WORKER", "8"),
        ("BG_JOB_MAX_RETRIES", ""),
    ];
    let config = load_text(&file, &variables).unwrap();
    assert_eq!(config.graphs[0].limits.cpu, Duration::from_millis(7));
    assert_eq!(config.runtime.max_running_runs, 8);
    assert_eq!(config.runtime.max_attempts, 3);
    let both = [
        ("N_JOBS_PER_WORKER", "8"),
        ("SELVEDGE_RUNTIME_MAX_RUNNING_RUNS", "9"),
    ];
    assert_eq!(load_text(&file, &both).unwrap().runtime.max_running_runs, 9);
}

#[test]
fn table_schema_and_page_agree() {
    let schema = schema();
    for key in KEYS
        .iter()
        .filter(|key| matches!(key.status, Status::Works | Status::Ignored))
    {
        let mut at = &schema;
        for name in key.path.split('.') {
            if let Some(object) = at.get("anyOf").and_then(|forms| forms.get(1)) {
                at = object;
            }
            at = match (name, at.get("items")) {
                ("*", Some(element)) => element,
                ("*", None) => &at["additionalProperties"],
                _ => &at["properties"][name],
            };
        }
        let description = at["description"].as_str().unwrap_or_default();
        assert!(description.starts_with(key.meaning), "{}", key.path);
    }
    let text = schema.to_string();
    assert!(!text.contains("\"database_uri\"") && !text.contains("\"encryption\""));
    jsonschema_is_closed(&schema);
}

/// Every object of the schema says what else may stand in it.
fn jsonschema_is_closed(schema: &Value) {
    match schema {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object) {
                assert!(members.contains_key("additionalProperties"));
            }
            members.values().for_each(jsonschema_is_closed);
        }
        Value::Array(items) => items.iter().for_each(jsonschema_is_closed),
        _ => {}
    }
}

#[test]
fn the_page_is_made_from_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = page::page();
    if std::env::var_os("SELVEDGE_WRITE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "run: SELVEDGE_WRITE_DOCS=1 cargo test -p selvedge page"
    );
}
