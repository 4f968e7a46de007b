//! `langgraph.json`, and behind a line `---` the environment: it is read, or refused with a sentence for each mistake,
//! none of which shows what a variable holds.
#![no_main]

#[allow(dead_code, unused_imports, reason = "the binary uses the rest")]
#[path = "../../host/cli/src/config/mod.rs"]
mod config;

use std::path::Path;
use std::sync::LazyLock;

use config::{Environment, Flags, parse};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tempfile::TempDir;

/// The file of variables that `langgraph.json` may name. Any other would be one of the fuzzer's machine.
const VARIABLES: &str = ".env";
/// What the variable `SECRET` holds.
const SECRET: &str = "hush-7f3a";

static DIRECTORY: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a directory"));

fuzz_target!(|text: &str| {
    let (file, variables) = text.split_once("\n---\n").unwrap_or((text, ""));
    if serde_json::from_str(file).is_ok_and(|tree| names_another_file(&tree)) {
        return;
    }
    std::fs::write(DIRECTORY.path().join(VARIABLES), variables).expect("a file");
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let mut environment = Environment {
        variables: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        directory: DIRECTORY.path().to_owned(),
        needs_values: true,
    };
    let secret = ("SECRET".to_owned(), SECRET.to_owned());
    environment.variables.insert(0, secret);
    let flags = Flags::of(Path::new("langgraph.json"));
    if let Err(problems) = parse(file, &flags, &environment) {
        let problems = problems.to_string();
        assert!(!problems.is_empty());
        assert!(
            !problems.contains(SECRET) || text.contains(SECRET),
            "{problems}"
        );
    }
});

fn names_another_file(tree: &Value) -> bool {
    match tree {
        Value::Object(members) => members.iter().any(|(name, value)| {
            let is_other = value.as_str().is_some_and(|file| file != VARIABLES);
            (name == "env" && is_other) || names_another_file(value)
        }),
        _ => false,
    }
}
