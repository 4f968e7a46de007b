//! The smallest useful graph: one node that answers the last message with its own text.

use selvedge_sdk::prelude::*;

/// The conversation.
#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Echo {
    /// What was said so far.
    #[channel(add_messages)]
    messages: Vec<Message>,
}

fn echo(state: Echo, _ctx: &Context) -> NodeResult<Echo> {
    let last = state
        .messages
        .last()
        .ok_or_else(|| NodeError::value("there is no message to answer"))?;
    Ok(Echo::update().messages([Message::ai(last.text())]))
}

selvedge_sdk::graphs! {
    "echo" => StateGraph::<Echo>::new()
        .node("echo", echo)
        .edge(START, "echo")
        .edge("echo", END),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::graphs;

    #[test]
    fn the_last_message_comes_back() {
        let input = json!({"messages": [{"role": "user", "content": "first"}, {"role": "user", "content": "second"}]});
        let output = graphs().invoke("echo", input).unwrap();
        assert_eq!(output["messages"][2]["type"], "ai");
        assert_eq!(output["messages"][2]["content"], "second");
    }

    #[test]
    fn without_a_message_there_is_nothing_to_answer() {
        assert_eq!(
            graphs().invoke("echo", json!({})).unwrap_err().kind(),
            "ValueError"
        );
    }
}
