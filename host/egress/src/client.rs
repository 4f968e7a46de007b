//! Requests under one policy: one client, one pool of connections, so that no connection is reused under another.

use std::error::Error as _;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::body::{Body, Exchange, HttpBody, ResponseBody, chain};
use crate::connector::Connector;
use crate::error::{EgressError, Phase};
use crate::gate::response::{MAX_HEAD_BYTES, MAX_INTERIM_ANSWERS};
use crate::headers;
use crate::io::Peer;
use crate::policy::Policy;
use crate::refusal::{Gate, Refusal};
use crate::resolver::{Resolver, SystemResolver};
use crate::secrets::Secrets;
use crate::share::{Share, Slots};
use crate::target::Target;
pub use crate::tls::Roots;

/// How a client behaves, apart from what its policy says.
#[derive(Clone)]
pub struct ClientOptions {
    /// For resolving, connecting and encrypting together. Default 5 s, as LangGraph's.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept. Default 30 s, below the idle limits of common servers.
    pub idle_timeout: Duration,
    /// How many unused connections are kept for each host. Default 8.
    pub max_idle_per_host: usize,
    /// How many requests are under way at once, bodies of answers included; more wait until their deadline. Default
    /// 256.
    pub max_concurrent: usize,
    /// Larger answers end with an error. Default 64 MiB.
    pub max_response_bytes: u64,
    /// Whose certificates are trusted.
    pub roots: Roots,
    /// Who turns names into addresses.
    pub resolver: Arc<dyn Resolver>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            max_idle_per_host: 8,
            max_concurrent: 256,
            max_response_bytes: 64 << 20,
            roots: Roots::System,
            resolver: Arc::new(SystemResolver::default()),
        }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("connect_timeout", &self.connect_timeout)
            .field("max_concurrent", &self.max_concurrent)
            .field("max_response_bytes", &self.max_response_bytes)
            .finish_non_exhaustive()
    }
}

/// A client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct ClientError(#[from] rustls::Error);

/// What to send.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Target,
    /// The headers, without `Host`; secrets may stand in them as placeholders.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// When it must all be over: connection, head and body of the answer.
    pub deadline: Instant,
}

/// What came back.
#[derive(Debug)]
pub struct Response {
    /// The status; a 3xx is not followed.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The address that was connected to.
    pub address: SocketAddr,
    /// The body.
    pub body: ResponseBody,
}

/// Sends requests under one policy. A clone is the same client.
#[derive(Clone)]
pub struct Client {
    policy: Arc<Policy>,
    http: HyperClient<Connector, HttpBody>,
    secrets: Arc<Secrets>,
    slots: Arc<Semaphore>,
    share: Option<Share>,
    max_response_bytes: u64,
}

impl Client {
    /// A client with a pool of its own.
    ///
    /// # Errors
    /// When TLS cannot be set up: [`Roots::Only`] holds something that is no certificate.
    pub fn new(policy: Arc<Policy>, options: &ClientOptions) -> Result<Self, ClientError> {
        let connector = Connector {
            policy: Arc::clone(&policy),
            resolver: Arc::clone(&options.resolver),
            tls: TlsConnector::from(Arc::new(crate::tls::config(&options.roots)?)),
            timeout: options.connect_timeout,
        };
        let http = HyperClient::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(options.max_idle_per_host)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(connector);
        Ok(Self {
            policy,
            http,
            secrets: Arc::default(),
            share: None,
            slots: Arc::new(Semaphore::new(
                options.max_concurrent.min(Semaphore::MAX_PERMITS),
            )),
            max_response_bytes: options.max_response_bytes,
        })
    }

    /// The same client, pool and slots included, for a graph with these secrets.
    #[must_use]
    pub fn with_secrets(&self, secrets: Arc<Secrets>) -> Self {
        Self {
            secrets,
            ..self.clone()
        }
    }

    /// The same client, pool and slots included, for somebody who may use this share of the slots. More requests wait for
    /// the share before they wait for a slot, so that they stand in nobody else's way.
    #[must_use]
    pub fn with_share(&self, share: Share) -> Self {
        Self {
            share: Some(share),
            ..self.clone()
        }
    }

    /// The policy that this client keeps to.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// A pooled connection that turns out to be closed before anything was written is replaced by a new one; nothing
    /// else is tried again here.
    pub async fn send(&self, request: Request) -> Result<Response, EgressError> {
        let deadline = request.deadline;
        let request = self.judged(request)?;
        let slots = timeout_at(deadline, Slots::of(self.share.as_ref(), &self.slots))
            .await
            .ok()
            .flatten()
            .ok_or_else(|| late(Phase::Slot, None))?;
        let (response, address) = self.exchange(request, deadline).await?;
        let (head, incoming) = response.into_parts();
        Ok(Response {
            status: head.status,
            headers: head.headers,
            address,
            body: ResponseBody::new(
                Exchange {
                    incoming,
                    _slots: slots,
                },
                self.max_response_bytes,
                deadline,
                address,
            ),
        })
    }

    /// Sends what was judged, and finds the peer that answered.
    async fn exchange(
        &self,
        mut request: http::Request<HttpBody>,
        deadline: Instant,
    ) -> Result<(http::Response<Incoming>, SocketAddr), EgressError> {
        let captured = capture_connection(&mut request);
        let babble = babble(&mut request);
        let answer = async {
            tokio::select! {
                answer = self.http.request(request) => Some(answer),
                () = babble.notified() => None,
            }
        };
        let protocol = |message: String| EgressError::Protocol {
            message,
            address: peer(&captured),
        };
        let response = match timeout_at(deadline, answer).await {
            Ok(Some(answer)) => answer.map_err(|error| classify(&error, peer(&captured)))?,
            Ok(None) => {
                let message = format!("more than {MAX_INTERIM_ANSWERS} interim answers");
                return Err(protocol(message));
            }
            Err(_) => {
                return Err(match peer(&captured) {
                    None => late(Phase::Connection, None),
                    address => late(Phase::Answer, address),
                });
            }
        };
        let address = response.extensions().get::<Peer>().map(|peer| peer.0);
        let address = address
            .or_else(|| peer(&captured))
            .ok_or_else(|| protocol("an answer without a known peer".to_owned()))?;
        Ok((response, address))
    }

    /// Judges a whole request and puts it into hyper's form.
    fn judged(&self, request: Request) -> Result<http::Request<HttpBody>, Refusal> {
        let Request {
            method,
            url,
            mut headers,
            body,
            ..
        } = request;
        self.policy.check_target(&url)?;
        self.policy.check_method(&method)?;
        let refuse = |rule| self.policy.refuse(Gate::Shape, rule);
        headers::check(&mut headers, url.authority()).map_err(refuse)?;
        self.secrets
            .fill(url.host(), &mut headers)
            .map_err(refuse)?;
        let mut request = http::Request::new(body.0);
        *request.method_mut() = method;
        *request.uri_mut() = url.uri;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("policy", &self.policy)
            .field("secrets", &self.secrets)
            .finish_non_exhaustive()
    }
}

fn late(phase: Phase, address: Option<SocketAddr>) -> EgressError {
    EgressError::Timeout { phase, address }
}

/// Tells of a peer that has sent more interim answers than it may.
fn babble(request: &mut http::Request<HttpBody>) -> Arc<Notify> {
    let (babble, count) = (Arc::new(Notify::new()), AtomicUsize::new(0));
    let told = Arc::clone(&babble);
    hyper::ext::on_informational(request, move |_| {
        if count.fetch_add(1, Ordering::Relaxed) >= MAX_INTERIM_ANSWERS {
            told.notify_one();
        }
    });
    babble
}

fn peer(captured: &CaptureConnection) -> Option<SocketAddr> {
    let metadata = captured.connection_metadata();
    let mut extensions = http::Extensions::new();
    metadata.as_ref()?.get_extras(&mut extensions);
    extensions.get::<Peer>().map(|peer| peer.0)
}

/// Finds what the connector said, or what became of the exchange.
fn classify(error: &hyper_util::client::legacy::Error, address: Option<SocketAddr>) -> EgressError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(ours) = cause.downcast_ref::<EgressError>() {
            return ours.clone();
        }
        if cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_user)
        {
            return EgressError::RequestBody {
                message: chain(cause),
            };
        }
        if let Some(http) = cause.downcast_ref::<hyper::Error>() {
            return EgressError::Protocol {
                message: chain(http),
                address,
            };
        }
        source = cause.source();
    }
    EgressError::Protocol {
        message: chain(error),
        address,
    }
}
