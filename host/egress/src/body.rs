//! What is sent and what comes back, as streams of bytes with limits.

use std::error::Error;
use std::fmt;
use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _, TryStreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::{EgressError, Phase};
use crate::gate::response::Allowance;
use crate::share::Slots;

/// Why a caller's stream of a request body failed.
pub type BodyError = Box<dyn Error + Send + Sync>;

pub(crate) type HttpBody = UnsyncBoxBody<Bytes, BodyError>;

/// The body of a request.
pub struct Body(pub(crate) HttpBody);

impl Body {
    /// Nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::from(Bytes::new())
    }

    /// Pieces as they come. Without a `content-length` among the headers it is sent chunked.
    pub fn stream(pieces: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static) -> Self {
        Self(StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(
            Full::new(bytes)
                .map_err(|never| match never {})
                .boxed_unsync(),
        )
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body(…)")
    }
}

/// The body of an answer: a stream that ends with an error at the deadline or beyond `max_response_bytes`.
///
/// It holds its connection and one of the client's slots until its end, its deadline, or until it is dropped, whichever
/// comes first: a reader that never reads keeps them no longer than one that does. Bytes are as the peer sent them:
/// nothing is decompressed. Trailers are not kept.
pub struct ResponseBody {
    exchange: Arc<Mutex<Option<Exchange>>>,
    allowance: Allowance,
    deadline: Pin<Box<Sleep>>,
    address: SocketAddr,
    ended: bool,
    reaper: AbortHandle,
}

/// What others could use when it is over.
pub(crate) struct Exchange {
    pub(crate) incoming: Incoming,
    pub(crate) _slots: Slots,
}

impl ResponseBody {
    /// Call it inside a tokio runtime: a task ends the exchange at its deadline, whatever the reader does.
    pub(crate) fn new(
        exchange: Exchange,
        limit: u64,
        deadline: Instant,
        address: SocketAddr,
    ) -> Self {
        let exchange = Arc::new(Mutex::new(Some(exchange)));
        let ends = Arc::clone(&exchange);
        let reaper = tokio::spawn(async move {
            sleep_until(deadline).await;
            drop(ends.lock().take());
        });
        Self {
            exchange,
            allowance: Allowance::new(limit),
            deadline: Box::pin(sleep_until(deadline)),
            address,
            ended: false,
            reaper: reaper.abort_handle(),
        }
    }

    /// Reads into `into` until the end or until it holds `max` bytes; `true` when there was no more. After an error
    /// `into` holds what came before it.
    pub async fn read_at_most(
        &mut self,
        max: usize,
        into: &mut Vec<u8>,
    ) -> Result<bool, EgressError> {
        while let Some(piece) = self.next().await {
            let piece = piece?;
            let room = max.saturating_sub(into.len());
            into.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, EgressError>>> {
        let late = EgressError::Timeout {
            phase: Phase::Body,
            address: Some(self.address),
        };
        // The deadline comes first: a peer that always has something more would keep it from being looked at.
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(late)));
        }
        let mut exchange = self.exchange.lock();
        let Some(Exchange { incoming, .. }) = &mut *exchange else {
            return Poll::Ready(Some(Err(late)));
        };
        loop {
            let frame = match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(EgressError::Protocol {
                        message: chain(&error),
                        address: Some(self.address),
                    })));
                }
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            return Poll::Ready(Some(match self.allowance.take(piece.len()) {
                Ok(()) => Ok(piece),
                Err(limit) => Err(EgressError::BodyTooLarge { limit }),
            }));
        }
    }
}

impl Stream for ResponseBody {
    type Item = Result<Bytes, EgressError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.poll_piece(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.ended = true;
            drop(self.exchange.lock().take());
        }
        polled
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.reaper.abort();
        drop(self.exchange.lock().take());
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseBody(…)")
    }
}

/// An error and what caused it, outermost first.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
