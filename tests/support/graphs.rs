//! The components that the tests run, built once by the binary under test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::{SELVEDGE, root};

/// The examples of `graphs/`, built by `selvedge build` as the README has it.
pub fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| build(&["build"]));
    let path = root().join("graphs").join(format!("{name}.wasm"));
    assert!(path.exists(), "selvedge build made no {}", path.display());
    path
}

/// The graphs that exist for tests alone.
pub fn probe() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        build(&[
            "build",
            "tests/graphs/probe",
            "-o",
            "tests/graphs/probe.wasm",
        ]);
    });
    root().join("tests/graphs/probe.wasm")
}

/// The graphs that the official clients drive, too.
pub fn suite() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        build(&[
            "build",
            "tests/graphs/suite",
            "-o",
            "tests/graphs/suite.wasm",
        ]);
    });
    root().join("tests/graphs/suite.wasm")
}

fn build(arguments: &[&str]) {
    let output = Command::new(SELVEDGE)
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("selvedge starts");
    assert!(
        output.status.success(),
        "selvedge {arguments:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
