//! Bytes → a component that is ready to run.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use selvedge_model::graph::ComponentDescription;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component as Compiled;

use crate::compile::{self, CompileError, blocking};
use crate::exports::Guest;
use crate::options::Limits;
use crate::outbound::Network;
use crate::slots::Levels;
use crate::{Shared, describe};

/// What to load, and what its graphs may use.
#[derive(Clone)]
pub struct ComponentSource {
    /// The `.wasm` file.
    pub path: PathBuf,
    /// What its tasks read as their environment.
    pub environment: Vec<(String, String)>,
    /// What each of its tasks may use.
    pub limits: Limits,
    /// How its tasks reach the network.
    pub network: Network,
}

/// A component that is compiled, linked and described. Cheap to clone.
#[derive(Clone)]
pub struct Component(Arc<Loaded>);

pub(crate) struct Loaded {
    pub(crate) guest: Guest,
    pub(crate) environment: Arc<[(String, String)]>,
    pub(crate) limits: Arc<Limits>,
    /// The graph's own share of the instances.
    pub(crate) slots: Levels,
    pub(crate) network: Network,
    digest: String,
    description: ComponentDescription,
}

/// Why a component is not loaded: what the operator has to change.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than `sandbox.max_component_bytes`.
    #[error("{path} has {bytes} bytes, more than sandbox.max_component_bytes ({limit})")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// The file is something else.
    #[error("{path} is not a WebAssembly component: {found}. Build one with `selvedge build`")]
    NotAComponent {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// It says that it is a component and does not compile.
    #[error("{path} does not compile: {reason}")]
    Compile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It costs more to compile than it may.
    #[error("{path} is not compiled: {reason}")]
    CompileBound {
        /// The file.
        path: PathBuf,
        /// The bound and its key.
        reason: String,
    },
    /// The compiler could not do its work: it was killed, or there is a mistake in it.
    #[error("{path} is not compiled, its compiler failed: {reason}")]
    Compiler {
        /// The file.
        path: PathBuf,
        /// How it ended.
        reason: String,
    },
    /// It needs more than a slot of the pool has, so that a task of it might find nothing to run in.
    #[error(
        "{path} needs more than the slot of a task has: {reason}. Build it of fewer parts, or raise sandbox.memory_bytes or sandbox.table_elements"
    )]
    TooManyParts {
        /// The file.
        path: PathBuf,
        /// Which part, and how many of it there may be.
        reason: String,
    },
    /// Its `stack_bytes` is none of those that the sandbox was started for.
    #[error("{path} is to have a stack of {bytes} bytes, for which the sandbox has no engine")]
    Stack {
        /// The file.
        path: PathBuf,
        /// Its stack.
        bytes: usize,
    },
    /// It imports what the host does not offer, or lacks an export of the contract.
    #[error("{path} does not fit the contract selvedge:graph (wit/graph.wit): {reason}")]
    Contract {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// `describe` failed, or its answer does not fit `wit/describe.schema.json`.
    #[error("{path}: describe failed: {reason}")]
    Describe {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Component {
    /// What its graphs are made of.
    #[must_use]
    pub fn description(&self) -> &ComponentDescription {
        &self.0.description
    }

    /// SHA-256 of the file, in hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        &self.0
    }
}

pub(crate) async fn load(
    shared: &Arc<Shared>,
    source: ComponentSource,
) -> Result<Component, LoadError> {
    let path = source.path;
    let failed = |error: CompileError| not_compiled(&path, &error);
    let (from, most) = (path.clone(), shared.options.max_component_bytes);
    let (bytes, digest) = blocking(move || {
        let bytes = read(&from, most)?;
        let digest = hex(&Sha256::digest(&bytes));
        Ok::<_, LoadError>((bytes, digest))
    })
    .await
    .map_err(failed)??;
    let linker = shared.linkers.get(&source.limits.stack_bytes);
    let linker = linker.ok_or_else(|| LoadError::Stack {
        path: path.clone(),
        bytes: source.limits.stack_bytes,
    })?;
    let component = compile_or_reuse(shared, linker.engine(), &digest, bytes).await;
    let component = component.map_err(failed)?;

    let contract = |error: wasmtime::Error| LoadError::Contract {
        path: path.clone(),
        reason: format!("{error:#}"),
    };
    let pre = linker.instantiate_pre(&component).map_err(contract)?;
    let mut loaded = Loaded {
        guest: Guest::new(pre).map_err(contract)?,
        environment: source.environment.into(),
        slots: Levels::new(source.limits.instances),
        limits: Arc::new(source.limits),
        network: source.network,
        digest,
        description: ComponentDescription {
            sdk: None,
            graphs: Vec::new(),
        },
    };
    loaded.description = description(shared, &loaded, &path).await?;
    Ok(Component(Arc::new(loaded)))
}

async fn description(
    shared: &Arc<Shared>,
    loaded: &Loaded,
    path: &Path,
) -> Result<ComponentDescription, LoadError> {
    let failed = |reason: String| LoadError::Describe {
        path: path.to_owned(),
        reason,
    };
    let json = describe::describe(shared, loaded)
        .await
        .map_err(|failure| failed(format!("{}: {}", failure.kind, failure.message)))?;
    let description: ComponentDescription = json.decode().map_err(|error| {
        failed(format!(
            "its answer does not fit wit/describe.schema.json: {error}"
        ))
    })?;
    if description.graphs.is_empty() {
        return Err(failed("it names no graph".into()));
    }
    let configured = description.graphs.iter().find(|graph| graph.configured);
    if let Some(graph) = configured.filter(|_| !loaded.guest.is_configured()) {
        return Err(failed(format!(
            "its graph `{}` depends on how a run is configured, and it exports no selvedge:graph/configured",
            graph.name
        )));
    }
    Ok(description)
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut bytes = Vec::new();
    if size <= limit {
        // What is no regular file, or grows, says less than it holds.
        let within = limit.saturating_add(1);
        file.take(within)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
    }
    let size = size.max(bytes.len() as u64);
    if size > limit {
        return Err(LoadError::TooLarge {
            path: path.to_owned(),
            bytes: size,
            limit,
        });
    }
    let found = match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => return Ok(bytes),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => "it is a core module",
        Some([0x7f, b'E', b'L', b'F', ..]) => {
            "it is a native program, or a component that was compiled before"
        }
        _ if bytes.is_empty() => "it is empty",
        _ => "it does not begin like one",
    };
    Err(LoadError::NotAComponent {
        path: path.to_owned(),
        found,
    })
}

/// Compiling costs 50 ms for a Rust guest and seconds for an interpreter; loading what was compiled, microseconds.
async fn compile_or_reuse(
    shared: &Arc<Shared>,
    engine: &Engine,
    digest: &str,
    bytes: Vec<u8>,
) -> Result<Compiled, CompileError> {
    let _turn = match &shared.cache {
        Some(cache) => Some(cache.turn(digest).await),
        None => None,
    };
    let (finding, on, wanted) = (shared.clone(), engine.clone(), digest.to_owned());
    let found = blocking(move || finding.cache.as_ref()?.find(&on, &wanted)).await?;
    if let Some(component) = found {
        return Ok(component);
    }
    let code = shared.compiler.compile(engine, bytes).await?;
    let (keeping, on, made) = (shared.clone(), engine.clone(), digest.to_owned());
    blocking(move || {
        let component = compile::component(&on, &code)?;
        if let Some(cache) = &keeping.cache {
            cache.keep(&on, &made, &code);
        }
        Ok(component)
    })
    .await?
}

fn not_compiled(path: &Path, error: &CompileError) -> LoadError {
    let path = path.to_owned();
    let reason = error.to_string();
    match error {
        CompileError::Refused(_) => LoadError::Compile { path, reason },
        CompileError::TooManyParts(_) => LoadError::TooManyParts { path, reason },
        CompileError::Bound { .. } => LoadError::CompileBound { path, reason },
        CompileError::Failed(_) => LoadError::Compiler { path, reason },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
