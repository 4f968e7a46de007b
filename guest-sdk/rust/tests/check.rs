//! The mistakes in a graph are found before it runs, all of them at once.

use std::time::Duration;

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
struct Chat {
    #[channel(add_messages)]
    messages: Vec<Message>,
}

fn nothing(_: Chat, _: &Context) -> NodeResult<Chat> {
    Ok(Chat::update())
}

fn mistakes(graph: &StateGraph<Chat>) -> Vec<String> {
    graph
        .check()
        .err()
        .map(|p| p.list().to_vec())
        .unwrap_or_default()
}

#[test]
fn a_good_graph_has_none() {
    let graph = StateGraph::<Chat>::new()
        .node("model", nothing)
        .node("tools", nothing)
        .edge(START, "model")
        .branch(
            "model",
            |s: &Chat| if s.messages.is_empty() { END } else { "tools" },
        )
        .edge("tools", "model");
    assert_eq!(mistakes(&graph), [""; 0]);
}

#[test]
fn all_mistakes_are_named_at_once() {
    let graph = StateGraph::<Chat>::new()
        .node("model", nothing)
        .node("model", nothing)
        .node("__x", nothing)
        .node_with(
            "lonely",
            nothing,
            NodeOptions::new()
                .reads(["mesages"])
                .timeout(Timeout::new().idle(Duration::ZERO)),
        )
        .edge(START, "model")
        .edge(START, "model")
        .edge("model", "Tools")
        .edge(END, "model")
        .branch_to("modle", |_| END, ["model"])
        .interrupt_before(["nobody"]);
    assert_eq!(
        mistakes(&graph),
        [
            "there are two nodes `model`",
            "node `__x`: names that begin with `__`, `branch:to:` or `join:` are reserved",
            "edge `__start__` → `model` is there twice",
            "edge `model` → `Tools`: there is no node `Tools`",
            "edge `__end__` → `model`: nothing can come after END",
            "branch from `modle`: there is no node `modle`",
            "node `lonely` reads `mesages`, which Chat does not have",
            "node `lonely` has a timeout or a cache of no time at all",
            "a breakpoint names `nobody`, which is no node",
            "node `__x` is never reached: no edge or branch leads to it from START (if a goto or a Send does, name it \
             in the `destinations` of the node that sends)",
            "node `lonely` is never reached: no edge or branch leads to it from START (if a goto or a Send does, name \
             it in the `destinations` of the node that sends)",
        ]
    );
}

#[test]
fn a_graph_needs_a_way_in() {
    let graph = StateGraph::<Chat>::new().node("model", nothing);
    assert_eq!(
        mistakes(&graph),
        ["nothing leads from START to a node: add `.edge(START, …)`"]
    );
}

#[test]
fn a_similar_name_is_suggested() {
    let graph = StateGraph::<Chat>::new()
        .node("model", nothing)
        .edge(START, "Model")
        .edge(START, "model");
    assert_eq!(
        mistakes(&graph),
        ["edge `__start__` → `Model`: there is no node `Model` (did you mean `model`?)"]
    );
}

#[test]
fn a_goto_reaches_what_it_declares() {
    let graph = StateGraph::<Chat>::new()
        .node_with("model", nothing, NodeOptions::new().destinations(["tools"]))
        .node("tools", nothing)
        .edge(START, "model");
    assert_eq!(mistakes(&graph), [""; 0]);
}
