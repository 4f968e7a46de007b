//! An HTTP client over `wasi:http/outgoing-handler`. A graph that does not use it does not import it.
//!
//! Requests go through the operator's egress rules. In native tests nothing goes out: see
//! [`testing::answer_http`](crate::testing).

mod error;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod native;
mod response;
#[cfg(target_arch = "wasm32")]
mod wasi;

use std::time::Duration;

use serde::Serialize;

pub use error::HttpError;
pub use response::{Response, ServerEvent};

#[cfg(not(target_arch = "wasm32"))]
use native as backend;
#[cfg(target_arch = "wasm32")]
use wasi as backend;

/// A request that is being put together.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) first_byte_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    /// What went wrong while putting it together; `send` returns it.
    error: Option<String>,
}

impl Request {
    /// A request with any method. Its answer may take 60 s to begin and may pause for 60 s.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            first_byte_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            error: None,
        }
    }

    /// A GET request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds `Authorization: Bearer …`. Take the token from [`Context::var`](crate::Context::var): the graph then
    /// holds a placeholder, and the host sends the secret only to where it may go.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sends these bytes.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends a value as JSON.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.body = body,
            Err(e) => self.error = Some(format!("the body cannot be written as JSON: {e}")),
        }
        self.header("content-type", "application/json")
    }

    /// How long the connection and the first byte of the answer may each take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.first_byte_timeout = timeout;
        self
    }

    /// How long the answer's body may pause.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sends the request and waits for the head of the answer.
    ///
    /// # Errors
    /// If no answer came. An answer with an error status is an answer: see [`Response::error_for_status`].
    pub fn send(self) -> Result<Response, HttpError> {
        match self.error {
            Some(message) => Err(HttpError::InvalidRequest(message)),
            None => backend::send(&self),
        }
    }
}

/// A URL's parts as `wasi:http` wants them: whether it is https, the authority, the path with the query.
#[cfg_attr(not(any(test, target_arch = "wasm32")), allow(dead_code))]
fn split(url: &str) -> Result<(bool, &str, String), HttpError> {
    let invalid = || HttpError::InvalidRequest(format!("`{url}` is not an http or https URL"));
    let (scheme, rest) = url.split_once("://").ok_or_else(invalid)?;
    let https = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(invalid()),
    };
    let rest = rest.split('#').next().unwrap_or(rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() {
        return Err(invalid());
    }
    Ok((
        https,
        authority,
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_what_wasi_wants() {
        assert_eq!(
            split("http://a:1/b?c=d#e").unwrap(),
            (false, "a:1", "/b?c=d".to_owned())
        );
        assert_eq!(
            split("https://a?c=d").unwrap(),
            (true, "a", "/?c=d".to_owned())
        );
        assert_eq!(split("https://a").unwrap(), (true, "a", "/".to_owned()));
        assert!(split("ftp://a").is_err() && split("/a").is_err() && split("http:///a").is_err());
    }
}
