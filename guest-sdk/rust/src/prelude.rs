//! What nearly every graph needs: `use selvedge_sdk::prelude::*;`.

pub use schemars::JsonSchema;
pub use serde::{Deserialize, Serialize};
pub use serde_json::{Value, json};

pub use crate::{
    Cache, Content, Context, END, Goto, IntoOption, Message, NodeError, NodeOptions, NodeResult,
    Retry, Role, START, Send, Setting, State, StateGraph, Timeout, ToolCall, Update, configured,
};
