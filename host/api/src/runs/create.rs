//! `POST …/runs`, `…/runs/stream` and `…/runs/wait`, on a thread and without one.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use selvedge_model::run::Run;
use selvedge_runtime::Place;

use crate::error::ApiResult;
use crate::request::NewRun;
use crate::routes::Edge;
use crate::{sse, waiting};

pub(crate) async fn create(
    State(edge): State<Arc<Edge>>,
    NewRun(request): NewRun,
) -> ApiResult<Response> {
    let place = request.place;
    let run = edge.runtime.create_run(request).await?.run;
    let response = JsonBody(&run).into_response();
    Ok(content_located(response, &run, place))
}

pub(crate) async fn stream(
    State(edge): State<Arc<Edge>>,
    NewRun(request): NewRun,
) -> ApiResult<Response> {
    let place = request.place;
    let accepted = edge.runtime.create_run(request).await?;
    let run = accepted.run;
    let response = sse::response(accepted.stream, sse::Filter::of_run(&run));
    let location = format!("{}/stream", address(&run, place));
    let response = with(response, header::LOCATION, &location);
    Ok(content_located(response, &run, place))
}

pub(crate) async fn wait(
    State(edge): State<Arc<Edge>>,
    NewRun(request): NewRun,
) -> ApiResult<Response> {
    let place = request.place;
    let accepted = edge.runtime.create_run(request).await?;
    let run = accepted.run;
    let response = waiting::response(accepted.stream).await;
    // Of a stateless run too, LangGraph names the thread here.
    let location = format!("{}/join", on_thread(&run));
    let response = with(response, header::LOCATION, &location);
    Ok(content_located(response, &run, place))
}

/// Says where the run is. The clients read its id and its thread's from this header.
fn content_located(response: Response, run: &Run, place: Place) -> Response {
    with(response, header::CONTENT_LOCATION, &address(run, place))
}

/// The path of a run: beside the one that created it.
fn address(run: &Run, place: Place) -> String {
    match place {
        Place::Thread { .. } => on_thread(run),
        Place::Stateless { .. } => format!("/runs/{}", run.run_id),
    }
}

fn on_thread(run: &Run) -> String {
    format!("/threads/{}/runs/{}", run.thread_id, run.run_id)
}

fn with(mut response: Response, name: HeaderName, path: &str) -> Response {
    match HeaderValue::from_str(path) {
        Ok(value) => {
            response.headers_mut().insert(name, value);
        }
        Err(_) => debug_assert!(false, "ids are made of letters: {path}"),
    }
    response
}
