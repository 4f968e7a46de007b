//! Whatever a file holds, it is read or refused with a line for each mistake.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::table::KEYS;
use super::{Environment, Flags, parse};

fn read(text: &str) -> Result<(), String> {
    let environment = Environment {
        variables: vec![("KEY".to_owned(), "value".to_owned())],
        directory: PathBuf::from("/project"),
        needs_values: true,
    };
    let flags = Flags::of(Path::new("langgraph.json"));
    let read = parse(text, &flags, &environment);
    read.map(drop).map_err(|problems| problems.to_string())
}

/// Values of every kind, those at the edges of numbers and texts among them.
fn value() -> impl Strategy<Value = Value> {
    let texts = prop::sample::select(vec![
        "",
        "./a.wasm",
        "./a.wasm:",
        ":",
        "${{ env.KEY }}",
        "${{ env.NOBODY }}",
        "${{",
        "*.",
        "*.example.com",
        "10.0.0.0/99",
        "[::1]",
        "GET",
        "\u{0}\n",
        "-1",
        "info,=,",
        "0.0.0.0/0",
        ".env",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A file of known keys with values of any kind.
fn file() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(KEYS).prop_map(|key| key.path);
    prop::collection::vec((key, value()), 0..8).prop_map(|keys| {
        let mut file = json!({"graphs": {"echo": "./echo.wasm"}});
        for (path, value) in keys {
            put(&mut file, path, value);
        }
        file
    })
}

fn put(file: &mut Value, path: &str, value: Value) {
    let mut at = file;
    for name in path.split('.') {
        let name = if name == "*" { "echo" } else { name };
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[name];
    }
    *at = value;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn known_keys_with_any_values_are_read_or_refused(file in file()) {
        if let Err(problems) = read(&file.to_string()) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.lines().all(|line| line.starts_with("langgraph.json")), "{}", problems);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        prop_assert!(read(&text).is_err());
    }

    #[test]
    fn any_value_is_read_or_refused(value in value()) {
        prop_assert!(read(&value.to_string()).is_err());
    }
}
