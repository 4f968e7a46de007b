//! The table of keys as the page `docs/configuration.md`. Only a test calls this: it compares, or writes the page anew
//! when `SELVEDGE_WRITE_DOCS` is set.

use std::fmt::Write as _;

use super::keys::{Fallback, Item, Key, Kind, Status};
use super::table::KEYS;

const HEAD: &str = "\
# Configuration: `langgraph.json`

This page is made from the table in `host/cli/src/config/table.rs`; a test compares them. To write it anew:
`SELVEDGE_WRITE_DOCS=1 cargo test -p selvedge page`.

- Paths are relative to the file. `selvedge check` checks the file; `selvedge check --schema` prints a JSON Schema for
  editors.
- Every mistake is reported in a line of its own, and the process ends with exit code 2. Nothing is ignored in silence:
  an unknown key, a key of a feature that this version does not have, and a key of LangGraph's that cannot be honoured
  stop the start.
- `${{ env.NAME }}` is replaced by that variable of the host's environment in `webhooks.headers`,
  `webhooks.signing.secrets`, `auth.api_keys.*.hash`, `secrets.*.value` and `env`, and refused elsewhere. A variable
  that is not set stops the start.
- Command line before variables before file: `--host` (127.0.0.1), `--port` (8123), `--data-dir`, `--config`
  (`langgraph.json`), then `SELVEDGE_SECTION_KEY` (lists with commas), then LangGraph's own variable, then the file. An
  empty variable counts as unset.
- Without `auth` an address that other machines reach needs `--no-auth`.
- `env`, `secrets` and `sandbox` of a graph are laid over the global ones, name by name.

## Keys

| key | type | default | meaning |
|---|---|---|---|
";

/// The whole page.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    for key in with(Status::Works) {
        let (kind, default) = (kind(key.kind), default(key));
        let _ = writeln!(
            page,
            "| `{}` | {kind} | {default} | {} |",
            key.path,
            meaning(key)
        );
    }
    page.push_str("\n## Variables\n\n| variable | key |\n|---|---|\n");
    for key in KEYS {
        let ours = key.selvedge_variable();
        for name in ours.iter().map(String::as_str).chain(key.variable) {
            let _ = writeln!(page, "| `{name}` | `{}` |", key.path);
        }
    }
    page.push_str("\n## Not supported by this version yet\n\nThese stop the start.\n\n| key | meaning |\n|---|---|\n");
    for key in with(Status::Later) {
        let _ = writeln!(page, "| `{}` | {} |", key.path, key.meaning);
    }
    page.push_str("\n## Keys of LangGraph's that cannot be honoured\n\nThese stop the start, as the variables\n`LANGGRAPH_AES_KEY` and `LANGGRAPH_AUTH_TYPE` do.\n\n| key | instead |\n|---|---|\n");
    for key in with(Status::Refused) {
        let _ = writeln!(page, "| `{}` | {} |", key.path, key.meaning);
    }
    page.push_str("\n## Keys without effect\n\nAccepted, with one warning that names them: ");
    let names: Vec<String> = with(Status::Ignored)
        .map(|key| format!("`{}`", key.path))
        .collect();
    let _ = writeln!(page, "{}.", names.join(", "));
    page
}

fn with(status: Status) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.status == status)
}

fn meaning(key: &Key) -> String {
    let templates = if key.templates {
        " `${{ env.NAME }}` is replaced."
    } else {
        ""
    };
    format!("{}{templates}", key.meaning).replace('|', "\\|")
}

fn default(key: &Key) -> String {
    match key.default {
        Fallback::Required => "required".to_owned(),
        Fallback::Words(words) => words.to_owned(),
        Fallback::Json(json) => format!("`{json}`"),
    }
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Section | Kind::Object | Kind::Map(_) => "object".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::Uint { min, max } => format!("{} to {}", grouped(min), grouped(max)),
        Kind::Fraction => "0 to 1".to_owned(),
        Kind::Text | Kind::AnyText | Kind::Identity | Kind::Embedding => "text".to_owned(),
        Kind::KeyHash => "hash".to_owned(),
        Kind::Sections => "list of objects".to_owned(),
        Kind::LogFilter => "log filter".to_owned(),
        Kind::Choice(choices) => {
            let quoted: Vec<String> = choices
                .iter()
                .map(|choice| format!("`\"{choice}\"`"))
                .collect();
            quoted.join(", ")
        }
        Kind::List(item) => format!("list of {}", plural(item)),
        Kind::Environment => "object or path".to_owned(),
        Kind::Graph => "path or object".to_owned(),
        Kind::Component => "path".to_owned(),
        Kind::Any => "any".to_owned(),
    }
}

fn plural(item: Item) -> &'static str {
    match item {
        Item::Domain => "domains",
        Item::Host => "hosts",
        Item::Network => "networks",
        Item::Port => "ports",
        Item::Method => "methods",
        Item::Field => "members",
        Item::Path => "paths",
        Item::Seconds => "seconds",
        Item::Secret => "secrets",
        Item::Permission => "permissions",
        Item::Origin => "origins",
        Item::HostName => "names",
    }
}

/// 33554432 → 33,554,432
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
