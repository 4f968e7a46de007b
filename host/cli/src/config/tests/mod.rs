//! The rules for keys, over texts of files.
//!
//! | module | what is shown |
//! |---|---|
//! | `table` | each key of the table: what it takes, what it refuses, its variable, its schema, its page |
//! | `groups` | what groups of keys become: their defaults, and what their members say together |
//! | `variables` | `${{ env.NAME }}`, the host's own variables, `.env` files |
//! | `mistakes` | one line for each, with what to write instead |

mod groups;
mod mistakes;
mod table;
mod variables;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Config, Environment, Flags, parse};

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment {
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        directory: PathBuf::from("/project"),
        needs_values: true,
    }
}

fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let flags = Flags::of(Path::new("langgraph.json"));
    parse(text, &flags, &environment(variables))
        .map_err(|problems| problems.to_string().lines().map(str::to_owned).collect())
}

/// A file with one graph and these keys.
fn with(keys: &Value) -> String {
    let mut file = json!({ "graphs": { "echo": "./echo.wasm" } });
    for (name, value) in keys.as_object().unwrap() {
        file[name] = value.clone();
    }
    file.to_string()
}

fn config(keys: &Value) -> Config {
    load_text(&with(keys), &[]).unwrap()
}

fn problems(keys: &Value) -> Vec<String> {
    load_text(&with(keys), &[]).unwrap_err()
}

#[track_caller]
fn one_problem(keys: &Value, expected: &str) {
    assert_eq!(
        problems(keys),
        [format!("langgraph.json: {expected}")],
        "{keys}"
    );
}

/// What an API key hashes to.
fn hash(byte: &str) -> String {
    format!("sha256:{}", byte.repeat(32))
}
