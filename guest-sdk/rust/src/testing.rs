//! Tests of nodes and whole graphs with `cargo test`, without WebAssembly.
//!
//! [`Fake`] gives a single node a context and collects what it shows. [`Run`] drives a whole graph with a small
//! imitation of the host's algorithm: super-steps, reducers, branches, sends, joins, deferred nodes, retries (without
//! waiting), interrupts and, with [`MemoryStore`], the store. **The host's algorithm is the real one.** Checkpoints,
//! breakpoints, limits, timeouts, caches, streams and threads are tested with `selvedge dev` or a server.

mod channels;
mod fake;
mod plan;
mod run;
mod store;
mod task;

use std::cell::RefCell;

use serde_json::Value;

pub use fake::Fake;
pub use run::Run;
pub use store::MemoryStore;

use crate::component::Graphs;
use crate::error::NodeError;
use crate::http::{HttpError, Request, Response, native};
use crate::log::Level;

impl Graphs {
    /// Runs a graph from its start to its end, natively, and gives its output. To be used in tests.
    ///
    /// # Errors
    /// What a node failed with. A graph that asks a person stops: use [`Run`] for it.
    pub fn invoke(&self, graph: &str, input: Value) -> Result<Value, NodeError> {
        let run = Run::start(self, graph, input)?;
        match run.questions().first() {
            Some(question) => Err(NodeError::new(
                "GraphInterrupt",
                format!("the graph waits for an answer to {question}"),
            )),
            None => Ok(run.output()),
        }
    }
}

/// A request as a test sees it.
pub struct Received<'a>(&'a Request);

impl Received<'_> {
    /// Its method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// Its body as text.
    #[must_use]
    pub fn body(&self) -> String {
        String::from_utf8_lossy(&self.0.body).into_owned()
    }
}

/// From now on, the HTTP requests of this thread are answered by the function, with a status and a body in pieces.
pub fn answer_http(answer: impl Fn(&Received) -> Result<(u16, Vec<String>), HttpError> + 'static) {
    native::answer_with(move |request| {
        let (status, pieces) = answer(&Received(request))?;
        let body = native::Body::from_pieces(pieces.into_iter().map(String::into_bytes));
        Ok(Response {
            status,
            headers: Vec::new(),
            body,
            rest: Vec::new(),
        })
    });
}

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// The log lines of this thread since the last call.
#[must_use]
pub fn logs() -> Vec<(Level, String)> {
    LINES.take()
}

pub(crate) fn note(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
    LINES.with_borrow_mut(|lines| lines.push((level, message.to_owned())));
}
