//! Which runs to list, and how to follow one.

use axum::extract::FromRequestParts;
use http::request::Parts;
use selvedge_model::event::EventId;
use selvedge_model::run::{RunStatus, StreamMode};
use selvedge_model::{RunId, ThreadId};
use selvedge_storage::RunQuery;

use super::{PathIds, Query, Selection, last_event, stream_modes};
use crate::error::{ApiError, ApiResult};

/// The members of a run that `select` may name.
const SELECTABLE: [&str; 9] = [
    "run_id",
    "thread_id",
    "assistant_id",
    "created_at",
    "updated_at",
    "status",
    "metadata",
    "kwargs",
    "multitask_strategy",
];

/// A page of a thread's runs.
pub(crate) struct ListRuns {
    pub(crate) query: RunQuery,
    pub(crate) select: Selection,
}

impl<S: Send + Sync> FromRequestParts<S> for ListRuns {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = PathIds::from_request_parts(parts, state).await?;
        let Ok(query) = Query::from_request_parts(parts, state).await;
        Ok(Self {
            query: RunQuery {
                thread_id: path.thread()?,
                status: status(&query)?,
                limit: query.integer("limit", 10, 1..=1000)?,
                offset: query.integer("offset", 0, 0..=i32::MAX as u32)?,
            },
            select: selection(&query)?,
        })
    }
}

fn status(query: &Query) -> ApiResult<Option<RunStatus>> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|()| ApiError::invalid(format!("status: {text:?} is not a run status")))
    };
    query.get("status").map(parse).transpose()
}

fn selection(query: &Query) -> ApiResult<Selection> {
    let asked: Vec<String> = query.all("select").map(str::to_owned).collect();
    let asked = Some(asked).filter(|asked| !asked.is_empty());
    Selection::new(asked, &SELECTABLE).map_err(|unknown| {
        let quoted = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
            names.join(", ")
        };
        let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
        ApiError::invalid(format!(
            "Invalid select columns: [{}]. Expected: {{{}}}",
            quoted(&unknown),
            quoted(&SELECTABLE)
        ))
    })
}

/// A run that someone wants to follow to its end.
pub(crate) struct Follow {
    /// `None` on the routes of stateless runs.
    pub(crate) thread: Option<ThreadId>,
    pub(crate) run: RunId,
    /// Only these of its stream; all when there are none.
    pub(crate) modes: Vec<StreamMode>,
    /// Whether the run is cancelled when its follower goes away.
    pub(crate) cancel_on_disconnect: bool,
    /// Go on after this event.
    pub(crate) after: Option<EventId>,
}

impl<S: Send + Sync> FromRequestParts<S> for Follow {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = PathIds::from_request_parts(parts, state).await?;
        let Ok(query) = Query::from_request_parts(parts, state).await;
        Ok(Self {
            thread: path.thread_if_any()?,
            run: path.run()?,
            modes: stream_modes::of_query(&query)?,
            cancel_on_disconnect: query.flag("cancel_on_disconnect"),
            after: last_event::of(&parts.headers)?,
        })
    }
}
