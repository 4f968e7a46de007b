//! `POST …/runs`, `…/runs/stream` and `…/runs/wait`, on a thread and without one, and `POST /runs/batch`.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::address::Address;
use super::shown::Shown;
use crate::error::ApiResult;
use crate::request::{NewRun, NewRuns};
use crate::routes::Edge;
use crate::who::Who;
use crate::{sse, waiting};

pub(crate) async fn create(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    NewRun(mut request): NewRun,
) -> ApiResult<Response> {
    // Its creator does not stay.
    request.cancel_on_disconnect = false;
    let place = request.place;
    let run = edge.runtime.create_run(&caller, request).await?.run;
    let response = JsonBody(Shown::from(&run)).into_response();
    Ok(Address::of(&run, place).content_location(response))
}

pub(crate) async fn batch(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    NewRuns(requests): NewRuns,
) -> ApiResult<Response> {
    let runs = edge.runtime.create_runs(&caller, &requests).await?;
    let shown: Vec<Shown<'_>> = runs.iter().map(Shown::from).collect();
    Ok(JsonBody(shown).into_response())
}

pub(crate) async fn stream(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    NewRun(request): NewRun,
) -> ApiResult<Response> {
    let place = request.place;
    let accepted = edge.runtime.create_run(&caller, request).await?;
    let address = Address::of(&accepted.run, place);
    let filter = sse::Filter::of_run(Some(&accepted.run));
    let response = sse::response(accepted.stream, filter);
    Ok(address.content_location(address.location(response, "stream")))
}

pub(crate) async fn wait(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    NewRun(request): NewRun,
) -> ApiResult<Response> {
    let accepted = edge.runtime.create_run(&caller, request).await?;
    let response = waiting::response(accepted.stream).await;
    // LangGraph names the thread here, also that of a stateless run.
    let address = Address::on_thread(&accepted.run);
    Ok(address.content_location(address.location(response, "join")))
}
