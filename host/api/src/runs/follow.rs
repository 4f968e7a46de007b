//! `GET …/runs/{run}/join` and `…/runs/{run}/stream`: a run that someone else created.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use selvedge_model::run::RunError;
use selvedge_runtime::runs::Followed;

use crate::error::ApiResult;
use crate::request::Follow;
use crate::routes::Edge;
use crate::{sse, waiting};

pub(crate) async fn join(State(edge): State<Arc<Edge>>, follow: Follow) -> ApiResult<Response> {
    match edge.runtime.follow(follow.thread, follow.run).await? {
        Some(Followed::Live(_, subscription)) => Ok(waiting::response(subscription).await),
        Some(Followed::Ended(finished)) => Ok(waiting::complete(&finished)),
        None => Ok(waiting::failed(&no_such_run())),
    }
}

pub(crate) async fn join_stream(
    State(edge): State<Arc<Edge>>,
    follow: Follow,
) -> ApiResult<Response> {
    match edge.runtime.follow(follow.thread, follow.run).await? {
        Some(Followed::Live(run, subscription)) => {
            let filter = sse::Filter::of_run(&run).narrowed(&follow.modes);
            Ok(sse::response(subscription, filter))
        }
        Some(Followed::Ended(_)) => Ok(sse::complete(&[])),
        None => Ok(sse::complete(&[sse::error_frame(&no_such_run())])),
    }
}

/// LangGraph answers 200 with this in the body, which its clients read.
fn no_such_run() -> RunError {
    RunError::new("HTTPException", "404: Run not found")
}
