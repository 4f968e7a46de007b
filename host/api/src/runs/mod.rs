//! Runs: creating, reading, following and cancelling them, and where each of them is.
//!
//! Every handler serves a run on its thread and a stateless one alike.

mod address;
mod cancel;
mod create;
mod follow;
mod read;
mod shown;

pub(crate) use cancel::{cancel, cancel_many, delete};
pub(crate) use create::{batch, create, stream, wait};
pub(crate) use follow::{join, join_stream};
pub(crate) use read::{get, list};
