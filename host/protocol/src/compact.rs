//! State without what says nothing: the messages in it lose their members that are `null` or empty, and questions are
//! told on a channel of their own.

use selvedge_model::Json;

/// The member in which a state carries questions.
pub(crate) const INTERRUPT: &str = "__interrupt__";

/// A state as the channel `values` shows it.
pub(crate) fn state(values: &Json) -> Json {
    let text = values.as_str();
    if !text.contains(INTERRUPT) && !text.contains("\"content\"") {
        return values.clone();
    }
    let Some(mut members) = values.members() else {
        return values.clone();
    };
    members.shift_remove(INTERRUPT);
    for value in members.values_mut() {
        if let Some(items) = value.items() {
            *value = Json::array(&items.iter().map(message).collect::<Vec<_>>());
        }
    }
    Json::object(&members)
}

fn message(item: &Json) -> Json {
    let Some(mut members) = item.members() else {
        return item.clone();
    };
    if !members.contains_key("content") || !members.contains_key("type") {
        return item.clone();
    }
    members
        .retain(|name, value| name == "content" || !matches!(value.as_str(), "null" | "{}" | "[]"));
    Json::object(&members)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_lose_what_is_empty_and_the_rest_stays() {
        let given = json!({
            "messages": [
                {"type": "ai", "content": [], "id": "a", "name": null, "tool_calls": [], "additional_kwargs": {},
                 "usage_metadata": {"total_tokens": 1}},
                {"content": null, "other": null},
                "text",
            ],
            "nothing": null, "empty": [],
            "__interrupt__": [{"id": "x"}],
        });
        let shown = json!({
            "messages": [
                {"type": "ai", "content": [], "id": "a", "usage_metadata": {"total_tokens": 1}},
                {"content": null, "other": null},
                "text",
            ],
            "nothing": null, "empty": [],
        });
        assert_eq!(state(&Json::from(given)).to_value(), shown);
        let plain = Json::from(json!({"foo": null}));
        assert_eq!(state(&plain).as_str(), plain.as_str());
    }
}
