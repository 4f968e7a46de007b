//! When runs start: one at a time on a thread, in their order, and not before they are due.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::server::text;
use crate::support::{Gate, Setup, eventually};

fn two(foo: &str) -> Value {
    json!({"assistant_id": "two", "input": {"foo": foo, "log": [foo]}})
}

#[tokio::test]
async fn runs_on_one_thread_run_one_after_the_other_in_the_order_of_their_creation() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    let thread = server.new_thread().await;
    let first = server.create_run(&thread, &gate.run()).await;
    let mut runs = Vec::new();
    for foo in ["1", "2", "3"] {
        runs.push(server.create_run(&thread, &two(foo)).await);
    }
    // Another thread does not wait for this one.
    assert_eq!(
        server.post_json("/runs/wait", &two("x")).await["foo"],
        "xab"
    );
    let pending = server
        .get_json(&format!("/threads/{thread}/runs?status=pending"))
        .await;
    assert_eq!(pending.as_array().map(Vec::len), Some(3));
    gate.open();
    for run in [&first, &runs[0], &runs[1], &runs[2]] {
        assert_eq!(server.ended_run(run).await["status"], "success");
    }
    let state = server.state(&thread).await;
    assert_eq!(
        state["values"]["log"],
        json!(["1", "a", "b", "2", "a", "b", "3", "a", "b"])
    );
}

#[tokio::test]
async fn wait_and_stream_on_a_busy_thread_begin_when_it_is_free() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    let thread = server.new_thread().await;
    server.create_run(&thread, &gate.run()).await;
    let (body, runs) = (two("w"), format!("/threads/{thread}/runs"));
    let waited = server.wait(&thread, &body);
    let streamed = server.stream(&thread, &body);
    let opened = async {
        eventually("both runs", async || {
            let pending = server.get_json(&format!("{runs}?status=pending")).await;
            (pending.as_array().map(Vec::len) == Some(2)).then_some(())
        })
        .await;
        gate.open();
    };
    let (waited, streamed, ()) = tokio::join!(waited, streamed, opened);
    assert_eq!(waited["foo"], "wab");
    assert_eq!(streamed.last().expect("an event").data["foo"], "wab");
}

#[tokio::test]
async fn reject_refuses_a_run_on_a_busy_thread_and_stores_nothing() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    let thread = server.new_thread().await;
    let mut reject = two("x");
    reject["multitask_strategy"] = json!("reject");
    let running = server.create_run(&thread, &gate.run()).await;
    for path in ["", "/wait", "/stream"] {
        let detail = server
            .refused(&format!("/threads/{thread}/runs{path}"), &reject, 409)
            .await;
        let expected = "Thread is already running a task. Wait for it to finish or choose a different multitask strategy.";
        assert_eq!(detail, expected);
    }
    assert_eq!(
        server
            .get_json(&format!("/threads/{thread}/runs"))
            .await
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    gate.open();
    server.ended_run(&running).await;
    assert_eq!(server.wait(&thread, &reject).await["foo"], "xab");
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
    let early = server
        .get_json(&format!("/threads/{thread}/runs/{}", text(&run["run_id"])))
        .await;
    if begun.elapsed() < Duration::from_secs(1) {
        assert_eq!(early["status"], "pending");
    }
    assert_eq!(server.ended_run(&run).await["status"], "success");
    assert!(
        begun.elapsed() >= Duration::from_millis(1500),
        "it ran after {:?}",
        begun.elapsed()
    );
    assert_eq!(server.state(&thread).await["values"]["foo"], "xab");
}

#[tokio::test]
async fn many_runs_at_once_all_end_with_their_own_values() {
    let server = Setup::probes(&["two"])
        .set("runtime", json!({"max_running_runs": 4}))
        .start()
        .await;
    let waits = (0..40).map(|n| {
        let body = json!({"assistant_id": "two", "input": {"foo": format!("{n}-")}});
        let server = &server;
        async move { (n, server.post_json("/runs/wait", &body).await) }
    });
    for (n, values) in futures_util::future::join_all(waits).await {
        assert_eq!(values["foo"], format!("{n}-ab"));
    }
}

#[tokio::test]
async fn a_place_that_an_admission_gives_back_is_found_by_whoever_waits_for_one() {
    let server = Setup::probes(&["two"])
        .set("runtime.max_running_runs", 1)
        .start()
        .await;
    let busy = server.new_thread().await;
    let mut later = two("x");
    later["after_seconds"] = json!(3600);
    server.create_run(&busy, &later).await;
    let runs = format!("/threads/{busy}/runs");
    let mut reject = two("x");
    reject["multitask_strategy"] = json!("reject");
    for round in 0..50 {
        let refused = (0..8).map(|_| server.post(&runs, &reject));
        let refused = futures_util::future::join_all(refused);
        let body = two("x");
        let wanted = server.post_json("/runs/wait", &body);
        let (refused, values) = tokio::join!(refused, wanted);
        assert_eq!(values["foo"], "xab", "{round}");
        for response in refused {
            assert_eq!(response.status(), 409);
        }
    }
}
