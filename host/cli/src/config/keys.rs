//! What a key of `langgraph.json` is. The rows themselves are in `table`.
//!
//! Everything that has to know the keys reads this one description: the check of a file (`check`), the variables
//! (`variables`), the JSON Schema (`schema`) and the page `docs/configuration.md` (`page`).

use std::borrow::Cow;

use serde_json::Value;

use super::table::KEYS;

/// One key, or one group of keys.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Names joined by dots; `*` stands for a name that the operator chooses, or for an element of a list.
    pub path: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// What holds when it is absent.
    pub default: Fallback,
    /// One line for the operator.
    pub meaning: &'static str,
    /// What happens when it is there.
    pub status: Status,
    /// LangGraph's own variable for it.
    pub variable: Option<&'static str>,
    /// Whether `${{ env.NAME }}` is replaced in its texts.
    pub templates: bool,
}

/// What happens when a key is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is honoured.
    Works,
    /// Its feature does not exist yet: the start stops.
    Later,
    /// LangGraph's, and not to be honoured here: the start stops and says what to use instead.
    Refused,
    /// It concerns the building of images or pages: accepted, with a warning.
    Ignored,
}

/// What holds when a key is absent.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// The key has to be there.
    Required,
    /// Nothing, or whatever the text says.
    Words(&'static str),
    /// This JSON.
    Json(&'static str),
}

/// What the value of a key may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// An object with the keys that the table lists below it.
    Section,
    /// An object whose names the operator chooses; the table describes its values.
    Map(Name),
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds.
    Uint {
        /// The least.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A number from 0 to 1.
    Fraction,
    /// A text that is not empty.
    Text,
    /// A text that may be empty.
    AnyText,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A filter for log lines: `info`, `selvedge_api=debug,warn`.
    LogFilter,
    /// Who somebody is.
    Identity,
    /// What an API key hashes to.
    KeyHash,
    /// `openai:text-embedding-3-small`.
    Embedding,
    /// A list.
    List(Item),
    /// A list of objects with the keys that the table lists below its element `*`.
    Sections,
    /// Names and texts, or the path of a `.env` file.
    Environment,
    /// `"./agent.wasm"`, `"./agent.wasm:name"` or an object with the keys that the table lists below it.
    Graph,
    /// A component's path: `"./agent.wasm"`, `"./agent.wasm:name"`.
    Component,
    /// Any object; its content is the graph's business.
    Object,
    /// Anything; only for keys that are not honoured.
    Any,
}

/// What the operator's names of a map may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Of a graph.
    Graph,
    /// Of an environment variable.
    Variable,
    /// Of an HTTP header.
    Header,
}

/// What an element of a list may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// `hooks.example.com` or `*.example.com`.
    Domain,
    /// As a domain, or an address.
    Host,
    /// `10.20.0.0/16`.
    Network,
    /// 1 to 65535.
    Port,
    /// `GET`.
    Method,
    /// A member of a webhook's body.
    Field,
    /// `$`, or `a.b[*].c`.
    Path,
    /// Whole seconds.
    Seconds,
    /// What deliveries are signed with.
    Secret,
    /// `admin`, or whatever graphs know.
    Permission,
    /// `https://ui.example.com`, or `*`.
    Origin,
    /// `agents.example.com`, or `*`.
    HostName,
}

impl Key {
    /// The variable that beats the file: `sandbox.cpu_ms` is `SELVEDGE_SANDBOX_CPU_MS`. Groups have none.
    #[must_use]
    pub fn selvedge_variable(&self) -> Option<String> {
        let scalar = !matches!(
            self.kind,
            Kind::Section
                | Kind::Sections
                | Kind::Map(_)
                | Kind::Environment
                | Kind::Graph
                | Kind::Object
                | Kind::Any
        );
        (scalar && self.status == Status::Works && !self.path.contains('*'))
            .then(|| format!("SELVEDGE_{}", self.path.replace('.', "_").to_uppercase()))
    }

    /// The value that holds when the key is absent, if it is one that JSON can say.
    #[must_use]
    pub fn default_value(&self) -> Option<Value> {
        match self.default {
            Fallback::Json(json) => serde_json::from_str(json).ok(),
            Fallback::Required | Fallback::Words(_) => None,
        }
    }
}

/// The key at a path as the table writes it, `*` included.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The names that may stand directly below a path; `""` is the file itself.
pub fn names_below(path: &str) -> impl Iterator<Item = &'static str> {
    let prefix: Cow<'_, str> = if path.is_empty() {
        "".into()
    } else {
        format!("{path}.").into()
    };
    KEYS.iter()
        .filter_map(move |key| key.path.strip_prefix(prefix.as_ref()))
        .filter(|rest| !rest.contains('.') && *rest != "*")
}
