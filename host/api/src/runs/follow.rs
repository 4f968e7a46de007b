//! `GET …/runs/{run}/join` and `…/runs/{run}/stream`: a run that someone else created.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use selvedge_model::Caller;
use selvedge_model::event::EventId;
use selvedge_model::run::RunError;
use selvedge_runtime::runs::Followed;

use super::address::Address;
use crate::error::ApiResult;
use crate::request::Follow;
use crate::routes::Edge;
use crate::who::Who;
use crate::{sse, waiting};

pub(crate) async fn join(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    follow: Follow,
) -> ApiResult<Response> {
    let response = match followed(&edge, &caller, &follow).await? {
        Some(Followed::Live(_, subscription)) => waiting::response(subscription).await,
        Some(Followed::Ended(finished)) => waiting::complete(&finished),
        None => waiting::failed(&no_such_run()),
    };
    let address = Address::followed(&follow);
    Ok(address.content_location(address.location(response, "join")))
}

pub(crate) async fn join_stream(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    follow: Follow,
) -> ApiResult<Response> {
    let response = match follow.after {
        Some(after) => replayed(&edge, &caller, &follow, after).await?,
        None => match followed(&edge, &caller, &follow).await? {
            Some(Followed::Live(run, events)) => {
                let filter = sse::Filter::of_run(Some(&run)).narrowed(&follow.modes);
                Some(sse::response(events, filter))
            }
            Some(Followed::Ended(_)) => Some(sse::complete(&[])),
            None => None,
        },
    };
    let response = response.unwrap_or_else(|| sse::complete(&[sse::error_frame(&no_such_run())]));
    let address = Address::followed(&follow);
    Ok(address.content_location(address.location(response, "stream")))
}

async fn replayed(
    edge: &Edge,
    caller: &Caller,
    follow: &Follow,
    after: EventId,
) -> ApiResult<Option<Response>> {
    let (thread, run) = (follow.thread, follow.run);
    let replayed = edge
        .runtime
        .replay(
            &caller.scope,
            thread,
            run,
            after,
            follow.cancel_on_disconnect,
        )
        .await?;
    Ok(replayed.map(|replayed| {
        let filter = sse::Filter::of_run(replayed.run.as_ref()).narrowed(&follow.modes);
        sse::response(replayed.events, filter)
    }))
}

async fn followed(edge: &Edge, caller: &Caller, follow: &Follow) -> ApiResult<Option<Followed>> {
    let followed = edge.runtime.follow(
        &caller.scope,
        follow.thread,
        follow.run,
        follow.cancel_on_disconnect,
    );
    Ok(followed.await?)
}

/// LangGraph answers 200 with this in the body, which its clients read.
fn no_such_run() -> RunError {
    RunError::new("HTTPException", "404: Run not found")
}
