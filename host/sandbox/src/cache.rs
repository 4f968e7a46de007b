//! The `.cwasm` cache: compiled components under their digest, in a directory that nobody else can write to.
//!
//! What lies there is run as native code, outside any sandbox. So a directory or a file that somebody else owns or may
//! write to is not used: the component is compiled again, and the log says why. Files of components that are in use
//! stay; of the others the [`KEPT_UNUSED`] that were used last, so that going back to an older version is quick and
//! the directory does not grow for ever.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, FileTimes, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Compiled components that no graph of this process uses and that are kept all the same.
const KEPT_UNUSED: usize = 16;

/// A file that was begun this long ago belongs to a process that died while it wrote.
const ABANDONED: Duration = Duration::from_secs(3_600);

const COMPILED: &str = "cwasm";
const BEGUN: &str = "tmp";

/// A directory of compiled components.
pub(crate) struct Cache {
    directory: PathBuf,
    /// The files that this process has read or written.
    in_use: Mutex<HashSet<String>>,
    /// By digest. As many as there are components.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("it cannot be used: {0}")]
    Io(#[from] io::Error),
    #[error("it is not a directory")]
    NotADirectory,
    #[error(
        "it belongs to user {owner} and not to the user who runs this: remove it, or choose another data directory"
    )]
    Owner { owner: u32 },
    #[error("its mode {mode:03o} lets others write to it: chmod go-w")]
    Writable { mode: u32 },
}

impl Cache {
    /// Creates the directory for its owner alone, or looks whether what is there can be trusted.
    pub(crate) fn open(directory: &Path) -> Result<Self, Unfit> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let metadata = fs::metadata(directory)?;
        if !metadata.is_dir() {
            return Err(Unfit::NotADirectory);
        }
        trusted(&metadata)?;
        Ok(Self {
            directory: directory.to_owned(),
            in_use: Mutex::default(),
            turns: Mutex::default(),
        })
    }

    /// Waits until nobody else loads the component with this digest: graphs that share one wait for the first instead
    /// of compiling it again.
    pub(crate) async fn turn(&self, digest: &str) -> OwnedMutexGuard<()> {
        let turn = self
            .turns
            .lock()
            .entry(digest.to_owned())
            .or_default()
            .clone();
        turn.lock_owned().await
    }

    /// The component with this digest, as it was compiled before.
    pub(crate) fn find(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let name = file_name(engine, digest);
        let file = self.directory.join(&name);
        self.in_use.lock().insert(name);
        reuse(engine, &file)
    }

    /// Keeps what it was compiled to for the next start.
    pub(crate) fn keep(&self, engine: &Engine, digest: &str, code: &[u8]) {
        let file = self.directory.join(file_name(engine, digest));
        if let Err(error) = write(code, &file) {
            tracing::warn!(file = %file.display(), %error, "the compiled component is not kept: the next start compiles it again");
        }
        if let Err(error) = self.prune() {
            tracing::warn!(directory = %self.directory.display(), %error, "compiled components that nobody uses are not removed");
        }
    }

    fn prune(&self) -> io::Result<()> {
        let in_use = self.in_use.lock();
        let mut unused = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let Ok(used_at) = fs::metadata(&path).and_then(|metadata| metadata.accessed()) else {
                // Another process was quicker to remove it.
                continue;
            };
            let name = path.file_name().and_then(|name| name.to_str());
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(COMPILED) if name.is_some_and(|name| !in_use.contains(name)) => {
                    unused.push((used_at, path));
                }
                Some(BEGUN) if is_abandoned(used_at) => remove(&path)?,
                _ => {}
            }
        }
        unused.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        for (_, path) in unused.into_iter().skip(KEPT_UNUSED) {
            remove(&path)?;
        }
        Ok(())
    }
}

fn is_abandoned(begun: SystemTime) -> bool {
    begun.elapsed().is_ok_and(|age| age > ABANDONED)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn trusted(metadata: &Metadata) -> Result<(), Unfit> {
    let ourselves = rustix::process::geteuid().as_raw();
    trusted_by(ourselves, metadata.uid(), metadata.mode() & 0o7777)
}

/// Whether only its owner can have written it, and the owner is who runs this, or root, who could do anything anyway.
fn trusted_by(ourselves: u32, owner: u32, mode: u32) -> Result<(), Unfit> {
    const OTHERS_WRITE: u32 = 0o022;
    if owner != 0 && owner != ourselves {
        return Err(Unfit::Owner { owner });
    }
    if mode & OTHERS_WRITE != 0 {
        return Err(Unfit::Writable { mode });
    }
    Ok(())
}

/// The component's digest and everything about engine and machine that its code depends on.
fn file_name(engine: &Engine, digest: &str) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}.{COMPILED}", hasher.finish())
}

#[allow(unsafe_code)]
fn reuse(engine: &Engine, path: &Path) -> Option<Component> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "a compiled component cannot be read and is made anew");
            return None;
        }
    };
    if let Err(error) = file
        .metadata()
        .map_err(Unfit::from)
        .and_then(|m| trusted(&m))
    {
        tracing::warn!(file = %path.display(), %error, "a compiled component is not trusted and is made anew");
        return None;
    }
    // Only the order of removal depends on it.
    let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
    // SAFETY: `deserialize_file` runs whatever the file says, so the file must be one that wasmtime wrote. Directory
    // and file were just seen to be writable for their owner alone, who is the user of this process or root, and who
    // writes there through `keep` only, whole files (rename) that never come from a caller or a graph. wasmtime itself
    // refuses files of another version or configuration.
    match unsafe { Component::deserialize_file(engine, path) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "a compiled component is not usable and is made anew");
            None
        }
    }
}

fn write(code: &[u8], path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    // Two processes may do this at once: each writes a file of its own, readable for its owner alone, and either wins.
    let mut begun = tempfile::Builder::new()
        .suffix(&format!(".{BEGUN}"))
        .tempfile_in(directory)?;
    begun.write_all(code)?;
    // Before it has its name: after a power cut the name must not stand for a file without its contents.
    begun.as_file().sync_all()?;
    begun.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{Options, engine};

    /// The preamble alone: a component without anything in it.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn small_engine() -> Engine {
        let options = Options {
            max_instances: 1,
            ..Options::default()
        };
        engine::engine(&options, 512 << 10).unwrap()
    }

    fn keep(cache: &Cache, engine: &Engine, digest: &str) {
        assert!(cache.find(engine, digest).is_none());
        let code = engine.precompile_component(EMPTY).unwrap();
        cache.keep(engine, digest, &code);
    }

    fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .collect()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_was_compiled_once_is_taken_from_the_directory_which_is_its_owners_alone() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("data/components");
        let engine = small_engine();
        keep(&Cache::open(&directory).unwrap(), &engine, "a");
        for (path, mode) in [
            (&directory, 0o700),
            (&files(&directory, COMPILED)[0], 0o600),
        ] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, mode);
        }
        let again = Cache::open(&directory).unwrap();
        assert!(again.find(&engine, "a").is_some());
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        for (mode, usable) in [
            (0o755, true),
            (0o775, false),
            (0o757, false),
            (0o1777, false),
        ] {
            set_mode(directory.path(), mode);
            let opened = Cache::open(directory.path());
            assert_eq!(opened.is_ok(), usable, "{mode:o}");
            if let Err(unfit) = opened {
                assert!(unfit.to_string().contains(&format!("{mode:03o}")));
            }
        }
    }

    #[test]
    fn what_somebody_else_owns_is_not_trusted_unless_it_is_root() {
        let (ourselves, stranger, root) = (1_000, 1_001, 0);
        assert!(trusted_by(ourselves, ourselves, 0o700).is_ok());
        assert!(trusted_by(ourselves, root, 0o755).is_ok());
        assert!(trusted_by(ourselves, root, 0o1777).is_err());
        let unfit = trusted_by(ourselves, stranger, 0o700).unwrap_err();
        assert!(unfit.to_string().contains("1001"), "{unfit}");
    }

    #[test]
    fn a_file_that_others_may_write_to_is_compiled_anew() {
        let directory = tempfile::tempdir().unwrap();
        let engine = small_engine();
        let cache = Cache::open(directory.path()).unwrap();
        keep(&cache, &engine, "a");
        let file = &files(directory.path(), COMPILED)[0];
        set_mode(file, 0o666);
        keep(&cache, &engine, "a");
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_nobody_uses_is_removed_beyond_the_last_few_and_what_is_in_use_stays() {
        let directory = tempfile::tempdir().unwrap();
        let engine = small_engine();
        let hours_ago = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3_600);
        let put = |name: String, used_at| {
            let file = File::create(directory.path().join(name)).unwrap();
            file.set_times(FileTimes::new().set_accessed(used_at))
                .unwrap();
        };
        for age in 1..=20 {
            put(format!("unused-{age:02}.cwasm"), hours_ago(age));
        }
        put("dead.tmp".into(), hours_ago(2));
        put("being-written.tmp".into(), SystemTime::now());
        put("unrelated.txt".into(), hours_ago(1_000));

        let cache = Cache::open(directory.path()).unwrap();
        for digest in ["a", "b"] {
            keep(&cache, &engine, digest);
        }
        let mut left: Vec<PathBuf> = files(directory.path(), COMPILED);
        left.sort();
        let names: Vec<_> = left.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(left.len(), 2 + KEPT_UNUSED, "{names:?}");
        assert!(directory.path().join("unused-16.cwasm").exists());
        assert!(!directory.path().join("unused-17.cwasm").exists());
        assert_eq!(
            files(directory.path(), BEGUN),
            [directory.path().join("being-written.tmp")]
        );
        assert!(directory.path().join("unrelated.txt").exists());
    }
}
