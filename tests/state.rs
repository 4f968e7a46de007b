//! The state of a thread changed from outside its runs.

use serde_json::{Value, json};

use crate::support::server::{Server, names, text};
use crate::support::{Gate, Setup};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A server with a thread on which `two` has run once.
async fn ran() -> (Server, String) {
    let server = Setup::probes(&["two", "fan"]).start().await;
    let thread = server.new_thread().await;
    let run = json!({"assistant_id": "two", "input": {"foo": "in"}});
    server.wait(&thread, &run).await;
    (server, thread)
}

async fn update(server: &Server, thread: &str, body: Value) -> Value {
    server
        .post_json(&format!("/threads/{thread}/state"), &body)
        .await
}

async fn refused(server: &Server, thread: &str, body: Value, status: u16) -> String {
    server
        .refused(&format!("/threads/{thread}/state"), &body, status)
        .await
}

/// The checkpoints of a thread's steps, newest first.
async fn checkpoints(server: &Server, thread: &str) -> Vec<Value> {
    let path = format!("/threads/{thread}/history");
    let history = server.post_json(&path, &json!({"limit": 100})).await;
    let states = history.as_array().expect("a list").iter();
    states.map(|state| state["checkpoint"].clone()).collect()
}

async fn status(server: &Server, thread: &str) -> Value {
    server.get_json(&format!("/threads/{thread}")).await["status"].clone()
}

#[tokio::test]
async fn an_update_goes_through_reducers_and_schedules_what_follows() {
    let (server, thread) = ran().await;
    let change =
        json!({"values": {"foo": "patched", "log": ["by hand"], "unknown": 1}, "as_node": "a"});
    let answer = update(&server, &thread, change).await;
    assert_eq!(
        names(&answer),
        ["checkpoint", "configurable", "checkpoint_id"]
    );
    assert_eq!(answer["checkpoint"], answer["configurable"]);
    assert_eq!(
        names(&answer["checkpoint"]),
        ["thread_id", "checkpoint_ns", "checkpoint_id"]
    );

    let state = server.state(&thread).await;
    assert_eq!(state["checkpoint"], answer["checkpoint"]);
    assert_eq!(
        state["values"],
        json!({"foo": "patched", "log": ["a", "b", "by hand"]})
    );
    assert_eq!(state["next"], json!(["b"]));
    let metadata = json!({
        "graph_id": "two", "thread_id": thread, "source": "update", "step": 3, "parents": {},
    });
    assert_eq!(state["metadata"], metadata);
    let shown = server.get_json(&format!("/threads/{thread}")).await;
    assert_eq!(
        (&shown["status"], &shown["values"]),
        (&json!("interrupted"), &state["values"])
    );

    let after = server.wait(&thread, &json!({"assistant_id": "two"})).await;
    assert_eq!(
        after,
        json!({"foo": "patchedb", "log": ["a", "b", "by hand", "b"]})
    );
    assert_eq!(status(&server, &thread).await, "idle");
}

#[tokio::test]
async fn without_a_node_an_update_is_of_the_one_that_wrote_last() {
    let (server, thread) = ran().await;
    update(&server, &thread, json!({"values": {"foo": "patched"}})).await;
    let state = server.state(&thread).await;
    assert_eq!(
        (&state["values"]["foo"], &state["next"]),
        (&json!("patched"), &json!([]))
    );
    assert_eq!(status(&server, &thread).await, "idle");
}

#[tokio::test]
async fn an_update_without_values_follows_the_nodes_edges_only() {
    let (server, thread) = ran().await;
    let before = server.state(&thread).await["values"].clone();
    update(&server, &thread, json!({"values": null, "as_node": "a"})).await;
    let state = server.state(&thread).await;
    assert_eq!((&state["values"], &state["next"]), (&before, &json!(["b"])));
    update(&server, &thread, json!({"as_node": "__end__"})).await;
    let state = server.state(&thread).await;
    assert_eq!((&state["values"], &state["next"]), (&before, &json!([])));
    assert_eq!(status(&server, &thread).await, "idle");
}

#[tokio::test]
async fn an_update_as_input_begins_anew_and_one_as_copy_stands_beside() {
    let (server, thread) = ran().await;
    let change = json!({"values": {"foo": "new"}, "as_node": "__input__"});
    update(&server, &thread, change).await;
    let state = server.state(&thread).await;
    assert_eq!(state["next"], json!(["__start__"]));
    assert_eq!(state["metadata"]["source"], "input");
    let values = server.wait(&thread, &json!({"assistant_id": "two"})).await;
    assert_eq!(values["foo"], "newab");

    let copy = update(&server, &thread, json!({"as_node": "__copy__"})).await;
    let copied = server.state(&thread).await;
    assert_eq!(copied["checkpoint"], copy["checkpoint"]);
    assert_eq!(copied["metadata"]["source"], "fork");
    assert_eq!(copied["values"], values);
}

#[tokio::test]
async fn an_update_asks_the_graphs_own_branches() {
    let (server, _) = ran().await;
    let body = json!({"metadata": {"graph_id": "fan"}});
    let thread = server.post_json("/threads", &body).await;
    let thread = text(&thread["thread_id"]);
    update(&server, thread, json!({"values": {"width": 3}})).await;
    assert_eq!(
        server.state(thread).await["next"],
        json!(["work", "work", "work"])
    );
    let values = server.wait(thread, &json!({"assistant_id": "fan"})).await;
    assert_eq!(values["done"], json!([0, 1, 2]));
}

#[tokio::test]
async fn an_update_at_a_checkpoint_makes_a_branch_of_history() {
    let (server, thread) = ran().await;
    let history = checkpoints(&server, &thread).await;
    let early = &history[2];
    let change = json!({"values": {"foo": "other"}, "as_node": "a", "checkpoint": early});
    update(&server, &thread, change).await;
    let state = server.state(&thread).await;
    assert_eq!(state["values"], json!({"foo": "other", "log": []}));
    assert_eq!(state["parent_checkpoint"], *early);
    let id = &history[0]["checkpoint_id"];
    let change = json!({"values": {"foo": "again"}, "checkpoint_id": id});
    update(&server, &thread, change).await;
    let state = server.state(&thread).await;
    assert_eq!(state["values"], json!({"foo": "again", "log": ["a", "b"]}));
    assert_eq!(checkpoints(&server, &thread).await.len(), 6);
}

#[tokio::test]
async fn an_answered_question_is_no_longer_asked() {
    let server = Setup::probes(&["hitl"]).start().await;
    let thread = server.new_thread().await;
    let run = json!({"assistant_id": "hitl", "input": {}});
    server.wait(&thread, &run).await;
    assert_eq!(status(&server, &thread).await, "interrupted");
    let change = json!({"values": {"answer": "by hand"}, "as_node": "ask"});
    update(&server, &thread, change).await;
    let shown = server.get_json(&format!("/threads/{thread}")).await;
    assert_eq!(shown["interrupts"], json!({}));
    assert_eq!(server.state(&thread).await["next"], json!(["after"]));
    let values = server.wait(&thread, &json!({"assistant_id": "hitl"})).await;
    assert_eq!(values, json!({"answer": "by hand", "log": ["after"]}));
}

#[tokio::test]
async fn an_update_that_makes_no_sense_is_refused_and_changes_nothing() {
    let (server, thread) = ran().await;
    let before = server.state(&thread).await;
    let bogus = json!({"values": {"foo": "x"}, "as_node": "bogus"});
    assert_eq!(
        refused(&server, &thread, bogus, 400).await,
        "Node bogus does not exist"
    );
    let list = json!({"values": [{"log": ["l"]}], "as_node": "a"});
    let detail = refused(&server, &thread, list, 400).await;
    assert!(detail.starts_with("Expected dict, got"), "{detail}");
    let nothing = json!({"values": null, "as_node": "__input__"});
    refused(&server, &thread, nothing, 400).await;
    for body in [
        json!({"values": "nonsense", "as_node": "a"}),
        json!({"values": {}, "as_node": 1}),
        json!({"values": {}, "checkpoint": "text"}),
        json!({"values": {}, "checkpoint_id": "abc"}),
    ] {
        refused(&server, &thread, body, 422).await;
    }
    let unknown = json!({"values": {}, "checkpoint_id": NOBODY});
    assert!(
        refused(&server, &thread, unknown, 404)
            .await
            .contains(NOBODY)
    );
    assert_eq!(
        refused(&server, NOBODY, json!({"values": {}}), 404).await,
        format!("Thread with ID {NOBODY} not found")
    );
    assert_eq!(server.state(&thread).await, before);

    let new = server.new_thread().await;
    let detail = refused(&server, &new, json!({"values": {"foo": "x"}}), 400).await;
    assert!(
        detail.starts_with(&format!("Thread '{new}' has no assigned graph ID.")),
        "{detail}"
    );
    let body = json!({"metadata": {"graph_id": "gone"}});
    let gone = server.post_json("/threads", &body).await;
    let gone = text(&gone["thread_id"]);
    let detail = refused(&server, gone, json!({"values": {}}), 400).await;
    assert!(detail.contains("'gone'"), "{detail}");
}

#[tokio::test]
async fn several_last_writers_make_an_update_ambiguous() {
    let server = Setup::probes(&["fork"]).start().await;
    let thread = server.new_thread().await;
    let run = json!({"assistant_id": "fork", "input": {}});
    server.wait(&thread, &run).await;
    let change = json!({"values": {}});
    assert_eq!(
        refused(&server, &thread, change, 400).await,
        "Ambiguous update, specify as_node"
    );
}

#[tokio::test]
async fn a_thread_with_a_run_under_way_is_not_updated() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let thread = server.new_thread().await;
    let run = server.create_run(&thread, &gate.run()).await;
    gate.holds(1).await;
    let change = json!({"values": {}, "as_node": "after"});
    let detail = refused(&server, &thread, change.clone(), 409).await;
    assert!(detail.contains("in-flight runs"), "{detail}");
    // Nothing of what the run is made of.
    assert!(!detail.contains("kwargs") && !detail.contains("input"));
    gate.open();
    server.ended_run(&run).await;
    update(&server, &thread, change).await;
}

#[tokio::test]
async fn updates_at_the_same_time_are_all_applied() {
    let (server, thread) = ran().await;
    let path = format!("/threads/{thread}/state");
    let body = |n: usize| json!({"values": {"log": [n.to_string()]}, "as_node": "b"});
    let bodies: Vec<Value> = (0..3).map(body).collect();
    let answers = tokio::join!(
        server.post_json(&path, &bodies[0]),
        server.post_json(&path, &bodies[1]),
        server.post_json(&path, &bodies[2]),
    );
    assert_ne!(answers.0, answers.1);
    let state = server.state(&thread).await;
    let mut log: Vec<&str> = state["values"]["log"]
        .as_array()
        .expect("a list")
        .iter()
        .skip(2)
        .map(text)
        .collect();
    log.sort_unstable();
    assert_eq!(log, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_checkpoint_is_read_by_its_id_or_as_an_object() {
    let (server, thread) = ran().await;
    let path = format!("/threads/{thread}/state");
    let history = checkpoints(&server, &thread).await;
    let id = text(&history[1]["checkpoint_id"]);
    let by_id = server
        .get_json(&format!("{path}/{id}?subgraphs=true"))
        .await;
    assert_eq!(by_id["next"], json!(["b"]));
    let named = format!("{path}/checkpoint");
    let body = json!({"checkpoint": history[1], "subgraphs": true});
    assert_eq!(server.post_json(&named, &body).await, by_id);
    let newest = json!({"checkpoint": {"checkpoint_ns": ""}});
    let newest = server.post_json(&named, &newest).await;
    assert_eq!(newest, server.state(&thread).await);
    assert_eq!(
        server.get_json(&format!("{path}?subgraphs=true")).await,
        newest
    );

    server.refused(&named, &json!({}), 422).await;
    let unknown = json!({"checkpoint": {"checkpoint_id": NOBODY}});
    assert!(server.refused(&named, &unknown, 404).await.contains(NOBODY));
}

#[tokio::test]
async fn the_namespace_of_a_graph_that_is_not_there_holds_nothing() {
    let (server, thread) = ran().await;
    let newest = server.state(&thread).await["checkpoint_id"].clone();
    let path = format!("/threads/{thread}/state/checkpoint");
    let any = json!({"checkpoint": {"checkpoint_ns": "sub:1"}});
    let state = server.post_json(&path, &any).await;
    assert_eq!(
        (&state["values"], &state["checkpoint"]),
        (&json!({}), &Value::Null)
    );
    let named = json!({"checkpoint": {"checkpoint_id": newest, "checkpoint_ns": "sub:1"}});
    server.refused(&path, &named, 404).await;
    let change = json!({"values": {"foo": "y"}, "checkpoint": {"checkpoint_ns": "sub:1"}});
    let path = format!("/threads/{thread}/state");
    let detail = server.refused(&path, &change, 400).await;
    assert_eq!(detail, "Subgraph sub not found");
    assert_eq!(server.state(&thread).await["checkpoint_id"], newest);
}
