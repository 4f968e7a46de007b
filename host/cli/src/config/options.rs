//! `Config` → the Options of each room that does not find its own in it. Nothing is decided here.

use std::io;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use selvedge_egress as egress;
use selvedge_sandbox::Limits;
use selvedge_storage::{Share, sqlite};

use super::types::{Config, GraphConfig, Synchronous, WebhooksConfig};

impl Config {
    /// Where the server listens, and how much it takes.
    #[must_use]
    pub fn api(&self) -> selvedge_api::Options {
        selvedge_api::Options {
            address: SocketAddr::new(self.listen.host, self.listen.port),
            max_body_bytes: self.http.max_body_bytes,
            max_body_bytes_total: self.http.max_body_bytes_total,
            max_header_bytes: self.http.max_header_bytes,
            max_connections: self.http.max_connections,
            max_connections_per_address: self.http.max_connections_per_address,
            max_requests: self.http.max_requests,
            max_requests_per_caller: self.http.max_requests_per_caller,
            max_streams_per_caller: self.http.max_streams_per_caller,
            rate_limit: self.http.rate_limit,
            tls: self.http.tls.clone(),
            allowed_origins: self.http.allowed_origins.clone(),
            allowed_hosts: self.http.allowed_hosts.clone(),
            request_timeout: self.http.request_timeout,
            write_timeout: self.http.write_timeout,
            max_batch_runs: self.runtime.max_batch_runs,
            meta: self.http.meta,
            mcp: self.http.mcp,
            a2a: self.http.a2a,
            metrics: self.telemetry.metrics,
            ..selvedge_api::Options::default()
        }
    }

    /// How many runs, how long, how often.
    #[must_use]
    pub fn runtime(&self) -> selvedge_runtime::Options {
        selvedge_runtime::Options {
            max_running_runs: self.runtime.max_running_runs,
            max_parallel_tasks: self.runtime.max_parallel_tasks,
            max_step_sends: self.runtime.max_step_sends,
            max_step_bytes: self.runtime.max_step_bytes,
            max_exit_bytes: self.runtime.max_exit_bytes,
            max_run_store_items: self.runtime.max_run_store_items,
            max_run_store_bytes: self.runtime.max_run_store_bytes,
            node_cache_bytes: self.runtime.node_cache_bytes,
            graph_cache_bytes: self.runtime.graph_cache_bytes,
            max_pending_runs: self.runtime.max_pending_runs,
            share: self.auth.as_ref().map(|_| Share {
                max_pending_runs: self.runtime.max_pending_runs_per_caller,
                max_running_runs: self.runtime.max_running_runs_per_caller,
                max_crons: self.runtime.max_crons_per_caller,
            }),
            run_timeout: self.runtime.run_timeout,
            max_attempts: self.runtime.max_attempts,
            shutdown_grace: self.runtime.shutdown_grace,
            item_ttl: self.store.ttl,
            thread_ttl: self.thread_ttl,
            resumable_ttl: self.runtime.resumable_ttl,
            ..selvedge_runtime::Options::default()
        }
    }

    /// The bounds of all tasks together. Components are compiled by this program, and kept in the data directory.
    ///
    /// # Errors
    /// The operating system does not say where the program lies.
    pub fn sandbox(&self) -> io::Result<selvedge_sandbox::Options> {
        let largest = |bound: fn(&Limits) -> usize| {
            let graphs = self.graphs.iter();
            graphs.map(|graph| bound(&graph.limits)).max()
        };
        let memory_bytes = largest(|limits| limits.memory_bytes);
        let table_elements = largest(|limits| limits.table_elements);
        let defaults = selvedge_sandbox::Options::default();
        Ok(selvedge_sandbox::Options {
            cache_dir: Some(self.storage.path.join("components")),
            max_instances: self.sandbox.max_instances,
            stacks: self
                .graphs
                .iter()
                .map(|graph| graph.limits.stack_bytes)
                .collect(),
            total_memory_bytes: self.sandbox.total_memory_bytes,
            largest_memory_bytes: memory_bytes.unwrap_or(defaults.largest_memory_bytes),
            largest_table_elements: table_elements.unwrap_or(defaults.largest_table_elements),
            max_component_bytes: self.sandbox.max_component_bytes,
            compiling: selvedge_sandbox::Compiling {
                program: Some(std::env::current_exe()?),
                memory_bytes: self.sandbox.compile_memory_bytes,
                cpu: self.sandbox.compile_cpu,
                wall: self.sandbox.compile_wall,
                output_bytes: self.sandbox.compile_output_bytes,
                processes: self.sandbox.compile_processes,
            },
            ..defaults
        })
    }

    /// The data directory.
    #[must_use]
    pub fn sqlite(&self) -> sqlite::Options {
        sqlite::Options {
            synchronous: match self.storage.synchronous {
                Synchronous::Full => sqlite::Synchronous::Full,
                Synchronous::Normal => sqlite::Synchronous::Normal,
            },
            max_walk: self.storage.max_search,
            ..sqlite::Options::new(&self.storage.path)
        }
    }
}

impl WebhooksConfig {
    /// What is sent, and where to.
    #[must_use]
    pub fn options(&self) -> selvedge_webhook::Options {
        selvedge_webhook::Options {
            enabled: self.enabled,
            headers: header_map(&self.headers),
            // Checked with the configuration.
            secrets: self
                .secrets
                .iter()
                .filter_map(|secret| secret.parse().ok())
                .collect(),
            allowed_fields: self.allowed_fields.as_ref().map(|fields| {
                fields
                    .iter()
                    .filter_map(|field| field.parse().ok())
                    .collect()
            }),
            retry: selvedge_webhook::Schedule {
                secs: self
                    .retry_schedule
                    .iter()
                    .map(std::time::Duration::as_secs)
                    .collect(),
                jitter: self.retry_jitter,
            },
            timeout: self.timeout,
            max_body_bytes: self.max_body_bytes,
            max_concurrent: self.max_concurrent,
            max_concurrent_per_host: self.max_concurrent_per_host,
            retention: self.retention,
            policy: self.url.clone(),
            client: egress::ClientOptions::default(),
        }
    }
}

impl GraphConfig {
    /// The secrets with their hosts, by the variable that holds the placeholder.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, egress::SecretOptions)> {
        let options = |secret: &super::Secret| egress::SecretOptions {
            value: secret.value.clone(),
            hosts: secret.hosts.clone(),
        };
        self.secrets
            .iter()
            .map(|secret| (secret.name.clone(), options(secret)))
            .collect()
    }
}

/// Names and values were checked with the configuration. A value may be a secret, so it is marked as one.
fn header_map(headers: &[(String, String)]) -> HeaderMap {
    headers
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        })
        .collect()
}
