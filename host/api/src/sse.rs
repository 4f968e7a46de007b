//! Server-sent events: a run's stream on the wire, framed as LangGraph frames it (CRLF; `event`, then `data`).

use std::fmt;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderValue, header};
use selvedge_model::Json;
use selvedge_model::event::{EventId, EventKind, StreamEvent};
use selvedge_model::run::{Run, RunError, StreamMode};
use selvedge_runtime::hub::{Next, Subscription};
use tokio::time::Instant;

use crate::options::HEARTBEAT;

/// A sign of life, which readers skip.
pub(crate) const HEARTBEAT_FRAME: &[u8] = b": heartbeat\r\n\r\n";

/// Which events a reader wants.
pub(crate) enum Filter {
    /// Of a run.
    Run {
        modes: Vec<StreamMode>,
        subgraphs: bool,
    },
    /// Of a thread.
    Thread(ThreadModes),
}

/// What to show of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ThreadModes {
    /// Everything that its runs show.
    pub(crate) runs: bool,
    /// That runs begin, fail and end.
    pub(crate) lifecycle: bool,
    /// Changes of its state that no run made.
    pub(crate) state_updates: bool,
}

impl Filter {
    /// What the run was created with. Of one that is gone there are only events that it was to show.
    pub(crate) fn of_run(run: Option<&Run>) -> Self {
        match run {
            Some(run) => Self::Run {
                modes: run.kwargs.stream_mode.clone(),
                subgraphs: run.kwargs.subgraphs,
            },
            None => Self::Run {
                modes: StreamMode::ALL.to_vec(),
                subgraphs: true,
            },
        }
    }

    /// Only these of a run's modes; all when there are none.
    pub(crate) fn narrowed(mut self, wanted: &[StreamMode]) -> Self {
        if let Self::Run { modes, .. } = &mut self
            && !wanted.is_empty()
        {
            modes.retain(|mode| wanted.contains(mode));
        }
        self
    }

    fn wants(&self, event: &StreamEvent) -> bool {
        match self {
            Self::Run { modes, subgraphs } => {
                let shown = match event.kind {
                    EventKind::Metadata | EventKind::Error => true,
                    EventKind::Mode(mode) => modes.contains(&mode),
                    EventKind::Messages(_) => modes.contains(&StreamMode::Messages),
                    EventKind::RunDone | EventKind::StateUpdate | EventKind::Lifecycle => false,
                };
                shown && (*subgraphs || event.namespace.is_empty())
            }
            Self::Thread(wanted) => match event.kind {
                EventKind::Metadata | EventKind::Error | EventKind::RunDone => {
                    wanted.runs || wanted.lifecycle
                }
                EventKind::Mode(_) | EventKind::Messages(_) => wanted.runs,
                EventKind::StateUpdate => wanted.state_updates,
                EventKind::Lifecycle => false,
            },
        }
    }
}

/// Streams events until there are no more.
pub(crate) fn response(subscription: Subscription, filter: Filter) -> Response {
    let frames = stream::unfold(Some((subscription, filter)), |reader| async {
        let (mut subscription, filter) = reader?;
        // Counted from the last frame, whatever events the reader does not want come meanwhile.
        let beat = Instant::now() + HEARTBEAT;
        loop {
            let frame = match tokio::time::timeout_at(beat, subscription.next()).await {
                Ok(Next::Event(_, event)) if !filter.wants(&event) => continue,
                Ok(Next::Event(id, event)) => event_frame(id, &event),
                Ok(Next::Lagged) => return Some((Ok(lagged()), None)),
                Ok(Next::Ended(_)) => return None,
                Err(_) => Bytes::from_static(HEARTBEAT_FRAME),
            };
            return Some((
                Ok::<_, std::convert::Infallible>(frame),
                Some((subscription, filter)),
            ));
        }
    });
    events(Body::from_stream(frames))
}

/// A stream that is over before it began.
pub(crate) fn complete(frames: &[Bytes]) -> Response {
    events(Body::from(frames.concat()))
}

pub(crate) fn error_frame(error: &RunError) -> Bytes {
    frame("error", "", &Json::written(error), None::<EventId>)
}

/// What protocols of messages call an event.
pub(crate) fn message_frame(message: &Json) -> Bytes {
    frame("message", "", message, None::<EventId>)
}

/// An event of a protocol that numbers them.
pub(crate) fn numbered_frame(name: &str, event: &Json, number: u64) -> Bytes {
    frame(name, "", event, Some(number))
}

fn lagged() -> Bytes {
    error_frame(&RunError::new(
        "StreamLagged",
        "events are missing here: this reader was too slow, or they could not be read; join the stream again, or read \
         the thread's state",
    ))
}

fn event_frame(id: Option<EventId>, event: &StreamEvent) -> Bytes {
    let namespace = match event.kind {
        // In LangGraph their metadata say where they come from, and clients know them by these names alone.
        EventKind::Messages(_) => "",
        _ => &event.namespace,
    };
    frame(event.name(), namespace, &event.data, id)
}

fn frame(name: &str, namespace: &str, data: &Json, id: Option<impl fmt::Display>) -> Bytes {
    let mut frame = BytesMut::with_capacity(name.len() + namespace.len() + data.len() + 64);
    frame.put_slice(b"event: ");
    frame.put_slice(name.as_bytes());
    if !namespace.is_empty() {
        frame.put_u8(b'|');
        frame.put_slice(namespace.as_bytes());
    }
    frame.put_slice(b"\r\ndata: ");
    frame.put_slice(data.as_str().as_bytes());
    if let Some(id) = id {
        frame.put_slice(format!("\r\nid: {id}").as_bytes());
    }
    frame.put_slice(b"\r\n\r\n");
    frame.freeze()
}

/// The head of an answer whose body is a stream of events.
pub(crate) fn events(body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies of nginx's kind would hold the events back otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
