//! `wait` and `join`: one JSON value when the run has ended, and a sign of life until then.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use selvedge_model::run::{Run, RunError, RunStatus};
use selvedge_model::{Json, RunId, ThreadId};
use selvedge_runtime::hub::{Ending, Finished, Subscription};
use selvedge_runtime::runs::Followed;

use crate::error::ApiResult;
use crate::options::HEARTBEAT;
use crate::routes::Edge;
use crate::runs::{parse_run_id, query_pairs, stream_mode};
use crate::sse;
use crate::threads::parse_id as parse_thread_id;

/// A run that ends within this time is answered in one piece; for a longer one the headers go out first.
const ONE_PIECE: Duration = Duration::from_millis(50);

pub(crate) async fn join(
    State(edge): State<Arc<Edge>>,
    Path((thread, run)): Path<(String, String)>,
) -> ApiResult<Response> {
    join_run(&edge, Some(parse_thread_id(&thread)?), parse_run_id(&run)?).await
}

pub(crate) async fn join_stateless(
    State(edge): State<Arc<Edge>>,
    Path(run): Path<String>,
) -> ApiResult<Response> {
    join_run(&edge, None, parse_run_id(&run)?).await
}

pub(crate) async fn join_stream(
    State(edge): State<Arc<Edge>>,
    Path((thread, run)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> ApiResult<Response> {
    join_run_stream(
        &edge,
        Some(parse_thread_id(&thread)?),
        parse_run_id(&run)?,
        query,
    )
    .await
}

pub(crate) async fn join_stream_stateless(
    State(edge): State<Arc<Edge>>,
    Path(run): Path<String>,
    RawQuery(query): RawQuery,
) -> ApiResult<Response> {
    join_run_stream(&edge, None, parse_run_id(&run)?, query).await
}

async fn join_run(edge: &Edge, thread: Option<ThreadId>, run: RunId) -> ApiResult<Response> {
    match edge.runtime.follow(thread, run).await? {
        Some(Followed::Live(_, subscription)) => Ok(response(subscription).await),
        Some(Followed::Ended(_, finished)) => Ok(json(outcome(&finished))),
        // LangGraph answers 200 here, and its clients read the body.
        None => Ok(json(error_body(&no_such_run()))),
    }
}

async fn join_run_stream(
    edge: &Edge,
    thread: Option<ThreadId>,
    run: RunId,
    query: Option<String>,
) -> ApiResult<Response> {
    let modes = asked_modes(query.as_deref().unwrap_or_default())?;
    let filter = |run: &Run| sse::Filter::of_run(run).narrowed(&modes);
    match edge.runtime.follow(thread, run).await? {
        Some(Followed::Live(run, subscription)) => Ok(sse::response(subscription, filter(&run))),
        Some(Followed::Ended(..)) => Ok(sse::complete(&[])),
        None => Ok(sse::complete(&[sse::error_frame(&no_such_run())])),
    }
}

/// `stream_mode` as the clients send it: once, repeated, as a list with commas, or as a JSON array.
fn asked_modes(query: &str) -> ApiResult<Vec<selvedge_model::run::StreamMode>> {
    let mut modes = Vec::new();
    for (name, value) in query_pairs(query) {
        if name != "stream_mode" || value.is_empty() {
            continue;
        }
        let names = serde_json::from_str::<Vec<String>>(&value).unwrap_or_else(|_| {
            value
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect()
        });
        for name in names {
            modes.push(stream_mode(&name)?);
        }
    }
    Ok(modes)
}

/// Answers with the outcome of a run when it ends.
pub(crate) async fn response(subscription: Subscription) -> Response {
    let mut ended: Ended = Box::pin(subscription.ended());
    match tokio::time::timeout(ONE_PIECE, &mut ended).await {
        Ok(ending) => json(ending_body(&ending)),
        Err(_) => json(Body::from_stream(stream::unfold(Some(ended), beat_or_end))),
    }
}

type Ended = Pin<Box<dyn Future<Output = Ending> + Send>>;

/// An empty line every [`HEARTBEAT`], which JSON readers skip, and then the value.
async fn beat_or_end(ended: Option<Ended>) -> Option<(Result<Bytes, Infallible>, Option<Ended>)> {
    let mut ended = ended?;
    match tokio::time::timeout(HEARTBEAT, &mut ended).await {
        Ok(ending) => Some((Ok(ending_body(&ending)), None)),
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
    if finished.interrupts.is_empty() {
        return Bytes::copy_from_slice(finished.values.as_str().as_bytes());
    }
    let mut members = finished.values.members().unwrap_or_default();
    let interrupts = Json::encode(&finished.interrupts).unwrap_or_default();
    members.insert("__interrupt__".into(), interrupts);
    Bytes::from(Json::object(&members).as_str().to_owned())
}

fn error_body(error: &RunError) -> Bytes {
    let body = serde_json::json!({"__error__": error});
    Bytes::from(body.to_string())
}

fn no_such_run() -> RunError {
    RunError::new("HTTPException", "404: Run not found")
}
