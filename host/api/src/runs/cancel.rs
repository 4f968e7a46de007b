//! `POST …/runs/{run}/cancel`, `POST /runs/cancel` and `DELETE …/runs/{run}`: ending runs before their time.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_runtime::cancel::{CancelMany, CancelOne};

use super::address::Address;
use crate::error::{ApiError, ApiResult};
use crate::request::{Cancel, CancelRuns, PathIds};
use crate::routes::Edge;
use crate::who::Who;
use crate::{held, waiting};

/// LangGraph keeps its route's text in the message, braces and all.
const ONE: &str = "POST /threads/{thread_id}/runs/{run_id}/cancel";
const MANY: &str = "POST /runs/cancel";

const NONE_CANCELLED: &str = "No matching runs to cancel. Please verify the thread ID and run IDs are correct, and the \
     runs haven't been deleted or completed.";

const NONE_FOUND: &str = "No runs found to cancel.";

pub(crate) async fn cancel(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    cancel: Cancel,
) -> ApiResult<Response> {
    let (thread, run) = (cancel.thread, cancel.run);
    // Whoever waits has an answer that lasts; whoever does not can always cancel.
    let place = match cancel.wait {
        true => edge.gate.stream(&caller)?,
        false => None,
    };
    let request = requested(cancel.action, ONE);
    match edge
        .runtime
        .cancel_run(&caller.scope, thread, run, request)
        .await?
    {
        CancelOne::Cancelled(stream) if cancel.wait => {
            let response = waiting::until_over(stream).await;
            let response = response.map(|body| held::until_sent(body, place));
            let address = Address::at(thread, run);
            Ok(address.content_location(address.location(response, "join")))
        }
        CancelOne::Cancelled(_) => Ok(StatusCode::ACCEPTED.into_response()),
        CancelOne::Ended => Err(ApiError::not_found(NONE_CANCELLED)),
        CancelOne::Missing => Err(ApiError::not_found(NONE_FOUND)),
    }
}

pub(crate) async fn cancel_many(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    CancelRuns { which, action }: CancelRuns,
) -> ApiResult<Response> {
    match edge
        .runtime
        .cancel(&caller.scope, which, requested(action, MANY))
        .await?
    {
        CancelMany::Cancelled => Ok(StatusCode::NO_CONTENT.into_response()),
        CancelMany::Ended => Err(ApiError::not_found(NONE_CANCELLED)),
        CancelMany::Missing => Err(ApiError::not_found(NONE_FOUND)),
    }
}

pub(crate) async fn delete(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<Response> {
    let (thread, run) = (path.thread_if_any()?, path.run()?);
    if edge.runtime.delete_run(&caller.scope, thread, run).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(ApiError::not_found("Run not found"))
    }
}

fn requested(action: CancelAction, by: &str) -> CancelRequest {
    CancelRequest {
        action,
        message: format!("{} requested via {by}", action.as_str()),
    }
}
