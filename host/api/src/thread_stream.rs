//! `GET /threads/{thread}/stream`: the events of all runs of a thread.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::request::WatchThread;
use crate::routes::Edge;
use crate::sse;

/// There need not be such a thread: its first run may come later.
pub(crate) async fn watch(State(edge): State<Arc<Edge>>, watch: WatchThread) -> Response {
    let events = edge.runtime.watch_thread(watch.thread, watch.after);
    sse::response(events, sse::Filter::Thread(watch.modes))
}
