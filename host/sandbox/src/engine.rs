//! The one wasmtime configuration, for compiling and for loading.

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::Options;
use crate::options::{LARGEST_STACK_BYTES, MOST_TABLE_ELEMENTS};

/// What the host functions that a guest calls have of its stack, beside the guest's own frames.
const HOST_STACK_BYTES: usize = 1536 << 10;
/// Interpreters compiled to wasm (Python, JavaScript) need this much for an instance's own data and tables.
const INSTANCE_BYTES: usize = 8 << 20;
/// What the parts of one component may add up to, and what a slot therefore has: the pool is as many times as large as
/// there are slots, so whoever has a slot has its parts too. wasmtime refuses a larger component when it compiles or
/// loads it. Python or a composition has dozens of core instances, which only counted things are; a memory reserves
/// 4 GiB of address space for each slot, of which a process has 128 TiB.
const CORE_INSTANCES_PER_SLOT: u32 = 64;
const MEMORIES_PER_SLOT: u32 = 2;
const TABLES_PER_SLOT: u32 = 8;
/// What a slot's memory and stack keep between two uses instead of giving it back to the system. A Rust guest
/// touches less than this, so its slot is reset by copying and not by system calls.
const KEPT_MEMORY_BYTES: usize = 128 << 10;

/// Runs guests with so much stack, which is an engine's setting and not an instance's.
pub(crate) fn engine(options: &Options, stack_bytes: usize) -> wasmtime::Result<Engine> {
    Engine::new(&config(options, stack_bytes))
}

/// Compiles what any engine of [`engine`] loads, and has no pool.
pub(crate) fn compiler() -> wasmtime::Result<Engine> {
    Engine::new(&code())
}

/// All that compiled code depends on.
fn code() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .wasm_memory64(false);
    config
}

fn config(options: &Options, stack_bytes: usize) -> Config {
    let slots = options.pool_slots() as u32;
    let stack_bytes = stack_bytes.clamp(1, LARGEST_STACK_BYTES);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES_PER_SLOT))
        .total_memories(slots.saturating_mul(MEMORIES_PER_SLOT))
        .total_tables(slots.saturating_mul(TABLES_PER_SLOT))
        .total_stacks(slots)
        .max_core_instances_per_component(CORE_INSTANCES_PER_SLOT)
        .max_memories_per_component(MEMORIES_PER_SLOT)
        .max_tables_per_component(TABLES_PER_SLOT)
        .max_memories_per_module(MEMORIES_PER_SLOT)
        .max_tables_per_module(TABLES_PER_SLOT)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .table_elements(options.largest_table_elements.min(MOST_TABLE_ELEMENTS))
        .max_memory_size(options.largest_memory_bytes)
        .linear_memory_keep_resident(KEPT_MEMORY_BYTES)
        .table_keep_resident(KEPT_MEMORY_BYTES);

    let mut config = code();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .max_wasm_stack(stack_bytes)
        .async_stack_size(stack_bytes + HOST_STACK_BYTES)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16));
    config
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use selvedge_egress::{Client, ClientOptions, Policy, PolicyOptions};
    use wasm_encoder::{
        Component as Encoded, InstanceSection, MemorySection, MemoryType, Module, ModuleArg,
        ModuleSection, RefType, TableSection, TableType,
    };
    use wasmtime::Store;
    use wasmtime::component::{Component, Linker};

    use super::*;
    use crate::options::MOST_INSTANCES;
    use crate::{ComponentSource, Limits, LoadError, Network, Sandbox};

    const STACK_BYTES: usize = 512 << 10;

    fn options(max_instances: usize) -> Options {
        Options {
            max_instances,
            threads: 1,
            ..Options::default()
        }
    }

    /// A component of so many core instances, each with so many memories and tables.
    fn component(instances: u32, memories: u32, tables: u32) -> Vec<u8> {
        let mut of_module = (MemorySection::new(), TableSection::new());
        for _ in 0..memories {
            of_module.0.memory(MemoryType {
                minimum: 1,
                maximum: None,
                memory64: false,
                shared: false,
                page_size_log2: None,
            });
        }
        for _ in 0..tables {
            of_module.1.table(TableType {
                element_type: RefType::FUNCREF,
                table64: false,
                minimum: 1,
                maximum: None,
                shared: false,
            });
        }
        let mut module = Module::new();
        module.section(&of_module.1).section(&of_module.0);
        let mut parts = InstanceSection::new();
        for _ in 0..instances {
            parts.instantiate(0, std::iter::empty::<(&str, ModuleArg)>());
        }
        let mut component = Encoded::new();
        component.section(&ModuleSection(&module)).section(&parts);
        component.finish()
    }

    #[tokio::test]
    async fn whoever_has_a_slot_has_all_the_parts_that_a_component_may_have() {
        const SLOTS: usize = 3;
        let engine = engine(&options(SLOTS), STACK_BYTES).unwrap();
        let linker = Linker::<()>::new(&engine);
        for (instances, memories, tables) in [
            (CORE_INSTANCES_PER_SLOT, 0, 0),
            (MEMORIES_PER_SLOT, 1, 0),
            (TABLES_PER_SLOT, 0, 1),
        ] {
            let bytes = component(instances, memories, tables);
            let component = Component::new(&engine, bytes).unwrap();
            let mut stores = Vec::new();
            for _ in 0..SLOTS {
                let mut store = Store::new(&engine, ());
                linker
                    .instantiate_async(&mut store, &component)
                    .await
                    .unwrap();
                stores.push(store);
            }
        }
    }

    fn source(path: &Path, limits: Limits) -> ComponentSource {
        let policy = Policy::new(&PolicyOptions::graphs()).unwrap();
        let client = Client::new(Arc::new(policy), &ClientOptions::default()).unwrap();
        ComponentSource {
            path: path.to_owned(),
            environment: Vec::new(),
            limits,
            network: Network {
                client: Arc::new(client),
                timeout: Duration::from_secs(1),
                max_concurrent_per_run: 1,
            },
        }
    }

    #[tokio::test]
    async fn a_component_with_more_parts_than_a_slot_is_refused_when_it_is_loaded() {
        let sandbox = Sandbox::start(options(1)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("many.wasm");
        for (parts, words) in [
            ((CORE_INSTANCES_PER_SLOT + 1, 0, 0), "core module instances"),
            ((MEMORIES_PER_SLOT + 1, 1, 0), "linear memories"),
            ((TABLES_PER_SLOT + 1, 0, 1), "tables"),
        ] {
            std::fs::write(&path, component(parts.0, parts.1, parts.2)).unwrap();
            let loaded = sandbox.load(source(&path, Limits::default()));
            let error = loaded.await.err().unwrap();
            assert!(matches!(error, LoadError::TooManyParts { .. }), "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[tokio::test]
    async fn a_stack_that_the_sandbox_was_not_started_for_is_refused() {
        let sandbox = Sandbox::start(options(1)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.wasm");
        std::fs::write(&path, component(0, 0, 0)).unwrap();
        let limits = Limits {
            stack_bytes: 2 * STACK_BYTES,
            ..Limits::default()
        };
        let error = sandbox.load(source(&path, limits)).await.err().unwrap();
        assert!(matches!(error, LoadError::Stack { .. }), "{error}");
    }

    /// One test of both, for they share the address space of a process.
    #[test]
    fn the_most_instances_fit_into_the_address_space_however_many_pools_share_them() {
        for stacks in [
            vec![STACK_BYTES],
            vec![STACK_BYTES, 1 << 20, LARGEST_STACK_BYTES],
        ] {
            let options = Options {
                stacks: stacks.iter().copied().collect(),
                largest_table_elements: MOST_TABLE_ELEMENTS,
                ..options(MOST_INSTANCES)
            };
            let pools = stacks.iter().map(|stack| engine(&options, *stack));
            let pools: wasmtime::Result<Vec<_>> = pools.collect();
            assert!(pools.is_ok(), "{stacks:?}: {:#}", pools.err().unwrap());
            assert_eq!(options.slots(), MOST_INSTANCES / stacks.len());
        }
    }

    /// So the child needs no pool, and one artefact of the cache serves the graphs of all stacks.
    #[test]
    fn what_the_compiler_makes_every_engine_loads() {
        let hash = |engine: &Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let compiler = hash(&compiler().unwrap());
        for stack_bytes in [STACK_BYTES, LARGEST_STACK_BYTES] {
            assert_eq!(compiler, hash(&engine(&options(1), stack_bytes).unwrap()));
        }
    }
}
