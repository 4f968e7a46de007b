//! Requests that are refused: each with its status and a sentence, in JSON, before anything has happened.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{detail_of, names, text};
use crate::support::{Server, Setup};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn two() -> Value {
    json!({"assistant_id": "two", "input": {"foo": "x"}})
}

fn two_with(member: &str, value: Value) -> Value {
    let mut body = two();
    body[member] = value;
    body
}

async fn send(server: &Server, method: &str, path: &str) -> reqwest::Response {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let request = server
        .client
        .request(method, format!("{}{path}", server.base));
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn a_wrong_method_is_405_and_says_which_are_right() {
    let server = Setup::probes(&["two"]).start().await;
    let refused = [
        ("DELETE", "/ok".to_owned(), "GET,HEAD"),
        ("GET", "/runs".to_owned(), "POST"),
        ("PUT", format!("/runs/{NOBODY}"), "GET,HEAD,DELETE"),
        ("GET", "/threads".to_owned(), "POST"),
        ("PUT", format!("/threads/{NOBODY}"), "GET,HEAD,PATCH,DELETE"),
        ("PATCH", format!("/threads/{NOBODY}/runs"), "POST,GET,HEAD"),
        ("GET", format!("/threads/{NOBODY}/runs/wait"), "POST"),
        // Methods that nobody has heard of, too.
        ("FROBNICATE", "/ok".to_owned(), "GET,HEAD"),
        ("QUERY", "/assistants/search".to_owned(), "POST"),
    ];
    for (method, path, allowed) in refused {
        let response = send(&server, method, &path).await;
        let sorted = |methods: &str| {
            let mut methods: Vec<String> = methods.split(',').map(|m| m.trim().into()).collect();
            methods.sort();
            methods
        };
        let allow = response.headers()["allow"].to_str().expect("text");
        assert_eq!(sorted(allow), sorted(allowed), "{method} {path}");
        assert_eq!(response.headers()["content-type"], "application/json");
        let detail = detail_of(response, 405).await;
        assert_eq!(detail, "Method Not Allowed", "{method} {path}");
    }
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_404() {
    let server = Setup::probes(&["two"]).start().await;
    for path in ["/nowhere", "/%ff", "/%zz", "/threads/%ff/nowhere", "/ok/"] {
        for method in ["GET", "POST", "FROBNICATE"] {
            let response = send(&server, method, path).await;
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(detail_of(response, 404).await, "Not Found", "{path}");
        }
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_422_however_it_is_encoded() {
    let server = Setup::probes(&["two"]).start().await;
    let paths = [
        ("/assistants/ID", "assistant"),
        ("/threads/ID", "thread"),
        ("/threads/ID/state", "thread"),
        ("/threads/ID/runs", "thread"),
        ("/runs/ID", "run"),
        ("/runs/ID/join", "run"),
        ("/runs/ID/stream", "run"),
        ("/runs/ID/deliveries", "run"),
        ("/threads/NOBODY/runs/ID", "run"),
        ("/threads/NOBODY/runs/ID/join", "run"),
        ("/threads/NOBODY/runs/ID/stream", "run"),
        ("/threads/NOBODY/state/ID", "checkpoint"),
    ];
    for (path, what) in paths {
        let path = path.replace("NOBODY", NOBODY);
        for id in ["x", "%zz", "%", "%20", "%F0%9F%98%80"] {
            let response = server.get(&path.replace("ID", id)).await;
            let detail = detail_of(response, 422).await;
            let expected = format!("Invalid {what} ID: must be a UUID");
            assert_eq!(detail, expected, "{path} {id}");
        }
        let not_utf8 = server.get(&path.replace("ID", "%ff")).await;
        let detail = detail_of(not_utf8, 422).await;
        assert!(detail.starts_with("Invalid path: "), "{detail}");
    }
    for id in ["x", "%zz"] {
        let path = format!("/threads/{id}/runs");
        assert_eq!(
            server.refused(&path, &two(), 422).await,
            "Invalid thread ID"
        );
    }
}

#[tokio::test]
async fn what_the_request_itself_shows_to_be_wrong_is_said_before_what_is_missing() {
    let server = Setup::probes(&["two"]).start().await;
    let nowhere = format!("/threads/{NOBODY}/runs");
    let mut body = two();
    body["assistant_id"] = json!(NOBODY);
    let missing = "Thread or assistant not found.";
    assert_eq!(server.refused(&nowhere, &body, 404).await, missing);
    body["checkpoint_id"] = json!(NOBODY);
    assert_eq!(server.refused(&nowhere, &body, 404).await, missing);
    body["webhook"] = json!("ftp://example.com/");
    let refused = server.refused(&nowhere, &body, 422).await;
    assert!(refused.contains("ftp"), "{refused}");
    body["context"] = json!({"a": 1});
    body["config"] = json!({"configurable": {"b": 1}});
    let both = server.refused(&nowhere, &body, 400).await;
    assert!(both.starts_with("Cannot specify both"), "{both}");
    body["assistant_id"] = json!("nope");
    let unknown = server.refused(&nowhere, &body, 422).await;
    assert!(
        unknown.starts_with("Invalid assistant: 'nope'"),
        "{unknown}"
    );
    body["durability"] = json!("never");
    let wrong = server.refused(&nowhere, &body, 422).await;
    assert!(wrong.starts_with("durability: "), "{wrong}");
}

#[tokio::test]
async fn a_checkpoint_that_is_not_there_is_404_and_what_is_none_422() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    server.wait(&thread, &two()).await;
    let runs = format!("/threads/{thread}/runs");
    for (member, value) in [
        ("checkpoint_id", json!(NOBODY)),
        (
            "checkpoint",
            json!({"checkpoint_id": NOBODY, "checkpoint_ns": ""}),
        ),
        ("config", json!({"configurable": {"checkpoint_id": NOBODY}})),
    ] {
        let detail = server.refused(&runs, &two_with(member, value), 404).await;
        let expected = format!("Checkpoint {NOBODY} not found on thread {thread}");
        assert_eq!(detail, expected, "{member}");
    }
    for value in [
        json!("x"),
        json!({"checkpoint_id": "x"}),
        json!({"checkpoint_ns": 1}),
        json!({"checkpoint_map": "x"}),
    ] {
        server
            .refused(&runs, &two_with("checkpoint", value), 422)
            .await;
    }
}

#[tokio::test]
async fn a_command_must_have_a_form_that_a_graph_can_follow() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let runs = format!("/threads/{thread}/runs");
    for (part, value) in [
        ("goto", json!(3)),
        ("goto", json!(["a", 3])),
        ("goto", json!({"input": {}})),
        ("goto", json!({"node": 3, "input": {}})),
        ("update", json!(3)),
        ("update", json!("foo")),
        ("update", json!([["foo"]])),
        ("update", json!([["foo", 1, 2]])),
    ] {
        let command = json!({ part: value });
        let body = json!({"assistant_id": "two", "command": command});
        for path in [runs.as_str(), "/runs"] {
            let detail = server.refused(path, &body, 422).await;
            let expected = format!("command.{part}: {value} is not ");
            assert!(detail.starts_with(&expected), "{detail}");
        }
    }
    assert_eq!(server.get_json(&runs).await, json!([]));
}

#[tokio::test]
async fn what_needs_a_thread_is_not_looked_at_without_one() {
    let server = Setup::probes(&["two"]).start().await;
    for (member, value) in [
        ("multitask_strategy", json!("interrupt")),
        ("multitask_strategy", json!("maybe")),
        ("if_not_exists", json!("maybe")),
        ("checkpoint_id", json!("abc")),
        ("checkpoint", json!({"checkpoint_ns": "sub:1"})),
    ] {
        let values = server
            .post_json("/runs/wait", &two_with(member, value))
            .await;
        assert_eq!(values["foo"], "xab", "{member}");
    }
}

#[tokio::test]
async fn what_to_show_of_a_thread_can_be_asked_for() {
    let server = Setup::probes(&["two"]).start().await;
    let body = json!({"ttl": {"strategy": "delete", "ttl": 90}});
    let thread = server.post_json("/threads", &body).await;
    let thread = text(&thread["thread_id"]);
    let path = format!("/threads/{thread}");
    assert!(!names(&server.get_json(&path).await).contains(&"ttl"));
    for include in ["ttl", "ttl,ttl", ""] {
        let thread = server.get_json(&format!("{path}?include={include}")).await;
        assert_eq!(
            names(&thread).contains(&"ttl"),
            !include.is_empty(),
            "{include}"
        );
    }
    let stays = format!("/threads/{}?include=ttl", server.new_thread().await);
    assert!(!names(&server.get_json(&stays).await).contains(&"ttl"));
    let detail = detail_of(server.get(&format!("{path}?include=bogus")).await, 422).await;
    assert!(detail.contains("\"bogus\""), "{detail}");
    // It has no graphs inside whose states could be added.
    let state = server.state(thread).await;
    for subgraphs in ["true", "false"] {
        let path = format!("{path}/state?subgraphs={subgraphs}");
        assert_eq!(server.get_json(&path).await, state);
    }
}
