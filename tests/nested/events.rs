//! The mode `events` shows what goes on in graphs inside a graph to whoever asks for it.

use serde_json::{Value, json};

use crate::support::server::{names, text};
use crate::support::{Server, Setup};

async fn streamed(server: &Server, graph: &str, input: Value, subgraphs: bool) -> Vec<Value> {
    let thread = server.new_thread().await;
    let run = json!({
        "assistant_id": graph, "input": input, "stream_mode": ["events"], "stream_subgraphs": subgraphs,
    });
    let events = server.stream(&thread, &run).await;
    let names = events.iter().map(|event| event.name.as_str());
    let other = names.filter(|name| !["events", "metadata", "end"].contains(name));
    assert_eq!(other.collect::<Vec<_>>(), [""; 0]);
    let shown = events.iter().filter(|event| event.name == "events");
    shown.map(|event| event.data.clone()).collect()
}

/// What begins and ends, by its name.
fn what(events: &[Value]) -> Vec<(&str, &str)> {
    let what = events
        .iter()
        .map(|event| (text(&event["event"]), text(&event["name"])));
    what.filter(|(event, _)| !event.ends_with("_stream"))
        .collect()
}

/// The ids of the runs of these names, from the outside in: of those that began, the first.
fn ids<'a>(events: &'a [Value], names: &[&str]) -> Vec<&'a Value> {
    let of = |name: &&str| {
        let first = events.iter().find(|event| event["name"] == **name);
        &first.expect("it began")["run_id"]
    };
    names.iter().map(of).collect()
}

#[tokio::test]
async fn the_mode_events_shows_graphs_inside_whether_others_do_or_not() {
    let server = Setup::probes(&["talking"]).start().await;
    for subgraphs in [false, true] {
        let events = streamed(&server, "talking", json!({}), subgraphs).await;
        let expected = [
            ("on_chain_start", "talking"),
            ("on_chain_start", "sub"),
            ("on_chain_start", "LangGraph"),
            ("on_chain_start", "chat"),
            ("on_chat_model_start", "ChatModel"),
            ("on_chat_model_end", "ChatModel"),
            ("on_chain_end", "chat"),
            ("on_chain_end", "LangGraph"),
            ("on_chain_end", "sub"),
            ("on_chain_end", "talking"),
        ];
        assert_eq!(what(&events), expected);
        let around = ids(&events, &["talking", "sub", "LangGraph", "chat"]);
        let first = |event: &str, name: &str| {
            let is = |shown: &&Value| shown["event"] == event && shown["name"] == name;
            events.iter().find(is).expect("an event").clone()
        };
        let graph = first("on_chain_start", "LangGraph");
        assert_eq!(graph["parent_ids"], json!(around[..2]));
        assert_eq!(graph["tags"], json!(["seq:step:1"]));
        let place = &graph["metadata"]["checkpoint_ns"];
        assert_eq!(graph["metadata"]["langgraph_checkpoint_ns"], *place);

        let node = first("on_chain_start", "chat");
        assert_eq!(node["parent_ids"], json!(around[..3]));
        assert_eq!(node["metadata"]["langgraph_node"], "chat");
        assert_eq!(node["metadata"]["checkpoint_ns"], *place);
        let own = text(&node["metadata"]["langgraph_checkpoint_ns"]);
        assert_eq!(own, format!("{}|chat:{}", text(place), text(around[3])));

        let model = first("on_chat_model_start", "ChatModel");
        assert_eq!(model["parent_ids"], json!(around));
        let end = first("on_chain_end", "LangGraph");
        assert_eq!(names(&end["data"]), ["output", "input"]);
        let said = &end["data"]["output"]["messages"][0]["content"];
        assert_eq!(said, "hello there world");
    }
}

#[tokio::test]
async fn a_graph_that_a_node_calls_is_shown_inside_it() {
    let server = Setup::probes(&["idle_calling"]).start().await;
    let events = streamed(&server, "idle_calling", json!({"times": 0}), false).await;
    let expected = [
        ("on_chain_start", "idle_calling"),
        ("on_chain_start", "call"),
        ("on_chain_start", "busy"),
        ("on_chain_start", "work"),
        ("on_chain_end", "work"),
        ("on_chain_end", "busy"),
        ("on_chain_end", "call"),
        ("on_chain_end", "idle_calling"),
    ];
    assert_eq!(what(&events), expected);
    let around = ids(&events, &["idle_calling", "call", "busy"]);
    let work = events.iter().find(|event| event["name"] == "work");
    assert_eq!(work.expect("it began")["parent_ids"], json!(around));
}
