//! Clients that go away: their runs go on, unless they asked for the contrary.

use serde_json::{Value, json};

use crate::support::server::text;
use crate::support::{Gate, Server, eventually};

/// The run that is alive on a thread.
async fn run_on(server: &Server, thread: &str) -> Value {
    let path = format!("/threads/{thread}/runs");
    eventually("a run", async || {
        server.get_json(&path).await.get(0).cloned()
    })
    .await
}

async fn interrupted_by_its_client(server: &Server, run: &Value) {
    assert_eq!(server.ended_run(run).await["status"], "interrupted");
    let thread = server
        .get_json(&format!("/threads/{}", text(&run["thread_id"])))
        .await;
    assert_eq!(
        thread["error"],
        json!({
            "error": "UserInterrupt",
            "message": "client disconnected from the run stream (on_disconnect=cancel)",
        })
    );
}

#[tokio::test]
async fn a_run_whose_creator_goes_away_is_cancelled_when_that_was_asked_for() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    for (n, way) in ["stream", "wait"].into_iter().enumerate() {
        let thread = server.new_thread().await;
        let mut body = gate.run();
        body["on_disconnect"] = json!("cancel");
        let path = format!("/threads/{thread}/runs/{way}");
        let response = server.post(&path, &body).await;
        gate.holds(3 * (n + 1)).await;
        drop(response);
        let run = run_on(&server, &thread).await;
        interrupted_by_its_client(&server, &run).await;
    }
}

#[tokio::test]
async fn a_run_is_cancelled_with_the_one_who_joined_it_when_that_was_asked_for() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    for (n, way) in ["stream", "join"].into_iter().enumerate() {
        let thread = server.new_thread().await;
        let run = server.create_run(&thread, &gate.run()).await;
        gate.holds(3 * (n + 1)).await;
        let path = format!("/threads/{thread}/runs/{}/{way}", text(&run["run_id"]));
        // One that may go without harm.
        drop(
            server
                .get(&format!("{path}?cancel_on_disconnect=false"))
                .await,
        );
        drop(
            server
                .get(&format!("{path}?cancel_on_disconnect=true"))
                .await,
        );
        interrupted_by_its_client(&server, &run).await;
    }
}

#[tokio::test]
async fn other_runs_go_on_without_their_creator() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    let mut runs = Vec::new();
    for (way, on_disconnect) in [("stream", "continue"), ("wait", "continue"), ("", "cancel")] {
        let thread = server.new_thread().await;
        let mut body = gate.run();
        body["on_disconnect"] = json!(on_disconnect);
        let path = format!("/threads/{thread}/runs/{way}");
        drop(server.post(path.trim_end_matches('/'), &body).await);
        runs.push(run_on(&server, &thread).await);
        gate.holds(3 * runs.len()).await;
    }
    gate.open();
    for run in &runs {
        assert_eq!(server.ended_run(run).await["status"], "success");
    }
    // One who stays to the end has nothing to fear either.
    let thread = server.new_thread().await;
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "on_disconnect": "cancel"});
    assert_eq!(server.wait(&thread, &body).await["foo"], "xab");
    assert_eq!(run_on(&server, &thread).await["status"], "success");
}
