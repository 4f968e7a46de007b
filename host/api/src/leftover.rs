//! The part of a request's body that nobody had read when its answer was there, as when its path alone is refused.
//!
//! hyper closes the connection after such an answer without having said so, and a client that has sent its next
//! request by then sees that one fail. So a short rest is read here, and for a long one the answer says that the
//! connection closes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// The most that is read to keep a connection: making a new one is cheaper than sending more than this.
const MOST_BYTES: usize = 64 << 10;
/// How long the rest of a body may take to come. It is mostly on its way behind the request's head.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) async fn take(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (back, mut given_back) = oneshot::channel();
    let lend = |body| {
        Body::new(Lent {
            body,
            owner: Some(back),
        })
    };
    let mut response = next.run(request.map(lend)).await;
    if let Ok(rest) = given_back.try_recv()
        && !was_short(rest).await
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

async fn was_short(rest: Body) -> bool {
    let reading = Limited::new(rest, MOST_BYTES).collect();
    matches!(tokio::time::timeout(PATIENCE, reading).await, Ok(Ok(_)))
}

/// A body that goes back to its owner when it was not read to its end.
struct Lent {
    body: Body,
    /// `None` once the end has come.
    owner: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) {
            self.owner = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take()
            && !self.body.is_end_stream()
        {
            // A request whose client has gone is dropped with all its parts: then nobody waits for this.
            let _ = owner.send(std::mem::take(&mut self.body));
        }
    }
}
