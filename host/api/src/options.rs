//! The bounds of the edge, each with its default; keys under `http` in `langgraph.json`.

use std::net::SocketAddr;
use std::time::Duration;

use crate::limits::RateLimit;
use crate::tls::Tls;

/// Where to listen, and how much to take.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen. Port 0 picks a free one.
    pub address: SocketAddr,
    /// The largest request body (`max_body_bytes`); 413 above.
    pub max_body_bytes: usize,
    /// Runs of one batch (`runtime.max_batch_runs`); 422 above.
    pub max_batch_runs: usize,
    /// What the bodies that are being read or answered may weigh together (`max_body_bytes_total`); 503 above. A quarter
    /// of it is one caller's, 429 above; but one body of the largest size is always taken.
    pub max_body_bytes_total: usize,
    /// The largest request head (`max_header_bytes`); 431 above.
    pub max_header_bytes: usize,
    /// Connections at once (`max_connections`); further ones wait in the system's backlog.
    pub max_connections: usize,
    /// Of these, from one address, or from one IPv6 network of 64 bits (`max_connections_per_address`); further ones are
    /// closed. 0: any number, for those behind a proxy, which are all its own.
    pub max_connections_per_address: usize,
    /// Requests that are being answered at once (`max_requests`); 503 above. One whose answer lasts counts until its
    /// head is sent, and `/ok` not at all.
    pub max_requests: usize,
    /// Of these, one caller's (`max_requests_per_caller`); 429 above.
    pub max_requests_per_caller: usize,
    /// Answers of one caller that last as long as a run (`max_streams_per_caller`); 429 above. Without authentication
    /// nobody is told from anybody, and nothing is counted.
    pub max_streams_per_caller: usize,
    /// How many requests a caller may send (`rate_limit`); 429 above. As before without authentication.
    pub rate_limit: Option<RateLimit>,
    /// The certificate (`tls`); without one answers are sent in the clear.
    pub tls: Option<Tls>,
    /// Origins whose pages may call (`cors.allow_origins`), beside those of this machine; `"*"` is any. `None`: any
    /// with authentication, none without.
    pub allowed_origins: Option<Vec<String>>,
    /// Names of this server (`allowed_hosts`), beside addresses and `localhost`; `"*"` is any. Of no effect with
    /// authentication.
    pub allowed_hosts: Vec<String>,
    /// How long a client may take to send a request's head, and again its body (`request_timeout_secs`); 408 after.
    pub request_timeout: Duration,
    /// How long a client may take nothing of an answer that is ready for it (`write_timeout_secs`); then its connection
    /// is closed.
    pub write_timeout: Duration,
    /// Whether `/info`, `/metrics`, `/docs` and `/openapi.json` are served (`disable_meta`); `/ok` always is.
    pub meta: bool,
    /// Whether `/metrics` is (`telemetry.metrics`).
    pub metrics: bool,
    /// Whether assistants are tools at `/mcp` (`disable_mcp`).
    pub mcp: bool,
    /// Whether assistants are agents at `/a2a` (`disable_a2a`).
    pub a2a: bool,
    /// Whether the caller is the author on a machine of their own (`selvedge dev`): then tables may be
    /// emptied, and a page from the internet that may call at all, as LangGraph's studio may, also gets through where
    /// browsers keep pages from private networks.
    pub development: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8123)),
            max_body_bytes: 32 << 20,
            max_batch_runs: 1_000,
            max_body_bytes_total: 256 << 20,
            max_header_bytes: 32 << 10,
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            max_requests: 10_000,
            max_requests_per_caller: 1_000,
            max_streams_per_caller: 1_000,
            rate_limit: None,
            tls: None,
            allowed_origins: None,
            allowed_hosts: Vec::new(),
            request_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            meta: true,
            metrics: true,
            mcp: true,
            a2a: true,
            development: false,
        }
    }
}

/// A comment or an empty line at least this often, so that clients and proxies see that the connection lives.
/// LangGraph's interval; its clients take three missed ones for a dead connection.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);
