//! `wasi:http` through `egress`: what a guest asks for is judged, sent and bounded there.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use selvedge_egress::{self as egress, EgressError, Gate};
use tokio::time::Instant;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::spawned::Spawned;

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Exchange = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send>;

/// The outbound HTTP of one task.
pub(crate) struct Outbound {
    client: Arc<egress::Client>,
    /// Connections live on the host's runtime: a spinning guest must not starve those of its neighbours.
    host: tokio::runtime::Handle,
    /// The longest that one exchange may take, whatever the guest asks for.
    timeout: Duration,
    calls_left: u32,
}

impl Outbound {
    pub(crate) fn new(
        client: Arc<egress::Client>,
        host: tokio::runtime::Handle,
        timeout: Duration,
        calls: u32,
    ) -> Self {
        Self {
            client,
            host,
            timeout,
            calls_left: calls,
        }
    }
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Io,
    ) -> Exchange {
        if self.calls_left == 0 {
            return Box::new(async { Err(Error::ConnectionLimitReached) });
        }
        self.calls_left -= 1;
        let client = self.client.clone();
        let patience = Patience {
            until: Instant::now() + self.timeout,
            first_byte: options
                .and_then(|o| o.first_byte_timeout)
                .unwrap_or(self.timeout),
            between_bytes: options
                .and_then(|o| o.between_bytes_timeout)
                .unwrap_or(self.timeout),
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
            egress::Phase::Answer | egress::Phase::Body => Error::HttpResponseTimeout,
        },
        EgressError::BodyTooLarge { limit } => Error::HttpResponseBodySize(Some(limit)),
        EgressError::RequestBody { .. } | EgressError::Protocol { .. } => Error::HttpProtocolError,
    }
}
