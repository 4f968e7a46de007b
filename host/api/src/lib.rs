//! The HTTP edge: routes, bodies, SSE, errors. The only room that names axum.
//!
//! Paths, members, status codes and texts are LangGraph Platform's, so that its official clients work unmodified.
//! A handler reads a request, asks `runtime`, and writes what it says; nothing is decided here.
//!
//! | module | job |
//! |---|---|
//! | [`options`] | the bounds of the edge |
//! | [`server`] | connections: accept, bound, drain |
//! | `routes` | which handler answers what |
//! | `body`, `fields` | reading request bodies and their members |
//! | `error` | the one error type, and which status each refusal has |
//! | `system`, `assistants`, `threads`, `state`, `runs` | the handlers |
//! | `sse`, `waiting` | answers that last as long as a run |
#![forbid(unsafe_code)]

mod assistants;
mod body;
mod error;
mod fields;
pub mod options;
mod routes;
mod runs;
pub mod server;
mod sse;
mod state;
mod system;
mod threads;
mod waiting;

pub use options::Options;
pub use server::{Listener, Server, ServerError};
