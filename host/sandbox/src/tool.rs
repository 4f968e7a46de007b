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
    use super::*;

    fn read(event: &str) -> Result<ToolProgress, String> {
        let event = Json::parse(event).unwrap();
        ToolEvent::read(&event).map(|event| event.progress)
    }

    /// With the members that each has.
    fn of_a_call(more: &str) -> Result<ToolProgress, String> {
        read(&format!(
            r#"{{"tool_call_id": "c1", "tool_name": "add", {more}}}"#
        ))
    }

    #[test]
    fn each_of_the_four_is_read_and_others_are_refused() {
        let json = |text: &str| Json::parse(text).unwrap();
        assert_eq!(
            of_a_call(r#""event": "tool-started", "input": {"a": 1}"#),
            Ok(ToolProgress::Started(json(r#"{"a": 1}"#)))
        );
        assert_eq!(
            of_a_call(r#""event": "tool-output-delta", "delta": "x""#),
            Ok(ToolProgress::Delta("x".into()))
        );
        assert_eq!(
            of_a_call(r#""event": "tool-finished", "output": 3"#),
            Ok(ToolProgress::Finished(json("3")))
        );
        assert_eq!(
            of_a_call(r#""event": "tool-error", "message": "no""#),
            Ok(ToolProgress::Failed("no".into()))
        );
        for bad in [
            r#""event": "begun""#,
            r#""event": "tool-output-delta""#,
            r#""event": "tool-error", "message": 5"#,
        ] {
            assert!(of_a_call(bad).is_err(), "{bad}");
        }
        assert!(read(r#""tool-started""#).is_err());
        assert!(read(r#"{"event": "tool-started"}"#).is_err());
    }
}
