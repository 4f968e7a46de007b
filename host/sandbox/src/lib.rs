//! wasmtime: load a component, run one task under limits.
//!
//! `runtime` hands in a [`Job`] (a program of guest calls that `pregel` made) and gets an [`Outcome`] back; `cli`
//! loads [`Component`]s. Each job has a fresh store and instance, so no state leaks between tasks, runs, threads
//! or tenants, and whatever a guest does ends its own task and nothing else.
//!
//! | module | job |
//! |---|---|
//! | [`options`] | the bounds, with their defaults |
//! | `bound` | what each bound is called, and how often it was met |
//! | `engine` | the one wasmtime configuration |
//! | `ticker` | the one thread that interrupts guests which compute |
//! | `component` | bytes → a component that is ready to run |
//! | [`compile`] | compiling in a process of its own |
//! | `cache` | compiled components from one start to the next |
//! | `exports` | what a component answers |
//! | `describe` | asking it what its graphs are made of |
//! | `task` | one job: slot, store, instance, calls, outcome |
//! | `guest` | what a task's guest may call: `context` and `log` |
//! | `store` | and the long-term store, which the runtime answers for |
//! | `tool` | what it shows of the tools that it calls |
//! | `calls` | and graphs that run inside the task, which the runtime drives |
//! | `stdio` | a guest's stdout and stderr as log lines |
//! | `outbound` | `wasi:http` through `egress` |
//! | `meter` | CPU time of a task, and of its run's |
//! | `lanes` | the guests' threads: short tasks and long ones |
//! | `patience` | the time that a node's own policy gives it |
//! | `memory` | memory of a task, and of all of them |
//! | `slots` | who may have an instance, fairly |
//! | `spawned` | a future on the guests' threads that ends with its owner |
//!
//! Nothing here knows what a run, a checkpoint or a thread is beyond their ids in log lines.

mod bound;
mod cache;
mod calls;
pub mod compile;
mod component;
mod describe;
mod engine;
mod exports;
mod guest;
mod lanes;
mod memory;
mod meter;
pub mod options;
mod outbound;
mod patience;
mod slots;
mod spawned;
mod stdio;
mod store;
mod task;
mod ticker;
mod tool;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use selvedge_model::Json;
use wasmtime::component::Linker;

pub use calls::{Called, GraphCalls, NoCalls};
pub use component::{Component, ComponentSource, LoadError};
pub use describe::Asked;
pub use memory::Callers;
pub use options::{Compiling, Limits, Options};
pub use outbound::Network;
pub use patience::{Progress, within as within_patience};
pub use selvedge_pregel::{Failure, Outcome};
pub use store::{ItemStore, NoStore};
pub use task::{Job, TaskEvents};
pub use tool::{ToolEvent, ToolProgress};

/// The handle of the room: loads components and runs jobs. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox(Arc<Shared>);

pub(crate) struct Shared {
    options: Options,
    /// `None`: components are compiled at each start.
    cache: Option<cache::Cache>,
    compiler: compile::Compiler,
    /// What graphs may import, for each engine that there is: by its `stack_bytes`.
    linkers: BTreeMap<usize, Linker<guest::TaskState>>,
    slots: slots::Levels,
    /// Tasks that wait for an instance.
    waiting: AtomicUsize,
    memory: Arc<memory::TotalMemory>,
    shares: Arc<outbound::Shares>,
    counts: bound::Counts,
    lanes: lanes::Lanes,
    meters: meter::Meters,
    ticker: ticker::Ticker,
    /// Where the host's own I/O runs, so that a spinning guest does not starve the connections of its neighbours.
    host: tokio::runtime::Handle,
}

/// What the operator's metrics say of tasks.
#[derive(Clone, Debug)]
pub struct Measures {
    /// Tasks that a bound ended since the process began, by the bound's key under `sandbox`.
    pub limits: Vec<(&'static str, u64)>,
    /// Live instances.
    pub instances: usize,
    /// Tasks that wait for one.
    pub waiting: usize,
    /// Memory that they have together.
    pub memory_bytes: usize,
}

/// The sandbox could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// wasmtime refused the configuration, for instance because address space is limited (`ulimit -v`).
    #[error("the WebAssembly engine could not be set up: {0:#}")]
    Engine(wasmtime::Error),
    /// No threads for guests.
    #[error("no threads for guest code: {0}")]
    Threads(#[from] std::io::Error),
}

impl Sandbox {
    /// Sets up the engine, the guests' threads and the ticker. Call it inside the host's tokio runtime.
    pub fn start(options: Options) -> Result<Self, SandboxError> {
        let linker = |stack_bytes: &usize| {
            let engine = engine::engine(&options, *stack_bytes)?;
            Ok((*stack_bytes, guest::linker(&engine)?))
        };
        let linkers: wasmtime::Result<BTreeMap<_, _>> = options.stacks.iter().map(linker).collect();
        let linkers = linkers.map_err(SandboxError::Engine)?;
        let ticker = ticker::Ticker::start(linkers.values().map(Linker::engine))?;
        Ok(Self(Arc::new(Shared {
            slots: slots::Levels::new(options.slots()),
            waiting: AtomicUsize::new(0),
            shares: Arc::default(),
            counts: bound::Counts::default(),
            memory: Arc::new(memory::TotalMemory::new(
                options.total_memory_bytes,
                options.largest_memory_bytes,
            )),
            cache: options.cache_dir.as_deref().and_then(open_cache),
            compiler: compile::Compiler::new(options.compiling.clone()),
            lanes: lanes::Lanes::start(options.threads)?,
            meters: meter::Meters::default(),
            ticker,
            linkers,
            host: tokio::runtime::Handle::current(),
            options,
        })))
    }

    /// Reads, compiles (or takes from the cache) and describes a component.
    pub async fn load(&self, source: ComponentSource) -> Result<Component, LoadError> {
        component::load(&self.0, source).await
    }

    /// Asks what a graph is made of that depends on how a run is configured.
    ///
    /// # Errors
    /// The bound that was met, or what the graph's author says.
    pub async fn describe_for(&self, asked: Asked<'_>) -> Result<Json, Failure> {
        describe::describe_for(&self.0, asked).await
    }

    /// How it stands at this moment.
    #[must_use]
    pub fn measures(&self) -> Measures {
        Measures {
            limits: self.0.counts.read(),
            instances: self.0.slots.taken(),
            waiting: self.0.waiting.load(Ordering::Relaxed),
            memory_bytes: self.0.memory.used(),
        }
    }

    /// Runs one job to its outcome. Dropping the future ends the job at its next yield.
    pub async fn run(&self, job: Job) -> Outcome {
        task::run(&self.0, job).await
    }
}

/// Without a cache the start is slower, and nothing else: no reason not to start.
fn open_cache(directory: &std::path::Path) -> Option<cache::Cache> {
    cache::Cache::open(directory)
        .inspect_err(|unfit| {
            tracing::warn!(directory = %directory.display(), reason = %unfit, "the directory for compiled components is not used: each start compiles them again");
        })
        .ok()
}
