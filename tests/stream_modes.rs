//! What each of LangGraph's stream modes shows.

use serde_json::{Value, json};

use crate::support::server::text;
use crate::support::sse::Event;
use crate::support::{Server, Setup};

async fn streamed(server: &Server, thread: &str, graph: &str, modes: Value) -> Vec<Event> {
    let body = json!({"assistant_id": graph, "input": {"foo": "in"}, "stream_mode": modes});
    let mut events = server.stream(thread, &body).await;
    assert_eq!(events.remove(0).name, "metadata");
    events
}

fn data<'a>(events: &'a [Event], name: &str) -> Vec<&'a Value> {
    let of_mode = events.iter().filter(|event| event.name == name);
    of_mode.map(|event| &event.data).collect()
}

#[tokio::test]
async fn tasks_shows_each_start_and_end() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let events = streamed(&server, &thread, "two", json!("tasks")).await;
    let shown = data(&events, "tasks");
    let names: Vec<&Value> = shown.iter().map(|task| &task["name"]).collect();
    assert_eq!(names, ["a", "a", "b", "b"]);
    let (start, end) = (shown[0], shown[1]);
    assert_eq!(start["input"], json!({"foo": "in", "log": []}));
    assert_eq!(start["triggers"], json!(["branch:to:a"]));
    let metadata = &start["metadata"];
    assert_eq!(
        (&metadata["graph_id"], &metadata["run_attempt"]),
        (&json!("two"), &json!(1))
    );
    text(&metadata["run_id"]);
    assert_eq!(
        *end,
        json!({"id": start["id"], "name": "a", "error": null, "result": {"foo": "ina", "log": ["a"]},
            "interrupts": []})
    );
}

#[tokio::test]
async fn several_modes_come_in_the_order_in_which_things_happen() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let modes = json!(["values", "updates", "tasks"]);
    let events = streamed(&server, &thread, "two", modes).await;
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    let step = ["tasks", "updates", "tasks", "values"];
    assert_eq!(names, [&["values"][..], &step, &step].concat());
}

#[tokio::test]
async fn checkpoints_and_debug_show_what_the_thread_then_holds() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let events = streamed(&server, &thread, "two", json!(["checkpoints", "debug"])).await;
    let shown = data(&events, "checkpoints");
    let steps: Vec<&Value> = shown.iter().map(|c| &c["metadata"]["step"]).collect();
    assert_eq!(steps, [-1, 0, 1, 2]);
    assert!(shown[0]["parent_config"].is_null());
    let last = shown[3];
    let config = &last["config"]["configurable"];
    let state = server.state(&thread).await;
    assert_eq!(config["thread_id"], json!(thread));
    assert_eq!(
        config["checkpoint_id"],
        state["checkpoint"]["checkpoint_id"]
    );
    assert_eq!(config["graph_id"], "two");
    assert_eq!(last["parent_config"], shown[2]["config"]);
    assert_eq!(
        (&last["values"], &last["next"]),
        (&state["values"], &json!([]))
    );
    assert_eq!(
        last["metadata"],
        json!({"source": "loop", "step": 2, "parents": {}})
    );

    let shown = data(&events, "debug");
    let kinds: Vec<(i64, &str)> = shown
        .iter()
        .map(|d| (d["step"].as_i64().expect("a step"), text(&d["type"])))
        .collect();
    assert_eq!(
        kinds,
        [
            (-1, "checkpoint"),
            (0, "checkpoint"),
            (1, "task"),
            (1, "task_result"),
            (1, "checkpoint"),
            (2, "task"),
            (2, "task_result"),
            (2, "checkpoint"),
        ]
    );
    let payload = &shown[7]["payload"];
    assert_eq!(payload["checkpoint"], state["checkpoint"]);
    assert_eq!(payload["parent_checkpoint"], state["parent_checkpoint"]);
}

#[tokio::test]
async fn a_run_without_a_thread_shows_no_checkpoints() {
    let server = Setup::probes(&["two"]).start().await;
    let body = json!({"assistant_id": "two", "input": {"foo": "in"}, "stream_mode": ["checkpoints", "debug"]});
    let response = server.post("/runs/stream", &body).await;
    let events = crate::support::sse::events(response).await;
    let kinds: Vec<&str> = data(&events, "debug")
        .iter()
        .map(|d| text(&d["type"]))
        .collect();
    assert_eq!(kinds, ["task", "task_result", "task", "task_result"]);
    assert_eq!(data(&events, "checkpoints"), [&Value::Null; 0]);
}

#[tokio::test]
async fn messages_shows_a_message_as_it_grows() {
    let server = Setup::probes(&["tokens"]).start().await;
    let thread = server.new_thread().await;
    let body = json!({"assistant_id": "tokens", "input": {}, "stream_mode": ["messages", "messages-tuple"]});
    let events = server.stream(&thread, &body).await;
    let (id, about) = data(&events, "messages/metadata")
        .first()
        .and_then(|data| data.as_object()?.iter().next())
        .expect("where the message comes from");
    assert_eq!(about["metadata"]["langgraph_node"], "chat");
    let grown: Vec<(&str, &str)> = data(&events, "messages/partial")
        .iter()
        .map(|data| (text(&data[0]["content"]), text(&data[0]["type"])))
        .collect();
    for (content, kind) in &grown {
        assert_eq!(*kind, "ai");
        assert!("hello there world".starts_with(content), "{content}");
    }
    assert_eq!(grown.last(), Some(&("hello there world", "ai")));
    let whole = data(&events, "messages/partial")
        .last()
        .map(|data| &data[0]);
    assert_eq!(whole.expect("a message")["id"], json!(id));
    // What came in pieces is not shown again when its node returns it.
    assert_eq!(data(&events, "messages/complete"), [&Value::Null; 0]);
    assert_eq!(data(&events, "messages/metadata").len(), 1);
    let pieces: String = data(&events, "messages")
        .iter()
        .map(|data| text(&data[0]["content"]))
        .collect();
    assert_eq!(pieces, "hello there world");
}

#[tokio::test]
async fn events_shows_the_graph_and_its_nodes_as_langchain_does() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let events = streamed(&server, &thread, "two", json!("events")).await;
    let shown = data(&events, "events");
    let kinds: Vec<(&str, &str)> = shown
        .iter()
        .map(|e| (text(&e["name"]), text(&e["event"])))
        .collect();
    let (start, stream, end) = ("on_chain_start", "on_chain_stream", "on_chain_end");
    assert_eq!(
        kinds,
        [
            ("two", start),
            ("a", start),
            ("a", stream),
            ("a", end),
            ("b", start),
            ("b", stream),
            ("b", end),
            ("two", end),
        ]
    );
    assert_eq!(shown[0]["data"], json!({"input": {"foo": "in"}}));
    assert_eq!(
        shown[2]["data"],
        json!({"chunk": {"foo": "ina", "log": ["a"]}})
    );
    assert_eq!(
        shown[3]["data"],
        json!({"output": {"foo": "ina", "log": ["a"]}, "input": {"foo": "in", "log": []}})
    );
    assert_eq!(shown[3]["metadata"]["langgraph_node"], "a");
    assert_eq!(
        (&shown[3]["tags"], &shown[3]["parent_ids"]),
        (&json!(["graph:step:1"]), &json!([shown[0]["run_id"]]))
    );
    assert_eq!(
        shown[7]["data"],
        json!({"output": {"foo": "inab", "log": ["a", "b"]}})
    );
}

#[tokio::test]
async fn events_shows_a_message_in_pieces_as_the_call_of_a_model() {
    let server = Setup::probes(&["tokens"]).start().await;
    let thread = server.new_thread().await;
    let body = json!({"assistant_id": "tokens", "input": {}, "stream_mode": "events"});
    let events = server.stream(&thread, &body).await;
    let shown = data(&events, "events");
    let mut kinds: Vec<(&str, &str)> = shown
        .iter()
        .map(|e| (text(&e["name"]), text(&e["event"])))
        .collect();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            ("tokens", "on_chain_start"),
            ("chat", "on_chain_start"),
            ("ChatModel", "on_chat_model_start"),
            ("ChatModel", "on_chat_model_stream"),
            ("ChatModel", "on_chat_model_end"),
            ("chat", "on_chain_stream"),
            ("chat", "on_chain_end"),
            ("tokens", "on_chain_end"),
        ]
    );
    let of_model: Vec<&Value> = shown
        .iter()
        .copied()
        .filter(|e| text(&e["event"]).starts_with("on_chat_model"))
        .collect();
    let (graph, node) = (&shown[0]["run_id"], &shown[1]["run_id"]);
    for event in &of_model {
        assert_eq!(event["parent_ids"], json!([graph, node]));
        assert_eq!(event["run_id"], of_model[0]["run_id"]);
        assert_eq!(event["metadata"]["langgraph_node"], "chat");
    }
    let said: String = of_model
        .iter()
        .filter_map(|e| e["data"]["chunk"]["content"].as_str())
        .collect();
    assert_eq!(said, "hello there world");
    let whole = &of_model.last().expect("an end")["data"]["output"];
    assert_eq!(
        (&whole["content"], &whole["type"]),
        (&json!("hello there world"), &json!("ai"))
    );
}
