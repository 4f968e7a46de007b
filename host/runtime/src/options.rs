//! The bounds of the room, each with its default; keys under `runtime` in `langgraph.json`.

use std::time::Duration;

use selvedge_storage::Share;

use crate::items::ItemTtl;
use crate::sweep::ThreadTtl;

/// How many runs, how long, how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Runs that are executed at once (`max_running_runs`); others stay pending.
    pub max_running_runs: usize,
    /// Tasks of one run that are executed at once, and as many again at each depth of graphs inside its tasks
    /// (`max_parallel_tasks`); others wait.
    pub max_parallel_tasks: usize,
    /// `Send`s that the tasks of one super-step make together, with those of the graphs inside them (`max_step_sends`);
    /// the task that goes beyond it fails.
    pub max_step_sends: usize,
    /// Bytes that they write and ask together (`max_step_bytes`); the task that goes beyond it fails.
    pub max_step_bytes: usize,
    /// Bytes that a run in the mode `exit` holds until they are stored at its end (`max_exit_bytes`); one that goes
    /// beyond it fails.
    pub max_exit_bytes: usize,
    /// Items that the tasks of one run put into the store together (`max_run_store_items`); more are refused.
    pub max_run_store_items: u64,
    /// What they weigh, names included (`max_run_store_bytes`); more is refused.
    pub max_run_store_bytes: u64,
    /// What is kept of the writes of nodes with a cache policy (`node_cache_bytes`).
    pub node_cache_bytes: u64,
    /// What is kept of graphs that were built for a configuration (`graph_cache_bytes`).
    pub graph_cache_bytes: u64,
    /// Runs that may be pending (`max_pending_runs`); beyond it new ones are refused with 503.
    pub max_pending_runs: u64,
    /// What one caller may have of runs and crons (`max_pending_runs_per_caller`, `max_running_runs_per_caller`,
    /// `max_crons_per_caller`). `None` without authentication: nobody is told from anybody, and nothing is counted.
    pub share: Option<Share>,
    /// How long one run may take (`run_timeout_secs`); then it ends as `timeout`.
    pub run_timeout: Duration,
    /// Executions of one run, counting those that a crash or a shutdown cut off (`max_attempts`).
    pub max_attempts: u32,
    /// How long a shutdown waits for running runs before it puts them back to pending (`shutdown_grace_secs`).
    pub shutdown_grace: Duration,
    /// Super-steps of one run where the caller sets no `recursion_limit`: LangGraph Platform's default.
    pub default_recursion_limit: u32,
    /// Events that one stream holds for readers that are slower than the run. A reader that falls further behind is
    /// cut off with an `error` event.
    pub max_stream_events: usize,
    /// The same in bytes.
    pub max_stream_bytes: usize,
    /// How long items of the store stay (`store.ttl`).
    pub item_ttl: ItemTtl,
    /// How long threads stay (`checkpointer.ttl`).
    pub thread_ttl: ThreadTtl,
    /// How long the events of a resumable run are kept after its end (`resumable_ttl_secs`).
    pub resumable_ttl: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_running_runs: 1_000,
            max_parallel_tasks: 64,
            max_step_sends: 50_000,
            max_step_bytes: 256 << 20,
            max_exit_bytes: 512 << 20,
            max_run_store_items: 100_000,
            max_run_store_bytes: 1 << 30,
            node_cache_bytes: 64 << 20,
            graph_cache_bytes: 64 << 20,
            max_pending_runs: 100_000,
            share: None,
            run_timeout: selvedge_model::run::DEFAULT_RUN_TIMEOUT,
            max_attempts: 3,
            shutdown_grace: Duration::from_secs(180),
            default_recursion_limit: 10_007,
            max_stream_events: 10_000,
            max_stream_bytes: 64 << 20,
            item_ttl: ItemTtl::default(),
            thread_ttl: ThreadTtl::default(),
            resumable_ttl: Duration::from_secs(120),
        }
    }
}
