//! What can go wrong with a request, by what the caller does about it.

use std::net::SocketAddr;

use crate::refusal::Refusal;

/// Why there is no answer, or no more of it.
///
/// The texts hold no query, no header value and no secret, so they may be logged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EgressError {
    /// The policy refuses it: trying again is no use.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The name has no address, or nobody could say.
    #[error("cannot resolve {host}: {message}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        message: String,
    },
    /// No connection.
    #[error("cannot connect to {address}: {message}")]
    Connect {
        /// The address that was tried last.
        address: SocketAddr,
        /// What the system said.
        message: String,
    },
    /// A connection, but no trust: certificate or protocol of TLS.
    #[error("TLS with {address} failed: {message}")]
    Tls {
        /// The peer.
        address: SocketAddr,
        /// What is wrong.
        message: String,
    },
    /// The deadline passed.
    #[error("timed out {phase}")]
    Timeout {
        /// What it waited for.
        phase: Phase,
        /// The peer, or the address that was tried first.
        address: Option<SocketAddr>,
    },
    /// The answer is larger than this client reads.
    #[error("the answer is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit, `max_response_bytes`.
        limit: u64,
    },
    /// The caller's own request body failed or broke its promise of a length.
    #[error("the request body failed: {message}")]
    RequestBody {
        /// What happened.
        message: String,
    },
    /// The peer did not speak HTTP to the end: it closed without an answer, or sent nonsense.
    #[error("{message}")]
    Protocol {
        /// What happened.
        message: String,
        /// The peer.
        address: Option<SocketAddr>,
    },
}

/// What a request waited for when its deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// One of the client's slots.
    Slot,
    /// A place to look up a name.
    Lookup,
    /// A connection.
    Connection,
    /// The head of the answer.
    Answer,
    /// The rest of the answer.
    Body,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Slot => "waiting for other requests to end",
            Self::Lookup => "waiting for other names to be looked up",
            Self::Connection => "connecting",
            Self::Answer => "waiting for an answer",
            Self::Body => "reading the answer",
        })
    }
}

impl EgressError {
    /// A word for records and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "blocked",
            Self::Dns { .. } => "dns",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::Timeout { .. } => "timeout",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::RequestBody { .. } => "request_body",
            Self::Protocol { .. } => "protocol",
        }
    }

    /// Whether it failed for want of a place in this process, so that it says nothing of the host.
    #[must_use]
    pub fn is_our_own(&self) -> bool {
        matches!(
            self,
            Self::Timeout {
                phase: Phase::Slot | Phase::Lookup,
                ..
            }
        )
    }

    /// The address that was connected to, tried, or refused.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Refused(refusal) => refusal.address,
            Self::Connect { address, .. } | Self::Tls { address, .. } => Some(*address),
            Self::Timeout { address, .. } | Self::Protocol { address, .. } => *address,
            _ => None,
        }
    }
}
