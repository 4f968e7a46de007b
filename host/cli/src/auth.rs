//! `selvedge auth key`: a new API key, shown once.

use anyhow::{Context as _, Result};
use selvedge_auth::keys;
use serde_json::json;

use crate::args::KeyArgs;
use crate::print;

/// The key alone goes to standard output where that is no terminal, so that it can be piped into a vault.
pub fn key(args: &KeyArgs) -> Result<()> {
    let (key, hash) = keys::generate().context("the system has no randomness")?;
    let mut entry = json!({"hashes": [hash.to_string()]});
    if !args.permissions.is_empty() {
        entry["permissions"] = json!(args.permissions);
    }
    let entry = json!({ args.name.as_str(): entry });
    print::note("the key, which nothing can show again:");
    print::line(key);
    print::note(format_args!(
        "what belongs into `auth.api_keys` of langgraph.json:\n{entry:#}"
    ));
    Ok(())
}
