//! The bounds of the sandbox, each with its default; keys under `sandbox` in `langgraph.json`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::slots::Levels;

/// The most instances that may be alive at once. With those in reserve, their memories take 80 of the 128 TiB that a
/// process can address.
pub const MOST_INSTANCES: usize = 8_192;

/// The largest stack of a guest: address space for one is set aside for each slot of the pool.
pub const LARGEST_STACK_BYTES: usize = 16 << 20;

/// The most elements of one table: address space for each of a slot's tables is set aside for them, a pointer each.
pub const MOST_TABLE_ELEMENTS: usize = 1_000_000;

/// What holds for the whole process.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where compiled components are kept. `None`, or a directory that others may write to: compile at each start.
    pub cache_dir: Option<PathBuf>,
    /// Instances that may be alive at once (`max_instances`): [`MOST_INSTANCES`] at most, or its part where there are
    /// several [`stacks`](Self::stacks). Beyond it, tasks wait. Those inside tasks that called a graph come on top.
    pub max_instances: usize,
    /// Every `stack_bytes` of a graph. Each is an engine with a pool of its own, which has address space for all the
    /// instances that may be alive: none of them ever waits for a slot that another pool has free.
    pub stacks: BTreeSet<usize>,
    /// Memory of all live instances together (`total_memory_bytes`). A task that asks for more waits, its wall clock
    /// being the deadline.
    pub total_memory_bytes: usize,
    /// The largest `memory_bytes` of any graph: the pool's slots must be as large. Where `total_memory_bytes` is less
    /// than twice as much, tasks that use more than half of it may fail when others use the rest.
    pub largest_memory_bytes: usize,
    /// The largest `table_elements` of any graph, [`MOST_TABLE_ELEMENTS`] at most: for the same reason.
    pub largest_table_elements: usize,
    /// The largest component that is loaded (`max_component_bytes`).
    pub max_component_bytes: u64,
    /// How components are compiled that are not in the cache.
    pub compiling: Compiling,
    /// Threads that run guest code; by default one per core.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_dir: None,
            max_instances: 2_048,
            stacks: BTreeSet::from([Limits::default().stack_bytes]),
            total_memory_bytes: 4 << 30,
            largest_memory_bytes: Limits::default().memory_bytes,
            largest_table_elements: Limits::default().table_elements,
            max_component_bytes: 64 << 20,
            compiling: Compiling::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl Options {
    /// Instances alive at once, but for those inside tasks that called a graph.
    pub(crate) fn slots(&self) -> usize {
        let most = MOST_INSTANCES / self.stacks.len().max(1);
        self.max_instances.min(most).max(1)
    }

    /// Slots of each pool, with those for the tasks of graphs that tasks called.
    pub(crate) fn pool_slots(&self) -> usize {
        Levels::of(self.slots()).iter().sum()
    }
}

/// How components are compiled: each by a process of its own, within these bounds.
#[derive(Clone, Debug)]
pub struct Compiling {
    /// A program that does what [`compile::child`](crate::compile::child) says when its first argument is
    /// [`compile::COMMAND`](crate::compile::COMMAND): most likely the one that runs. `None`: this process compiles, and
    /// nothing bounds it; for components that one has made oneself.
    pub program: Option<PathBuf>,
    /// Memory that compiling may take (`compile_memory_bytes`).
    pub memory_bytes: u64,
    /// CPU time that it may take, in whole seconds (`compile_cpu_secs`).
    pub cpu: Duration,
    /// Time that it may take (`compile_wall_secs`), waiting for its turn not included.
    pub wall: Duration,
    /// Length of what it makes (`compile_output_bytes`).
    pub output_bytes: u64,
    /// Components that are compiled at once (`compile_processes`); one at least.
    pub processes: usize,
}

impl Default for Compiling {
    fn default() -> Self {
        Self {
            program: None,
            memory_bytes: 2 << 30,
            cpu: Duration::from_secs(300),
            wall: Duration::from_secs(300),
            output_bytes: 512 << 20,
            // One uses all cores.
            processes: 1,
        }
    }
}

/// What one task may use. Reaching a bound ends the task with an error kind of its own.
#[derive(Clone, Debug)]
pub struct Limits {
    /// CPU time in wasm and in host calls on its behalf (`cpu_ms`): `CpuLimitExceeded`.
    pub cpu: Duration,
    /// Time in all, host calls and sleeping included (`wall_secs`): `WallClockExceeded`.
    pub wall: Duration,
    /// Total over all memories and tables of the instance (`memory_bytes`): `MemoryLimitExceeded`.
    pub memory_bytes: usize,
    /// Stack of its own frames (`stack_bytes`), [`LARGEST_STACK_BYTES`] at most: `StackLimitExceeded`.
    pub stack_bytes: usize,
    /// Elements of one table (`table_elements`): `TableLimitExceeded`.
    pub table_elements: usize,
    /// Length of one answer or one event (`output_bytes`): `OutputLimitExceeded`.
    pub output_bytes: usize,
    /// What one call may hand to the host, refused before it is copied (`hostcall_bytes`): `HostCallLimitExceeded`.
    pub hostcall_bytes: usize,
    /// Levels of nesting of what it gives out, 128 at most (`json_depth`): `DepthLimitExceeded`.
    pub json_depth: usize,
    /// `Send`s, each of which is a task of the next step (`sends`): `SendLimitExceeded`.
    pub sends: usize,
    /// Custom events and message chunks (`events`): `EventLimitExceeded`.
    pub events: u32,
    /// The same in one second (`events_per_sec`): `EventRateExceeded`.
    pub events_per_sec: u32,
    /// Bytes of all of them (`event_bytes`): `EventByteLimitExceeded`.
    pub event_bytes: usize,
    /// Messages that are shown in chunks, told apart by their ids (`messages`): `MessageLimitExceeded`.
    pub messages: usize,
    /// Lines to the log, stdout and stderr included (`log_lines`): `LogLimitExceeded`.
    pub log_lines: u32,
    /// The same in one second (`log_lines_per_sec`): `LogRateExceeded`.
    pub log_lines_per_sec: u32,
    /// HTTP requests (`http_calls`): `HttpCallLimitExceeded`.
    pub http_calls: u32,
    /// Calls of the store (`store_calls`): `StoreCallLimitExceeded`.
    pub store_calls: u32,
    /// Names and values that are put into the store (`store_bytes`): `StoreByteLimitExceeded`.
    pub store_bytes: usize,
    /// Things of the host's that it holds at once (`handles`): requests, streams, timers. `HandleLimitExceeded`.
    pub handles: usize,
    /// Tasks of the graph that are alive at once (`max_instances`), never more than those of the host. Beyond it, tasks
    /// wait.
    pub instances: usize,
    /// How long a task waits for others to end (`instance_wait_secs`): `InstanceWaitExceeded`.
    pub instance_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(10_000),
            wall: Duration::from_secs(600),
            memory_bytes: 256 << 20,
            // wasmtime's own default.
            stack_bytes: 512 << 10,
            // Several times what a large interpreter compiled to wasm has.
            table_elements: 40_000,
            output_bytes: 16 << 20,
            hostcall_bytes: hostcall_bytes_for(16 << 20),
            json_depth: selvedge_model::json::MAX_DEPTH,
            sends: 10_000,
            events: 100_000,
            events_per_sec: 50_000,
            event_bytes: 128 << 20,
            messages: 1_000,
            log_lines: 10_000,
            log_lines_per_sec: 5_000,
            http_calls: 1_000,
            store_calls: 1_000,
            store_bytes: 64 << 20,
            handles: 2_000,
            instances: MOST_INSTANCES,
            instance_wait: Duration::from_secs(900),
        }
    }
}

/// The default of `hostcall_bytes`: a call hands over two such texts at most, and names.
#[must_use]
pub fn hostcall_bytes_for(output_bytes: usize) -> usize {
    const NAMES_BYTES: usize = 64 << 10;
    output_bytes.saturating_mul(2).saturating_add(NAMES_BYTES)
}
