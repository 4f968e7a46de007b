//! Runs: creating, reading and following them, and where each of them is.
//!
//! Every handler serves a run on its thread and a stateless one alike.

mod address;
mod create;
mod deliveries;
mod follow;
mod read;

pub(crate) use create::{create, stream, wait};
pub(crate) use deliveries::deliveries;
pub(crate) use follow::{join, join_stream};
pub(crate) use read::{get, list};
