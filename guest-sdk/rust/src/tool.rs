//! Tools: functions that a model may ask for.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::context::Context;
use crate::describe;
use crate::error::NodeError;
use crate::message::{Message, ToolCall};

/// A function that a model may ask for, with what the model is told about it. Make one with [`tool`].
pub struct Tool {
    name: String,
    description: String,
    parameters: fn() -> Value,
    run: RunTool,
}

/// A tool's function, with the reading of its arguments.
type RunTool = Box<dyn Fn(&Value, &Context) -> Result<String, ToolFailure>>;

enum ToolFailure {
    /// The model wrote arguments that do not fit.
    Arguments(String),
    /// The function failed.
    Run(NodeError),
}

/// A tool from a function. What the model may write as arguments follows from the type `A`: its JSON Schema, with
/// the doc comments of its fields as descriptions.
///
/// A text that the function returns goes to the model as it is, anything else as JSON.
///
/// ```
/// # use selvedge_sdk::prelude::*;
/// # use selvedge_sdk::tool;
/// #[derive(Deserialize, JsonSchema)]
/// struct Add {
///     /// The first number.
///     a: i64,
///     /// The second number.
///     b: i64,
/// }
///
/// let add = tool("add", "Adds two numbers.", |args: Add, _: &Context| Ok(args.a + args.b));
/// assert_eq!(add.name(), "add");
/// ```
pub fn tool<A, R, F>(name: impl Into<String>, description: impl Into<String>, run: F) -> Tool
where
    A: DeserializeOwned + JsonSchema,
    R: Serialize,
    F: Fn(A, &Context) -> Result<R, NodeError> + 'static,
{
    let run = move |arguments: &Value, ctx: &Context| {
        let arguments =
            A::deserialize(arguments).map_err(|e| ToolFailure::Arguments(e.to_string()))?;
        let result = run(arguments, ctx).map_err(ToolFailure::Run)?;
        match serde_json::to_value(result) {
            Ok(Value::String(text)) => Ok(text),
            Ok(value) => Ok(value.to_string()),
            Err(e) => Err(ToolFailure::Run(e.into())),
        }
    };
    Tool {
        name: name.into(),
        description: description.into(),
        parameters: describe::schema::<A>,
        run: Box::new(run),
    }
}

impl Tool {
    /// The name by which a model asks for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the model is told about it.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The JSON Schema of its arguments.
    #[must_use]
    pub fn parameters(&self) -> Value {
        (self.parameters)()
    }

    /// Does what a call asks for, and shows its beginning and its end to those who stream the run in mode `tools`, when
    /// the call has an id. A failure becomes a message with the status `error`, so that the model can correct
    /// itself.
    ///
    /// # Errors
    /// If the tool asks a person ([`Context::interrupt`]), or fails in a way that trying again may mend: the node's
    /// retry policy decides then.
    pub fn call(&self, call: &ToolCall, ctx: &Context) -> Result<Message, NodeError> {
        self.show(call, ctx, "tool-started", "input", &call.args)?;
        let complaint = match (self.run)(&call.args, ctx) {
            Ok(result) => {
                let message = Message::tool_result(call, result);
                self.show(call, ctx, "tool-finished", "output", &message)?;
                return Ok(message);
            }
            Err(ToolFailure::Arguments(what)) => {
                format!("Error: the arguments do not fit the tool's schema: {what}")
            }
            Err(ToolFailure::Run(e)) if e.is_interrupt() || e.is_retryable() => return Err(e),
            Err(ToolFailure::Run(e)) => format!("Error: {e}"),
        };
        self.show(call, ctx, "tool-error", "message", &complaint)?;
        Ok(Message::tool_error(call, complaint))
    }

    fn show(
        &self,
        call: &ToolCall,
        ctx: &Context,
        event: &str,
        part: &str,
        value: &impl Serialize,
    ) -> Result<(), NodeError> {
        let Some(id) = &call.id else { return Ok(()) };
        ctx.emit_tool(json!({
            "event": event, "tool_call_id": id, "tool_name": self.name, part: serde_json::to_value(value)?,
        }))
    }
}
