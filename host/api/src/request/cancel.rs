//! Which runs to cancel, and how.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use selvedge_model::cancel::CancelAction;
use selvedge_model::{RunId, ThreadId};
use selvedge_storage::WhichRuns;

use super::{Fields, ObjectBody, PathIds, Query, parse_id};
use crate::error::{ApiError, ApiResult};
use crate::routes::Edge;

/// One run to cancel. The body does not matter.
pub(crate) struct Cancel {
    /// `None` on the routes of stateless runs.
    pub(crate) thread: Option<ThreadId>,
    pub(crate) run: RunId,
    pub(crate) action: CancelAction,
    /// Whether to answer only once it has ended.
    pub(crate) wait: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Cancel {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = PathIds::from_request_parts(parts, state).await?;
        let Ok(query) = Query::from_request_parts(parts, state).await;
        Ok(Self {
            thread: path.thread_if_any()?,
            run: path.run()?,
            action: action(&query),
            wait: query.flag("wait"),
        })
    }
}

/// Runs to cancel: some of a thread by their ids, or all in a status.
pub(crate) struct CancelRuns {
    pub(crate) which: WhichRuns,
    pub(crate) action: CancelAction,
}

impl FromRequest<Arc<Edge>> for CancelRuns {
    type Rejection = ApiError;

    async fn from_request(request: Request, edge: &Arc<Edge>) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let Ok(query) = Query::from_request_parts(&mut parts, edge).await;
        let request = Request::from_parts(parts, body);
        let ObjectBody(fields) = ObjectBody::from_request(request, edge).await?;
        Ok(Self {
            which: which(&fields)?,
            action: action(&query),
        })
    }
}

/// What LangGraph does not know is an interrupt to it.
fn action(query: &Query) -> CancelAction {
    match query.get("action") {
        Some("rollback") => CancelAction::Rollback,
        _ => CancelAction::Interrupt,
    }
}

fn which(fields: &Fields) -> ApiResult<WhichRuns> {
    let named = (fields.string("thread_id")?, fields.strings("run_ids")?);
    match (fields.string("status")?.as_deref(), named) {
        (Some("pending"), (None, None)) => Ok(WhichRuns::Pending),
        (Some("running"), (None, None)) => Ok(WhichRuns::Running),
        (Some("all"), (None, None)) => Ok(WhichRuns::All),
        (Some(other), (None, None)) => Err(ApiError::invalid(format!(
            "status: {other:?} is not one of \"pending\", \"running\", \"all\""
        ))),
        (None, (Some(thread), Some(runs))) => {
            let ids: ApiResult<Vec<RunId>> = runs.iter().map(|run| parse_id(run, "run")).collect();
            Ok(WhichRuns::Named {
                thread: Some(parse_id(&thread, "thread")?),
                ids: ids?,
            })
        }
        _ => Err(ApiError::invalid(
            "The body must have either \"status\", or \"thread_id\" and \"run_ids\" (oneOf)",
        )),
    }
}
