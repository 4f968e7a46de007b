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

/// Where schedules are created whose runs each have the webhook.
const SCHEDULING: [&str; 3] = [
    "/runs/crons",
    "/threads/{thread_id}/runs/crons",
    "/thread/{thread_id}/runs/crons",
];
const EVERY_SECOND: &str = "* * * * * *";

/// Where many are created at once, each with a webhook of its own.
const BATCH: &str = "/runs/batch";
const BATCH_SIZE: usize = 3;

/// Calls the server as the documentation does, and waits for the end of the answer.
async fn curl(server: &Server, path: &str, data: &Value) -> String {
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
    String::from_utf8(output.stdout).expect("text")
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

fn talkative() -> Setup {
    let log = format!("debug,{TALKATIVE}");
    Setup::probes(&["two"]).set("telemetry", json!({"log": log, "format": "text"}))
}

/// That the body is of the run that was asked for with this webhook.
fn assert_is_run(body: &Value, webhook: &str) {
    assert_eq!(body["status"], "success", "{webhook}");
    assert_eq!(body["values"]["foo"], "helloab", "{webhook}");
    assert_eq!(
        (&body["kwargs"]["webhook"], &body["kwargs"]["input"]),
        (&json!(webhook), &json!({"foo": "hello"})),
        "{webhook}"
    );
}

#[tokio::test]
async fn each_documented_endpoint_ends_in_a_delivery_and_nobody_else_learns_the_token() {
    let (server, receiver) = (talkative().start().await, Receiver::start().await);
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
        assert_is_run(&bodies[webhook], webhook);
        assert_eq!(bodies[webhook]["values"]["log"], json!(["a", "b"]));
    }
    operators_see_no_token(&server, &received[0].json(), webhooks.len()).await;
    let delivered = server.log().matches("webhook delivered").count();
    assert_eq!(delivered, webhooks.len());
}

#[tokio::test]
async fn the_runs_of_each_documented_kind_of_cron_end_in_deliveries_and_nobody_else_learns_the_token()
 {
    let (server, receiver) = (talkative().start().await, Receiver::start().await);
    let mut crons = Vec::new();
    for template in SCHEDULING {
        let path = template.replace("{thread_id}", &server.new_thread().await);
        let webhook = webhook(&receiver, &path);
        let mut cron = run(&webhook);
        cron["schedule"] = EVERY_SECOND.into();
        let made = curl(&server, &path, &cron).await;
        let made: Value = serde_json::from_str(&made).expect("a cron");
        crons.push((webhook, made));
    }
    let mut first = json!(null);
    for (webhook, cron) in &crons {
        first = eventually("a run of each cron", async || {
            let received = receiver.received();
            let mut to_it = received.iter();
            let request = to_it.find(|request| receiver.url(&request.path) == *webhook)?;
            Some(request.json())
        })
        .await;
        assert_is_run(&first, webhook);
        let configurable = &first["kwargs"]["config"]["configurable"];
        assert_eq!(configurable["cron_id"], cron["cron_id"]);
    }
    operators_see_no_token(&server, &first, crons.len()).await;
}

/// Log lines at their most talkative, metrics, and what becomes of deliveries: so many or more.
async fn operators_see_no_token(server: &Server, run: &Value, deliveries: usize) {
    let listed = eventually("the end of every delivery", async || {
        let path = "/webhooks/deliveries?status=delivered&limit=100";
        let listed = server.get_json(path).await;
        (listed.as_array().map(Vec::len) >= Some(deliveries)).then_some(listed)
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
    assert!(log.matches("webhook delivered").count() >= deliveries);
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
