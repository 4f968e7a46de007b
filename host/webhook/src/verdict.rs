//! What becomes of a delivery after an attempt. Pure: time and chance come in.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use selvedge_model::Timestamp;
use selvedge_model::delivery::{DeliveryStatus, Verdict};

use crate::options::Schedule;

/// The most that a receiver can put off the next attempt by `Retry-After`.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered.
    Answered {
        /// With this status.
        status: StatusCode,
        /// And this wish.
        retry_after: Option<Duration>,
    },
    /// The policy refuses the address: nothing was sent.
    Refused,
    /// No answer: network, TLS, timeout.
    Failed,
    /// This process had no place for the request: the host was not asked.
    NotAsked,
}

impl Outcome {
    /// Whether the host does its work, whatever it thinks of this delivery; `None` when it was not asked.
    #[must_use]
    pub fn host_answers(self) -> Option<bool> {
        match self {
            Self::Answered { status, .. } => {
                let is_busy = matches!(
                    status,
                    StatusCode::REQUEST_TIMEOUT
                        | StatusCode::TOO_EARLY
                        | StatusCode::TOO_MANY_REQUESTS
                );
                Some(!is_busy && !status.is_server_error())
            }
            Self::Refused | Self::NotAsked => None,
            Self::Failed => Some(false),
        }
    }
}

/// Decides. `attempts` counts this one; `random` is in `0.0..1.0`.
#[must_use]
pub fn verdict(
    outcome: Outcome,
    attempts: u32,
    schedule: &Schedule,
    now: Timestamp,
    random: f64,
) -> Verdict {
    let wish = match outcome {
        Outcome::Refused => return Verdict::End(DeliveryStatus::Blocked),
        Outcome::Answered { status, .. } if status.is_success() => {
            return Verdict::End(DeliveryStatus::Delivered);
        }
        Outcome::Answered {
            status: StatusCode::GONE,
            ..
        } => return Verdict::End(DeliveryStatus::Gone),
        Outcome::Answered { retry_after, .. } => retry_after,
        Outcome::Failed | Outcome::NotAsked => None,
    };
    match schedule.delay_after(attempts, random) {
        None => Verdict::End(DeliveryStatus::Exhausted),
        Some(delay) => Verdict::RetryAt(now.after(delay.max(wish.unwrap_or_default()))),
    }
}

/// Reads `Retry-After` (RFC 9110 section 10.2.3: seconds or a date), at most [`MAX_RETRY_AFTER`].
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wish = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        let since_1970 = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        now.until(Timestamp::from_micros(0).after(since_1970))
    };
    Some(wish.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const NOW: Timestamp = Timestamp::from_micros(784_111_777_000_000);

    fn after(attempts: u32, outcome: Outcome) -> Verdict {
        verdict(outcome, attempts, &Schedule::default(), NOW, 0.5)
    }

    fn answered(status: u16, retry_after: Option<u64>) -> Outcome {
        Outcome::Answered {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn in_secs(secs: u64) -> Verdict {
        Verdict::RetryAt(NOW.after(Duration::from_secs(secs)))
    }

    #[test]
    fn an_answer_of_2xx_delivers_and_410_and_the_policy_end_it() {
        for status in [200, 201, 204, 299] {
            assert_eq!(
                after(1, answered(status, None)),
                Verdict::End(DeliveryStatus::Delivered)
            );
        }
        assert_eq!(
            after(1, answered(410, None)),
            Verdict::End(DeliveryStatus::Gone)
        );
        assert_eq!(
            after(1, Outcome::Refused),
            Verdict::End(DeliveryStatus::Blocked)
        );
    }

    #[test]
    fn everything_else_is_tried_again_on_the_schedule_until_it_ends() {
        for status in [301, 307, 400, 404, 408, 425, 429, 500, 503] {
            assert_eq!(after(1, answered(status, None)), in_secs(5));
        }
        assert_eq!(after(2, Outcome::Failed), in_secs(300));
        assert_eq!(after(2, Outcome::NotAsked), in_secs(300));
        assert_eq!(after(9, Outcome::Failed), in_secs(86_400));
        assert_eq!(
            after(10, Outcome::Failed),
            Verdict::End(DeliveryStatus::Exhausted)
        );
    }

    #[test]
    fn a_host_answers_unless_it_is_silent_busy_or_broken() {
        for (status, answers) in [
            (200, true),
            (302, true),
            (404, true),
            (410, true),
            (408, false),
            (425, false),
            (429, false),
            (500, false),
            (503, false),
        ] {
            let outcome = answered(status, None);
            assert_eq!(outcome.host_answers(), Some(answers), "{status}");
        }
        assert_eq!(Outcome::Failed.host_answers(), Some(false));
        assert_eq!(Outcome::Refused.host_answers(), None);
        assert_eq!(Outcome::NotAsked.host_answers(), None);
    }

    #[test]
    fn the_later_of_schedule_and_retry_after_counts() {
        assert_eq!(after(1, answered(503, Some(60))), in_secs(60));
        assert_eq!(after(2, answered(503, Some(60))), in_secs(300));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_an_hour_at_most() {
        for (text, secs) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("86400", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            assert_eq!(
                retry_after(&headers, NOW),
                secs.map(Duration::from_secs),
                "{text}"
            );
        }
    }
}
