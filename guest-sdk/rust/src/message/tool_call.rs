//! What a model wants done.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One call of a tool, as a message of the model asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Form")]
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
        Self {
            name: name.into(),
            args,
            id: None,
        }
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
        Self {
            name: call.name,
            args: call.args,
            id: call.id,
            r#type: "tool_call",
        }
    }
}

/// Either form: LangChain's has `name` and `args`, OpenAI's has `function`.
#[derive(Deserialize)]
struct Form {
    name: Option<String>,
    #[serde(default)]
    args: Value,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: String,
}

impl TryFrom<Form> for ToolCall {
    type Error = &'static str;

    fn try_from(form: Form) -> Result<Self, Self::Error> {
        match form.function {
            Some(function) => {
                let args = serde_json::from_str(&function.arguments)
                    .unwrap_or(Value::String(function.arguments));
                Ok(Self {
                    name: function.name,
                    args,
                    id: form.id,
                })
            }
            None => Ok(Self {
                name: form
                    .name
                    .ok_or("a tool call needs a `name` or a `function`")?,
                args: form.args,
                id: form.id,
            }),
        }
    }
}
