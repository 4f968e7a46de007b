//! Why a request got no answer, or not a good one.

use std::fmt;

/// As a [`NodeError`](crate::NodeError) it has the kind named at each case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// The URL or a header is not valid, or the body is not JSON. Kind `InvalidRequest`.
    InvalidRequest(String),
    /// The operator's egress rules do not allow the request. Kind `EgressDenied`.
    Denied(String),
    /// There was no connection, or it broke. Kind `ConnectionError`; worth trying again.
    Connection(String),
    /// The answer took too long. Kind `TimeoutError`; worth trying again.
    Timeout(String),
    /// The answer is not what HTTP, or the format asked for, allows. Kind `ProtocolError`.
    Protocol(String),
    /// The server answered with an error. Kind `HttpStatusError`; worth trying again for 408, 429 and 5xx.
    Status {
        /// The status.
        status: u16,
        /// What the server says about it; the first 2,000 characters.
        body: String,
    },
}

impl HttpError {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "InvalidRequest",
            Self::Denied(_) => "EgressDenied",
            Self::Connection(_) => "ConnectionError",
            Self::Timeout(_) => "TimeoutError",
            Self::Protocol(_) => "ProtocolError",
            Self::Status { .. } => "HttpStatusError",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout(_) => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            _ => false,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRequest(text) => write!(f, "the request is not valid: {text}"),
            Self::Denied(text) => write!(f, "the request is not allowed: {text}"),
            Self::Connection(text) => write!(f, "no connection: {text}"),
            Self::Timeout(text) => write!(f, "no answer in time: {text}"),
            Self::Protocol(text) => write!(f, "the answer is not valid: {text}"),
            Self::Status { status, body } if body.is_empty() => {
                write!(f, "the server answered {status}")
            }
            Self::Status { status, body } => write!(f, "the server answered {status}: {body}"),
        }
    }
}

impl std::error::Error for HttpError {}
