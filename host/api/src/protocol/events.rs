//! `POST /threads/{thread}/stream/events`: the events that somebody wants, as server-sent events. It does not end before
//! its reader goes, or the server.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use selvedge_protocol::event::Address;
use selvedge_protocol::{Event, Filter, FilterError};
use tokio::time::Instant;

use super::reader::{Reader, SETTLING};
use crate::error::{ApiError, ApiResult};
use crate::options::HEARTBEAT;
use crate::request::{JsonValue, PathIds};
use crate::routes::Edge;
use crate::sse;
use crate::who::Who;

pub(crate) async fn events(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    JsonValue(body): JsonValue,
) -> ApiResult<Response> {
    let thread = path.thread()?;
    let mut filter = Filter::read(&body.members().unwrap_or_default())?;
    filter.forget_since_beyond(edge.runtime.last_event_id_given());
    let reader = Reader::open(&edge.runtime, &caller.scope, thread).await?;
    let reading = Reading {
        reader,
        filter,
        settled_at: Instant::now() + SETTLING,
    };
    let frames = stream::unfold(reading, |mut reading| async {
        let frame = reading.next().await?;
        Some((Ok::<_, Infallible>(frame), reading))
    });
    Ok(sse::events(Body::from_stream(frames)))
}

impl From<FilterError> for ApiError {
    fn from(error: FilterError) -> Self {
        Self::bad_request(error.to_string())
    }
}

struct Reading {
    reader: Reader,
    filter: Filter,
    settled_at: Instant,
}

impl Reading {
    async fn next(&mut self) -> Option<Bytes> {
        // Counted from the last frame, whatever events the reader does not want come meanwhile.
        let beat = Instant::now() + HEARTBEAT;
        loop {
            let filter = &self.filter;
            let wants = |seq: u64, address: &Address| filter.wants_now(seq, address);
            let Ok(events) = tokio::time::timeout_at(beat, self.reader.next(&wants)).await else {
                return Some(Bytes::from_static(sse::HEARTBEAT_FRAME));
            };
            let events = events?;
            if !events.is_empty() {
                if events.iter().any(Event::ends_a_run) {
                    tokio::time::sleep_until(self.settled_at).await;
                }
                return Some(frames(&events));
            }
        }
    }
}

/// Events in their frames, of which one event of a run may become several.
fn frames(events: &[Event]) -> Bytes {
    let mut frames = BytesMut::new();
    for event in events {
        let name = event.address.method.as_str();
        frames.put(sse::numbered_frame(name, &event.to_json(), event.seq));
    }
    frames.freeze()
}
