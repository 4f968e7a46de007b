//! What stands before every handler: is the request another page's work, who sends it, and is it their turn?
//!
//! Where nobody has to say who they are, a request is believed because it comes from this machine, and so does what a
//! web page from anywhere makes a browser send: hence [`web`](crate::web). With authentication a browser has nothing to
//! send that a page could use (there are no cookies here), and each request must bring its credentials.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::MethodRouter;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use selvedge_auth::{Authenticator, Denied};
use selvedge_model::{Caller, Identity};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::bodies::{Bodies, Weight};
use crate::error::ApiError;
use crate::limits::{Rate, Share, Shares};
use crate::routes::Edge;
use crate::web::Visitors;
use crate::{Options, held};

/// Routes that answer everybody.
const OPEN: [&str; 6] = ["/", "/ok", "/info", "/metrics", "/docs", "/openapi.json"];
/// Of these, the ones that say whether the server is well: they are answered also while it has no place for a request.
const HEALTH: [&str; 2] = ["/", "/ok"];

/// Holds what it needs to judge a request.
pub(crate) struct Gate {
    authenticator: Option<Authenticator>,
    visitors: Visitors,
    /// Requests that are being answered.
    places: Semaphore,
    requests: Shares<Identity>,
    bodies: Arc<Bodies>,
    streams: Shares<Identity>,
    rate: Option<Rate>,
    /// Whether browsers are told to come back encrypted for a year.
    stays_encrypted: bool,
    refused: Refused,
}

/// How many requests were refused, by reason.
#[derive(Default)]
pub(crate) struct Refused {
    page: AtomicU64,
    credentials: AtomicU64,
    busy: AtomicU64,
    requests: AtomicU64,
    streams: AtomicU64,
    rate: AtomicU64,
}

impl Refused {
    /// As the metrics show them.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 6] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("page", read(&self.page)),
            ("credentials", read(&self.credentials)),
            ("busy", read(&self.busy)),
            ("requests", read(&self.requests)),
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
            requests: Shares::new(options.max_requests_per_caller),
            bodies: Arc::new(Bodies::new(
                options.max_body_bytes_total,
                options.max_body_bytes,
            )),
            streams: Shares::new(options.max_streams_per_caller),
            rate: options.rate_limit.map(Rate::new),
            // A browser would keep it for every other server on its machine, too.
            stays_encrypted: options.tls.is_some() && !options.address.ip().is_loopback(),
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
        self.turn(&caller)?;
        Ok(Some(caller))
    }

    /// Counts a request of a caller's, unless it comes too early.
    fn turn(&self, caller: &Caller) -> Result<(), ApiError> {
        let (Some(rate), Some(identity)) = (&self.rate, caller.scope.owner()) else {
            return Ok(());
        };
        rate.take(identity).map_err(|wait| {
            count(&self.refused.rate);
            ApiError::too_many("Too many requests (http.rate_limit)", wait)
        })
    }

    /// Lets a command pass that comes on a connection of its caller's, as a request would be.
    pub(crate) fn command(&self, caller: &Caller) -> Result<Place<'_>, ApiError> {
        self.turn(caller)?;
        self.place(Some(caller))
    }

    /// What a body of a caller's weighs.
    pub(crate) fn weight(&self, caller: Option<&Caller>) -> Weight {
        let owner = caller.and_then(|caller| caller.scope.owner());
        self.bodies.begin(owner)
    }

    /// A place among the requests that are being answered.
    fn place(&self, caller: Option<&Caller>) -> Result<Place<'_>, ApiError> {
        let owner = caller.and_then(|caller| caller.scope.owner());
        let of_caller = owner.map(|identity| self.requests.take(identity).ok_or(()));
        let of_caller = of_caller.transpose().map_err(|()| {
            count(&self.refused.requests);
            ApiError::too_many(
                "Too many requests are being answered (http.max_requests_per_caller)",
                Duration::ZERO,
            )
        })?;
        let of_all = self.places.try_acquire().map_err(|_| {
            count(&self.refused.busy);
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The server is busy with other requests (http.max_requests). Try again.",
            )
        })?;
        Ok(Place {
            _of_all: of_all,
            _of_caller: of_caller,
        })
    }

    /// A place among the caller's answers that last as long as a run, for as long as this one does. Where nobody is told
    /// from anybody there are none.
    pub(crate) fn stream(&self, caller: &Caller) -> Result<Option<Share<Identity>>, ApiError> {
        let Some(identity) = caller.scope.owner() else {
            return Ok(None);
        };
        let stream = self.streams.take(identity).ok_or_else(|| {
            count(&self.refused.streams);
            ApiError::too_many(
                "Too many streams are open (http.max_streams_per_caller)",
                Duration::ZERO,
            )
        })?;
        Ok(Some(stream))
    }

    /// Marks a route whose answers last as long as a run, or longer.
    pub(crate) fn lasting(
        self: &Arc<Self>,
        route: MethodRouter<Arc<Edge>>,
    ) -> MethodRouter<Arc<Edge>> {
        match self.authenticates() {
            true => route.layer(middleware::from_fn_with_state(self.clone(), last)),
            false => route,
        }
    }

    /// What browsers are told about every answer: it is what it says it is, it belongs into no frame, and the address of a
    /// page goes nowhere.
    pub(crate) fn harden(&self, headers: &mut HeaderMap) {
        const ALWAYS: [(HeaderName, &str); 3] = [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        for (name, value) in ALWAYS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.stays_encrypted {
            headers.insert(
                header::STRICT_TRANSPORT_SECURITY,
                HeaderValue::from_static("max-age=31536000"),
            );
        }
        if self.authenticates() {
            // No cache between here and the caller may keep it for others.
            headers
                .entry(header::CACHE_CONTROL)
                .or_insert(HeaderValue::from_static("no-store"));
        }
    }
}

/// A request's place, until the head of its answer is there, or a command's until it is answered: what comes after it is
/// bounded by connections and streams.
pub(crate) struct Place<'a> {
    _of_all: SemaphorePermit<'a>,
    _of_caller: Option<Share<Identity>>,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The middleware before every route, and before what is no route.
pub(crate) async fn pass(
    State(gate): State<Arc<Gate>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (mut head, body) = request.into_parts();
    let caller = gate.admit(&head).await?;
    let _place = match HEALTH.contains(&head.uri.path()) {
        true => None,
        false => Some(gate.place(caller.as_ref())?),
    };
    let mut weight = None;
    if !body.is_end_stream() {
        let begun = Arc::new(gate.weight(caller.as_ref()));
        head.extensions.insert(begun.clone());
        weight = Some(begun);
    }
    if let Some(caller) = caller {
        head.extensions.insert(caller);
    }
    let response = next.run(Request::from_parts(head, body)).await;
    drop(weight);
    Ok(response)
}

/// The middleware before routes that are marked as [`lasting`](Gate::lasting). Nothing is begun that could not be
/// followed.
async fn last(
    State(gate): State<Arc<Gate>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = request.extensions().get::<Caller>();
    let stream = caller.map(|caller| gate.stream(caller)).transpose()?;
    let stream = stream.flatten();
    let response = next.run(request).await;
    Ok(response.map(|body| held::until_sent(body, stream)))
}
