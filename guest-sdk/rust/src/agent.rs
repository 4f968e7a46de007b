//! The prebuilt agent: a model that may ask for tools until it answers.

use std::rc::Rc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::State;
use crate::chat::ChatModel;
use crate::context::Context;
use crate::error::{NodeError, NodeResult};
use crate::graph::StateGraph;
use crate::message::{Message, Role, ToolCall};
use crate::options::{NodeOptions, Retry};
use crate::tool::Tool;
use crate::update::{END, Goto, START, Send};

/// The state of an agent: its conversation.
#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct AgentState {
    /// What was said so far.
    #[channel(add_messages)]
    pub messages: Vec<Message>,
}

/// An agent: the node `model` answers; where its message asks for tools, each call becomes a task of its own at the
/// node `tools`, all of them in parallel, and the model goes on with the results. A message that asks for no tool is
/// answered in one super-step.
///
/// The model is made for each answer, so that it can look at the context (variables, configuration):
/// `create_agent(|_: &Context| Ok(Scripted), [calculator()], "Be brief.")`. An empty prompt is left out.
pub fn create_agent<M, F>(
    model: F,
    tools: impl IntoIterator<Item = Tool>,
    prompt: impl Into<String>,
) -> StateGraph<AgentState>
where
    M: ChatModel,
    F: Fn(&Context) -> Result<M, NodeError> + 'static,
{
    let tools: Rc<[Tool]> = tools.into_iter().collect();
    let prompt = prompt.into();
    let offered = Rc::clone(&tools);
    let answer = move |state: AgentState, ctx: &Context| -> NodeResult<AgentState> {
        let mut messages = state.messages;
        if !prompt.is_empty() {
            messages.insert(
                0,
                Message {
                    id: None,
                    ..Message::system(prompt.as_str())
                },
            );
        }
        let reply = model(ctx)?.answer(&messages, &offered, ctx)?;
        Ok(AgentState::update().messages([reply]))
    };
    let has_tools = !tools.is_empty();
    let graph = StateGraph::new()
        .node_with("model", answer, NodeOptions::new().retry(Retry::new()))
        .edge(START, "model");
    if !has_tools {
        return graph.edge("model", END);
    }
    graph
        .node_with(
            "tools",
            move |call, ctx: &Context| use_tool(&tools, &call, ctx),
            NodeOptions::new().retry(Retry::new()),
        )
        .branch_to("model", after_model, ["tools", END])
        .edge("tools", "model")
}

fn after_model(state: &AgentState) -> Vec<Goto> {
    match state.messages.last() {
        Some(message) if message.role == Role::Ai && !message.tool_calls.is_empty() => message
            .tool_calls
            .iter()
            .map(|call| Send::new("tools", call).into())
            .collect(),
        _ => vec![END.into()],
    }
}

fn use_tool(tools: &[Tool], call: &ToolCall, ctx: &Context) -> NodeResult<AgentState> {
    let result = match tools.iter().find(|t| t.name() == call.name) {
        Some(tool) => tool.call(call, ctx)?,
        None => {
            let names: Vec<_> = tools.iter().map(Tool::name).collect();
            Message::tool_error(
                call,
                format!(
                    "Error: there is no tool `{}`. There are: {}",
                    call.name,
                    names.join(", ")
                ),
            )
        }
    };
    Ok(AgentState::update().messages([result]))
}
