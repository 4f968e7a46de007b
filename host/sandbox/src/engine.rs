//! The one wasmtime configuration, for compiling and for loading; the ticker; the guests' threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::Options;

/// How often a guest that computes without pause is interrupted: it yields its thread to its neighbours, and its
/// CPU time is looked at. Short enough for fairness, long enough to cost nothing (0.01 %).
const TICK: Duration = Duration::from_millis(10);

/// Wasm frames of one guest: wasmtime's own default.
const GUEST_STACK_BYTES: usize = 512 << 10;
/// The stack that wasm and the host functions it calls share.
const FIBRE_STACK_BYTES: usize = 2 << 20;
/// Interpreters compiled to wasm (Python, JavaScript) need this much for an instance's own data and tables.
const INSTANCE_BYTES: usize = 8 << 20;
const TABLE_ELEMENTS: usize = 40_000;
/// Core instances, memories and tables that the parts of one component may add up to.
const PARTS_PER_COMPONENT: u32 = 64;
/// What a slot's memory and stack keep between two uses instead of giving it back to the system. A Rust guest
/// touches less than this, so its slot is reset by copying and not by system calls.
const KEPT_MEMORY_BYTES: usize = 128 << 10;

pub(crate) fn engine(options: &Options) -> wasmtime::Result<Engine> {
    Engine::new(&config(options))
}

fn config(options: &Options) -> Config {
    let slots = u32::try_from(options.max_instances).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(8))
        .total_memories(slots.saturating_mul(2))
        .total_tables(slots.saturating_mul(4))
        .total_stacks(slots)
        .max_core_instances_per_component(PARTS_PER_COMPONENT)
        .max_memories_per_component(PARTS_PER_COMPONENT)
        .max_tables_per_component(PARTS_PER_COMPONENT)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(options.largest_memory_bytes)
        .linear_memory_keep_resident(KEPT_MEMORY_BYTES)
        .table_keep_resident(KEPT_MEMORY_BYTES);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(FIBRE_STACK_BYTES)
        .wasm_memory64(false)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16));
    config
}

/// The one thread that advances the epoch for all guests.
pub(crate) struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (engine.weak(), stop.clone());
        std::thread::Builder::new()
            .name("guest-ticker".into())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(TICK);
                    match engine.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => break,
                    }
                }
            })?;
        Ok(Self { stop })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Threads for guest code, at a lower priority than the host's, so that spinning graphs do not delay `/ok`.
pub(crate) fn guest_threads(count: usize) -> io::Result<tokio::runtime::Runtime> {
    const NICE: i32 = 10;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(count.max(1))
        .thread_name("guest")
        .enable_all()
        .on_thread_start(|| {
            // Linux applies it to the calling thread alone. Without the right to do so guests run as equals.
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::warn!(%error, "guest threads keep the normal priority");
            }
        })
        .build()
}
