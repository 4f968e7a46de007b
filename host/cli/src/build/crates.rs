//! Compiles one crate to a component and puts it where it belongs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::process::Tools;
use super::toolchain::{TARGET, Toolchain};

/// How a component begins; a core module has `01 00 00 00` after `\0asm`.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A crate and where its component goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The folder with `Cargo.toml`.
    pub folder: PathBuf,
    /// The component.
    pub output: PathBuf,
}

/// What came of a crate.
#[derive(Clone, Debug)]
pub struct Built {
    /// The component.
    pub output: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Whether the component changed.
    pub changed: bool,
}

/// Lets cargo decide whether there is anything to do.
pub fn build(
    source: &Source,
    toolchain: &Toolchain,
    target_dir: &Path,
    tools: Tools,
) -> Result<Built> {
    let manifest = source.folder.join("Cargo.toml");
    if !manifest.is_file() {
        bail!("there is no Cargo.toml in {}", source.folder.display());
    }
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--release",
        "--target",
        TARGET,
        "--message-format=json-render-diagnostics",
    ]);
    if !tools.verbose {
        cargo.arg("--quiet");
    }
    cargo
        .env("CARGO_TARGET_DIR", target_dir)
        .current_dir(&source.folder);
    cargo.env(
        format!(
            "CARGO_TARGET_{}_LINKER",
            TARGET.to_uppercase().replace('-', "_")
        ),
        &toolchain.linker,
    );
    // Flags and wrappers that are meant for the host's programs.
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
    ] {
        cargo.env_remove(name);
    }
    if let Some(rustc) = &toolchain.rustc {
        cargo.env("RUSTC", rustc);
    }
    let messages = tools
        .run(&mut cargo)
        .with_context(|| format!("{} does not compile", source.folder.display()))?;
    let wasm = artifact(&messages, &manifest).with_context(|| {
        format!(
            "{} makes no WebAssembly: a graph needs crate-type = [\"cdylib\"] under [lib]",
            manifest.display()
        )
    })?;
    let bytes = fs::read(&wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    if !bytes.starts_with(COMPONENT) {
        bail!(
            "{} compiled to something that is no component: does it use selvedge-sdk (or wit-bindgen)?",
            source.folder.display()
        );
    }
    let changed = fs::read(&source.output).ok().as_deref() != Some(&bytes);
    if changed {
        replace(&source.output, &bytes)?;
    }
    Ok(Built {
        output: source.output.clone(),
        bytes: bytes.len() as u64,
        changed,
    })
}

/// The `.wasm` file among cargo's messages that belongs to this very crate.
fn artifact(messages: &str, manifest: &Path) -> Option<PathBuf> {
    let manifest = fs::canonicalize(manifest).ok()?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| {
            let path = message["manifest_path"].as_str().map(Path::new);
            path.and_then(|path| fs::canonicalize(path).ok()).as_ref() == Some(&manifest)
        })
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| {
            file.extension()
                .is_some_and(|extension| extension == "wasm")
        })
}

/// Whoever loads the component while it is replaced reads the old one or the new one, never half of one.
fn replace(output: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    let folder = output
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let put = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(".selvedge-build-")
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(output)?;
        Ok(())
    };
    put().with_context(|| format!("cannot write {}", output.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_the_one_of_the_crate_itself_and_not_of_what_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("Cargo.toml");
        let other = folder.path().join("other.toml");
        fs::write(&manifest, "").unwrap();
        fs::write(&other, "").unwrap();
        let message = |manifest: &Path, file: &str| {
            let message = serde_json::json!({
                "reason": "compiler-artifact", "manifest_path": manifest, "filenames": ["/t/lib.rlib", file],
            });
            message.to_string()
        };
        let messages = [
            message(&other, "/t/other.wasm"),
            "no json".to_owned(),
            message(&manifest, "/t/mine.wasm"),
        ];
        assert_eq!(
            artifact(&messages.join("\n"), &manifest),
            Some(PathBuf::from("/t/mine.wasm"))
        );
        assert_eq!(artifact(&message(&manifest, "/t/lib.so"), &manifest), None);
    }

    #[test]
    fn a_component_is_replaced_as_a_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("deep/echo.wasm");
        replace(&output, b"old").unwrap();
        replace(&output, b"new").unwrap();
        assert_eq!(fs::read(&output).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path().join("deep")).unwrap().count(), 1);
    }
}
