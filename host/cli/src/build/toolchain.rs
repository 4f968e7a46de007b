//! Finds a compiler with std for `wasm32-unknown-unknown`, and the linker that makes components.
//!
//! The first that applies: the active toolchain has the target → `rustup target add` (not with `SELVEDGE_NO_RUSTUP=1`)
//! → Debian's packages (`debian`). No `wasm-tools` is needed: rustup's toolchains ship `wasm-component-ld`, which links
//! and encodes the component.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::debian;
use super::process::{self, Tools};
use super::progress::Progress;

/// What graphs are compiled for. It has no system interface at all: what a graph may do is what the contract offers.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// What compiles and links a graph.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The compiler; `None`: the one that cargo takes by itself.
    pub rustc: Option<PathBuf>,
    /// `wasm-component-ld`.
    pub linker: PathBuf,
}

/// The active toolchain of a folder (its `rust-toolchain.toml` counts).
pub(super) struct Active {
    /// `x86_64-unknown-linux-gnu`
    pub(super) host: String,
    /// Where its linkers are.
    pub(super) tools: PathBuf,
    /// Where its std for the target would be.
    library: PathBuf,
}

/// The file that decides which toolchain is active in a folder, if there is one.
pub fn toolchain_file(folder: &Path) -> Option<PathBuf> {
    let folder = std::path::absolute(folder).ok()?;
    folder
        .ancestors()
        .flat_map(|folder| ["rust-toolchain.toml", "rust-toolchain"].map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

/// Finds the toolchain for crates in `folder`; may download and compile std, which takes a minute or two, once.
pub fn find(folder: &Path, tools: Tools, progress: Progress) -> Result<Toolchain> {
    let active = active(folder, tools)?;
    let linker = linker(&active)?;
    if holds_std(&active.library) {
        return Ok(Toolchain {
            rustc: None,
            linker,
        });
    }
    let without_rustup = std::env::var_os("SELVEDGE_NO_RUSTUP").is_some_and(|value| value == "1");
    if !without_rustup && process::exists("rustup") && rustup_adds(&active, folder, tools, progress)
    {
        return Ok(Toolchain {
            rustc: None,
            linker,
        });
    }
    let rustc = debian::compiler(&active, tools, progress).with_context(|| {
        format!("there is no std for {TARGET}: run `rustup target add {TARGET}` (Debian's packages cannot replace it)")
    })?;
    Ok(Toolchain {
        rustc: Some(rustc),
        linker,
    })
}

/// Whether a compiler has std for the target.
pub(super) fn has_std(rustc: &Path, tools: Tools) -> bool {
    let library =
        tools.ask(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
    library.is_some_and(|library| holds_std(Path::new(&library)))
}

fn holds_std(library: &Path) -> bool {
    std::fs::read_dir(library).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    })
}

/// One question, since each start of rustup's `rustc` costs 50 ms.
fn active(folder: &Path, tools: Tools) -> Result<Active> {
    let mut rustc = Command::new("rustc");
    rustc.args([
        "--target",
        TARGET,
        "--print",
        "host-tuple",
        "--print",
        "sysroot",
        "--print",
        "target-libdir",
    ]);
    let answer = tools.run(rustc.current_dir(folder))?;
    let mut lines = answer.lines();
    let (Some(host), Some(sysroot), Some(library)) = (lines.next(), lines.next(), lines.next())
    else {
        bail!("rustc does not say where it is installed: it said {answer:?}");
    };
    Ok(Active {
        host: host.to_owned(),
        tools: Path::new(sysroot)
            .join("lib/rustlib")
            .join(host)
            .join("bin"),
        library: PathBuf::from(library),
    })
}

fn linker(active: &Active) -> Result<PathBuf> {
    let shipped = active.tools.join("wasm-component-ld");
    if shipped.is_file() {
        return Ok(shipped);
    }
    if process::exists("wasm-component-ld") {
        return Ok(PathBuf::from("wasm-component-ld"));
    }
    bail!(
        "there is no wasm-component-ld, neither in {} nor on the PATH: use a toolchain of rustup's (1.82 or later), or \
         run `cargo install wasm-component-ld`",
        active.tools.display()
    )
}

fn rustup_adds(active: &Active, folder: &Path, tools: Tools, progress: Progress) -> bool {
    progress.say(format_args!("rustup target add {TARGET}"));
    let added = tools.run(
        Command::new("rustup")
            .args(["target", "add", TARGET])
            .current_dir(folder),
    );
    match added {
        Ok(_) => holds_std(&active.library),
        Err(error) => {
            progress.say(format_args!("{error:#}"));
            false
        }
    }
}
