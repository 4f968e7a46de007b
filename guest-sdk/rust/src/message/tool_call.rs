//! What a model wants done.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One call of a tool, as a message of the model asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Written", from = "Form")]
pub struct ToolCall {
    /// The tool.
    pub name: String,
    /// Its arguments, usually an object.
    pub args: Value,
    /// Ties the result to the call.
    pub id: Option<String>,
}

impl ToolCall {
    /// A call without an id.
    pub fn new(name: impl Into<String>, args: Value) -> Self {
        Self { name: name.into(), args, id: None }
    }

    /// The same call with an id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }
}

/// A call whose arguments are no JSON; it is shown in the message's `invalid_tool_calls`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InvalidToolCall {
    /// The tool.
    pub name: String,
    /// The arguments as the model wrote them.
    pub args: String,
    /// Ties an answer to the call.
    pub id: Option<String>,
    /// What is wrong with them.
    pub error: String,
}

/// LangChain's form.
#[derive(Serialize)]
struct Written {
    name: String,
    args: Value,
    id: Option<String>,
    r#type: &'static str,
}

impl From<ToolCall> for Written {
    fn from(call: ToolCall) -> Self {
        Self { name: call.name, args: call.args, id: call.id, r#type: "tool_call" }
    }
}

/// Either form.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    LangChain { name: String, #[serde(default)] args: Value, #[serde(default)] id: Option<String> },
    OpenAi { function: Function, #[serde(default)] id: Option<String> },
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: String,
}

impl From<Form> for ToolCall {
    fn from(form: Form) -> Self {
        match form {
            Form::LangChain { name, args, id } => Self { name, args, id },
            Form::OpenAi { function, id } => {
                let args = serde_json::from_str(&function.arguments).unwrap_or(Value::String(function.arguments));
                Self { name: function.name, args, id }
            }
        }
    }
}
