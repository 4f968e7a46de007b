//! Deliveries can be looked up and delivered again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

use crate::support::receiver::Answer;
use crate::support::server::{Server, detail_of, text};
use crate::support::{Receiver, Setup, eventually};

/// A receiver whose answer can be changed.
async fn receiver() -> (Receiver, Arc<AtomicU16>) {
    let answer = Arc::new(AtomicU16::new(200));
    let given = answer.clone();
    let receiver =
        Receiver::behaving(move |_, _| Answer::Status(given.load(Ordering::SeqCst))).await;
    (receiver, answer)
}

/// Fails twice, then gives up.
fn setup() -> Setup {
    Setup::probes(&["two"]).set(
        "webhooks.retry",
        json!({"schedule_secs": [0, 0], "jitter": 0}),
    )
}

/// A run with this webhook; its delivery once it stands so.
async fn delivery(server: &Server, url: &str, status: &str) -> Value {
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": url});
    let run = server.post_json("/runs", &body).await;
    let of_run = format!("/runs/{}/deliveries", text(&run["run_id"]));
    eventually(&format!("{status} at {of_run}"), async || {
        let deliveries = server.get_json(&of_run).await;
        (deliveries[0]["status"] == status).then(|| deliveries[0].clone())
    })
    .await
}

async fn stands(server: &Server, delivery: &Value, status: &str) -> Value {
    let path = format!("/webhooks/deliveries/{}", text(&delivery["delivery_id"]));
    eventually(&format!("{status} at {path}"), async || {
        let delivery = server.get_json(&path).await;
        (delivery["status"] == status).then_some(delivery)
    })
    .await
}

#[tokio::test]
async fn deliveries_are_listed_by_status_and_by_run_in_pages() {
    let ((receiver, answer), server) = (receiver().await, setup().start().await);
    let arrived = delivery(&server, &receiver.url("/?token=t"), "delivered").await;
    answer.store(503, Ordering::SeqCst);
    let first = delivery(&server, &receiver.url("/"), "exhausted").await;
    let second = delivery(&server, &receiver.url("/"), "exhausted").await;
    // The token is the caller's, and whoever looks deliveries up may be somebody else.
    assert_eq!(arrived["url"], receiver.url("/"));
    let ids = |list: &Value| -> Vec<Value> {
        let rows = list.as_array().expect("a list").iter();
        rows.map(|row| row["delivery_id"].clone()).collect()
    };
    let of = |deliveries: &[&Value]| -> Vec<Value> {
        deliveries
            .iter()
            .map(|d| d["delivery_id"].clone())
            .collect()
    };
    for (query, expected) in [
        ("", vec![&second, &first, &arrived]),
        ("?status=exhausted", vec![&second, &first]),
        ("?status=delivered", vec![&arrived]),
        ("?status=pending", vec![]),
        ("?limit=1&offset=1", vec![&first]),
    ] {
        let path = format!("/webhooks/deliveries{query}");
        assert_eq!(ids(&server.get_json(&path).await), of(&expected), "{path}");
    }
    let run = text(&first["run_id"]);
    let listed = server
        .get_json(&format!("/webhooks/deliveries?run_id={run}"))
        .await;
    assert_eq!(ids(&listed), of(&[&first]));
    // A list has the last attempt of each, and one that is asked for has all.
    assert_eq!(
        (&listed[0]["attempt_count"], &listed[0]["attempts"]),
        (&json!(2), &Value::Null)
    );
    assert_eq!(listed[0]["last_attempt"]["status"], 503);
    assert_eq!(stands(&server, &first, "exhausted").await, first);
    assert_eq!(first["attempts"].as_array().map(Vec::len), Some(2));

    let page = server.get("/webhooks/deliveries?limit=2").await;
    assert_eq!(page.headers()["x-pagination-next"], "2");
    for (query, detail) in [
        (
            "status=sent",
            "status: \"sent\" is not one of pending, delivered, exhausted, blocked, gone, disabled",
        ),
        ("limit=0", "limit: 0 is not between 1 and 1000"),
        ("run_id=x", "Invalid run ID: must be a UUID"),
    ] {
        let refused = server.get(&format!("/webhooks/deliveries?{query}")).await;
        assert_eq!(detail_of(refused, 422).await, detail);
    }
}

#[tokio::test]
async fn a_delivery_is_delivered_again_under_its_id_with_its_whole_schedule() {
    let ((receiver, answer), server) = (receiver().await, setup().start().await);
    answer.store(500, Ordering::SeqCst);
    let exhausted = delivery(&server, &receiver.url("/"), "exhausted").await;
    let again = format!(
        "/webhooks/deliveries/{}/redeliver",
        text(&exhausted["delivery_id"])
    );
    let answered = server.post_json(&again, &json!({})).await;
    assert_eq!(answered["delivery_id"], exhausted["delivery_id"]);
    receiver.wait_for(4).await;
    let exhausted = stands(&server, &exhausted, "exhausted").await;
    assert_eq!(exhausted["attempt_count"], 4);

    answer.store(200, Ordering::SeqCst);
    server.post_json(&again, &json!({})).await;
    let arrived = stands(&server, &exhausted, "delivered").await;
    let numbers: Vec<&Value> = arrived["attempts"]
        .as_array()
        .expect("attempts")
        .iter()
        .map(|attempt| &attempt["number"])
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    // What arrived can be sent once more as well.
    server.post_json(&again, &json!({})).await;
    let received = receiver.wait_for(6).await;
    assert!(
        received
            .iter()
            .all(|r| r.webhook_id() == text(&arrived["delivery_id"]))
    );

    let nobody = "/webhooks/deliveries/00000000-0000-4000-8000-000000000000";
    for path in [nobody.to_owned(), format!("{nobody}/redeliver")] {
        let response = match path.ends_with("redeliver") {
            true => server.post(&path, &json!({})).await,
            false => server.get(&path).await,
        };
        let detail = detail_of(response, 404).await;
        assert_eq!(
            detail,
            "Delivery 00000000-0000-4000-8000-000000000000 not found"
        );
    }
}

#[tokio::test]
async fn all_that_was_given_up_since_a_time_is_delivered_again() {
    let ((receiver, answer), server) = (receiver().await, setup().start().await);
    answer.store(500, Ordering::SeqCst);
    let before = delivery(&server, &receiver.url("/before"), "exhausted").await;
    let first = delivery(&server, &receiver.url("/first"), "exhausted").await;
    answer.store(410, Ordering::SeqCst);
    let gone = delivery(&server, &receiver.url("/gone"), "gone").await;
    answer.store(200, Ordering::SeqCst);
    let redeliver = async |body: Value| {
        let path = "/webhooks/deliveries/redeliver";
        server.post_json(path, &body).await["redelivered"].clone()
    };
    let since = &first["ended_at"];
    assert_eq!(redeliver(json!({"since": since})).await, 1);
    stands(&server, &first, "delivered").await;
    assert_eq!(redeliver(json!({"since": since})).await, 0);
    let both = json!({"since": since, "statuses": ["exhausted", "gone", "blocked"]});
    assert_eq!(redeliver(both).await, 1);
    stands(&server, &gone, "delivered").await;
    stands(&server, &before, "exhausted").await;

    for (body, detail) in [
        (json!({}), "\"since\" is a required property"),
        (
            json!({"since": "yesterday"}),
            "since: \"yesterday\" is not a time like RFC 3339's",
        ),
        (
            json!({"since": since, "statuses": ["delivered"]}),
            "status: \"delivered\" is not one of exhausted, blocked, gone",
        ),
    ] {
        let refused = server
            .refused("/webhooks/deliveries/redeliver", &body, 422)
            .await;
        assert_eq!(refused, detail);
    }
}

#[tokio::test]
async fn webhooks_that_are_switched_off_end_what_waits_until_they_are_on_again() {
    let (receiver, answer) = receiver().await;
    answer.store(500, Ordering::SeqCst);
    let mut server = Setup::probes(&["two"])
        .set(
            "webhooks.retry",
            json!({"schedule_secs": [0, 3600], "jitter": 0}),
        )
        .start()
        .await;
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": receiver.url("/")});
    let run = server.post_json("/runs", &body).await;
    receiver.wait_for(1).await;
    let of_run = format!("/runs/{}/deliveries", text(&run["run_id"]));
    let waiting = eventually("the first attempt", async || {
        let deliveries = server.get_json(&of_run).await;
        (deliveries[0]["attempt_count"] == 1).then(|| deliveries[0].clone())
    })
    .await;
    assert_eq!(waiting["status"], "pending");

    server.setup.config["http"] = json!({"disable_webhooks": true});
    server.kill();
    server.restart().await;
    let disabled = stands(&server, &waiting, "disabled").await;
    assert_eq!(disabled["next_attempt_at"], Value::Null);
    // Nothing is queued meanwhile, and nothing can be delivered; URLs are looked at all the same.
    let unsent = server.post_json("/runs/wait", &body).await;
    assert_eq!(unsent["foo"], "xab");
    let all = server.get_json("/webhooks/deliveries").await;
    assert_eq!(all.as_array().map(Vec::len), Some(1));
    let again = format!(
        "/webhooks/deliveries/{}/redeliver",
        text(&waiting["delivery_id"])
    );
    let refused = server.refused(&again, &json!({}), 409).await;
    assert_eq!(refused, "webhooks are disabled (http.disable_webhooks)");
    let relative = json!({"assistant_id": "two", "input": {}, "webhook": "/runs/cancel"});
    assert_eq!(server.post("/runs", &relative).await.status(), 422);
    assert!(server.log().contains("webhooks are disabled"));

    answer.store(200, Ordering::SeqCst);
    server.setup.config["http"] = json!({"disable_webhooks": false});
    server.kill();
    server.restart().await;
    stands(&server, &waiting, "delivered").await;
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].webhook_id(), received[1].webhook_id());
}
