//! `langgraph.json`: whatever the file holds, it is read, or refused with a sentence for each mistake.
#![no_main]

#[allow(dead_code, unused_imports, reason = "the binary uses the rest")]
#[path = "../../host/cli/src/config/mod.rs"]
mod config;

use std::path::{Path, PathBuf};

use config::{Environment, Flags, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A variable file would be the fuzzer's machine's own.
    if text.contains("env") {
        return;
    }
    let environment = Environment {
        variables: Vec::new(),
        directory: PathBuf::from("/project"),
        needs_values: true,
    };
    let flags = Flags::of(Path::new("langgraph.json"));
    if let Err(problems) = parse(text, &flags, &environment) {
        assert!(!problems.to_string().is_empty());
    }
});
