//! Compiling a component in a process of its own, which its bounds can end.
//!
//! Cranelift cannot be stopped from inside: a function of a few megabytes may keep it busy for minutes and take all the
//! memory that there is, and where it fails for want of memory or stack, its process ends. So the bytes of a stranger are
//! given to a child, [`Compiler`] waits for it here, and [`child`] is what it does. The child is given what to compile
//! and where to write by its stdin and stdout, files without names that only the two of them have; says on its stderr why
//! it refuses; and has no variable of the host's environment.
//!
//! What it writes is native code that this process will run: the child bounds what compiling costs and what its failure
//! takes with it. It does not keep out whoever finds a way to run code of his own in the compiler.

mod child;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;

pub use child::{Bounds, COMMAND, child};

use crate::options::Compiling;

/// What is read of what the child says: a reason, which may quote names of the component.
const LONGEST_REASON_BYTES: u64 = 4 << 10;

/// Why there is no compiled component.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    /// The component is wrong.
    #[error("{0}")]
    Refused(String),
    /// wasmtime compares a component with the pool when it is loaded.
    #[error("{0}")]
    TooManyParts(String),
    /// A bound ended it.
    #[error("{what} (sandbox.{key})")]
    Bound { key: &'static str, what: String },
    /// The child did not do its work.
    #[error("{0}")]
    Failed(String),
}

impl CompileError {
    fn bound(key: &'static str, what: impl Into<String>) -> Self {
        Self::Bound {
            key,
            what: what.into(),
        }
    }
}

impl From<io::Error> for CompileError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Compiles components, a few at once.
pub(crate) struct Compiler {
    options: Compiling,
    turns: Semaphore,
}

impl Compiler {
    pub(crate) fn new(options: Compiling) -> Self {
        Self {
            turns: Semaphore::new(options.processes.clamp(1, Semaphore::MAX_PERMITS)),
            options,
        }
    }

    /// The component as `deserialize` takes it. Dropping the future ends the child.
    pub(crate) async fn compile(
        &self,
        engine: &Engine,
        component: Vec<u8>,
    ) -> Result<Vec<u8>, CompileError> {
        // Nobody closes the semaphore.
        let _turn = self.turns.acquire().await;
        let Some(program) = &self.options.program else {
            let engine = engine.clone();
            return blocking(move || engine.precompile_component(&component))
                .await?
                .map_err(|error| CompileError::Refused(format!("{error:#}")));
        };
        let (given, made) = blocking(move || {
            let mut given = nameless_file()?;
            given.write_all(&component)?;
            given.rewind()?;
            Ok::<_, io::Error>((given, nameless_file()?))
        })
        .await??;
        let written = made.try_clone()?;
        let (status, said) = self.child(program, given, made).await?;
        self.judge(status, &said)?;
        let code = blocking(move || contents(written)).await??;
        Ok(code)
    }

    /// Runs it to its end, or to the deadline.
    async fn child(
        &self,
        program: &Path,
        given: File,
        made: File,
    ) -> Result<(ExitStatus, String), CompileError> {
        let not_started = |error: io::Error| {
            CompileError::Failed(format!("{} cannot be started: {error}", program.display()))
        };
        // The child cannot ask how many processors its control group has, for it may open nothing.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut child = Command::new(program)
            .args(Bounds::of(&self.options).arguments())
            .env_clear()
            .env("RAYON_NUM_THREADS", threads.to_string())
            .stdin(given)
            .stdout(made)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(not_started)?;
        let mut said = Vec::new();
        // Held until the child has ended: the child takes its closing for our end, and ends.
        let mut stderr = child.stderr.take();
        let ended = tokio::time::timeout(self.options.wall, async {
            if let Some(stderr) = &mut stderr {
                let mut beginning = (&mut *stderr).take(LONGEST_REASON_BYTES);
                beginning.read_to_end(&mut said).await?;
                // The rest is for nobody, and must not keep the child waiting.
                tokio::io::copy(stderr, &mut tokio::io::sink()).await?;
            }
            child.wait().await
        })
        .await;
        let Ok(status) = ended else {
            child.kill().await?;
            return Err(CompileError::bound(
                "compile_wall_secs",
                format!("it takes longer than {} s", self.options.wall.as_secs_f64()),
            ));
        };
        Ok((status?, String::from_utf8_lossy(&said).trim().to_owned()))
    }

    fn judge(&self, status: ExitStatus, said: &str) -> Result<(), CompileError> {
        // What the standard library says where memory, or a thread for want of it, is refused. It has no types for
        // these: the process ends.
        const OUT_OF_MEMORY: [&str; 3] = [
            "memory allocation of",
            "out of memory",
            "ThreadPoolBuildError",
        ];
        if status.success() {
            return Ok(());
        }
        if status.code() == Some(i32::from(child::REFUSED)) {
            return Err(CompileError::Refused(said.to_owned()));
        }
        let signal = status.signal();
        if signal == Some(Signal::XCPU.as_raw()) {
            return Err(CompileError::bound(
                "compile_cpu_secs",
                format!(
                    "it takes more than {} s of CPU time",
                    self.options.cpu.as_secs()
                ),
            ));
        }
        if signal == Some(Signal::XFSZ.as_raw()) {
            return Err(CompileError::bound(
                "compile_output_bytes",
                format!(
                    "what it compiles to is longer than {} bytes",
                    self.options.output_bytes
                ),
            ));
        }
        if OUT_OF_MEMORY.iter().any(|words| said.contains(words)) {
            return Err(CompileError::bound(
                "compile_memory_bytes",
                format!(
                    "it takes more than {} bytes of memory",
                    self.options.memory_bytes
                ),
            ));
        }
        let how = match said.lines().next() {
            Some(line) => format!("{status}: {line}"),
            None => status.to_string(),
        };
        Err(CompileError::Failed(how))
    }
}

/// What was compiled, ready to be linked.
#[allow(unsafe_code)]
pub(crate) fn component(engine: &Engine, code: &[u8]) -> Result<Component, CompileError> {
    // wasmtime has no type for what it says then.
    const OF_THE_POOL: &str = "pooling allocator";
    // SAFETY: `deserialize` runs whatever the bytes say, so they must be what wasmtime wrote. They come from
    // `Compiler::compile`: from this process, or from a child that runs the same program, whose file nobody else had
    // and which said that it is whole. wasmtime itself refuses those of another version or configuration. Whoever took
    // over the child with the component that it compiled would have his way here; docs/security.md says so.
    unsafe { Component::deserialize(engine, code) }.map_err(|error| {
        let reason = format!("{error:#}");
        if reason.contains(OF_THE_POOL) {
            CompileError::TooManyParts(reason)
        } else {
            CompileError::Failed(reason)
        }
    })
}

/// Runs what waits for a disk or takes long where that is no harm.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CompileError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|panic| CompileError::Failed(panic.to_string()))
}

fn contents(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// In memory, so that a disk that is full or read-only keeps nobody from starting.
#[cfg(target_os = "linux")]
fn nameless_file() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(memfd_create("component", MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn nameless_file() -> io::Result<File> {
    tempfile::tempfile()
}
