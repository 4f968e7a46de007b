//! Write graphs for the Selvedge agent server in Rust.
//!
//! A graph is a state, nodes that change it, and edges between them. The crate compiles to a WebAssembly component;
//! the server runs its super-steps, keeps its checkpoints and streams what it shows. A node is an ordinary function:
//!
//! ```
//! use selvedge_sdk::prelude::*;
//!
//! #[derive(State, Serialize, Deserialize, JsonSchema)]
//! struct Chat {
//!     #[channel(add_messages)]
//!     messages: Vec<Message>,
//!     #[channel(append)]
//!     visited: Vec<String>,
//!     summary: Option<String>,
//! }
//!
//! impl Chat {
//!     fn wants_more(&self) -> bool {
//!         self.messages.len() < 4
//!     }
//! }
//!
//! fn model(state: Chat, ctx: &Context) -> NodeResult<Chat> {
//!     ctx.emit_token("Hel")?;
//!     ctx.emit_token("lo")?;
//!     let go_on: bool = ctx.interrupt(json!({"question": "Go on?", "so_far": state.messages.len()}))?;
//!     Ok(Chat::update().messages([Message::ai("Hello")]).visited(["model"]).goto_if(!go_on, "goodbye"))
//! }
//!
//! fn goodbye(state: Chat, _ctx: &Context) -> NodeResult<Chat> {
//!     Ok(Chat::update().summary(format!("{} messages", state.messages.len())))
//! }
//!
//! selvedge_sdk::graphs! {
//!     "chat" => StateGraph::<Chat>::new()
//!         .node_with("model", model, NodeOptions::new().destinations(["goodbye"]))
//!         .node("goodbye", goodbye)
//!         .edge(START, "model")
//!         .branch_to("model", |s: &Chat| if s.wants_more() { "model" } else { END }, ["model", END]),
//! }
//!
//! // What a test of it looks like.
//! use selvedge_sdk::testing::Run;
//!
//! # fn main() -> Result<(), NodeError> {
//! graphs().check()?;
//! let mut run = Run::start(&graphs(), "chat", json!({"messages": [{"role": "user", "content": "Hi"}]}))?;
//! assert_eq!(run.questions()[0]["question"], "Go on?");
//! run.resume(true)?;
//! run.resume(true)?;
//! run.resume(false)?;
//! assert_eq!(run.output()["summary"], "4 messages");
//! # Ok(())
//! # }
//! ```
//!
//! In `Cargo.toml`, a graph needs this; `selvedge build` compiles it:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"] # the component, and a library for native tests
//!
//! [dependencies]
//! schemars = "1"
//! selvedge-sdk = "0.1"
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! Where to find what:
//!
//! - the state: [`State`], its channels in the table of [the derive](derive@State), its updates in [`Update`];
//! - the graph: [`StateGraph`], [`NodeOptions`], [`Retry`], [`Timeout`], [`Cache`], [`Send`], and [`graphs!`] to make a component of it;
//! - graphs in graphs: [`StateGraph::subgraph`], [`Context::call_graph`], [`Update::to_parent`];
//! - graphs that depend on how a run is configured: [`configured`](fn@configured), [`Setting`];
//! - inside a node: [`Context`] (streaming, interrupts, facts, variables), [`store`], [`NodeError`], [`info!`] and its siblings;
//! - models and tools: [`Message`], [`chat`], [`tool`](fn@tool), [`create_agent`];
//! - the world: [`http`], [`time`], [`random`], [`env`](mod@env). Each is imported by a component only if it is used;
//! - tests: `testing`, natively and without WebAssembly.
//!
//! What does not work inside a component is what std needs an operating system for: `SystemTime::now`, `println!`,
//! threads, files, sockets. A panic ends the task; its message becomes the run's error.

// The derive names the crate from outside; inside, this is what it finds.
extern crate self as selvedge_sdk;

pub mod chat;
pub mod env;
pub mod http;
pub mod log;
pub mod prelude;
pub mod random;
pub mod store;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod time;

mod agent;
mod call;
mod check;
mod component;
mod configured;
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
mod subgraph;
mod tool;
mod update;

pub use agent::{AgentState, AgentStateUpdate, create_agent};
pub use component::{Entry, Graph, Graphs, Problems};
pub use configured::{Buildable, Configured, Setting, configured};
pub use context::{Config, Context, Run, Task};
pub use error::{NodeError, NodeResult};
pub use graph::StateGraph;
pub use message::{Content, InvalidToolCall, Message, MessageChunk, Role, ToolCall, ToolCallChunk};
pub use options::{Cache, NodeOptions, Retry, Timeout};
pub use selvedge_sdk_macros::State;
#[doc(hidden)]
pub use state::private as __private;
pub use state::{Channel, IntoOption, Plain, Reduce, Reducer, State, Whole};
pub use stream::MessageStream;
pub use subgraph::Subgraph;
pub use tool::{Tool, tool};
pub use update::{END, Goto, IntoTargets, START, Send, Update};
