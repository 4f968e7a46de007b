//! What a configuration comes to: plain, validated values. Where a room's own Options say the same they are used here;
//! `options` makes the others.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use selvedge_api::{RateLimit, Tls};
use selvedge_egress::{ClientOptions, PolicyOptions};
use selvedge_runtime::items::ItemTtl;
use selvedge_runtime::sweep::ThreadTtl;
use selvedge_sandbox::Limits;
use serde_json::{Map, Value};

/// Everything that the binary needs to know to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The folder that its paths are relative to.
    pub directory: PathBuf,
    /// The graphs, in the order of the file.
    pub graphs: Vec<GraphConfig>,
    /// Where the server listens.
    pub listen: Listen,
    /// Bounds of the HTTP server.
    pub http: HttpConfig,
    /// Who may call; `None`: whoever can.
    pub auth: Option<selvedge_auth::Options>,
    /// What is sent when a run ends.
    pub webhooks: WebhooksConfig,
    /// HTTP by graphs.
    pub egress: EgressConfig,
    /// Bounds of all tasks together. Those of one task are with its graph.
    pub sandbox: SandboxConfig,
    /// The life of runs.
    pub runtime: RuntimeConfig,
    /// Where data is kept.
    pub storage: StorageConfig,
    /// The store for memories.
    pub store: StoreConfig,
    /// How long threads stay.
    pub thread_ttl: ThreadTtl,
    /// Log lines and metrics.
    pub telemetry: TelemetryConfig,
    /// What the operator should know although nothing is wrong; to be logged at start.
    pub warnings: Vec<String>,
}

/// The store for memories.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// How long its items stay.
    pub ttl: ItemTtl,
    /// How they are found by their meaning; `None`: not at all.
    pub index: Option<selvedge_index::Options>,
}

/// Where the server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// A loopback address, unless callers have to say who they are or the operator said `--no-auth`.
    pub host: IpAddr,
    /// 0 picks a free one.
    pub port: u16,
}

/// One graph.
#[derive(Clone, Debug)]
pub struct GraphConfig {
    /// Its name for callers.
    pub id: String,
    /// The component, as an absolute path or relative to the working directory.
    pub path: PathBuf,
    /// Which graph of the component.
    pub name: Option<String>,
    /// For people; the graph's own when absent.
    pub description: Option<String>,
    /// The default assistant's `config`.
    pub config: Map<String, Value>,
    /// The default assistant's `context`.
    pub context: Map<String, Value>,
    /// What its tasks read as their environment, secrets not included.
    pub env: BTreeMap<String, String>,
    /// What its tasks may send without seeing it.
    pub secrets: Vec<Secret>,
    /// What one of its tasks may use.
    pub limits: Limits,
}

/// A value that a graph may send to some hosts without seeing it.
#[derive(Clone)]
pub struct Secret {
    /// The variable in which the graph finds the placeholder.
    pub name: String,
    /// The value.
    pub value: String,
    /// The hosts, exact names.
    pub hosts: Vec<String>,
}

/// The value never gets into a log line.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("name", &self.name)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// Bounds of the HTTP server.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `http.max_body_bytes`
    pub max_body_bytes: usize,
    /// `http.max_body_bytes_total`
    pub max_body_bytes_total: usize,
    /// `http.max_connections`
    pub max_connections: usize,
    /// `http.max_connections_per_address`
    pub max_connections_per_address: usize,
    /// `http.max_header_bytes`
    pub max_header_bytes: usize,
    /// `http.max_requests`
    pub max_requests: usize,
    /// `http.max_requests_per_caller`
    pub max_requests_per_caller: usize,
    /// `http.max_streams_per_caller`
    pub max_streams_per_caller: usize,
    /// `http.rate_limit`
    pub rate_limit: Option<RateLimit>,
    /// `http.allowed_hosts`
    pub allowed_hosts: Vec<String>,
    /// `http.cors.allow_origins`
    pub allowed_origins: Option<Vec<String>>,
    /// `http.tls`
    pub tls: Option<Tls>,
    /// `http.request_timeout_secs`
    pub request_timeout: Duration,
    /// `http.write_timeout_secs`
    pub write_timeout: Duration,
    /// `!http.disable_meta`
    pub meta: bool,
    /// `!http.disable_mcp`
    pub mcp: bool,
    /// `!http.disable_a2a`
    pub a2a: bool,
}

/// What is sent when a run ends, and where to.
#[derive(Clone)]
pub struct WebhooksConfig {
    /// `!http.disable_webhooks`
    pub enabled: bool,
    /// Rendered; the values may be secret.
    pub headers: Vec<(String, String)>,
    /// Rendered, the newest first.
    pub secrets: Vec<String>,
    /// `None`: all.
    pub allowed_fields: Option<Vec<String>>,
    /// `webhooks.url`
    pub url: PolicyOptions,
    /// The wait before each attempt.
    pub retry_schedule: Vec<Duration>,
    /// `webhooks.retry.jitter`
    pub retry_jitter: f64,
    /// Of one attempt.
    pub timeout: Duration,
    /// `webhooks.max_body_bytes`
    pub max_body_bytes: usize,
    /// `webhooks.max_concurrent`
    pub max_concurrent: usize,
    /// `webhooks.max_concurrent_per_host`
    pub max_concurrent_per_host: usize,
    /// `webhooks.retention_days`
    pub retention: Duration,
}

/// Headers by name only, and nothing of secrets but their number.
impl fmt::Debug for WebhooksConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("WebhooksConfig")
            .field("enabled", &self.enabled)
            .field("headers", &names)
            .field("secrets", &self.secrets.len())
            .field("url", &self.url)
            .field("retry_schedule", &self.retry_schedule)
            .finish_non_exhaustive()
    }
}

/// HTTP by graphs.
#[derive(Clone, Debug)]
pub struct EgressConfig {
    /// Which addresses, ports and methods.
    pub policy: PolicyOptions,
    /// How many requests at once, and how large their answers.
    pub client: ClientOptions,
    /// Of one request.
    pub timeout: Duration,
    /// `max_concurrent_per_run`
    pub max_concurrent_per_run: usize,
}

/// Bounds of all tasks together.
#[derive(Clone, Copy, Debug)]
pub struct SandboxConfig {
    /// `sandbox.total_memory_bytes`
    pub total_memory_bytes: usize,
    /// `sandbox.max_instances`
    pub max_instances: usize,
    /// `sandbox.max_component_bytes`
    pub max_component_bytes: u64,
    /// `sandbox.compile_memory_bytes`
    pub compile_memory_bytes: u64,
    /// `sandbox.compile_cpu_secs`
    pub compile_cpu: Duration,
    /// `sandbox.compile_wall_secs`
    pub compile_wall: Duration,
    /// `sandbox.compile_output_bytes`
    pub compile_output_bytes: u64,
    /// `sandbox.compile_processes`
    pub compile_processes: usize,
}

/// The life of runs.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeConfig {
    /// `runtime.max_running_runs`
    pub max_running_runs: usize,
    /// `runtime.max_parallel_tasks`
    pub max_parallel_tasks: usize,
    /// `runtime.max_step_sends`
    pub max_step_sends: usize,
    /// `runtime.max_step_bytes`
    pub max_step_bytes: usize,
    /// `runtime.max_exit_bytes`
    pub max_exit_bytes: usize,
    /// `runtime.max_run_store_items`
    pub max_run_store_items: u64,
    /// `runtime.max_run_store_bytes`
    pub max_run_store_bytes: u64,
    /// `runtime.node_cache_bytes`
    pub node_cache_bytes: u64,
    /// `runtime.graph_cache_bytes`
    pub graph_cache_bytes: u64,
    /// `runtime.max_batch_runs`
    pub max_batch_runs: usize,
    /// `runtime.max_pending_runs`
    pub max_pending_runs: u64,
    /// `runtime.max_pending_runs_per_caller`
    pub max_pending_runs_per_caller: u64,
    /// `runtime.max_running_runs_per_caller`
    pub max_running_runs_per_caller: u64,
    /// `runtime.max_crons_per_caller`
    pub max_crons_per_caller: u64,
    /// `runtime.run_timeout_secs`
    pub run_timeout: Duration,
    /// `runtime.max_attempts`
    pub max_attempts: u32,
    /// `runtime.shutdown_grace_secs`
    pub shutdown_grace: Duration,
    /// `runtime.resumable_ttl_secs`
    pub resumable_ttl: Duration,
}

/// Where data is kept.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// The data directory.
    pub path: PathBuf,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// `storage.max_search_secs`
    pub max_search: Duration,
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// The disk.
    Full,
    /// The operating system.
    Normal,
}

/// Log lines and metrics.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// A filter that `tracing_subscriber::EnvFilter` takes.
    pub log: String,
    /// How lines look.
    pub format: LogFormat,
    /// Whether `/metrics` is served.
    pub metrics: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, otherwise JSON.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}
