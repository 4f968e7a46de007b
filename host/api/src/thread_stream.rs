//! `GET /threads/{thread}/stream`: the events of all runs of a thread.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::error::ApiResult;
use crate::request::WatchThread;
use crate::routes::Edge;
use crate::sse;
use crate::who::Who;

/// There need not be such a thread: its first run may come later.
pub(crate) async fn watch(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    watch: WatchThread,
) -> ApiResult<Response> {
    let events = edge
        .runtime
        .watch_thread(&caller.scope, watch.thread, watch.after)
        .await?;
    Ok(sse::response(events, sse::Filter::Thread(watch.modes)))
}
