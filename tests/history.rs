//! The history of a thread: every checkpoint, newest first.

use serde_json::{Value, json};

use crate::support::Setup;
use crate::support::server::{Server, detail_of, json_of, text};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A server with a thread on which `two` has run once.
async fn with_history() -> (Server, String) {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let run = json!({"assistant_id": "two", "input": {"foo": "in"}});
    server.wait(&thread, &run).await;
    (server, format!("/threads/{thread}/history"))
}

async fn steps(server: &Server, path: &str, body: Value) -> Vec<i64> {
    let history = server.post_json(path, &body).await;
    let states = history.as_array().expect("a list").iter();
    let step = |state: &Value| state["metadata"]["step"].as_i64().expect("a step");
    states.map(step).collect()
}

#[tokio::test]
async fn every_step_is_told_newest_first() {
    let (server, path) = with_history().await;
    let history = server.post_json(&path, &json!({"limit": 10})).await;
    let seen: Vec<Value> = history
        .as_array()
        .expect("a list")
        .iter()
        .map(|s| {
            json!([
                s["metadata"]["step"],
                s["metadata"]["source"],
                s["next"],
                s["values"]
            ])
        })
        .collect();
    let expected = [
        json!([2, "loop", [], {"foo": "inab", "log": ["a", "b"]}]),
        json!([1, "loop", ["b"], {"foo": "ina", "log": ["a"]}]),
        json!([0, "loop", ["a"], {"foo": "in", "log": []}]),
        json!([-1, "input", ["__start__"], {"log": []}]),
    ];
    assert_eq!(seen, expected);
    assert_eq!(
        history[1]["tasks"][0]["result"],
        json!({"foo": "inab", "log": ["b"]})
    );
    for (state, parent) in history.as_array().expect("a list").iter().zip(1..4) {
        assert_eq!(
            state["parent_checkpoint_id"],
            history[parent]["checkpoint_id"]
        );
    }
    assert!(history[3]["parent_checkpoint"].is_null());
}

#[tokio::test]
async fn history_is_read_in_pages() {
    let (server, path) = with_history().await;
    // Without a limit LangGraph's server shows one.
    assert_eq!(steps(&server, &path, json!({})).await, [2]);
    assert_eq!(steps(&server, &path, json!({"limit": 2})).await, [2, 1]);
    let all = server.post_json(&path, &json!({"limit": 10})).await;
    let middle = &all[1]["checkpoint"];
    let id = text(&middle["checkpoint_id"]);
    for before in [
        json!(id),
        middle.clone(),
        json!({"configurable": {"checkpoint_id": id}}),
    ] {
        let body = json!({"limit": 10, "before": before});
        assert_eq!(steps(&server, &path, body).await, [0, -1]);
    }

    let one = server.get_json(&path).await;
    assert_eq!(one, json!([all[0]]));
    let two = server
        .get_json(&format!("{path}?limit=2&before={id}"))
        .await;
    assert_eq!(two, json!([all[2], all[3]]));
}

#[tokio::test]
async fn history_is_filtered_by_metadata_and_namespace() {
    let (server, path) = with_history().await;
    let by = |metadata: Value| json!({"limit": 10, "metadata": metadata});
    assert_eq!(
        steps(&server, &path, by(json!({"source": "input"}))).await,
        [-1]
    );
    assert_eq!(
        steps(&server, &path, by(json!({"step": 1, "graph_id": "two"}))).await,
        [1]
    );
    assert!(
        steps(&server, &path, by(json!({"graph_id": "other"})))
            .await
            .is_empty()
    );
    let nowhere = json!({"limit": 10, "checkpoint": {"checkpoint_ns": "sub:1"}});
    assert!(steps(&server, &path, nowhere).await.is_empty());
    let root = json!({"limit": 1, "checkpoint": {"checkpoint_ns": ""}});
    assert_eq!(steps(&server, &path, root).await, [2]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let (server, path) = with_history().await;
    for body in [
        json!({"limit": 0}),
        json!({"limit": 1001}),
        json!({"limit": "two"}),
        json!({"before": "abc"}),
        json!({"before": {"checkpoint_id": "abc"}}),
        json!({"before": 5}),
        json!({"metadata": "text"}),
        json!({"checkpoint": "text"}),
    ] {
        server.refused(&path, &body, 422).await;
    }
    let refused = server.get(&format!("{path}?limit=abc")).await;
    assert_eq!(detail_of(refused, 422).await, "Invalid limit abc");
    detail_of(server.get(&format!("{path}?limit=0")).await, 422).await;
    detail_of(server.get(&format!("{path}?before=abc")).await, 422).await;
    let unknown = format!("/threads/{NOBODY}/history");
    let gone = format!("Thread with ID {NOBODY} not found");
    assert_eq!(server.refused(&unknown, &json!({}), 404).await, gone);
    assert_eq!(detail_of(server.get(&unknown).await, 404).await, gone);
    detail_of(server.get("/threads/abc/history").await, 422).await;
}

#[tokio::test]
async fn a_thread_that_never_ran_has_none() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let history = server.get(&format!("/threads/{thread}/history")).await;
    assert_eq!(json_of(history, reqwest::StatusCode::OK).await, json!([]));
}
