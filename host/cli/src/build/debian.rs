//! A compiler from Debian's packages, for machines that reach package registries and nothing else.
//!
//! `rustc-web` and its LLVM are unpacked into a cache directory (nothing is installed), std for the target is compiled
//! there once from `rust-web-src`, and rustup's cargo and linkers stay in charge. Std compiled for one compiler cannot
//! be used by another, so the graphs are compiled by this one too.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::process::{self, Tools};
use super::progress::Progress;
use super::toolchain::{Active, TARGET, has_std};

/// Older compilers do not know the target's current ABI, nor what the SDK needs.
const OLDEST: &str = "1.95";

/// The file that says that a folder holds the whole of the packages.
const MARK: &str = ".unpacked";

/// The compiler, after whatever is needed to have it. One process at a time sets it up.
pub(super) fn compiler(active: &Active, tools: Tools, progress: Progress) -> Result<PathBuf> {
    let home = home()?;
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let lock = File::create(home.join("lock"))
        .with_context(|| format!("cannot write to {}", home.display()))?;
    if lock.try_lock().is_err() {
        progress.say("waiting for another `selvedge build` that sets up std");
        lock.lock().context("cannot lock the cache directory")?;
    }
    let setup = Setup {
        home,
        tools,
        progress,
    };
    let prefix = match setup.newest() {
        Some(prefix) => prefix,
        None => setup.unpacked()?,
    };
    let rustc = prefix.join("bin/rustc");
    if !has_std(&rustc, tools) {
        setup.compile_std(&prefix, &rustc)?;
    }
    lend_linkers(active, &prefix)?;
    Ok(rustc)
}

/// `SELVEDGE_HOME`, or `selvedge` in the user's cache directory.
fn home() -> Result<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("SELVEDGE_HOME")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("selvedge")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/selvedge")))
        .and_then(|home| std::path::absolute(home).ok())
        .context("neither SELVEDGE_HOME nor HOME is set: there is no place for the compiler")
}

struct Setup {
    home: PathBuf,
    tools: Tools,
    progress: Progress,
}

impl Setup {
    /// What an earlier build left. apt takes seconds to say whether there is something newer, and nothing needs it.
    fn newest(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(&self.home).ok()?;
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter_map(|prefix| {
                Some((
                    fs::metadata(prefix.join(MARK)).ok()?.modified().ok()?,
                    prefix,
                ))
            })
            .max()
            .map(|(_, prefix)| prefix)
    }

    /// The folder that the packages are unpacked in. Its name holds their version.
    fn unpacked(&self) -> Result<PathBuf> {
        for tool in ["apt-get", "apt-cache", "dpkg-deb", "tar"] {
            if !process::exists(tool) {
                bail!("this machine has no {tool}, so Debian's packages cannot be used");
            }
        }
        let version = self.version()?;
        let short = version.split(['+', '-', '~']).next().unwrap_or(&version);
        let prefix = self.home.join(format!("rust-{short}"));
        self.unpack(&version, &prefix)?;
        Ok(prefix)
    }

    /// The version of `rustc-web` that can be had. The package lists of a fresh image are empty or old.
    fn version(&self) -> Result<String> {
        let mut version = self.candidate();
        if version.is_none() && is_root() {
            self.progress.say("apt-get update");
            self.tools
                .run(Command::new("apt-get").args(["update", "-qq"]))?;
            version = self.candidate();
        }
        let hint = if is_root() {
            ""
        } else {
            "; `sudo apt-get update` may help"
        };
        version.with_context(|| {
            format!("this machine's package lists have no rustc-web {OLDEST} or later{hint}")
        })
    }

    fn candidate(&self) -> Option<String> {
        let policy = self
            .tools
            .ask(Command::new("apt-cache").args(["policy", "rustc-web"]))?;
        let version = policy
            .lines()
            .find_map(|line| line.trim().strip_prefix("Candidate: "))?
            .to_owned();
        let new_enough = Command::new("dpkg")
            .args(["--compare-versions", &version, "ge", OLDEST])
            .status()
            .is_ok_and(|status| status.success());
        (version != "(none)" && new_enough).then_some(version)
    }

    fn unpack(&self, version: &str, prefix: &Path) -> Result<()> {
        let packages = self.packages(version)?;
        self.progress.say(format_args!(
            "fetching {} (nothing is installed)",
            packages.join(" ")
        ));
        let downloads = tempfile::tempdir_in(&self.home)?;
        // As another user, apt could not write into our directory.
        let mut download = Command::new("apt-get");
        download
            .args(["-qq", "-o", "APT::Sandbox::User=root", "download"])
            .args(&packages);
        self.tools.run(download.current_dir(downloads.path()))?;

        self.progress
            .say(format_args!("unpacking to {}", prefix.display()));
        let fresh = tempfile::tempdir_in(&self.home)?;
        for entry in fs::read_dir(downloads.path())? {
            self.extract(&entry?.path(), fresh.path())?;
        }
        fs::create_dir(fresh.path().join("bin"))?;
        if prefix.exists() {
            fs::remove_dir_all(prefix)?;
        }
        // The wrapper holds the final path, so it is written after the move, and the mark after the wrapper.
        fs::rename(fresh.keep(), prefix)?;
        write_wrapper(prefix)?;
        self.tools
            .run(Command::new(prefix.join("bin/rustc")).arg("-V"))
            .context("the unpacked rustc does not run")?;
        fs::write(prefix.join(MARK), version)?;
        Ok(())
    }

    fn packages(&self, version: &str) -> Result<Vec<String>> {
        let minor: Vec<&str> = version.split('.').take(2).collect();
        let library = format!("libstd-rust-web-{}={version}", minor.join("."));
        let about = self
            .tools
            .run(Command::new("apt-cache").args(["show", &library]))?;
        let depends = about
            .lines()
            .find_map(|line| line.strip_prefix("Depends: "))
            .unwrap_or_default();
        let llvm = depends
            .split([',', ' ', '|'])
            .find(|name| name.starts_with("libllvm"))
            .with_context(|| format!("{library} depends on no libllvm"))?;
        Ok(vec![
            format!("rustc-web={version}"),
            library,
            format!("libstd-rust-web-dev={version}"),
            format!("rust-web-src={version}"),
            llvm.to_owned(),
        ])
    }

    /// Of the sources, std and the crates that it vendors are enough; the whole is ten times as much.
    fn extract(&self, package: &Path, into: &Path) -> Result<()> {
        let is_source = package
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("rust-web-src_"));
        if !is_source {
            self.tools
                .run(Command::new("dpkg-deb").arg("-x").arg(package).arg(into))?;
            return Ok(());
        }
        let mut tar = Command::new("tar");
        tar.arg("-x").arg("-C").arg(into);
        tar.args([
            "--wildcards",
            "./usr/lib/rustlib/src",
            "./usr/src/rustc-*/library",
        ]);
        self.tools.pipe(
            Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package),
            &mut tar,
        )
    }

    /// Compiles std and puts it where this compiler looks for it.
    fn compile_std(&self, prefix: &Path, rustc: &Path) -> Result<()> {
        self.progress
            .say(format_args!("compiling std for {TARGET}, once"));
        let work = tempfile::tempdir_in(&self.home)?;
        fs::create_dir(work.path().join("src"))?;
        fs::write(work.path().join("src/lib.rs"), "#![no_std]\n")?;
        fs::write(
            work.path().join("Cargo.toml"),
            "[package]\nname = \"sysroot\"\nedition = \"2024\"\n[profile.release]\npanic = \"abort\"\n[workspace]\n",
        )?;
        let mut cargo = Command::new("cargo");
        cargo.args([
            "build",
            "--release",
            "--target",
            TARGET,
            "-Zbuild-std=std,panic_abort",
        ]);
        // Bitcode, so that graphs may use `lto`. -Z needs the permission that RUSTC_BOOTSTRAP gives.
        cargo
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Cembed-bitcode=yes")
            .env("RUSTC", rustc);
        cargo
            .env("CARGO_TARGET_DIR", work.path().join("target"))
            .current_dir(work.path());
        for name in [
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
        ] {
            cargo.env_remove(name);
        }
        self.tools.run(&mut cargo).context("std does not compile")?;

        let library = prefix.join("usr/lib/rustlib").join(TARGET).join("lib");
        let fresh = library.with_extension("new");
        if fresh.exists() {
            fs::remove_dir_all(&fresh)?;
        }
        fs::create_dir_all(fresh.join("self-contained"))?;
        for entry in fs::read_dir(work.path().join("target").join(TARGET).join("release/deps"))? {
            let file = entry?.path();
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.ends_with(".rlib") && !name.starts_with("libsysroot") {
                fs::copy(&file, fresh.join(name))?;
            }
        }
        if library.exists() {
            fs::remove_dir_all(&library)?;
        }
        fs::rename(&fresh, &library)?;
        Ok(())
    }
}

/// The compiler finds its LLVM only with a library path, which must not reach cargo and the programs that it starts.
fn write_wrapper(prefix: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let libraries = fs::read_dir(prefix.join("usr/lib"))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
        .context("the packages hold no libraries")?;
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH={} exec {} \"$@\"\n",
        quoted(&libraries),
        quoted(&prefix.join("usr/bin/rustc"))
    );
    let wrapper = prefix.join("bin/rustc");
    fs::write(&wrapper, script)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// rustc puts its own `rustlib/<host>/bin` on the linker's PATH: this one gets rustup's rust-lld there.
fn lend_linkers(active: &Active, prefix: &Path) -> Result<()> {
    let link = prefix
        .join("usr/lib/rustlib")
        .join(&active.host)
        .join("bin");
    if fs::read_link(&link).is_ok_and(|target| target == active.tools) {
        return Ok(());
    }
    if link.is_symlink() {
        fs::remove_file(&link)?;
    } else if link.exists() {
        fs::remove_dir_all(&link)?;
    }
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent)?;
    }
    std::os::unix::fs::symlink(&active.tools, &link)
        .context("cannot lend the linkers of the active toolchain")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
