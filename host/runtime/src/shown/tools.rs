//! What a task shows of the tools that it calls, in the words of the stream mode `tools`.

use selvedge_model::Json;
use selvedge_sandbox::{ToolEvent, ToolProgress};

pub(super) fn shown(event: &ToolEvent) -> Json {
    let (word, member, value) = match &event.progress {
        ToolProgress::Started(input) => ("on_tool_start", "input", input.clone()),
        ToolProgress::Delta(piece) => ("on_tool_event", "data", Json::string(piece)),
        ToolProgress::Finished(output) => ("on_tool_end", "output", output.clone()),
        ToolProgress::Failed(why) => ("on_tool_error", "error", Json::string(why)),
    };
    Json::object([
        ("event", &Json::string(word)),
        ("toolCallId", &Json::string(&event.call_id)),
        ("name", &Json::string(&event.name)),
        (member, &value),
    ])
}
