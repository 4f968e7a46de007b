//! What the operator chooses, and the checks that make a bad choice stop the start.

use std::str::FromStr;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName};
use selvedge_egress::{ClientError, ClientOptions, PolicyOptions, headers};

use crate::signing::{MAX_SECRETS, Secret};

/// What the headers that Selvedge sets itself hold at most, [`MAX_SECRETS`] signatures among them.
const MAX_OWN_HEADER_BYTES: usize = 1024;
/// What the operator's headers may hold, so that both together are not more than a request may bring along.
const MAX_CONFIGURED_HEADER_BYTES: usize = headers::MAX_HEADER_BYTES - MAX_OWN_HEADER_BYTES;

/// Everything under `webhooks`, with `http.disable_webhooks`.
#[derive(Clone, Debug)]
pub struct Options {
    /// `false` is `http.disable_webhooks: true`: URLs are still judged, nothing is queued or sent, and what is still
    /// pending ends as `disabled`.
    pub enabled: bool,
    /// Sent with every attempt, variables filled in. They may replace `content-type` and `user-agent`.
    pub headers: HeaderMap,
    /// Every attempt is signed with each of them, the newest first. Default none: no signature.
    pub secrets: Vec<Secret>,
    /// Keep only these members of the body. Default all.
    pub allowed_fields: Option<Vec<Field>>,
    /// When to try again.
    pub retry: Schedule,
    /// For one attempt: connection, head and body of the answer. Default 15 s.
    pub timeout: Duration,
    /// Larger bodies are sent without their values, see [`crate::payload`]. Default 1 MiB.
    pub max_body_bytes: usize,
    /// Attempts under way at once. Those at receivers that used to answer and now take longer than two seconds come on
    /// top, up to as many again. Default 64.
    pub max_concurrent: usize,
    /// The same for each host (each name, each address, and all names of a domain that do not answer), so that a slow one
    /// holds up itself and no other. Default 4.
    pub max_concurrent_per_host: usize,
    /// How long a delivery that has ended is kept with its body and attempts, also while webhooks are disabled.
    /// Default 30 days.
    pub retention: Duration,
    /// Where webhooks may go: `webhooks.url`.
    pub policy: PolicyOptions,
    /// How connections are made; its `max_concurrent` is replaced by the one above.
    pub client: ClientOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            enabled: true,
            headers: HeaderMap::new(),
            secrets: Vec::new(),
            allowed_fields: None,
            retry: Schedule::default(),
            timeout: Duration::from_secs(15),
            max_body_bytes: 1 << 20,
            max_concurrent: 64,
            max_concurrent_per_host: 4,
            retention: Duration::from_hours(30 * 24),
            policy: PolicyOptions::webhooks(),
            client: ClientOptions::default(),
        }
    }
}

/// When a delivery is tried: one entry for each attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Seconds to wait before each attempt: the first from the end of the run, each other from the attempt before.
    pub secs: Vec<u64>,
    /// Each wait is longer or shorter by up to this share, so that what failed together does not return together.
    pub jitter: f64,
}

impl Default for Schedule {
    /// Ten attempts over about three days (the schedule that Standard Webhooks suggests, stretched).
    fn default() -> Self {
        Self {
            secs: vec![
                0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400,
            ],
            jitter: 0.2,
        }
    }
}

impl Schedule {
    /// How long to wait after `attempts` attempts, or `None` when there are no more. `random` is in `0.0..1.0`.
    #[must_use]
    pub fn delay_after(&self, attempts: u32, random: f64) -> Option<Duration> {
        let secs = *self.secs.get(usize::try_from(attempts).ok()?)?;
        let factor = 1.0 + self.jitter * (2.0 * random - 1.0);
        Some(Duration::from_secs(secs).mul_f64(factor.max(0.0)))
    }

    /// From the end of the run to the last attempt, at the longest.
    #[must_use]
    pub fn length(&self) -> Duration {
        let secs = self
            .secs
            .iter()
            .fold(0_u64, |sum, secs| sum.saturating_add(*secs));
        // So many seconds are more than time has: `Timestamp` stops at its end.
        let longest = (secs as f64 * (1.0 + self.jitter)).min(u64::MAX as f64 / 2.0);
        Duration::from_secs_f64(longest)
    }
}

/// A member of the body that `allowed_fields` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each is the member of the Run object of that name"
)]
pub enum Field {
    RunId,
    ThreadId,
    AssistantId,
    Metadata,
    Status,
    Kwargs,
    MultitaskStrategy,
    CreatedAt,
    UpdatedAt,
    RunStartedAt,
    RunEndedAt,
    WebhookSentAt,
    Values,
    Error,
    Interrupts,
}

impl Field {
    /// All that can be named: LangGraph's, and `interrupts`.
    pub const ALL: [Self; 15] = [
        Self::RunId,
        Self::ThreadId,
        Self::AssistantId,
        Self::Metadata,
        Self::Status,
        Self::Kwargs,
        Self::MultitaskStrategy,
        Self::CreatedAt,
        Self::UpdatedAt,
        Self::RunStartedAt,
        Self::RunEndedAt,
        Self::WebhookSentAt,
        Self::Values,
        Self::Error,
        Self::Interrupts,
    ];

    /// The name in the body and in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunId => "run_id",
            Self::ThreadId => "thread_id",
            Self::AssistantId => "assistant_id",
            Self::Metadata => "metadata",
            Self::Status => "status",
            Self::Kwargs => "kwargs",
            Self::MultitaskStrategy => "multitask_strategy",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::RunStartedAt => "run_started_at",
            Self::RunEndedAt => "run_ended_at",
            Self::WebhookSentAt => "webhook_sent_at",
            Self::Values => "values",
            Self::Error => "error",
            Self::Interrupts => "interrupts",
        }
    }
}

impl FromStr for Field {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|field| field.as_str() == text)
            .ok_or(())
    }
}

/// Why webhooks cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An option cannot be taken. The key is relative to `webhooks`.
    #[error("{key}: {message}")]
    Option {
        /// Which: `url.allowed_domains[1]`.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// Connections cannot be made at all.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl StartError {
    fn option(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Option {
            key: key.into(),
            message: message.into(),
        }
    }
}

impl From<selvedge_egress::PolicyError> for StartError {
    fn from(error: selvedge_egress::PolicyError) -> Self {
        Self::option(format!("url.{}", error.key), error.message)
    }
}

impl Options {
    /// Checks what is not the policy's to check. [`Webhooks::start`](crate::Webhooks::start) does it too.
    ///
    /// # Errors
    /// The first option that cannot be taken, by its key.
    pub fn validate(&self) -> Result<(), StartError> {
        for name in self.headers.keys() {
            if is_ours(name) {
                return Err(StartError::option(
                    format!("headers.{name}"),
                    "this header is set by Selvedge",
                ));
            }
        }
        // Otherwise each attempt would be refused, and each delivery end as blocked.
        if headers::bytes(&self.headers) > MAX_CONFIGURED_HEADER_BYTES {
            return Err(StartError::option(
                "headers",
                format!(
                    "hold more than {MAX_CONFIGURED_HEADER_BYTES} bytes in all, names and values together"
                ),
            ));
        }
        if self.secrets.len() > MAX_SECRETS {
            return Err(StartError::option(
                "signing.secrets",
                format!("at most {MAX_SECRETS} secrets are in use at once"),
            ));
        }
        if self.retry.secs.is_empty() {
            return Err(StartError::option(
                "retry.schedule_secs",
                "needs at least one entry: the first attempt",
            ));
        }
        if !(0.0..=1.0).contains(&self.retry.jitter) {
            return Err(StartError::option(
                "retry.jitter",
                "must lie between 0 and 1",
            ));
        }
        for (key, value) in [
            ("timeout_secs", self.timeout.as_millis()),
            ("max_body_bytes", self.max_body_bytes as u128),
            ("max_concurrent", self.max_concurrent as u128),
            (
                "max_concurrent_per_host",
                self.max_concurrent_per_host as u128,
            ),
        ] {
            if value == 0 {
                return Err(StartError::option(key, "must be more than 0"));
            }
        }
        Ok(())
    }
}

/// Whether a header of a delivery is not the operator's to set: it belongs to the connection, or it begins as those that
/// Standard Webhooks defines.
#[must_use]
pub fn is_ours(name: &HeaderName) -> bool {
    name == header::CONTENT_LENGTH
        || headers::is_reserved(name)
        || name.as_str().starts_with("webhook-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_schedule_has_an_entry_for_each_attempt_and_jitter_on_both_sides() {
        let schedule = Schedule::default();
        assert_eq!(schedule.delay_after(1, 0.5), Some(Duration::from_secs(5)));
        assert_eq!(schedule.delay_after(2, 0.0), Some(Duration::from_secs(240)));
        assert_eq!(schedule.delay_after(2, 1.0), Some(Duration::from_secs(360)));
        assert_eq!(schedule.delay_after(10, 0.5), None);
        let days = schedule.secs.iter().sum::<u64>() / 86_400;
        assert_eq!(days, 3);
    }

    #[test]
    fn every_field_is_found_by_its_name() {
        for field in Field::ALL {
            assert_eq!(field.as_str().parse(), Ok(field));
        }
        assert_eq!("langsmith_session_name".parse::<Field>(), Err(()));
    }

    #[test]
    fn a_bad_option_is_named_by_its_key() {
        type Change = fn(&mut Options);
        let cases: [(&str, Change); 6] = [
            ("headers.webhook-id", |o| {
                o.headers
                    .insert("webhook-id", HeaderValue::from_static("x"));
            }),
            ("headers", |o| {
                let value = "x".repeat(MAX_CONFIGURED_HEADER_BYTES);
                o.headers.insert("x", HeaderValue::try_from(value).unwrap());
            }),
            ("signing.secrets", |o| {
                let secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
                o.secrets = vec![secret; MAX_SECRETS + 1];
            }),
            ("retry.schedule_secs", |o| o.retry.secs.clear()),
            ("retry.jitter", |o| o.retry.jitter = 1.5),
            ("max_concurrent", |o| o.max_concurrent = 0),
        ];
        for (key, change) in cases {
            let mut options = Options::default();
            change(&mut options);
            let error = options.validate().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key}: ")), "{error}");
        }
    }
}
