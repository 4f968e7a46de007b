//! The operator sees what runs and webhooks come to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::json;

use crate::support::receiver::Answer;
use crate::support::{Receiver, Server, Setup, eventually, root};

async fn metrics(server: &Server) -> String {
    let response = server.get("/metrics").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    response.text().await.expect("text")
}

/// The value of a sample.
async fn value(server: &Server, sample: &str) -> f64 {
    let text = metrics(server).await;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let value = line.unwrap_or_else(|| panic!("no {sample}:\n{text}"));
    value.parse().expect("a number")
}

async fn becomes(server: &Server, sample: &str, expected: f64) {
    eventually(&format!("{sample} {expected}"), async || {
        (value(server, sample).await == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn metrics_say_what_became_of_runs_and_webhooks_and_what_still_waits() {
    let answer = Arc::new(AtomicU16::new(200));
    let given = answer.clone();
    let receiver =
        Receiver::behaving(move |_, _| Answer::Status(given.load(Ordering::SeqCst))).await;
    let server = Setup::probes(&["two", "fail"])
        .set(
            "webhooks.retry",
            json!({"schedule_secs": [0, 3600], "jitter": 0}),
        )
        .set("runtime.max_running_runs", 7)
        .start()
        .await;
    let run = async |graph: &str| {
        let body = json!({"assistant_id": graph, "input": {"foo": "x"}, "webhook": receiver.url("/?token=t0ken")});
        server.post_json("/runs/wait", &body).await;
    };
    assert_eq!(
        value(&server, "selvedge_webhook_outbox_oldest_seconds").await,
        0.0
    );
    run("two").await;
    run("fail").await;
    becomes(
        &server,
        "selvedge_webhook_attempts_total{result=\"delivered\"}",
        2.0,
    )
    .await;
    answer.store(503, Ordering::SeqCst);
    run("two").await;
    becomes(
        &server,
        "selvedge_webhook_attempts_total{result=\"failed\"}",
        1.0,
    )
    .await;
    for (sample, expected) in [
        ("selvedge_runs_ended_total{status=\"success\"}", 2.0),
        ("selvedge_runs_ended_total{status=\"error\"}", 1.0),
        ("lg_api_num_pending_runs", 0.0),
        ("lg_api_num_running_runs", 0.0),
        ("selvedge_storage_up", 1.0),
        ("lg_api_workers_max", 7.0),
        ("selvedge_webhook_outbox_deliveries", 1.0),
        ("selvedge_webhook_attempts_total{result=\"blocked\"}", 0.0),
    ] {
        becomes(&server, sample, expected).await;
    }
    assert!(value(&server, "selvedge_webhook_outbox_oldest_seconds").await > 0.0);
    // The next attempt is in an hour.
    becomes(&server, "selvedge_webhook_outbox_overdue_seconds", 0.0).await;
    let json = server.get_json("/metrics?format=json").await;
    assert_eq!(json["queue"], json!({"n_pending": 0, "n_running": 0}));
    assert_eq!(
        (&json["workers"]["max"], &json["webhooks"]["n_pending"]),
        (&json!(7), &json!(1))
    );
    let text = metrics(&server).await;
    assert!(!text.contains("t0ken") && !text.contains("127.0.0.1"));
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).expect("a name");
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
}

#[tokio::test]
async fn the_metrics_of_the_operators_page_exist() {
    let page = std::fs::read_to_string(root().join("docs/webhooks.md")).expect("the page");
    let words = page.split(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
    let named: BTreeSet<&str> = words.filter(|word| word.starts_with("selvedge_")).collect();
    assert!(named.len() >= 7, "{named:?}");
    let text = metrics(&Setup::probes(&["two"]).start().await).await;
    for name in named {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
    }
}

#[tokio::test]
async fn metrics_and_the_other_meta_routes_can_be_switched_off() {
    let statuses = async |server: &Server| {
        let mut statuses = Vec::new();
        for path in ["/ok", "/info", "/docs", "/openapi.json", "/metrics"] {
            // Not by way of the OpenAPI document, which knows of no switches.
            let asked = server.client.get(format!("{}{path}", server.base)).send();
            statuses.push(asked.await.expect("an answer").status().as_u16());
        }
        statuses
    };
    let quiet = Setup::probes(&["two"]).set("telemetry", json!({"metrics": false}));
    assert_eq!(
        statuses(&quiet.start().await).await,
        [200, 200, 200, 200, 404]
    );
    let bare = Setup::probes(&["two"]).set("http", json!({"disable_meta": true}));
    assert_eq!(
        statuses(&bare.start().await).await,
        [200, 404, 404, 404, 404]
    );
}
