//! One attempt: judge the URL again, post the body, read a little of the answer, record what came of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use selvedge_egress::{Body, Client, EgressError, Request, Response};
use selvedge_model::delivery::{Attempt, DeliveryStatus, DueDelivery, NewDelivery, Verdict, stamp};
use selvedge_model::time::Clock;
use selvedge_model::url::without_query;
use selvedge_model::{DeliveryId, Timestamp};
use selvedge_storage::{Storage, StorageError};
use tokio::time::{Instant, sleep};

use crate::counts::Counters;
use crate::options::Schedule;
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
/// A record that storage refuses for a reason that does not pass is left for later after so many tries.
const MAX_RECORD_TRIES: u32 = 5;

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
#[derive(Debug)]
pub(crate) struct Done {
    pub url: String,
    pub address: Option<SocketAddr>,
    pub took: Duration,
    /// Whether the host answers; `None` when that was not found out.
    pub answers: Option<bool>,
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
    pub async fn deliver(self: Arc<Self>, due: DueDelivery) -> Done {
        let DueDelivery {
            delivery,
            attempts,
            tries,
        } = due;
        let (id, url) = (delivery.id, delivery.url.clone());
        let number = attempts.saturating_add(1);
        let (at, began) = (self.clock.now(), Instant::now());
        let exchange = self.post(delivery, at).await;
        let took = began.elapsed();
        let answers = exchange.outcome.host_answers();
        let verdict = verdict(
            exchange.outcome,
            tries.saturating_add(1),
            &self.schedule,
            self.clock.now(),
            rand::random(),
        );
        let attempt = Attempt {
            number,
            at,
            url: without_query(&url),
            address: exchange.address,
            status: exchange.status,
            duration: took,
            response: exchange.response,
            error: exchange.error,
        };
        self.counters.attempt(verdict);
        log(&id.to_string(), &attempt, verdict);
        let address = exchange.address;
        let record = Record {
            id,
            attempt: Some(attempt),
            verdict,
        };
        Done {
            url,
            address,
            took,
            answers,
            retry_at: match verdict {
                Verdict::RetryAt(at) => Some(at),
                Verdict::End(_) => None,
            },
            refused: self.insist(record).await.err(),
        }
    }

    /// What is to be written down of an attempt that broke off by a mistake of ours: it failed like any other, so that
    /// the schedule bounds how often it is made again.
    pub fn broken(&self, id: DeliveryId, url: &str, number: u32, tries: u32) -> Record {
        let now = self.clock.now();
        let verdict = verdict(Outcome::Failed, tries, &self.schedule, now, rand::random());
        self.counters.attempt(verdict);
        Record {
            id,
            attempt: Some(Attempt {
                number,
                at: now,
                url: without_query(url),
                address: None,
                status: None,
                duration: Duration::ZERO,
                response: None,
                error: Some("internal: the attempt broke off".to_owned()),
            }),
            verdict,
        }
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

    /// Writes a record down, or gives it back when storage refuses it for a reason that does not pass. While storage
    /// cannot write at all, the attempt keeps its slot: sending more that could not be recorded either would only make
    /// duplicates.
    async fn insist(&self, record: Record) -> Result<(), Record> {
        let mut pause = MIN_PAUSE;
        let mut tries = 0;
        while let Err(error) = self.record(&record).await {
            tries += 1;
            let may_pass = matches!(
                error,
                StorageError::Full
                    | StorageError::ReadOnly
                    | StorageError::Unavailable(_)
                    | StorageError::Overloaded
            );
            if !may_pass && tries >= MAX_RECORD_TRIES {
                tracing::error!(delivery = %record.id, %error, "a webhook attempt cannot be recorded; it is tried again later");
                return Err(record);
            }
            tracing::warn!(delivery = %record.id, %error, "a webhook attempt cannot be recorded yet");
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        Ok(())
    }

    /// Writes a record down, once.
    pub async fn record(&self, record: &Record) -> Result<(), StorageError> {
        let now = self.clock.now();
        self.storage
            .record_attempt(record.id, record.attempt.clone(), record.verdict, now)
            .await
    }
}

impl Exchange {
    fn failed(error: &EgressError) -> Self {
        Self {
            outcome: match error {
                EgressError::Refused(_) => Outcome::Refused,
                error if error.is_our_own() => Outcome::NotAsked,
                _ => Outcome::Failed,
            },
            status: None,
            address: error.address(),
            response: None,
            error: Some(format!("{}: {error}", error.kind())),
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
    use selvedge_egress::{ClientOptions, Policy, PolicyOptions, Reported};
    use selvedge_model::time::SystemClock;
    use selvedge_storage::sqlite;

    use super::*;

    #[tokio::test]
    async fn an_attempt_that_broke_off_counts_as_one_that_failed() {
        let directory = tempfile::tempdir().unwrap();
        let policy = Policy::new(&PolicyOptions::webhooks()).unwrap();
        let options = sqlite::Options::new(directory.path());
        let sender = Sender {
            client: Client::new(Arc::new(policy), &ClientOptions::default()).unwrap(),
            storage: sqlite::Sqlite::open(options).unwrap(),
            clock: Arc::new(SystemClock),
            headers: HeaderMap::new(),
            secrets: Vec::new(),
            counters: Arc::default(),
            schedule: Schedule::default(),
            timeout: Duration::from_secs(1),
        };
        let record = sender.broken(DeliveryId::new(), "https://a.example/", 1, 1);
        assert!(matches!(record.verdict, Verdict::RetryAt(_)));
        assert_eq!(sender.counters.read(Reported::default()).failed, 1);
    }

    #[test]
    fn what_is_kept_of_an_answer_is_readable_and_bounded() {
        assert_eq!(readable(b"no\xff"), "no\u{fffd}");
        assert_eq!(
            readable(&[0xff; MAX_KEPT_BYTES]).len(),
            MAX_KEPT_BYTES / 3 * 3
        );
    }
}
