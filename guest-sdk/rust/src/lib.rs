//! Write graphs for the Selvedge agent server in Rust.
extern crate self as selvedge_sdk;

pub mod chat;
pub mod env;
pub mod http;
pub mod log;
pub mod prelude;
pub mod random;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod time;

mod agent;
mod check;
mod component;
mod context;
mod describe;
mod error;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod export;
mod graph;
mod host;
mod ids;
mod message;
mod options;
mod state;
mod stream;
mod tool;
mod update;

pub use agent::{AgentState, AgentStateUpdate, create_agent};
pub use component::{Entry, Graph, Graphs, Problems};
pub use context::{Config, Context, Run, Task};
pub use error::{NodeError, NodeResult};
pub use graph::StateGraph;
pub use message::{Content, InvalidToolCall, Message, MessageChunk, Role, ToolCall, ToolCallChunk};
pub use options::{NodeOptions, Retry};
pub use selvedge_sdk_macros::State;
#[doc(hidden)]
pub use state::private as __private;
pub use state::{Channel, IntoOption, Plain, Reducer, State, Whole};
pub use stream::MessageStream;
pub use tool::{Tool, tool};
pub use update::{END, Goto, IntoTargets, START, Send, Update};
