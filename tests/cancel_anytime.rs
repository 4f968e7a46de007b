//! A run is cancelled at any moment of its life: while it waits for its turn, for its time, for another attempt of a
//! task, or to be taken up again after a crash. See `cancel` for what cancelling is.

use serde_json::{Value, json};

use crate::support::server::{TALKATIVE, text};
use crate::support::{Gate, Server, Setup, eventually};

const ACTIONS: [&str; 2] = ["interrupt", "rollback"];

fn two() -> Value {
    json!({"assistant_id": "two", "input": {"foo": "x"}})
}

fn path_of(run: &Value) -> String {
    let (thread, run) = (text(&run["thread_id"]), text(&run["run_id"]));
    format!("/threads/{thread}/runs/{run}")
}

/// Cancels a run, and sees that it has ended as its action says when that is answered.
async fn cancelled(server: &Server, run: &Value, action: &str) {
    let path = format!("{}/cancel?wait=1&action={action}", path_of(run));
    assert_eq!(server.post_json(&path, &json!({})).await, json!({}));
    match action {
        "rollback" => assert_eq!(server.get(&path_of(run)).await.status(), 404),
        _ => assert_eq!(
            server.get_json(&path_of(run)).await["status"],
            "interrupted"
        ),
    }
}

async fn status_of(server: &Server, thread: &str) -> Value {
    server.get_json(&format!("/threads/{thread}")).await["status"].clone()
}

#[tokio::test]
async fn between_two_attempts_of_a_task() {
    let server = Setup::probes(&["retry", "two"])
        .set("telemetry", json!({"log": TALKATIVE}))
        .start()
        .await;
    for (n, action) in ACTIONS.into_iter().enumerate() {
        let thread = server.new_thread().await;
        let body = json!({"assistant_id": "retry", "input": {}});
        let run = server.create_run(&thread, &body).await;
        // The pause is an hour.
        eventually("the pause", async || {
            let pauses = server.log().matches("a task is tried again").count();
            (pauses > n).then_some(())
        })
        .await;
        cancelled(&server, &run, action).await;
        let (status, next) = match action {
            "rollback" => ("idle", json!([])),
            _ => ("interrupted", json!(["retry"])),
        };
        assert_eq!(status_of(&server, &thread).await, status, "{action}");
        assert_eq!(server.state(&thread).await["next"], next, "{action}");
        assert_eq!(server.wait(&thread, &two()).await["foo"], "xab", "{action}");
    }
}

#[tokio::test]
async fn behind_another_run() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let thread = server.new_thread().await;
    let running = server.create_run(&thread, &gate.run()).await;
    gate.holds(3).await;
    for action in ACTIONS {
        let queued = server.create_run(&thread, &gate.run()).await;
        cancelled(&server, &queued, action).await;
        // The one before it is not touched.
        assert_eq!(status_of(&server, &thread).await, "busy", "{action}");
    }
    gate.open();
    assert_eq!(server.ended_run(&running).await["status"], "success");
    assert_eq!(status_of(&server, &thread).await, "idle");
    let done = json!(["one", "two", "three", "after"]);
    assert_eq!(server.state(&thread).await["values"]["done"], done);
}

#[tokio::test]
async fn before_its_time_has_come() {
    let server = Setup::probes(&["two"]).start().await;
    for action in ACTIONS {
        let thread = server.new_thread().await;
        let mut later = two();
        later["after_seconds"] = json!(3_600);
        let run = server.create_run(&thread, &later).await;
        assert_eq!(status_of(&server, &thread).await, "busy");
        cancelled(&server, &run, action).await;
        assert_eq!(status_of(&server, &thread).await, "idle", "{action}");
        let history = server.get_json(&format!("/threads/{thread}/history")).await;
        assert_eq!(history, json!([]), "{action}");
        assert_eq!(server.wait(&thread, &two()).await["foo"], "xab");
    }
}

/// At once after the start, when it may not have been taken up yet, and when it surely has been.
#[tokio::test]
async fn after_a_crash() {
    let gate = Gate::closed().await;
    let mut server = gate.setup(&["two"]).start().await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        let thread = server.new_thread().await;
        runs.push(server.create_run(&thread, &gate.run()).await);
    }
    gate.holds(12).await;
    server.kill();
    server.restart().await;
    let (at_once, later) = runs.split_at(2);
    for (run, action) in at_once.iter().zip(ACTIONS) {
        cancelled(&server, run, action).await;
    }
    for (run, action) in later.iter().zip(ACTIONS) {
        eventually("the second attempt", async || {
            let run = server.get_json(&path_of(run)).await;
            (run["status"] == "running").then_some(())
        })
        .await;
        cancelled(&server, run, action).await;
    }
    for (run, status) in runs
        .iter()
        .zip(["interrupted", "idle", "interrupted", "idle"])
    {
        let thread = text(&run["thread_id"]);
        assert_eq!(status_of(&server, thread).await, status);
        assert_eq!(server.wait(thread, &two()).await["foo"], "xab");
    }
}
