//! `langgraph.json`, the environment and the flags → one `Config`.
//!
//! | module | job |
//! |---|---|
//! | `table`, `keys` | every key: type, default, meaning, status |
//! | `variables` | `SELVEDGE_…` and LangGraph's variables beat the file |
//! | `tree` | the file's text as a tree |
//! | `check`, `place`, `values`, `suggest` | every mistake, one line each |
//! | `template`, `env_file` | `${{ env.NAME }}` and `.env` files |
//! | `read`, `memory`, `types` | the checked tree as plain values |
//! | `options` | those values as each room takes them |
//! | `schema` | the table as a JSON Schema |
//!
//! Nothing is ignored in silence: a key that Selvedge cannot honour, and an unknown one, stop the start.

mod check;
mod env_file;
mod keys;
mod memory;
pub mod options;
#[cfg(test)]
mod page;
mod place;
mod problems;
#[cfg(test)]
mod properties;
mod read;
mod schema;
mod suggest;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod tree;
mod types;
mod values;
mod variables;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use check::Check;
use place::{Origin, Place};
pub use problems::{Problem, Problems};
pub use schema::schema;
pub use types::*;

/// What the command line says; it beats the file.
#[derive(Clone, Debug)]
pub struct Flags {
    /// `--config`
    pub file: PathBuf,
    /// `--host`
    pub host: IpAddr,
    /// `--port`
    pub port: u16,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--no-auth`: callers may come from other machines although nobody is asked who they are.
    pub no_auth: bool,
}

impl Flags {
    /// The defaults for a file.
    #[must_use]
    pub fn of(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8123,
            data_dir: None,
            no_auth: false,
        }
    }
}

/// The process's environment, and where relative paths begin.
#[derive(Clone, Debug)]
pub struct Environment {
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) directory: PathBuf,
    /// Whether a variable that is not set is a mistake. Commands that use no values, such as `build`, do not care.
    pub(crate) needs_values: bool,
}

impl Environment {
    /// The process's own. Variables that are not Unicode do not count, and none where values are not needed.
    #[must_use]
    pub fn of_process(file: &Path, needs_values: bool) -> Self {
        let unicode = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let variables = std::env::vars_os()
            .filter_map(unicode)
            .filter(|_| needs_values);
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Self {
            variables: variables.collect(),
            directory,
            needs_values,
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let found = self
            .variables
            .iter()
            .find(|(candidate, _)| candidate == name);
        match found {
            Some((_, value)) => Some(value.clone()),
            None => (!self.needs_values).then(|| format!("unset {name}")),
        }
    }
}

/// Reads the file and everything that beats it.
pub fn load(flags: &Flags) -> Result<Config, Problems> {
    load_with(flags, &Environment::of_process(&flags.file, true))
}

/// As [`load`], for commands that need no values: variables that are not set do not matter.
pub fn load_without_values(flags: &Flags) -> Result<Config, Problems> {
    load_with(flags, &Environment::of_process(&flags.file, false))
}

fn load_with(flags: &Flags, environment: &Environment) -> Result<Config, Problems> {
    let text =
        std::fs::read_to_string(&flags.file).map_err(|error| unreadable(&flags.file, &error))?;
    parse(&text, flags, environment)
}

/// As [`load`], with the file's text and the environment given.
pub(crate) fn parse(
    text: &str,
    flags: &Flags,
    environment: &Environment,
) -> Result<Config, Problems> {
    let mut tree = tree(text, &flags.file)?;
    let origin = Origin {
        file: flags.file.display().to_string(),
        variables: variables::apply(&mut tree, &environment.variables),
    };
    let mut check = Check {
        environment,
        header_prefix: header_prefix(&tree),
        problems: Problems::default(),
        ignored: Vec::new(),
    };
    check.members(&Place::root(&origin), &mut tree);
    variables::refused(&environment.variables, &mut check.problems);
    exposed(flags, tree.contains_key("auth"), &mut check.problems);
    let ignored = check.ignored;
    check.problems.into_result(())?;

    let listen = Listen {
        host: flags.host,
        port: flags.port,
    };
    let mut config = read::config(
        &tree,
        &flags.file,
        &environment.directory,
        listen,
        flags.data_dir.clone(),
    )?;
    if !ignored.is_empty() {
        let names = ignored.join(", ");
        config
            .warnings
            .push(format!("{}: no effect here: {names}", origin.file));
    }
    config
        .warnings
        .extend(variables::unknown(&environment.variables));
    Ok(config)
}

fn tree(text: &str, file: &Path) -> Result<Map<String, Value>, Problems> {
    let file = file.display();
    let problem = |place: String, message: String| Problems::from(Problem { place, message });
    match tree::parse(text) {
        Ok(Value::Object(tree)) => Ok(tree),
        Ok(other) => Err(problem(
            file.to_string(),
            format!("must be an object, not {}", values::describe(&other)),
        )),
        Err(error) => {
            let message = error.to_string();
            // serde_json puts the position behind the message; editors want it in front.
            let message = message
                .split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned();
            Err(problem(
                format!("{file}:{}:{}", error.line(), error.column()),
                message,
            ))
        }
    }
}

/// Needed while headers are checked, hence read before the check; a value of another type fails there.
fn header_prefix(tree: &Map<String, Value>) -> String {
    let default = keys::find("webhooks.env_prefix").and_then(keys::Key::default_value);
    let given = tree
        .get("webhooks")
        .and_then(|webhooks| webhooks.get("env_prefix"))
        .cloned();
    given
        .or(default)
        .and_then(|prefix| prefix.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn exposed(flags: &Flags, authenticated: bool, problems: &mut Problems) {
    if authenticated && flags.no_auth {
        problems.add(
            "--no-auth".to_owned(),
            "contradicts `auth` in the file: leave one of them away",
        );
    }
    if !flags.host.is_loopback() && !flags.no_auth && !authenticated {
        problems.add(
            format!("--host {}", flags.host),
            "this opens the server to other machines, and it asks nobody who they are: say in `auth` who may call, or \
             --no-auth if everybody may",
        );
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> Problems {
    let message = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "no such file: go to the folder that has it, or name it with --config".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    };
    Problem {
        place: file.display().to_string(),
        message,
    }
    .into()
}
