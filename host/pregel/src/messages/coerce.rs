//! Whatever LangChain takes for a message, in the form that it serialises messages to.
//!
//! Follows `convert_to_messages` of langchain-core 1.7. One difference is deliberate: a guest hands over messages as
//! JSON and not as objects, so the members of the serialised form (`usage_metadata`, `invalid_tool_calls`, …) are
//! taken for what they are, and a removal needs no `content`.

use selvedge_model::Json;
use selvedge_model::run::RunError;
use serde_json::{Map, Value};

use crate::errors::value_error;
use crate::python;

/// The members of one update: a list's items, or the one message.
///
/// # Errors
/// See [`coerce`].
pub fn coerce_all(update: &Json) -> Result<Vec<Json>, RunError> {
    match update.items() {
        Some(items) => items.iter().map(coerce).collect(),
        None => Ok(vec![coerce(update)?]),
    }
}

/// One message: a string, a `[role, content]` pair or an object with `role` or `type`.
///
/// # Errors
/// LangChain's for what is none.
pub fn coerce(message: &Json) -> Result<Json, RunError> {
    let built = match message.to_value() {
        Value::String(text) => build("human", Value::String(text), Map::new())?,
        Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
            Ok([Value::String(role), content]) => build(&role, content, Map::new())?,
            _ => {
                return Err(RunError::new(
                    "NotImplementedError",
                    "Message as a sequence must be (role string, template)",
                ));
            }
        },
        Value::Object(members) => from_object(members)?,
        other => {
            let kind = python::type_name(&other);
            return Err(RunError::new(
                "NotImplementedError",
                with_help(&format!("Unsupported message type: <class '{kind}'>")),
            ));
        }
    };
    Ok(Json::from(built))
}

fn from_object(mut members: Map<String, Value>) -> Result<Value, RunError> {
    if let Some(unpacked) = constructor_envelope(&members) {
        return from_object(unpacked);
    }
    let given = members.clone();
    let kind = members
        .shift_remove("role")
        .or_else(|| members.shift_remove("type"));
    let removal = kind.as_ref().and_then(Value::as_str) == Some("remove");
    let content = match members.shift_remove("content") {
        None if removal => Some(Value::from("")),
        content => content,
    };
    let (Some(kind), Some(content)) = (kind, content) else {
        let got = python::repr(&Value::Object(given));
        return Err(value_error(with_help(&format!(
            "Message dict must contain 'role' and 'content' keys, got {got}"
        ))));
    };
    build(&python::text(&kind), content, members)
}

/// `{"lc": 1, "type": "constructor", "id": […, "HumanMessage"], "kwargs": {…}}`.
fn constructor_envelope(members: &Map<String, Value>) -> Option<Map<String, Value>> {
    if members.get("lc")? != 1 || members.get("type")? != "constructor" {
        return None;
    }
    let class = members.get("id")?.as_array()?.last()?.as_str()?;
    let kind = class
        .strip_suffix("Chunk")
        .unwrap_or(class)
        .strip_suffix("Message")?;
    let kwargs = members.get("kwargs")?.as_object()?;
    let mut unpacked = Map::from_iter([("type".to_owned(), Value::from(kind.to_lowercase()))]);
    for (name, value) in kwargs {
        if name != "type" {
            unpacked.insert(name.clone(), value.clone());
        }
    }
    Some(unpacked)
}

fn build(kind: &str, content: Value, mut rest: Map<String, Value>) -> Result<Value, RunError> {
    let kind = match kind {
        "human" | "user" | "HumanMessageChunk" => "human",
        "ai" | "assistant" | "AIMessageChunk" => "ai",
        "system" | "developer" | "SystemMessageChunk" => {
            if kind == "developer" {
                rest.insert("__openai_role__".to_owned(), Value::from("developer"));
            }
            "system"
        }
        "function" => "function",
        "tool" | "ToolMessageChunk" => "tool",
        "remove" => "remove",
        other => {
            return Err(value_error(with_help(&format!(
                "Unexpected message type: '{other}'. Use one of 'human', 'user', 'ai', 'assistant', 'function', \
                 'tool', 'system', or 'developer'."
            ))));
        }
    };
    let mut message = Map::new();
    message.insert("content".to_owned(), content_of(kind, content)?);
    let name = take(&mut rest, "name");
    let id = take(&mut rest, "id").map(|id| Value::from(python::text(&id)));
    let response_metadata = object_or_empty(take(&mut rest, "response_metadata"));
    let example = rest
        .shift_remove("example")
        .filter(|e| e == &Value::Bool(true));
    let own = own_members(kind, &mut rest)?;
    // Chunks carry what only matters while they are joined.
    rest.shift_remove("tool_call_chunks");
    rest.shift_remove("chunk_position");
    if let Some(Value::Object(nested)) = take(&mut rest, "additional_kwargs") {
        rest.extend(nested);
    }
    message.insert("additional_kwargs".to_owned(), Value::Object(rest));
    message.insert("response_metadata".to_owned(), response_metadata);
    message.insert("type".to_owned(), Value::from(kind));
    message.insert("name".to_owned(), name.unwrap_or_default());
    message.insert("id".to_owned(), id.unwrap_or_default());
    message.extend(own);
    message.extend(example.map(|e| ("example".to_owned(), e)));
    Ok(Value::Object(message))
}

/// The members that only this kind of message has.
fn own_members(kind: &str, rest: &mut Map<String, Value>) -> Result<Map<String, Value>, RunError> {
    let mut own = Map::new();
    let mut put = |name: &str, value: Value| own.insert(name.to_owned(), value);
    match kind {
        "ai" => {
            let calls = match take(rest, "tool_calls") {
                Some(Value::Array(calls)) => {
                    calls.into_iter().map(tool_call).collect::<Result<_, _>>()?
                }
                _ => Vec::new(),
            };
            let invalid = take(rest, "invalid_tool_calls").filter(Value::is_array);
            put("tool_calls", Value::Array(calls));
            put(
                "invalid_tool_calls",
                invalid.unwrap_or_else(|| Value::Array(Vec::new())),
            );
            put(
                "usage_metadata",
                take(rest, "usage_metadata").unwrap_or_default(),
            );
        }
        "tool" => {
            let Some(call) = take(rest, "tool_call_id") else {
                return Err(RunError::new(
                    "ValidationError",
                    "1 validation error for ToolMessage\ntool_call_id\n  Field required",
                ));
            };
            put("tool_call_id", Value::from(python::text(&call)));
            put("artifact", take(rest, "artifact").unwrap_or_default());
            put(
                "status",
                take(rest, "status").unwrap_or_else(|| Value::from("success")),
            );
        }
        _ => {}
    }
    Ok(own)
}

/// A tool call in LangChain's form; OpenAI's is turned into it.
fn tool_call(call: Value) -> Result<Value, RunError> {
    let Value::Object(mut call) = call else {
        return Ok(call);
    };
    if let Some(Value::Object(mut function)) = call.shift_remove("function") {
        call.insert(
            "name".to_owned(),
            take(&mut function, "name").unwrap_or_default(),
        );
        let args = match take(&mut function, "arguments") {
            Some(Value::String(text)) => serde_json::from_str(&text)
                .map_err(|error| RunError::new("JSONDecodeError", error.to_string()))?,
            other => other.unwrap_or_else(|| Value::Object(Map::new())),
        };
        call.insert("args".to_owned(), args);
    }
    let mut ordered = Map::new();
    for name in ["name", "args", "id"] {
        ordered.insert(name.to_owned(), take(&mut call, name).unwrap_or_default());
    }
    ordered.insert("type".to_owned(), Value::from("tool_call"));
    Ok(Value::Object(ordered))
}

fn content_of(kind: &str, content: Value) -> Result<Value, RunError> {
    match content {
        Value::Null | Value::Bool(false) => Ok(Value::from("")),
        Value::String(_) => Ok(content),
        Value::Array(parts) if kind == "tool" => {
            let part = |p: Value| match p {
                Value::String(_) | Value::Object(_) => p,
                other => Value::from(python::text(&other)),
            };
            Ok(Value::Array(parts.into_iter().map(part).collect()))
        }
        Value::Array(ref parts) if parts.iter().all(|p| p.is_string() || p.is_object()) => {
            Ok(content)
        }
        other if kind == "tool" => Ok(Value::from(python::text(&other))),
        other => Err(RunError::new(
            "ValidationError",
            format!(
                "validation error for message\ncontent\n  Input should be a valid string or list, got {}",
                python::repr(&other)
            ),
        )),
    }
}

fn take(members: &mut Map<String, Value>, name: &str) -> Option<Value> {
    members.shift_remove(name).filter(|value| !value.is_null())
}

fn object_or_empty(value: Option<Value>) -> Value {
    value
        .filter(Value::is_object)
        .unwrap_or_else(|| Value::Object(Map::new()))
}

/// LangChain's pointer to its own troubleshooting page.
fn with_help(message: &str) -> String {
    format!(
        "{message}\nFor troubleshooting, visit: \
         https://docs.langchain.com/oss/python/langchain/errors/MESSAGE_COERCION_FAILURE "
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn coerced(message: Value) -> Value {
        coerce(&Json::from(message)).unwrap().to_value()
    }

    fn plain(kind: &str, content: &str) -> Value {
        json!({"content": content, "additional_kwargs": {}, "response_metadata": {}, "type": kind, "name": null, "id": null})
    }

    #[test]
    fn strings_pairs_and_role_objects_become_messages() {
        assert_eq!(coerced(json!("hi")), plain("human", "hi"));
        assert_eq!(coerced(json!(["system", "s"])), plain("system", "s"));
        assert_eq!(
            coerced(json!({"role": "user", "content": null})),
            plain("human", "")
        );
        let envelope = json!({"lc": 1, "type": "constructor", "id": ["langchain", "HumanMessage"], "kwargs": {"content": "x", "type": "human"}});
        assert_eq!(coerced(envelope), plain("human", "x"));
    }

    #[test]
    fn the_serialised_form_comes_out_as_it_went_in() {
        let text = r#"{"content":"q","additional_kwargs":{"k":1},"response_metadata":{"m":2},"type":"ai","name":"n","id":"i","tool_calls":[{"name":"f","args":{"a":1},"id":"c","type":"tool_call"}],"invalid_tool_calls":[],"usage_metadata":{"input_tokens":1}}"#;
        assert_eq!(coerce(&Json::parse(text).unwrap()).unwrap().as_str(), text);
        let tool = r#"{"content":"r","additional_kwargs":{},"response_metadata":{},"type":"tool","name":null,"id":null,"tool_call_id":"c1","artifact":{"z":1},"status":"error"}"#;
        assert_eq!(coerce(&Json::parse(tool).unwrap()).unwrap().as_str(), tool);
    }

    #[test]
    fn openai_tool_calls_are_turned_into_langchains() {
        let message = json!({"role": "assistant", "content": "", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]});
        assert_eq!(
            coerced(message)["tool_calls"],
            json!([{"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}])
        );
    }

    #[test]
    fn unknown_members_become_additional_kwargs() {
        let message = json!({"type": "human", "content": "q", "foo": "bar", "additional_kwargs": {"k": 1}, "example": true});
        let coerced = coerced(message);
        assert_eq!(coerced["additional_kwargs"], json!({"foo": "bar", "k": 1}));
        assert_eq!(coerced["example"], true);
    }

    #[test]
    fn what_is_no_message_fails_with_langchains_text() {
        let error = |message: Value| coerce(&Json::from(message)).unwrap_err();
        assert!(error(json!({"content": "1"})).message.starts_with(
            "Message dict must contain 'role' and 'content' keys, got {'content': '1'}"
        ));
        assert!(
            error(json!({"role": "bogus", "content": ""}))
                .message
                .starts_with("Unexpected message type: 'bogus'.")
        );
        assert_eq!(error(json!(5)).kind, "NotImplementedError");
        assert_eq!(error(json!(["x"])).kind, "NotImplementedError");
        assert_eq!(
            error(json!({"role": "tool", "content": ""})).kind,
            "ValidationError"
        );
    }
}
