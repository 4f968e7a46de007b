//! Where a run is, for the headers by which clients find it again.

use axum::response::Response;
use http::{HeaderName, HeaderValue, header};
use selvedge_model::run::Run;
use selvedge_model::{RunId, ThreadId};
use selvedge_runtime::Place;

use crate::request::Follow;

/// A run under its thread, or (a stateless one) under its own id alone.
pub(super) struct Address {
    thread: Option<ThreadId>,
    run: RunId,
}

impl Address {
    /// Beside the path that created it.
    pub(super) fn of(run: &Run, place: Place) -> Self {
        let thread = match place {
            Place::Thread { id, .. } => Some(id),
            Place::Stateless { .. } => None,
        };
        Self {
            thread,
            run: run.run_id,
        }
    }

    /// Under its thread, a stateless one too.
    pub(super) fn on_thread(run: &Run) -> Self {
        Self {
            thread: Some(run.thread_id),
            run: run.run_id,
        }
    }

    /// Where it was asked for.
    pub(super) fn followed(follow: &Follow) -> Self {
        Self::at(follow.thread, follow.run)
    }

    /// Where a path says it is.
    pub(super) fn at(thread: Option<ThreadId>, run: RunId) -> Self {
        Self { thread, run }
    }

    /// Says where the run is. Clients read its id, and its thread's, from this header.
    pub(super) fn content_location(&self, response: Response) -> Response {
        with(response, header::CONTENT_LOCATION, &self.path())
    }

    /// Says where the answer can be asked for again: below the run.
    pub(super) fn location(&self, response: Response, rest: &str) -> Response {
        let path = format!("{}/{rest}", self.path());
        with(response, header::LOCATION, &path)
    }

    fn path(&self) -> String {
        match self.thread {
            Some(thread) => format!("/threads/{thread}/runs/{}", self.run),
            None => format!("/runs/{}", self.run),
        }
    }
}

fn with(mut response: Response, name: HeaderName, path: &str) -> Response {
    match HeaderValue::from_str(path) {
        Ok(value) => {
            response.headers_mut().insert(name, value);
        }
        Err(_) => debug_assert!(false, "a path of ids is ASCII: {path}"),
    }
    response
}
