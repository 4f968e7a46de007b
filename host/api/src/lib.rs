//! The HTTP edge: routes, bodies, SSE, errors. The only room that names axum.
//!
//! Paths, members, status codes and texts are LangGraph Platform's, so that its official clients work unmodified.
//! A handler reads a request, asks `runtime`, and writes what it says; nothing is decided here.
//!
//! | module | job |
//! |---|---|
//! | [`options`] | the bounds of the edge |
//! | [`server`], `neighbourhood`, `tls`, `stall`, `leftover`, `held` | connections: accept, bound, encrypt, keep, drain |
//! | `gate`, `web`, `limits`, `bodies`, `who` | what stands before every handler: other origins' pages, credentials, limits; and who passed |
//! | `routes`, `paths`, `openapi` | which handler answers what, and the document that says so |
//! | `request` | reading requests into typed ones |
//! | `error` | the one error type, and which status each refusal has |
//! | `system`, `metrics`, `assistants`, `drawings`, `threads`, `search`, `state`, `snapshot`, `history`, `runs`, `crons`, `deliveries`, `store`, `development` | the handlers |
//! | `mcp`, `a2a` | assistants as tools, and as agents for others |
//! | `protocol` | the event protocol of the newest clients: commands, events, WebSockets |
//! | `answers` | which question an answer is for, in those two |
//! | `sse`, `waiting` | answers that last as long as a run |
#![forbid(unsafe_code)]

mod a2a;
mod answers;
mod assistants;
mod bodies;
mod crons;
mod deliveries;
mod development;
mod drawings;
mod error;
mod gate;
mod held;
mod history;
mod leftover;
mod limits;
mod mcp;
mod metrics;
mod neighbourhood;
mod openapi;
pub mod options;
mod paths;
mod protocol;
mod request;
mod routes;
mod runs;
mod search;
pub mod server;
mod snapshot;
mod sse;
mod stall;
mod state;
mod store;
mod system;
mod thread_stream;
mod threads;
mod tls;
mod waiting;
mod web;
mod who;

pub use limits::RateLimit;
pub use options::Options;
pub use server::{Listener, Server, ServerError, service};
pub use tls::{Tls, TlsError};
