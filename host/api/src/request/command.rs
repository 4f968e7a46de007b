//! `command`: instructions to a graph in place of an input, in one of LangGraph's forms.

use selvedge_model::Json;
use selvedge_model::run::Command;

use super::Fields;
use super::body::shortened;
use crate::error::{ApiError, ApiResult};

pub(super) fn of_body(fields: &Fields) -> ApiResult<Option<Command>> {
    // serde would read an array as a struct, member by member.
    let parts = fields.fields("command")?;
    if let Some(update) = parts.json("update")
        && !update.is_object()
        && update.decode::<Vec<(String, Json)>>().is_err()
    {
        return Err(wrong(
            "update",
            update,
            "an object or a list of [key, value] pairs",
        ));
    }
    if let Some(goto) = parts.json("goto")
        && !is_goto(goto)
    {
        let expected = "a node's name, a Send {node, input}, or a list of those";
        return Err(wrong("goto", goto, expected));
    }
    fields.typed("command", "\"object\" {update, resume, goto}")
}

fn is_goto(goto: &Json) -> bool {
    match goto.items() {
        Some(targets) => targets.iter().all(is_target),
        None => is_target(goto),
    }
}

fn is_target(target: &Json) -> bool {
    let is_text = |json: &Json| json.decode::<String>().is_ok();
    match target.members() {
        Some(send) => send.get("node").is_some_and(is_text) && send.contains_key("input"),
        None => is_text(target),
    }
}

fn wrong(name: &str, value: &Json, expected: &str) -> ApiError {
    let shown = shortened(value.as_str());
    ApiError::invalid(format!("command.{name}: {shown} is not {expected}"))
}
