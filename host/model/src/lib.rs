//! The words of Selvedge: plain data that every room shares.
//!
//! | module | words |
//! |---|---|
//! | [`ids`] | `RunId`, `ThreadId`, … |
//! | [`json`] | JSON kept as text |
//! | [`time`] | timestamps, and the clock that logic reads them from |
//! | [`graph`] | what a component says a graph is made of |
//! | [`checkpoint`] | the snapshot after a super-step, and what changed since the one before |
//! | [`run`], [`thread`], [`assistant`], [`cron`], [`item`] | the resources of the HTTP API |
//! | [`caller`] | who asks, and on whose behalf |
//! | [`cancel`] | a wish to end a run |
//! | [`event`] | what a stream of a run consists of |
//! | [`delivery`] | a webhook that must arrive |
//! | [`url`] | URLs as people may see them |
//!
//! Nothing here does anything: no I/O, no locks, no clock that anyone depends on.
#![forbid(unsafe_code)]

pub mod assistant;
pub mod caller;
pub mod cancel;
pub mod checkpoint;
pub mod cron;
pub mod delivery;
pub mod event;
pub mod graph;
pub mod ids;
pub mod item;
pub mod json;
pub mod run;
pub mod thread;
pub mod time;
pub mod url;

pub use caller::{Caller, Identity, Scope};
pub use ids::{AssistantId, CheckpointId, CronId, DeliveryId, RunId, TaskId, ThreadId};
pub use json::Json;
pub use time::Timestamp;
