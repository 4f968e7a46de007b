//! `GET …/runs/{run}/join` and `…/runs/{run}/stream`: a run that someone else created.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use selvedge_model::run::RunError;
use selvedge_runtime::runs::Followed;

use super::address::Address;
use crate::error::ApiResult;
use crate::request::Follow;
use crate::routes::Edge;
use crate::{sse, waiting};

pub(crate) async fn join(State(edge): State<Arc<Edge>>, follow: Follow) -> ApiResult<Response> {
    let response = match followed(&edge, &follow).await? {
        Some(Followed::Live(_, subscription)) => waiting::response(subscription).await,
        Some(Followed::Ended(finished)) => waiting::complete(&finished),
        None => waiting::failed(&no_such_run()),
    };
    let address = Address::followed(&follow);
    Ok(address.content_location(address.location(response, "join")))
}

pub(crate) async fn join_stream(
    State(edge): State<Arc<Edge>>,
    follow: Follow,
) -> ApiResult<Response> {
    let found = match follow.after {
        Some(after) => edge
            .runtime
            .replay(
                follow.thread,
                follow.run,
                after,
                follow.cancel_on_disconnect,
            )
            .await?
            .map(|(run, events)| Followed::Live(Box::new(run), events)),
        None => followed(&edge, &follow).await?,
    };
    let response = match found {
        Some(Followed::Live(run, subscription)) => {
            let filter = sse::Filter::of_run(&run).narrowed(&follow.modes);
            sse::response(subscription, filter)
        }
        Some(Followed::Ended(_)) => sse::complete(&[]),
        None => sse::complete(&[sse::error_frame(&no_such_run())]),
    };
    let address = Address::followed(&follow);
    Ok(address.content_location(address.location(response, "stream")))
}

async fn followed(edge: &Edge, follow: &Follow) -> ApiResult<Option<Followed>> {
    let followed = edge
        .runtime
        .follow(follow.thread, follow.run, follow.cancel_on_disconnect);
    Ok(followed.await?)
}

/// LangGraph answers 200 with this in the body, which its clients read.
fn no_such_run() -> RunError {
    RunError::new("HTTPException", "404: Run not found")
}
