//! `wait` and `join`: one JSON value when the run has ended, and a sign of life until then.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use selvedge_model::Json;
use selvedge_model::run::{RunError, RunStatus};
use selvedge_model::thread::Interrupt;
use selvedge_runtime::hub::{Ending, Finished, Subscription};

use crate::options::HEARTBEAT;

/// A run that ends within this time is answered in one piece; for a longer one the headers go out first.
const ONE_PIECE: Duration = Duration::from_millis(50);

/// Answers with the outcome of a run when it ends.
pub(crate) async fn response(subscription: Subscription) -> Response {
    answer(Box::pin(async { ending_body(&subscription.ended().await) })).await
}

/// Answers with `{}` when a run has ended, however it did.
pub(crate) async fn until_over(subscription: Subscription) -> Response {
    answer(Box::pin(async {
        match subscription.ended().await {
            Ending::Finished(_) => Bytes::from_static(b"{}"),
            released @ Ending::Released => ending_body(&released),
        }
    }))
    .await
}

/// Answers with what this becomes.
pub(crate) async fn answer(mut ended: Ended) -> Response {
    match tokio::time::timeout(ONE_PIECE, &mut ended).await {
        Ok(body) => json(body),
        Err(_) => json(Body::from_stream(stream::unfold(Some(ended), beat_or_end))),
    }
}

/// The outcome of a run that has ended.
pub(crate) fn complete(finished: &Finished) -> Response {
    json(outcome(finished))
}

/// An error in the place of an outcome.
pub(crate) fn failed(error: &RunError) -> Response {
    json(error_body(error))
}

/// Becomes the body, at the end of a run.
pub(crate) type Ended = Pin<Box<dyn Future<Output = Bytes> + Send>>;

/// An empty line every [`HEARTBEAT`], which JSON readers skip, and then the value.
async fn beat_or_end(ended: Option<Ended>) -> Option<(Result<Bytes, Infallible>, Option<Ended>)> {
    let mut ended = ended?;
    match tokio::time::timeout(HEARTBEAT, &mut ended).await {
        Ok(body) => Some((Ok(body), None)),
        Err(_) => Some((Ok(Bytes::from_static(b"\n")), Some(ended))),
    }
}

fn json(body: impl Into<Body>) -> Response {
    let mut response = body.into().into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn ending_body(ending: &Ending) -> Bytes {
    match ending {
        Ending::Finished(finished) => outcome(finished),
        Ending::Released => error_body(&RunError::new(
            "ServiceUnavailable",
            "the server is shutting down or the run was deleted; a run that was accepted goes on after the restart",
        )),
    }
}

/// The values, with `__interrupt__` where the run waits for an answer, or `__error__` where it failed.
fn outcome(finished: &Finished) -> Bytes {
    if let (RunStatus::Error, Some(error)) = (finished.status, &finished.error) {
        return error_body(error);
    }
    Bytes::from(values_of(finished).as_str().to_owned())
}

/// The values of a run that did not fail, with `__interrupt__` where it waits for an answer.
pub(crate) fn values_of(finished: &Finished) -> Json {
    if finished.interrupts.is_empty() {
        return finished.values.clone();
    }
    debug_assert!(
        finished.values.is_object() || finished.values.is_null(),
        "neither a state nor none: {}",
        finished.values
    );
    let mut members = finished.values.members().unwrap_or_default();
    let interrupts: Vec<Json> = finished.interrupts.iter().map(Interrupt::shown).collect();
    members.insert("__interrupt__".into(), Json::array(&interrupts));
    Json::object(&members)
}

fn error_body(error: &RunError) -> Bytes {
    let body = serde_json::json!({"__error__": error});
    Bytes::from(body.to_string())
}
