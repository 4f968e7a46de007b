//! What is sent when a run ends, and the worker that delivers it.
//!
//! `runtime` asks [`Webhooks::check`] when a run is admitted, [`Webhooks::delivery`] when it ends, stores what it got
//! in the transaction that ends the run, and calls [`Webhooks::wake`] once that is committed. From there on storage
//! knows what must arrive, and the worker makes it so: at least once, with one id over all attempts.
//!
//! | module | job |
//! |---|---|
//! | [`options`] | configuration, validated |
//! | [`payload`] | the body, as bytes |
//! | [`signing`] | who sent it: Standard Webhooks |
//! | [`verdict`] | what becomes of a delivery after an attempt |
//! | `queue` | who is next: fair between hosts, bounded for each |
//! | `attempt` | one attempt: post, read, record |
//! | `record` | what is to be written down, and what storage has refused so far |
//! | `worker` | claims what is due and hands it out |
//! | `switch` | what switching webhooks off and on means for what waits |
//! | [`counts`] | what has become of attempts, for the operator's metrics |
//! | `retention` | deletes what ended long ago |
//! | [`handle`] | the part that others hold |
//!
//! Connections are made by `selvedge_egress` and nothing else; nothing here parses a run's values.
#![forbid(unsafe_code)]

mod attempt;
pub mod counts;
pub mod handle;
pub mod options;
pub mod payload;
mod queue;
mod record;
mod retention;
pub mod signing;
mod switch;
pub mod verdict;
mod worker;

pub use counts::Counts;
pub use handle::{RedeliverError, Webhooks};
pub use options::{Field, Options, Schedule, StartError};
pub use payload::{Ended, FinalStatus};
pub use selvedge_egress::Refusal;
