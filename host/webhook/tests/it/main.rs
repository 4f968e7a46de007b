//! Webhooks from the end of a run to a receiver: real storage, real policy, real sockets; only the clock and the
//! names are the test's own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod delivery;
mod host;
mod outage;
mod policy;
mod receiver;
mod records;
mod restart;
