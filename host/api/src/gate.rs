//! What stands before every handler: is the request another page's work, who sends it, and is it their turn?
//!
//! Where nobody has to say who they are, a request is believed because it comes from this machine, and so does what a
//! web page from anywhere makes a browser send: hence [`web`](crate::web). With authentication a browser has nothing to
//! send that a page could use (there are no cookies here), and each request must bring its credentials.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use selvedge_auth::{Authenticator, Denied};
use selvedge_model::Caller;
use tokio::sync::Semaphore;

use crate::error::ApiError;
use crate::limits::{Rate, Streams};
use crate::web::Visitors;
use crate::{Options, held};

/// Routes that answer everybody.
const OPEN: [&str; 6] = ["/", "/ok", "/info", "/metrics", "/docs", "/openapi.json"];
/// Routes whose answers last as long as a run, or longer, end so.
const LASTING: [&str; 3] = ["/stream", "/wait", "/join"];

/// Holds what it needs to judge a request.
pub(crate) struct Gate {
    authenticator: Option<Authenticator>,
    visitors: Visitors,
    /// Requests that are being answered.
    places: Semaphore,
    streams: Streams,
    rate: Option<Rate>,
    encrypted: bool,
    refused: Refused,
}

/// How many requests were refused, by reason.
#[derive(Default)]
pub(crate) struct Refused {
    page: AtomicU64,
    credentials: AtomicU64,
    busy: AtomicU64,
    streams: AtomicU64,
    rate: AtomicU64,
}

impl Refused {
    /// As the metrics show them.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 5] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("page", read(&self.page)),
            ("credentials", read(&self.credentials)),
            ("busy", read(&self.busy)),
            ("streams", read(&self.streams)),
            ("rate", read(&self.rate)),
        ]
    }
}

impl Gate {
    pub(crate) fn new(options: &Options, authenticator: Option<Authenticator>) -> Self {
        Self {
            visitors: Visitors::new(options, authenticator.is_some()),
            authenticator,
            places: Semaphore::new(options.max_requests.min(Semaphore::MAX_PERMITS)),
            streams: Streams::new(options.max_streams_per_caller),
            rate: options.rate_limit.map(Rate::new),
            encrypted: options.tls.is_some(),
            refused: Refused::default(),
        }
    }

    /// Whether callers have to say who they are.
    pub(crate) fn authenticates(&self) -> bool {
        self.authenticator.is_some()
    }

    pub(crate) fn visitors(&self) -> &Visitors {
        &self.visitors
    }

    pub(crate) fn refused(&self) -> &Refused {
        &self.refused
    }

    /// The caller, if they may be answered now.
    async fn admit(&self, request: &Parts) -> Result<Option<Caller>, ApiError> {
        if let Some(why) = self.visitors.refuse(request) {
            count(&self.refused.page);
            return Err(ApiError::new(StatusCode::FORBIDDEN, why));
        }
        let Some(authenticator) = &self.authenticator else {
            return Ok(None);
        };
        if OPEN.contains(&request.uri.path()) {
            return Ok(None);
        }
        let caller = authenticator
            .identify(&request.headers)
            .await
            .map_err(|denied| {
                count(&self.refused.credentials);
                tracing::debug!(%denied, "a request is nobody's");
                match denied {
                    Denied::Missing | Denied::Invalid => {
                        ApiError::unauthenticated(denied.to_string())
                    }
                    Denied::Unavailable { retry_after } => {
                        ApiError::unavailable(denied.to_string(), retry_after)
                    }
                }
            })?;
        if let (Some(rate), Some(identity)) = (&self.rate, caller.scope.owner()) {
            rate.take(identity).map_err(|wait| {
                count(&self.refused.rate);
                ApiError::too_many("Too many requests (http.rate_limit)", wait)
            })?;
        }
        Ok(Some(caller))
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The middleware.
pub(crate) async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let mut response = match answer(&gate, request, next).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    harden(response.headers_mut(), &gate);
    response
}

async fn answer(gate: &Gate, request: Request, next: Next) -> Result<Response, ApiError> {
    let (mut head, body) = request.into_parts();
    let caller = gate.admit(&head).await?;
    // Held until the head of the answer is there: what comes after it is bounded by connections.
    let Ok(_place) = gate.places.try_acquire() else {
        count(&gate.refused.busy);
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is busy with other requests (http.max_requests). Try again.",
        ));
    };
    let mut stream = None;
    if let Some(caller) = caller {
        let lasts = LASTING.iter().any(|end| head.uri.path().ends_with(end));
        if let (true, Some(identity)) = (lasts, caller.scope.owner()) {
            stream = Some(gate.streams.begin(identity).ok_or_else(|| {
                count(&gate.refused.streams);
                ApiError::too_many(
                    "Too many streams are open (http.max_streams_per_caller)",
                    Duration::from_secs(1),
                )
            })?);
        }
        head.extensions.insert(caller);
    }
    let response = next.run(Request::from_parts(head, body)).await;
    Ok(match stream {
        Some(stream) => response.map(|body| held::until_sent(body, stream)),
        None => response,
    })
}

/// What browsers are told about every answer: it is what it says it is, it belongs into no frame, and the address of a
/// page goes nowhere.
fn harden(headers: &mut HeaderMap, gate: &Gate) {
    const ALWAYS: [(HeaderName, &str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if gate.encrypted {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    if gate.authenticates() {
        // No cache between here and the caller may keep it for others.
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
}
