//! Graphs that a node calls while it works.

use serde_json::json;

use super::resume;
use crate::support::Setup;
use crate::support::server::{names, text};
use crate::support::sse::Event;

#[tokio::test]
async fn graphs_that_a_node_calls_are_below_its_task_and_asked_once_each() {
    let server = Setup::probes(&["calling", "leaf"]).start().await;
    let thread = server.new_thread().await;
    let mut run = json!({"assistant_id": "calling", "input": {"foo": "x"}});
    run["stream_mode"] = json!("updates");
    run["stream_subgraphs"] = json!(true);
    let places = |events: &[Event], namespace: &str| -> Vec<String> {
        let below = |name: &str| {
            name.trim_start_matches("updates")
                .replace(namespace, "call")
        };
        let shown = events[1..].iter();
        shown
            .map(|e| format!("{} {}", below(&e.name), names(&e.data)[0]))
            .collect()
    };
    let events = server.stream(&thread, &run).await;
    let task = server.state(&thread).await["tasks"][0].clone();
    let namespace = format!("call:{}", text(&task["id"]));
    assert_eq!(task["checkpoint"]["checkpoint_ns"], namespace);
    assert_eq!(
        places(&events, &namespace),
        ["|call i", "|call __interrupt__", " __interrupt__"]
    );

    let mut answer = resume("calling", "Y");
    answer["stream_mode"] = json!("updates");
    answer["stream_subgraphs"] = json!(true);
    let events = server.stream(&thread, &answer).await;
    let expected = [
        "|call ask",
        "|call|1 i",
        "|call|1 __interrupt__",
        " __interrupt__",
    ];
    assert_eq!(places(&events, &namespace), expected);
    let body = json!({"checkpoint": {"checkpoint_ns": format!("{namespace}|1")}});
    let second = server
        .post_json(&format!("/threads/{thread}/state/checkpoint"), &body)
        .await;
    assert_eq!(
        (&second["values"]["foo"], &second["next"]),
        (&json!("xiYi"), &json!(["ask"]))
    );

    let done = server.wait(&thread, &resume("calling", "Z")).await;
    assert_eq!(
        done,
        json!({"foo": "xiYiZ", "log": ["ValueError", "GraphNotFound"]})
    );
}

#[tokio::test]
async fn graphs_that_call_graphs_need_no_more_instances_than_there_are() {
    let setup = Setup::probes(&["descending"]).set("sandbox.max_instances", 1);
    let server = setup.start().await;
    let run = |left: u64| json!({"assistant_id": "descending", "input": {"left": left}});
    let done = server.post_json("/runs/wait", &run(8)).await;
    assert_eq!(done, json!({"left": 8, "reached": 9}));
    let too_deep = server.post_json("/runs/wait", &run(9)).await;
    assert_eq!(too_deep["__error__"]["error"], "GraphRecursionError");
}

#[tokio::test]
async fn nothing_is_asked_once_a_called_graph_was_left_for_the_one_around_it() {
    let server = Setup::probes(&["late", "leaving"]).start().await;
    let run = json!({"assistant_id": "late", "input": {}});
    let done = server.post_json("/runs/wait", &run).await;
    assert_eq!(done, json!({"answer": "left"}));
}
