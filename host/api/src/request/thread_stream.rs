//! How to watch a thread.

use axum::extract::FromRequestParts;
use http::request::Parts;
use selvedge_model::ThreadId;
use selvedge_model::event::EventId;

use super::{PathIds, Query, last_event};
use crate::error::{ApiError, ApiResult};
use crate::sse::ThreadModes;

/// A thread that someone wants to watch.
pub(crate) struct WatchThread {
    pub(crate) thread: ThreadId,
    pub(crate) modes: ThreadModes,
    pub(crate) after: Option<EventId>,
}

impl<S: Send + Sync> FromRequestParts<S> for WatchThread {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = PathIds::from_request_parts(parts, state).await?;
        let Ok(query) = Query::from_request_parts(parts, state).await;
        Ok(Self {
            thread: path.thread()?,
            modes: modes(&query)?,
            after: last_event::of(&parts.headers)?,
        })
    }
}

/// LangGraph documents `stream_modes`, and its clients send `stream_mode`; both with commas or repeated.
fn modes(query: &Query) -> ApiResult<ThreadModes> {
    let mut modes = ThreadModes::default();
    let values = query.all("stream_modes").chain(query.all("stream_mode"));
    let names = values.flat_map(|value| value.split(','));
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "run_modes" => modes.runs = true,
            "lifecycle" => modes.lifecycle = true,
            "state_update" => modes.state_updates = true,
            unknown => {
                return Err(ApiError::invalid(format!("Invalid stream mode: {unknown}")));
            }
        }
    }
    if modes == ThreadModes::default() {
        modes.runs = true;
    }
    Ok(modes)
}
