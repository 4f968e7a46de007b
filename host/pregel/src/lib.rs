//! The super-step algorithm of LangGraph (Pregel), pure: no async, no clock, no I/O, no wasm, no SQL.
//!
//! It hands out what it needs ([`Work`]: run this node, route this branch, reduce this channel) and takes the
//! answers; what it wants stored or shown it leaves in a list ([`Output`]). The runtime does both, so that guest
//! reducers and branches never make this room async, and the same answers always give the same checkpoints.
//!
//! | module | its one job |
//! |---|---|
//! | [`graph`], [`problems`], `names` | a description, validated and indexed; what is wrong with one |
//! | [`drawing`], `expand` | its picture; with the graphs in it opened |
//! | `channel`, `board` | one channel and its rules; all channels with their versions, and applying a step's writes |
//! | [`messages`] | LangChain's messages: coercion and `add_messages` |
//! | `task`, `interrupt` | what runs next, and the answers that it gets |
//! | [`nested`] | graphs inside tasks: what they are given by the one around them |
//! | [`program`], [`writes`] | the calls that one task makes on its guest instance, and what came of them |
//! | [`execution`], `begin`, `tick`, `settle` | one run: the loop, how it starts, how a step begins and ends |
//! | `recovery` | a run that is taken up again: what of its beginning is there already |
//! | `exchange` | what the runtime and an execution hand each other |
//! | [`update`] | a state update from outside |
//! | [`mod@view`] | reading a saved checkpoint |
//! | [`retry`] | which failures are tried again, and when |
//! | `events`, `ids`, `errors`, `python` | stream events, derived ids, LangGraph's error texts, Python's way to print |
#![forbid(unsafe_code)]

mod begin;
mod board;
mod channel;
pub mod drawing;
mod errors;
mod events;
mod exchange;
pub mod execution;
mod expand;
pub mod graph;
mod ids;
mod interrupt;
pub mod messages;
mod names;
pub mod nested;
pub mod problems;
pub mod program;
mod python;
mod recovery;
pub mod retry;
mod settle;
mod task;
mod tick;
pub mod update;
pub mod view;
pub mod writes;

pub use drawing::Drawing;
pub use execution::{
    Addressed, End, EndKind, Entry, Execution, Mint, Options, Outcome, Output, Step, Work, WorkId,
};
pub use graph::{Graph, Nested};
pub use interrupt::answers_by_id;
pub use nested::Inside;
pub use problems::GraphProblem;
pub use program::{Failure, GuestCall, Program};
pub use recovery::made_by;
pub use task::{PathPart, TaskInfo};
pub use update::StateUpdate;
pub use view::{StateView, TaskView, record, record_with, values, view, view_with};
pub use writes::Writes;
