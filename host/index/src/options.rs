//! What the index is made of, and who embeds: `store.index` in `langgraph.json`.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use selvedge_egress::{Policy, PolicyOptions, Target};
use serde_json::json;

use crate::path::Path;

/// How items are indexed.
#[derive(Clone)]
pub struct Options {
    /// How many numbers a vector has (`dims`).
    pub dims: usize,
    /// The model's name at the endpoint (`embed`, behind `openai:`).
    pub model: String,
    /// Where the endpoint is (`url`): `/embeddings` is appended.
    pub url: String,
    /// What it is shown (`api_key`), if anything.
    pub api_key: Option<String>,
    /// What is embedded of items that say nothing about it (`fields`).
    pub fields: Vec<Path>,
    /// The same as it is written there.
    pub fields_text: Vec<String>,
    /// Whether a URL in the clear is refused, but for one on loopback (`require_https`).
    pub require_https: bool,
    /// How long one request may take (`timeout_secs`).
    pub timeout: Duration,
}

/// Everything but the key.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("dims", &self.dims)
            .field("model", &self.model)
            .field("url", &self.url)
            .field("fields", &self.fields_text)
            .finish_non_exhaustive()
    }
}

/// An option that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("store.index.{key}: {message}")]
pub struct OptionsError {
    /// Which, below `store.index`.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
}

/// Options that were found good.
pub(crate) struct Checked {
    pub(crate) policy: Policy,
    pub(crate) target: Target,
    pub(crate) authorization: Option<HeaderValue>,
}

impl Options {
    /// Checks what the table of keys does not say. [`Index::start`](crate::Index::start) does it too.
    ///
    /// # Errors
    /// The first option that cannot be taken.
    pub fn validate(&self) -> Result<(), OptionsError> {
        self.check().map(drop)
    }

    pub(crate) fn check(&self) -> Result<Checked, OptionsError> {
        let refused = |key, message: String| OptionsError { key, message };
        // The operator names the URL, so that its host may be anywhere; nothing else is called by this client.
        let options = PolicyOptions {
            require_https: self.require_https && !is_on_loopback(&self.url),
            allowed_ports: Vec::new(),
            disable_loopback: false,
            disable_private_ips: false,
            methods: vec!["POST".to_owned()],
            default_deny: false,
            ..PolicyOptions::graphs()
        };
        let policy = Policy::new(&options).map_err(|error| refused("url", error.to_string()))?;
        let url = format!("{}/embeddings", self.url.trim_end_matches('/'));
        let target = policy
            .check_url(&url)
            .map_err(|refusal| refused("url", refusal.to_string()))?;
        let authorization = self.api_key.as_ref().map(|key| {
            let mut value = HeaderValue::try_from(format!("Bearer {key}"))?;
            value.set_sensitive(true);
            Ok::<_, http::header::InvalidHeaderValue>(value)
        });
        let authorization = authorization
            .transpose()
            .map_err(|_| refused("api_key", "cannot stand in a header".to_owned()))?;
        Ok(Checked {
            policy,
            target,
            authorization,
        })
    }

    /// All that the vectors of items depend on. Where the endpoint is does not matter.
    pub(crate) fn identity(&self) -> String {
        json!({"model": self.model, "dims": self.dims, "fields": self.fields_text}).to_string()
    }
}

fn is_on_loopback(url: &str) -> bool {
    let hosts = ["127.0.0.1", "[::1]", "localhost"];
    url.strip_prefix("http://").is_some_and(|rest| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        hosts.iter().any(|loopback| {
            let behind = host.strip_prefix(loopback);
            behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(':'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Options {
        Options {
            dims: 2,
            model: "m".to_owned(),
            url: url.to_owned(),
            api_key: None,
            fields: Vec::new(),
            fields_text: vec!["$".to_owned()],
            require_https: true,
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn an_endpoint_in_the_clear_is_on_loopback_or_is_wanted_so() {
        for url in [
            "https://api.openai.com/v1",
            "http://127.0.0.1:8080/v1/",
            "http://localhost/v1",
            "http://[::1]:80",
        ] {
            assert_eq!(options(url).validate(), Ok(()), "{url}");
        }
        for url in [
            "http://10.0.0.7:8080/v1",
            "http://localhost.example.com/v1",
            "http://127.0.0.1.example.com",
        ] {
            assert_eq!(options(url).validate().unwrap_err().key, "url", "{url}");
            let wanted = Options {
                require_https: false,
                ..options(url)
            };
            assert_eq!(wanted.validate(), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_url_or_a_key_that_cannot_be_used_is_refused() {
        for url in [
            "",
            "ftp://example.com",
            "https://user:word@example.com",
            "http://169.254.169.254",
        ] {
            assert_eq!(options(url).validate().unwrap_err().key, "url", "{url}");
        }
        let key = Options {
            api_key: Some("two\nlines".to_owned()),
            ..options("https://example.com")
        };
        assert_eq!(key.validate().unwrap_err().key, "api_key");
    }
}
