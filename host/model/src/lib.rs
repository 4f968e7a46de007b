//! The words of Selvedge: plain data that every room shares.
//!
//! | module | words |
//! |---|---|
//! | [`ids`] | `RunId`, `ThreadId`, … |
//! | [`json`] | JSON kept as text |
//! | [`time`] | timestamps, and the clock that logic reads them from |
//! | [`graph`] | what a component says a graph is made of |
//! | [`checkpoint`] | the snapshot after a super-step, and what changed since the one before |
//! | [`run`], [`thread`], [`assistant`] | the resources of the HTTP API |
//! | [`event`] | what a stream of a run consists of |
//! | [`delivery`] | a webhook that must arrive |
//!
//! Nothing here does anything: no I/O, no locks, no clock that anyone depends on.
#![forbid(unsafe_code)]

pub mod assistant;
pub mod checkpoint;
pub mod delivery;
pub mod event;
pub mod graph;
pub mod ids;
pub mod json;
pub mod run;
pub mod thread;
pub mod time;

pub use ids::{AssistantId, CheckpointId, DeliveryId, RunId, TaskId, ThreadId};
pub use json::Json;
pub use time::Timestamp;
