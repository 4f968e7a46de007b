//! Graphs that show something while they work: `custom` two custom events, `tokens` a message in five pieces.

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Shows {
    foo: Option<String>,
    #[channel(add_messages)]
    messages: Vec<Message>,
}

pub fn custom() -> StateGraph<Shows> {
    let node = |_: Shows, ctx: &Context| {
        ctx.emit_custom(json!({"progress": 1}))?;
        ctx.emit_custom("plain string")?;
        Ok(Shows::update().foo("c"))
    };
    StateGraph::new()
        .node("custom", node)
        .edge(START, "custom")
        .edge("custom", END)
}

pub fn tokens() -> StateGraph<Shows> {
    let node = |_: Shows, ctx: &Context| {
        let mut reply = ctx.stream();
        for piece in ["hello", " ", "there", " ", "world"] {
            reply.text(piece)?;
        }
        Ok(Shows::update().messages([reply.finish()?]))
    };
    StateGraph::new()
        .node("chat", node)
        .edge(START, "chat")
        .edge("chat", END)
}
