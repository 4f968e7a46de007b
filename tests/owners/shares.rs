//! What one caller may have of the queue: the rest is for others.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::callers::{ANN, BOB, let_in};
use crate::support::server::{Server, text};
use crate::support::{Setup, eventually};

/// Longer than any test waits.
const FAR_TOO_LONG_MS: u64 = 300_000;

/// Half of the places, which are two, are one caller's at most.
async fn start() -> Server {
    let bounds =
        json!({"max_running_runs": 2, "max_pending_runs_per_caller": 3, "max_crons_per_caller": 1});
    let setup = Setup::probes(&["two", "slow"]).set("runtime", bounds);
    let_in(setup).start().await
}

fn run(graph: &str, after_seconds: f64) -> Value {
    json!({
        "assistant_id": graph, "input": {"ms": FAR_TOO_LONG_MS, "foo": "x"}, "after_seconds": after_seconds,
        "on_completion": "keep",
    })
}

async fn status_of(server: &Server, run: &Value) -> String {
    let (thread, run) = (text(&run["thread_id"]), text(&run["run_id"]));
    let path = format!("/threads/{thread}/runs/{run}");
    text(&ANN.get(server, &path).await.body["status"]).to_owned()
}

#[tokio::test]
async fn who_fills_their_share_of_the_queue_keeps_nobody_else_waiting() {
    let server = start().await;
    let mut anns = Vec::new();
    for after in [0.0, 0.0, 0.0, 1e6] {
        anns.push(ANN.made(&server, "/runs", &run("slow", after)).await);
    }
    let first_runs = async || (status_of(&server, &anns[0]).await == "running").then_some(());
    eventually("the first run to begin", first_runs).await;
    let full = ANN
        .request(&server, Method::POST, "/runs")
        .json(&run("slow", 0.0));
    let full = full.send().await.expect("an answer");
    assert_eq!(full.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(full.headers().contains_key("retry-after"));
    let batch = json!([run("two", 0.0)]);
    let refused = ANN.post(&server, "/runs/batch", &batch).await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.body["detail"],
        "Too many of your runs are pending (3, runtime.max_pending_runs_per_caller). Try again later."
    );

    // There is one place that Ann cannot have, though she waits for it longer.
    for _ in 0..3 {
        let done = BOB.made(&server, "/runs/wait", &run("two", 0.0)).await;
        assert_eq!(done["foo"], "xab");
    }
    assert_eq!(status_of(&server, &anns[1]).await, "pending");

    // When her run has gone, her next one begins.
    let first = &anns[0];
    let path = format!(
        "/threads/{}/runs/{}/cancel?wait=1",
        text(&first["thread_id"]),
        text(&first["run_id"])
    );
    assert!(
        ANN.post(&server, &path, &json!({}))
            .await
            .status
            .is_success()
    );
    let second_runs = async || (status_of(&server, &anns[1]).await == "running").then_some(());
    eventually("the second run to begin", second_runs).await;
    assert_eq!(status_of(&server, &anns[2]).await, "pending");
}

#[tokio::test]
async fn who_has_their_share_of_crons_makes_no_more() {
    let server = start().await;
    let cron = json!({"assistant_id": "two", "schedule": "0 0 1 1 *", "input": {}});
    let made = ANN.made(&server, "/runs/crons", &cron).await;
    let refused = ANN.post(&server, "/runs/crons", &cron).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(
        refused.body["detail"],
        "You have 1 crons, and nobody may have more (runtime.max_crons_per_caller). Delete some first."
    );
    BOB.made(&server, "/runs/crons", &cron).await;
    let path = format!("/runs/crons/{}", text(&made["cron_id"]));
    let gone = ANN.send(&server, Method::DELETE, &path, None).await;
    assert_eq!(gone.status, 204);
    ANN.made(&server, "/runs/crons", &cron).await;
}
