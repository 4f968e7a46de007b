//! `selvedge auth key`: a new API key, shown once.

use anyhow::{Context as _, Result};
use selvedge_auth::keys;
use serde_json::json;

use crate::args::KeyArgs;
use crate::print;

/// The key alone goes to standard output where that is no terminal, so that it can be piped into a vault.
pub fn key(args: &KeyArgs) -> Result<()> {
    let (key, hash) = keys::generate().context("the system has no randomness")?;
    let mut entry = json!({"name": args.name.as_str(), "hash": hash.to_string()});
    if !args.permissions.is_empty() {
        entry["permissions"] = json!(args.permissions);
    }
    print::note("the key, which nothing can show again:");
    print::line(key);
    print::note(format_args!(
        "what is to stand in the list `auth.api_keys` of langgraph.json:\n{entry:#}"
    ));
    Ok(())
}
