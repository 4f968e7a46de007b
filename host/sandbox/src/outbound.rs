//! `wasi:http` through `egress`: what a guest asks for is judged, sent and bounded there.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use parking_lot::Mutex;
use selvedge_egress::{self as egress, EgressError, Gate, Share, WeakShare};
use selvedge_model::RunId;
use tokio::time::Instant;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::Limits;
use crate::bound::{Bound, Exceeded};
use crate::patience::Progress;
use crate::spawned::Spawned;

/// An exchange that nobody ends is over so long after the time of its task: later, so that a task which waits for an
/// answer ends by its own clock and says so.
const AFTER_THE_TASK: Duration = Duration::from_secs(1);

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Exchange = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send>;

/// How the tasks of a component reach the network.
#[derive(Clone)]
pub struct Network {
    /// Under the operator's policy, with the graph's secrets.
    pub client: Arc<egress::Client>,
    /// How long one exchange may take (`egress.timeout_secs`).
    pub timeout: Duration,
    /// Exchanges of one run that may be under way at once (`egress.max_concurrent_per_run`). More of them wait.
    pub max_concurrent_per_run: usize,
}

/// The shares of the runs that use the network now.
#[derive(Default)]
pub(crate) struct Shares(Mutex<HashMap<RunId, WeakShare>>);

impl Shares {
    fn of(&self, run: RunId, max_concurrent: usize) -> Share {
        let mut shares = self.0.lock();
        if let Some(share) = shares.get(&run).and_then(WeakShare::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.upgrade().is_some());
        let share = Share::new(max_concurrent);
        shares.insert(run, share.downgrade());
        share
    }
}

/// The outbound HTTP of one task.
pub(crate) struct Outbound {
    network: Network,
    /// Connections live on the host's runtime: a spinning guest must not starve those of its neighbours.
    host: tokio::runtime::Handle,
    run: RunId,
    shares: Arc<Shares>,
    /// The network as this run may use it; made with its first request.
    client: Option<egress::Client>,
    /// When the exchanges of the task are over, whoever holds them.
    exchanges_end: Instant,
    limit: u32,
    calls: u32,
    progress: Arc<Progress>,
}

impl Outbound {
    pub(crate) fn new(
        network: Network,
        host: tokio::runtime::Handle,
        (run, shares): (RunId, Arc<Shares>),
        limits: &Limits,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            network,
            host,
            run,
            shares,
            client: None,
            exchanges_end: Instant::now() + limits.wall + AFTER_THE_TASK,
            limit: limits.http_calls,
            calls: 0,
            progress,
        }
    }

    /// The task's end, once it has asked for more requests than it may make.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        (self.calls > self.limit).then(|| {
            Exceeded::new(
                Bound::HttpCalls,
                format_args!("the task made more than {} HTTP requests", self.limit),
            )
        })
    }

    fn client(&mut self) -> egress::Client {
        let (network, shares, run) = (&self.network, &self.shares, self.run);
        self.client
            .get_or_insert_with(|| {
                let share = shares.of(run, network.max_concurrent_per_run);
                network.client.with_share(share)
            })
            .clone()
    }
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Io,
    ) -> Exchange {
        self.progress.made();
        self.calls = self.calls.saturating_add(1);
        if self.calls > self.limit {
            return Box::new(async { Err(Error::ConnectionLimitReached) });
        }
        let client = self.client();
        let longest = self.network.timeout;
        let patience = Patience {
            until: self.exchanges_end.min(Instant::now() + longest),
            first_byte: options
                .and_then(|o| o.first_byte_timeout)
                .unwrap_or(longest),
            between_bytes: options
                .and_then(|o| o.between_bytes_timeout)
                .unwrap_or(longest),
        };
        // A request is over when its task is.
        let sending = Spawned(
            self.host
                .spawn(async move { send(&client, request, patience).await }),
        );
        Box::new(async move {
            let response = sending.await.map_err(|_| Error::InternalError(None))??;
            Ok((response, Box::new(async { Ok(()) }) as Io))
        })
    }
}

/// How long a guest waits, within what the operator allows.
#[derive(Clone, Copy)]
struct Patience {
    /// For the whole exchange.
    until: Instant,
    /// For the head of the answer.
    first_byte: Duration,
    /// For each piece of its body.
    between_bytes: Duration,
}

async fn send(
    client: &egress::Client,
    request: http::Request<WasiBody>,
    patience: Patience,
) -> Result<http::Response<WasiBody>, Error> {
    let (head, body) = request.into_parts();
    let url = client
        .policy()
        .check_url(&head.uri.to_string())
        .map_err(|refusal| refused(&refusal))?;
    let mut headers = head.headers;
    // `egress` writes it from the URL itself.
    headers.remove(http::header::HOST);
    let pieces = body
        .into_data_stream()
        .map(|piece| piece.map_err(|error| egress::body::BodyError::from(format!("{error:?}"))));
    let sending = client.send(egress::Request {
        method: head.method,
        url,
        headers,
        body: egress::Body::stream(pieces),
        deadline: patience.until,
    });
    let response = tokio::time::timeout(patience.first_byte, sending)
        .await
        .map_err(|_| Error::HttpResponseTimeout)?
        .map_err(failed)?;
    let frames = stream::unfold(Some(response.body), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout(patience.between_bytes, body.next()).await {
            Ok(piece) => Some((piece?.map(Frame::data).map_err(failed), Some(body))),
            Err(_) => Some((Err(Error::ConnectionReadTimeout), None)),
        }
    });
    let mut answer = http::Response::new(StreamBody::new(frames).boxed_unsync());
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    Ok(answer)
}

fn refused(refusal: &egress::Refusal) -> Error {
    tracing::info!(target: "guest", %refusal, "an outbound request was refused");
    match refusal.gate {
        Gate::Address | Gate::Connect => Error::DestinationIpProhibited,
        _ => Error::HttpRequestDenied,
    }
}

/// Our error in the words that WASI has for it.
fn failed(error: EgressError) -> Error {
    match error {
        EgressError::Refused(refusal) => refused(&refusal),
        EgressError::Dns { .. } => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        EgressError::Connect { .. } => Error::ConnectionRefused,
        EgressError::Tls { .. } => Error::TlsProtocolError,
        EgressError::Timeout { phase, .. } => match phase {
            egress::Phase::Slot | egress::Phase::Connection => Error::ConnectionTimeout,
            egress::Phase::Lookup => Error::DnsTimeout,
            egress::Phase::Answer | egress::Phase::Body => Error::HttpResponseTimeout,
        },
        EgressError::BodyTooLarge { limit } => Error::HttpResponseBodySize(Some(limit)),
        EgressError::RequestBody { .. } | EgressError::Protocol { .. } => Error::HttpProtocolError,
    }
}
