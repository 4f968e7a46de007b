//! One attempt: judge the URL again, post the body, read a little of the answer, record what came of it.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use selvedge_egress::{Body, Client, EgressError, Refusal, Request, Response};
use selvedge_model::delivery::{Attempt, DeliveryStatus, DueDelivery, NewDelivery, Verdict, stamp};
use selvedge_model::time::Clock;
use selvedge_model::url::without_query;
use selvedge_model::{DeliveryId, Timestamp};
use selvedge_storage::{Storage, StorageError};
use tokio::time::{Instant, sleep};

use crate::counts::Counters;
use crate::options::Schedule;
use crate::queue::{Seen, Turn};
use crate::record::Record;
use crate::signing::{self, Secret};
use crate::verdict::{Outcome, retry_after, verdict};

/// How much of an answer is read, so that its connection can be used again.
const MAX_READ_BYTES: usize = 65_536;
/// How much of it is kept.
const MAX_KEPT_BYTES: usize = 4096;
/// The pauses before a failed write to storage is tried again double from here to there.
pub(crate) const MIN_PAUSE: Duration = Duration::from_millis(100);
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(30);
/// What storage refuses for a reason that does not pass is given up, or left for later, after so many tries.
const MAX_STORAGE_TRIES: u32 = 5;

const USER_AGENT: &str = concat!("selvedge/", env!("CARGO_PKG_VERSION"));

/// Makes attempts.
pub(crate) struct Sender {
    pub client: Client,
    pub storage: Arc<dyn Storage>,
    pub clock: Arc<dyn Clock>,
    pub headers: HeaderMap,
    pub secrets: Vec<Secret>,
    pub counters: Arc<Counters>,
    pub schedule: Schedule,
    pub timeout: Duration,
}

/// What the worker needs to know of an attempt.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub seen: Seen,
    pub retry_at: Option<Timestamp>,
    /// What storage refused to write down.
    pub refused: Option<Record>,
}

/// What came back, before it is judged.
struct Exchange {
    outcome: Outcome,
    status: Option<u16>,
    address: Option<SocketAddr>,
    response: Option<String>,
    error: Option<String>,
}

impl Sender {
    /// Reads what is to be sent, sends it, and writes down what came of that.
    pub async fn deliver(self: Arc<Self>, turn: Turn) -> Done {
        let read = self.insist(turn.id, || self.storage.delivery_to_send(turn.id));
        let read = read.await;
        // The time that storage takes is not the host's.
        let (at, began) = (self.clock.now(), Instant::now());
        let (url, exchange) = match read {
            Ok(Some(delivery)) => (
                without_query(&delivery.url),
                self.try_once(delivery, at).await,
            ),
            Ok(None) => {
                tracing::warn!(delivery = %turn.id, "a webhook delivery is gone before it was sent");
                return Done::default();
            }
            Err(error) => (String::new(), Exchange::internal(&error.to_string())),
        };
        let took = began.elapsed();
        let answers = exchange.outcome.host_answers();
        let seen = Seen {
            answers: answers.map(|answers| (answers, took)),
            address: exchange.address,
        };
        let tries = turn.tries.saturating_add(1);
        let (now, random) = (self.clock.now(), rand::random());
        let verdict = verdict(exchange.outcome, tries, &self.schedule, now, random);
        let attempt = Attempt {
            number: turn.attempts.saturating_add(1),
            at,
            url,
            address: exchange.address,
            status: exchange.status,
            duration: took,
            response: exchange.response,
            error: exchange.error,
        };
        self.counters.attempt(verdict);
        log(&turn.id.to_string(), &attempt, verdict);
        let record = Record::Attempt {
            id: turn.id,
            attempt,
            verdict,
        };
        let recorded = self.insist(turn.id, || self.record(&record)).await;
        Done {
            seen,
            retry_at: match verdict {
                Verdict::RetryAt(at) => Some(at),
                Verdict::End(_) => None,
            },
            refused: recorded.is_err().then_some(record),
        }
    }

    /// The end of a delivery that is not to be tried any more: its host was left alone for so long that its schedule
    /// is over.
    pub fn over(&self, due: &DueDelivery) -> Record {
        let attempt = Attempt {
            number: due.attempts.saturating_add(1),
            at: self.clock.now(),
            url: without_query(&due.url),
            address: None,
            status: None,
            duration: Duration::ZERO,
            response: None,
            error: Some("breaker: left alone until the schedule was over".to_owned()),
        };
        let id = due.id;
        Record::Over { id, attempt }
    }

    /// An attempt that breaks off by a mistake of ours failed like any other, so that the schedule bounds how often it is
    /// made again.
    async fn try_once(&self, delivery: NewDelivery, now: Timestamp) -> Exchange {
        let post = AssertUnwindSafe(self.post(delivery, now));
        post.catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!("a webhook attempt broke off");
            Exchange::internal("the attempt broke off")
        })
    }

    async fn post(&self, mut delivery: NewDelivery, now: Timestamp) -> Exchange {
        let url = match self.client.policy().check_url(&delivery.url) {
            Ok(url) => url,
            Err(refusal) => return Exchange::failed(&refusal.into()),
        };
        stamp(&mut delivery.body, delivery.sent_at_offset, now);
        let request = Request {
            method: Method::POST,
            url,
            headers: self.headers(&delivery, now),
            body: Body::from(delivery.body),
            deadline: Instant::now() + self.timeout,
        };
        match self.client.send(request).await {
            Ok(response) => Exchange::answered(response, self.clock.now()).await,
            Err(error) => Exchange::failed(&error),
        }
    }

    fn headers(&self, delivery: &NewDelivery, now: Timestamp) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        // `extend` replaces: what the operator configures wins over the two above.
        headers.extend(self.headers.clone());
        // Whole seconds since 1970, as Standard Webhooks has it.
        let (id, timestamp) = (
            delivery.id.to_string(),
            now.as_millis().div_euclid(1000).to_string(),
        );
        let signature = signing::sign(&self.secrets, &id, &timestamp, &delivery.body);
        for (name, value) in [
            ("webhook-id", HeaderValue::try_from(id).ok()),
            ("webhook-timestamp", HeaderValue::try_from(timestamp).ok()),
            ("webhook-signature", signature),
        ] {
            headers.extend(value.map(|value| (HeaderName::from_static(name), value)));
        }
        headers
    }

    /// Asks storage until it does what it is asked, or refuses for a reason that does not pass. While storage cannot
    /// work at all, the attempt keeps its slot: sending more that could not be recorded either would only make
    /// duplicates.
    async fn insist<T, F>(
        &self,
        id: DeliveryId,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        let mut pause = MIN_PAUSE;
        let mut tries = 0;
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            tries += 1;
            if !error.may_pass() && tries >= MAX_STORAGE_TRIES {
                tracing::error!(delivery = %id, %error, "storage refuses what a webhook attempt needs");
                return Err(error);
            }
            tracing::warn!(delivery = %id, %error, "a webhook attempt waits for storage");
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Writes a record down, once. What was not tried counts and is told of when it is written down.
    pub async fn record(&self, record: &Record) -> Result<(), StorageError> {
        let now = self.clock.now();
        match record {
            Record::Attempt {
                id,
                attempt,
                verdict,
            } => {
                self.storage
                    .record_attempt(*id, attempt.clone(), *verdict, now)
                    .await
            }
            Record::Over { id, attempt } => {
                let verdict = Verdict::End(DeliveryStatus::Exhausted);
                self.storage
                    .record_attempt(*id, attempt.clone(), verdict, now)
                    .await?;
                self.counters.ended(DeliveryStatus::Exhausted);
                log(&id.to_string(), attempt, verdict);
                Ok(())
            }
            Record::PutOff(put_off) => self.storage.put_off(vec![*put_off]).await,
        }
    }
}

impl Exchange {
    /// A mistake of ours says nothing of the host.
    fn internal(message: &str) -> Self {
        Self {
            outcome: Outcome::NotAsked,
            status: None,
            address: None,
            response: None,
            error: Some(format!("internal: {message}")),
        }
    }

    fn failed(error: &EgressError) -> Self {
        let kind = error.kind();
        let (outcome, text) = match error {
            EgressError::Refused(Refusal { gate, rule, .. }) => {
                let rule = rule.as_str();
                let text = format!("{kind}: {error} (gate: {gate}, rule: {rule})");
                (Outcome::Refused, text)
            }
            error if error.is_our_own() => (Outcome::NotAsked, format!("{kind}: {error}")),
            _ => (Outcome::Failed, format!("{kind}: {error}")),
        };
        Self {
            outcome,
            status: None,
            address: error.address(),
            response: None,
            error: Some(text),
        }
    }

    /// The status decides; what is wrong with the rest of the answer is only noted.
    async fn answered(mut response: Response, now: Timestamp) -> Self {
        let mut body = Vec::new();
        let read = response.body.read_at_most(MAX_READ_BYTES, &mut body).await;
        body.truncate(MAX_KEPT_BYTES);
        Self {
            outcome: Outcome::Answered {
                status: response.status,
                retry_after: retry_after(&response.headers, now),
            },
            status: Some(response.status.as_u16()),
            address: Some(response.address),
            response: (!body.is_empty()).then(|| readable(&body)),
            error: read.err().map(|error| format!("{}: {error}", error.kind())),
        }
    }
}

/// Text of at most [`MAX_KEPT_BYTES`], although each byte that is no UTF-8 becomes three.
fn readable(body: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    text.truncate(text.floor_char_boundary(MAX_KEPT_BYTES));
    text
}

fn log(id: &str, attempt: &Attempt, verdict: Verdict) {
    let Attempt {
        number,
        url,
        status,
        error,
        ..
    } = attempt;
    let error = error.as_deref();
    let took = attempt.duration;
    match verdict {
        Verdict::End(DeliveryStatus::Delivered) => {
            tracing::debug!(
                delivery = id,
                url,
                attempt = number,
                status,
                ?took,
                "webhook delivered"
            );
        }
        Verdict::End(end) => {
            let end = end.as_str();
            tracing::warn!(
                delivery = id,
                url,
                attempt = number,
                status,
                error,
                ?took,
                "webhook {end}"
            );
        }
        Verdict::RetryAt(at) => {
            tracing::info!(delivery = id, url, attempt = number, status, error, ?took, next = %at, "webhook failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_an_answer_is_readable_and_bounded() {
        assert_eq!(readable(b"no\xff"), "no\u{fffd}");
        assert_eq!(
            readable(&[0xff; MAX_KEPT_BYTES]).len(),
            MAX_KEPT_BYTES / 3 * 3
        );
    }
}
