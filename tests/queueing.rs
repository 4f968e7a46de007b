//! When runs start: one at a time on a thread, in their order, and not before they are due.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Setup;
use crate::support::server::text;

fn slow(ms: u64) -> Value {
    json!({"assistant_id": "slow", "input": {"ms": ms}})
}

#[tokio::test]
async fn runs_on_one_thread_run_one_after_the_other_in_the_order_of_their_creation() {
    let server = Setup::probes(&["two", "slow"]).start().await;
    let thread = server.new_thread().await;
    let first = server.create_run(&thread, &slow(700)).await;
    let mut runs = Vec::new();
    for foo in ["1", "2", "3"] {
        let body = json!({"assistant_id": "two", "input": {"foo": foo, "log": [foo]}});
        runs.push(server.create_run(&thread, &body).await);
    }
    let pending = server.get_json(&format!("/threads/{thread}/runs?status=pending")).await;
    assert_eq!(pending.as_array().map(Vec::len), Some(3));
    // Another thread does not wait for this one.
    let begun = Instant::now();
    let values = server.post_json("/runs/wait", &json!({"assistant_id": "two", "input": {"foo": "x"}})).await;
    assert_eq!(values["foo"], "xab");
    let others_took = begun.elapsed();

    let last = server.ended_run(&runs[2]).await;
    assert_eq!(last["status"], "success");
    assert!(text(&last["updated_at"]) >= text(&server.ended_run(&runs[1]).await["updated_at"]));
    assert_eq!(server.ended_run(&first).await["status"], "success");
    let state = server.state(&thread).await;
    assert_eq!(state["values"]["log"], json!(["1", "a", "b", "2", "a", "b", "3", "a", "b"]));
    assert!(others_took < Duration::from_secs(30));
}

#[tokio::test]
async fn wait_and_stream_on_a_busy_thread_begin_when_it_is_free() {
    let server = Setup::probes(&["slow"]).start().await;
    let thread = server.new_thread().await;
    server.create_run(&thread, &slow(500)).await;
    let (one, two) = (slow(1), slow(2));
    let (waited, streamed) = tokio::join!(server.wait(&thread, &one), server.stream(&thread, &two));
    assert_eq!(waited, json!({"ms": 1, "done": true}));
    let shown: Vec<(&str, &Value)> = streamed.iter().skip(1).map(|e| (e.name.as_str(), &e.data)).collect();
    let values = json!({"ms": 2, "done": true});
    assert_eq!(shown, [("values", &values), ("values", &values)]);
}

#[tokio::test]
async fn reject_refuses_a_run_on_a_busy_thread_and_stores_nothing() {
    let server = Setup::probes(&["slow"]).start().await;
    let thread = server.new_thread().await;
    let mut reject = slow(0);
    reject["multitask_strategy"] = json!("reject");
    let running = server.create_run(&thread, &slow(800)).await;
    for path in ["", "/wait", "/stream"] {
        let detail = server.refused(&format!("/threads/{thread}/runs{path}"), &reject, 409).await;
        let expected = "Thread is already running a task. Wait for it to finish or choose a different multitask strategy.";
        assert_eq!(detail, expected);
    }
    assert_eq!(server.get_json(&format!("/threads/{thread}/runs")).await.as_array().map(Vec::len), Some(1));
    server.ended_run(&running).await;
    assert_eq!(server.wait(&thread, &reject).await["done"], true);
}

#[tokio::test]
async fn a_run_that_is_due_later_waits_and_then_runs() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let begun = Instant::now();
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "after_seconds": 1.5});
    let run = server.create_run(&thread, &body).await;
    // It counts as created when it is due.
    assert!(text(&run["created_at"]) > text(&run["updated_at"]));
    let early = server.get_json(&format!("/threads/{thread}/runs/{}", text(&run["run_id"]))).await;
    if begun.elapsed() < Duration::from_secs(1) {
        assert_eq!(early["status"], "pending");
    }
    assert_eq!(server.ended_run(&run).await["status"], "success");
    assert!(begun.elapsed() >= Duration::from_millis(1500), "it ran after {:?}", begun.elapsed());
    assert_eq!(server.state(&thread).await["values"]["foo"], "xab");
}

#[tokio::test]
async fn many_runs_at_once_all_end_with_their_own_values() {
    let server = Setup::probes(&["two"]).set("runtime", json!({"max_running_runs": 4})).start().await;
    let waits = (0..40).map(|n| {
        let body = json!({"assistant_id": "two", "input": {"foo": format!("{n}-")}});
        let server = &server;
        async move { (n, server.post_json("/runs/wait", &body).await) }
    });
    for (n, values) in futures_util::future::join_all(waits).await {
        assert_eq!(values["foo"], format!("{n}-ab"));
    }
}
