//! The policy and the client from outside: real sockets on loopback, and a resolver that says what the test wants.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod answers;
mod client;
mod spellings;
mod ssrf;
mod support;
mod tls;
