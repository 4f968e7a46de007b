//! Every endpoint that LangGraph documents as taking `webhook`, called by curl as its documentation shows, ends in a
//! delivery of the Run; and the token in the webhook's URL stays between its caller and its receiver.
//!
//! The official clients do the same: `test_webhooks.py` and `webhooks.js` below `tests/clients`.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::server::{TALKATIVE, text};
use crate::support::{Receiver, Server, Setup, eventually};

const TOKEN: &str = "t0ken-of-the-caller";

/// Where runs are created with one webhook each; the path of a thread in both spellings of the documentation.
const CREATING: [&str; 9] = [
    "/runs",
    "/runs/stream",
    "/runs/wait",
    "/threads/{thread_id}/runs",
    "/threads/{thread_id}/runs/stream",
    "/threads/{thread_id}/runs/wait",
    "/thread/{thread_id}/runs",
    "/thread/{thread_id}/runs/stream",
    "/thread/{thread_id}/runs/wait",
];

/// Where many are created at once, each with a webhook of its own.
const BATCH: &str = "/runs/batch";
const BATCH_SIZE: usize = 3;

/// Calls the server as the documentation does, and waits for the end of the answer.
async fn curl(server: &Server, path: &str, data: &Value) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail-with-body"])
        .args(["--noproxy", "*", "--max-time", "60"])
        .args(["--request", "POST"])
        .args(["--url", &format!("{}{path}", server.base)])
        .args(["--header", "Content-Type: application/json"])
        .args(["--data", &data.to_string()]);
    let output = tokio::task::spawn_blocking(move || curl.output().expect("curl is there"))
        .await
        .expect("curl ends");
    assert!(output.status.success(), "{path}: {output:?}");
}

/// Where a run's webhook goes: a path that says how it was created, and a token.
fn webhook(receiver: &Receiver, name: &str) -> String {
    receiver.url(&format!("/of{name}?token={TOKEN}"))
}

fn run(webhook: &str) -> Value {
    json!({"assistant_id": "two", "input": {"foo": "hello"}, "webhook": webhook})
}

/// Calls every endpoint once; the webhooks that were asked for.
async fn call_all(server: &Server, receiver: &Receiver) -> Vec<String> {
    let mut webhooks = Vec::new();
    for template in CREATING {
        let thread = server.new_thread().await;
        let path = template.replace("{thread_id}", &thread);
        let webhook = webhook(receiver, &path);
        curl(server, &path, &run(&webhook)).await;
        webhooks.push(webhook);
    }
    let batch: Vec<String> = (0..BATCH_SIZE)
        .map(|n| webhook(receiver, &format!("{BATCH}/{n}")))
        .collect();
    let runs: Vec<Value> = batch.iter().map(|webhook| run(webhook)).collect();
    curl(server, BATCH, &json!(runs)).await;
    webhooks.extend(batch);
    webhooks
}

#[tokio::test]
async fn each_documented_endpoint_ends_in_a_delivery_and_nobody_else_learns_the_token() {
    let setup = Setup::probes(&["two"]).set(
        "telemetry",
        json!({"log": format!("debug,{TALKATIVE}"), "format": "text"}),
    );
    let (server, receiver) = (setup.start().await, Receiver::start().await);
    let webhooks = call_all(&server, &receiver).await;

    let received = receiver.wait_for(webhooks.len()).await;
    let mut bodies: BTreeMap<String, Value> = BTreeMap::new();
    for request in &received {
        assert_eq!(request.method, "POST");
        bodies.insert(receiver.url(&request.path), request.json());
    }
    assert_eq!(received.len(), webhooks.len());
    assert_eq!(bodies.len(), webhooks.len(), "{:?}", bodies.keys());
    for webhook in &webhooks {
        let body = &bodies[webhook];
        assert_eq!(body["status"], "success", "{webhook}");
        assert_eq!(
            body["values"],
            json!({"foo": "helloab", "log": ["a", "b"]}),
            "{webhook}"
        );
        assert_eq!(
            (&body["kwargs"]["webhook"], &body["kwargs"]["input"]),
            (&json!(webhook), &json!({"foo": "hello"})),
            "{webhook}"
        );
    }
    operators_see_no_token(&server, &received[0].json(), webhooks.len()).await;
}

/// Log lines at their most talkative, metrics, and what becomes of deliveries.
async fn operators_see_no_token(server: &Server, run: &Value, deliveries: usize) {
    let listed = eventually("the end of every delivery", async || {
        let path = "/webhooks/deliveries?status=delivered&limit=100";
        let listed = server.get_json(path).await;
        (listed.as_array().map(Vec::len) == Some(deliveries)).then_some(listed)
    })
    .await;
    let of_run = format!("/runs/{}/deliveries", text(&run["run_id"]));
    let shown = server.get_json(&of_run).await;
    let url = text(&shown[0]["url"]);
    assert!(url.contains("/of/") && !url.contains('?'), "{url}");

    let metrics = server.get("/metrics").await.text().await.expect("text");
    assert!(metrics.contains("selvedge_webhook_attempts_total"));
    let as_json = server.get_json("/metrics?format=json").await;
    let log = server.log();
    assert_eq!(log.matches("webhook delivered").count(), deliveries);
    for (what, text) in [
        ("the list of deliveries", listed.to_string()),
        ("a run's deliveries", shown.to_string()),
        ("metrics", metrics),
        ("metrics as JSON", as_json.to_string()),
        ("the log", log),
    ] {
        assert!(!text.contains(TOKEN), "the token is in {what}:\n{text}");
    }
}
