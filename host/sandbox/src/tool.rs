//! What a guest shows of the tools that it calls.

use selvedge_model::Json;

/// What happens to a call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolEvent {
    /// The same for all events of one call.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// What happens.
    pub progress: ToolProgress,
}

/// How far a call of a tool has come.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolProgress {
    /// It begins, with this input.
    Started(Json),
    /// A piece of its output.
    Delta(String),
    /// It is done, with this output.
    Finished(Json),
    /// It has failed.
    Failed(String),
}

impl ToolEvent {
    /// Reads what the guest hands over; `Err` says what is wrong with it.
    pub(crate) fn read(event: &Json) -> Result<Self, String> {
        let members = event.members().ok_or("it is no object")?;
        let text = |name: &str| -> Result<String, String> {
            let text = members.get(name).and_then(|text| text.decode().ok());
            text.ok_or_else(|| format!("`{name}` is missing, or no text"))
        };
        let value = |name: &str| members.get(name).cloned().unwrap_or_default();
        Ok(Self {
            call_id: text("tool_call_id")?,
            name: text("tool_name")?,
            progress: match text("event")?.as_str() {
                "tool-started" => ToolProgress::Started(value("input")),
                "tool-output-delta" => ToolProgress::Delta(text("delta")?),
                "tool-finished" => ToolProgress::Finished(value("output")),
                "tool-error" => ToolProgress::Failed(text("message")?),
                _ => return Err("`event` is none of the four that there are".to_owned()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(event: Value) -> Result<ToolProgress, String> {
        ToolEvent::read(&Json::from(event)).map(|event| event.progress)
    }

    fn event(more: Value) -> Value {
        let mut event = json!({"tool_call_id": "c1", "tool_name": "add"});
        event
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        event
    }

    #[test]
    fn each_of_the_four_is_read_and_others_are_refused() {
        let started = event(json!({"event": "tool-started", "input": {"a": 1}}));
        assert_eq!(
            read(started),
            Ok(ToolProgress::Started(Json::from(json!({"a": 1}))))
        );
        let delta = event(json!({"event": "tool-output-delta", "delta": "x"}));
        assert_eq!(read(delta), Ok(ToolProgress::Delta("x".into())));
        let finished = event(json!({"event": "tool-finished", "output": 3}));
        assert_eq!(
            read(finished),
            Ok(ToolProgress::Finished(Json::from(json!(3))))
        );
        let failed = event(json!({"event": "tool-error", "message": "no"}));
        assert_eq!(read(failed), Ok(ToolProgress::Failed("no".into())));
        for bad in [
            json!("tool-started"),
            json!({"event": "tool-started"}),
            event(json!({"event": "begun"})),
            event(json!({"event": "tool-output-delta"})),
            event(json!({"event": "tool-error", "message": 5})),
        ] {
            assert!(read(bad).is_err());
        }
    }
}
