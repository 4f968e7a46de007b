//! What a graph says about its nodes: when they are tried again, that they wait for others, how long they may take, and
//! that what they wrote is reused.

use serde_json::{Value, json};

use crate::support::server::{Server, text};
use crate::support::sse::Event;
use crate::support::{Setup, eventually, graphs};

async fn wait(server: &Server, graph: &str, input: Value) -> Value {
    let run = json!({"assistant_id": graph, "input": input});
    server.post_json("/runs/wait", &run).await
}

/// A server with graphs of the clients' suite.
async fn suite(names: &[&str]) -> Server {
    let wasm = graphs::suite();
    let path = |name: &str| json!(format!("{}:{name}", wasm.display()));
    let graphs = names.iter().map(|name| ((*name).to_owned(), path(name)));
    Setup::with_graphs(Value::Object(graphs.collect()))
        .start()
        .await
}

#[tokio::test]
async fn a_node_is_tried_again_as_often_as_its_policy_says_and_for_the_failures_that_it_names() {
    let server = suite(&["retry"]).await;
    let values = wait(&server, "retry", json!({"succeeds_at": 3})).await;
    assert_eq!(values["attempts"], 3);
    for (input, error) in [
        (
            json!({"succeeds_at": 4}),
            json!({"error": "ConnectionError", "message": "attempt 3"}),
        ),
        (
            json!({"succeeds_at": 2, "kind": "ValueError"}),
            json!({"error": "ValueError", "message": "attempt 1"}),
        ),
    ] {
        let values = wait(&server, "retry", input).await;
        assert_eq!(values["__error__"], error);
    }
}

#[tokio::test]
async fn a_deferred_node_runs_when_no_other_is_left() {
    let server = suite(&["defer"]).await;
    let values = wait(&server, "defer", json!({"foo": ""})).await;
    assert_eq!(values["log"], json!(["long_1", "short", "long_2", "last"]));
}

#[tokio::test]
async fn a_node_that_takes_longer_than_its_policy_is_tried_again_and_fails_in_the_end() {
    let server = Setup::probes(&["patience"]).start().await;
    for (slow, attempt) in [(0, 1), (2, 3)] {
        let values = wait(&server, "patience", json!({"slow": slow})).await;
        assert_eq!(values["attempt"], attempt, "{values}");
    }
    let outcome = wait(&server, "patience", json!({"slow": 3})).await;
    let error = &outcome["__error__"];
    assert_eq!(error["error"], "NodeTimeoutError");
    let message = text(&error["message"]);
    let expected = "Node 'work' exceeded its run timeout of 1.000s (elapsed: ";
    assert!(message.starts_with(expected), "{message}");
}

#[tokio::test]
async fn a_node_that_shows_progress_may_take_longer_than_its_idle_timeout() {
    // What goes on in a graph inside the node is the node's progress.
    let graphs = ["idle", "idle_inside", "idle_calling"];
    let server = Setup::probes(&graphs).start().await;
    for (graph, node) in graphs.into_iter().zip(["work", "sub", "call"]) {
        // More than three seconds in all, and never as much without an event.
        let values = wait(&server, graph, json!({"times": 35, "every": 100})).await;
        assert_eq!(values["done"], true, "{graph}");
        let outcome = wait(&server, graph, json!({"times": 1, "every": 300_000})).await;
        let error = &outcome["__error__"];
        assert_eq!(error["error"], "NodeTimeoutError", "{graph}");
        let expected =
            format!("Node '{node}' exceeded its idle timeout of 3.000s without making progress");
        assert!(text(&error["message"]).contains(&expected), "{error}");
    }
}

#[tokio::test]
async fn the_operators_bound_holds_beside_a_nodes_own() {
    let server = Setup::probes(&["idle"])
        .set("sandbox.wall_secs", 1)
        .start()
        .await;
    let outcome = wait(&server, "idle", json!({"times": 1_000, "every": 100})).await;
    assert_eq!(outcome["__error__"]["error"], "WallClockExceeded");
}

/// What the stream of a run of `cached` shows.
async fn drawn(server: &Server, input: Value) -> Vec<Event> {
    let thread = server.new_thread().await;
    let modes = json!(["updates", "tasks", "events"]);
    let run = json!({"assistant_id": "cached", "input": input, "stream_mode": modes});
    server.stream(&thread, &run).await
}

fn shown(events: &[Event], mode: &str) -> Vec<Value> {
    let events = events.iter().filter(|event| event.name == mode);
    events.map(|event| event.data.clone()).collect()
}

#[tokio::test]
async fn what_a_node_wrote_is_reused_for_the_same_input_and_shown_as_such() {
    let server = Setup::probes(&["cached"]).start().await;
    let first = shown(&drawn(&server, json!({"foo": "a"})).await, "updates");
    assert!(first[0].get("__metadata__").is_none(), "{first:?}");

    let events = drawn(&server, json!({"foo": "a"})).await;
    let second = shown(&events, "updates");
    assert_eq!(second[0]["draw"], first[0]["draw"]);
    assert_eq!(second[0]["__metadata__"], json!({"cached": true}));
    // The rest of the graph goes on as if it had run, and nothing says that it has.
    assert!(second[1].get("__metadata__").is_none(), "{second:?}");
    assert_eq!(second[1]["after"], json!({"log": ["after"]}));
    let tasks = shown(&events, "tasks");
    let ended = tasks.iter().filter(|task| task.get("result").is_some());
    let ended: Vec<&Value> = ended.map(|task| &task["name"]).collect();
    assert_eq!(ended, ["after"]);
    let steps = shown(&events, "events");
    let began = steps
        .iter()
        .filter(|step| step["event"] == "on_chain_start");
    let began: Vec<&Value> = began.map(|step| &step["name"]).collect();
    assert!(began.contains(&&json!("after")), "{began:?}");
    assert!(!began.contains(&&json!("draw")), "{began:?}");

    let other = shown(&drawn(&server, json!({"foo": "b"})).await, "updates");
    assert_ne!(other[0]["draw"], first[0]["draw"]);
    assert!(other[0].get("__metadata__").is_none(), "{other:?}");
}

#[tokio::test]
async fn what_is_reused_ends_with_the_policys_time() {
    let server = Setup::probes(&["cached_briefly"]).start().await;
    let first = wait(&server, "cached_briefly", json!({"foo": "a"})).await;
    eventually("it is drawn anew", async || {
        let again = wait(&server, "cached_briefly", json!({"foo": "a"})).await;
        (again["number"] != first["number"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn neither_a_failure_nor_what_follows_from_an_answer_is_reused() {
    let server = Setup::probes(&["cached"]).start().await;
    let failing = json!({"foo": "a", "fails": true});
    let first = wait(&server, "cached", failing.clone()).await;
    let second = wait(&server, "cached", failing).await;
    assert_eq!(first["__error__"]["error"], "ValueError");
    assert_ne!(
        first["__error__"]["message"],
        second["__error__"]["message"]
    );

    let asking = json!({"assistant_id": "cached", "input": {"foo": "a", "asks": true}});
    for answer in ["one", "two"] {
        let thread = server.new_thread().await;
        let values = server.wait(&thread, &asking).await;
        assert_eq!(values["__interrupt__"][0]["value"], "which?");
        let resume = json!({"assistant_id": "cached", "command": {"resume": answer}});
        let values = server.wait(&thread, &resume).await;
        assert_eq!(values["answer"], answer);
    }
}

/// `asking` stops at a breakpoint once it was answered, so that a run which has no answer brings it to its end.
#[tokio::test]
async fn what_follows_from_an_answer_inside_a_nested_graph_is_not_reused() {
    let server = Setup::probes(&["kept_node", "kept_call", "asking"])
        .start()
        .await;
    for graph in ["kept_node", "kept_call"] {
        let command = |resume: Value| json!({"assistant_id": graph, "command": {"resume": resume}});
        for answer in ["one", "two"] {
            let thread = server.new_thread().await;
            let run = json!({"assistant_id": graph, "input": {"foo": "a"}});
            let asked = server.wait(&thread, &run).await;
            let question = &asked["__interrupt__"][0];
            assert_eq!(question["value"], "ok?", "{graph} {answer}: {asked}");
            let resume = match answer {
                "one" => json!(answer),
                _ => json!({text(&question["id"]): answer}),
            };
            server.wait(&thread, &command(resume)).await;
            let go_on = json!({"assistant_id": graph, "input": null});
            let values = server.wait(&thread, &go_on).await;
            assert_eq!(values["answer"], answer, "{graph}: {values}");
        }
    }
}

#[tokio::test]
async fn nothing_is_reused_where_the_operator_gives_no_room() {
    let server = Setup::probes(&["cached"])
        .set("runtime.node_cache_bytes", 0)
        .start()
        .await;
    let first = wait(&server, "cached", json!({"foo": "a"})).await;
    let second = wait(&server, "cached", json!({"foo": "a"})).await;
    assert_ne!(first["number"], second["number"]);
}
