//! The completed Run reaches the webhook: what arrives, how often, and what is recorded.

use serde_json::{Value, json};

use crate::support::receiver::{Answer, Received};
use crate::support::server::{TALKATIVE, names, text};
use crate::support::{Receiver, Server, Setup, eventually};

/// LangGraph's members, in LangGraph's order.
const MEMBERS: [&str; 14] = [
    "run_id",
    "thread_id",
    "assistant_id",
    "metadata",
    "status",
    "kwargs",
    "multitask_strategy",
    "created_at",
    "updated_at",
    "langsmith_session_name",
    "run_started_at",
    "run_ended_at",
    "webhook_sent_at",
    "values",
];

/// The deliveries of a run once all of them have left the status `pending`.
async fn ended_deliveries(server: &Server, run: &Value) -> Value {
    let path = format!("/runs/{}/deliveries", text(run));
    eventually("the end of the deliveries", async || {
        let deliveries = server.get_json(&path).await;
        let ended = |d: &Value| d["status"] != "pending";
        deliveries
            .as_array()
            .expect("an array")
            .iter()
            .all(ended)
            .then_some(deliveries)
    })
    .await
}

#[tokio::test]
async fn the_completed_run_is_posted_with_its_values() {
    let setup = Setup::probes(&["two"]).set("telemetry", json!({"log": TALKATIVE}));
    let (server, receiver) = (setup.start().await, Receiver::start().await);
    let thread = server.new_thread().await;
    let url = receiver.url("/hook?token=s3cret&x=%20y");
    let body = json!({
        "assistant_id": "two", "input": {"foo": "in"}, "webhook": url, "metadata": {"m": 1},
        "stream_mode": ["updates"], "context": {"c": 1},
    });
    let run = server.create_run(&thread, &body).await;
    let received = receiver.wait_for(1).await.remove(0);
    assert_eq!(
        (received.method.as_str(), received.path.as_str()),
        ("POST", "/hook?token=s3cret&x=%20y")
    );
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(received.header("host"), receiver.address.to_string());
    let sent: u64 = received
        .header("webhook-timestamp")
        .parse()
        .expect("seconds");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    assert!(now.abs_diff(sent) < 120, "{sent} is not {now}");
    assert!(received.webhook_id().len() > 10);

    let posted = received.json();
    assert_eq!(names(&posted), MEMBERS);
    for member in [
        "run_id",
        "thread_id",
        "assistant_id",
        "metadata",
        "multitask_strategy",
        "created_at",
    ] {
        assert_eq!(posted[member], run[member], "{member}");
    }
    assert_eq!(posted["kwargs"], run["kwargs"]);
    assert_eq!(
        (&posted["kwargs"]["webhook"], &posted["kwargs"]["input"]),
        (&json!(url), &json!({"foo": "in"}))
    );
    assert_eq!(
        (&posted["status"], &posted["langsmith_session_name"]),
        (&json!("success"), &Value::Null)
    );
    assert_eq!(posted["values"], json!({"foo": "inab", "log": ["a", "b"]}));
    let times = [
        "created_at",
        "run_started_at",
        "run_ended_at",
        "webhook_sent_at",
    ]
    .map(|name| text(&posted[name]));
    assert!(times.is_sorted(), "{times:?}");
    // It is told after the run's end is stored.
    assert_eq!(server.ended_run(&run).await["status"], "success");

    let deliveries = ended_deliveries(&server, &run["run_id"]).await;
    assert_eq!(deliveries[0]["status"], "delivered");
    assert_eq!(deliveries[0]["delivery_id"], received.webhook_id());
    let attempt = &deliveries[0]["attempts"][0];
    assert_eq!(
        (&attempt["number"], &attempt["status"], &attempt["error"]),
        (&json!(1), &json!(200), &Value::Null)
    );
    assert_eq!(
        (&attempt["url"], &attempt["response"]),
        (&json!(receiver.url("/hook")), &json!("{}"))
    );
    assert_eq!(attempt["address"], receiver.address.to_string());
    let log = server.log();
    assert!(
        log.contains("webhook delivered") && !log.contains("s3cret"),
        "{log}"
    );
}

#[tokio::test]
async fn every_way_to_create_a_run_delivers_once() {
    let (server, receiver) = (
        Setup::probes(&["two"]).start().await,
        Receiver::start().await,
    );
    let thread = server.new_thread().await;
    let paths = ["/runs", "/runs/wait", "/runs/stream"];
    let on_thread = paths.map(|path| format!("/threads/{thread}{path}"));
    let documented = paths.map(|path| format!("/thread/{thread}{path}"));
    let mut expected = Vec::new();
    for path in paths
        .map(str::to_owned)
        .iter()
        .chain(&on_thread)
        .chain(&documented)
    {
        let webhook = receiver.url(&format!("/at{path}"));
        let body =
            json!({"assistant_id": "two", "input": {"foo": "x", "log": []}, "webhook": webhook});
        let response = server.post(path, &body).await;
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.expect("a body");
        expected.push(format!("/at{path}"));
    }
    let received = receiver.wait_for(9).await;
    let mut arrived: Vec<String> = received.iter().map(|r| r.path.clone()).collect();
    arrived.sort_unstable();
    expected.sort_unstable();
    assert_eq!(arrived, expected);
    for received in &received {
        let run = received.json();
        assert_eq!(
            (&run["status"], &run["values"]["foo"]),
            (&json!("success"), &json!("xab")),
            "{}",
            received.path
        );
        assert_eq!(
            run["kwargs"]["temporary"],
            received.path.starts_with("/at/runs")
        );
        ended_deliveries(&server, &run["run_id"]).await;
    }
    assert_eq!(receiver.received().len(), 9);
    let mut ids: Vec<String> = received.iter().map(Received::webhook_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 9);
}

#[tokio::test]
async fn a_failed_run_is_delivered_with_its_error_and_last_values() {
    let (server, receiver) = (
        Setup::probes(&["fail", "two"]).start().await,
        Receiver::start().await,
    );
    let body = json!({"assistant_id": "fail", "input": {"foo": "x"}, "webhook": receiver.url("/")});
    server.post_json("/runs/wait", &body).await;
    let posted = receiver.wait_for(1).await[0].json();
    assert_eq!(names(&posted)[14..], ["error"]);
    assert_eq!(
        (&posted["status"], &posted["values"]),
        (&json!("error"), &json!({"foo": "x"}))
    );
    assert_eq!(
        posted["error"],
        json!({"error": "ValueError", "message": "boom"})
    );

    let mut limited =
        json!({"assistant_id": "two", "input": {"foo": "x"}, "config": {"recursion_limit": 1}});
    limited["webhook"] = json!(receiver.url("/"));
    server.post_json("/runs", &limited).await;
    let posted = receiver.wait_for(2).await[1].json();
    assert_eq!(
        (&posted["status"], &posted["error"]["error"]),
        (&json!("error"), &json!("GraphRecursionError"))
    );
    assert_eq!(posted["values"], json!({"foo": "xa", "log": ["a"]}));
}

#[tokio::test]
async fn a_run_that_asks_is_delivered_with_its_questions() {
    let (server, receiver) = (
        Setup::probes(&["hitl", "two"]).start().await,
        Receiver::start().await,
    );
    let thread = server.new_thread().await;
    let ask = json!({"assistant_id": "hitl", "input": {}, "webhook": receiver.url("/ask")});
    let asked = server.wait(&thread, &ask).await;
    let posted = receiver.wait_for(1).await[0].json();
    assert_eq!(names(&posted)[14..], ["interrupts"]);
    assert_eq!(
        (&posted["status"], &posted["values"]),
        (&json!("success"), &json!({"log": []}))
    );
    let asked = &asked["__interrupt__"][0];
    assert_eq!(
        posted["interrupts"],
        json!([{"value": asked["value"], "id": asked["id"]}])
    );

    let resume =
        json!({"assistant_id": "hitl", "command": {"resume": 1}, "webhook": receiver.url("/done")});
    server.wait(&thread, &resume).await;
    let posted = receiver.wait_for(2).await[1].json();
    assert_eq!(names(&posted), MEMBERS);
    assert_eq!(
        posted["values"],
        json!({"answer": 1, "log": ["asked", "after"]})
    );
    assert_eq!(posted["kwargs"]["command"]["resume"], 1);

    // A breakpoint asks nothing.
    let stopping = json!({
        "assistant_id": "two", "input": {"foo": "x"}, "interrupt_before": "*", "webhook": receiver.url("/stop"),
    });
    server.post_json("/runs/wait", &stopping).await;
    assert_eq!(names(&receiver.wait_for(3).await[2].json()), MEMBERS);
}

#[tokio::test]
async fn a_delivery_that_failed_is_tried_again_under_the_same_id() {
    let receiver =
        Receiver::behaving(|_, before| Answer::Status(if before == 0 { 500 } else { 204 })).await;
    let setup = Setup::probes(&["two"]).set(
        "webhooks.retry",
        json!({"schedule_secs": [0, 1], "jitter": 0}),
    );
    let server = setup.start().await;
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": receiver.url("/?token=s3cret")});
    server.post_json("/runs/wait", &body).await;
    let received = receiver.wait_for(2).await;
    assert_eq!(received[0].webhook_id(), received[1].webhook_id());
    let (mut first, mut second) = (received[0].json(), received[1].json());
    // The time of sending is each attempt's own; all else is the same.
    assert!(text(&first["webhook_sent_at"]) < text(&second["webhook_sent_at"]));
    (first["webhook_sent_at"], second["webhook_sent_at"]) = (Value::Null, Value::Null);
    assert_eq!(first, second);
    let deliveries = ended_deliveries(&server, &first["run_id"]).await;
    let statuses = [0, 1].map(|n| deliveries[0]["attempts"][n]["status"].clone());
    assert_eq!(
        (&deliveries[0]["status"], statuses),
        (&json!("delivered"), [json!(500), json!(204)])
    );
    assert!(!server.log().contains("s3cret"), "the token is in the log");
}

#[tokio::test]
async fn deliveries_end_when_the_schedule_does_or_the_receiver_is_gone() {
    let status = |path: &str| path.trim_start_matches('/').parse().expect("a status");
    let receiver =
        Receiver::behaving(move |request, _| Answer::Status(status(&request.path))).await;
    let setup = Setup::probes(&["two"]).set(
        "webhooks.retry",
        json!({"schedule_secs": [0, 0, 0], "jitter": 0}),
    );
    let server = setup.start().await;
    for (status, end, attempts) in [
        (410, "gone", 1),
        (503, "exhausted", 3),
        (404, "exhausted", 3),
        (201, "delivered", 1),
    ] {
        let webhook = receiver.url(&format!("/{status}"));
        let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": webhook});
        let run = server.post_json("/runs", &body).await;
        let deliveries = eventually("the delivery", async || {
            let deliveries = ended_deliveries(&server, &run["run_id"]).await;
            (deliveries[0].is_object()).then_some(deliveries)
        })
        .await;
        assert_eq!(deliveries[0]["status"], end, "{status}");
        assert_eq!(
            deliveries[0]["attempts"].as_array().map(Vec::len),
            Some(attempts),
            "{status}"
        );
    }
    let nobody = server
        .get_json("/runs/00000000-0000-4000-8000-000000000000/deliveries")
        .await;
    assert_eq!(nobody, json!([]));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let target = Receiver::start().await;
    let receiver = Receiver::redirecting(307, &target.url("/inside")).await;
    let setup =
        Setup::probes(&["two"]).set("webhooks.retry", json!({"schedule_secs": [0], "jitter": 0}));
    let server = setup.start().await;
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": receiver.url("/")});
    server.post_json("/runs/wait", &body).await;
    let run = receiver.wait_for(1).await[0].json()["run_id"].clone();
    let deliveries = ended_deliveries(&server, &run).await;
    assert_eq!(
        (
            &deliveries[0]["status"],
            &deliveries[0]["attempts"][0]["status"]
        ),
        (&json!("exhausted"), &json!(307))
    );
    assert_eq!(target.received().len(), 0);
}

#[tokio::test]
async fn a_receiver_that_hangs_delays_nobody_else() {
    let hanging = Receiver::behaving(|_, _| Answer::Hang).await;
    let receiver = Receiver::start().await;
    // No attempt at the host that hangs ends before the test does.
    let server = Setup::probes(&["two"])
        .set("webhooks.timeout_secs", 3600)
        .start()
        .await;
    let body = |url: String| json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": url});
    for n in 0..20 {
        server
            .post_json("/runs/wait", &body(hanging.url(&format!("/{n}"))))
            .await;
    }
    hanging.wait_for(1).await;
    for n in 0..5 {
        server
            .post_json("/runs/wait", &body(receiver.url(&format!("/{n}"))))
            .await;
    }
    receiver.wait_for(5).await;
    assert!(
        hanging.received().len() <= 4,
        "{} attempts at once at one host",
        hanging.received().len()
    );
}

#[tokio::test]
async fn allowed_fields_and_configured_headers_shape_the_request() {
    let receiver = Receiver::start().await;
    let setup = Setup::probes(&["hitl"])
        .set("webhooks.allowed_fields", json!(["values", "status", "run_id"]))
        .set("webhooks.headers", json!({
            "X-Team": "a", "Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}", "User-Agent": "ours",
        }))
        .env("LG_WEBHOOK_TOKEN", "t0ken");
    let server = setup.start().await;
    let body = json!({"assistant_id": "hitl", "input": {}, "webhook": receiver.url("/")});
    server.post_json("/runs/wait", &body).await;
    let received = receiver.wait_for(1).await.remove(0);
    assert_eq!(names(&received.json()), ["run_id", "status", "values"]);
    assert_eq!(
        (received.header("x-team"), received.header("authorization")),
        ("a", "Bearer t0ken")
    );
    assert_eq!(
        (
            received.header("user-agent"),
            received.header("content-type")
        ),
        ("ours", "application/json")
    );
    assert!(!server.log().contains("t0ken"));
}

#[tokio::test]
async fn a_body_above_the_limit_is_sent_without_its_values() {
    let receiver = Receiver::start().await;
    let server = Setup::probes(&["big"])
        .set("webhooks.max_body_bytes", 20_000)
        .start()
        .await;
    let body = |bytes: u32| json!({"assistant_id": "big", "input": {"bytes": bytes}, "webhook": receiver.url("/")});
    server.post_json("/runs/wait", &body(10_000)).await;
    assert_eq!(names(&receiver.wait_for(1).await[0].json()), MEMBERS);
    server.post_json("/runs/wait", &body(30_000)).await;
    let large = receiver.wait_for(2).await.remove(1);
    assert_eq!(names(&large.json())[13], "values_omitted");
    assert!(large.body.len() < 20_000);
}

#[tokio::test]
async fn deleting_the_thread_does_not_stop_a_delivery() {
    let receiver =
        Receiver::behaving(|_, before| Answer::Status(if before == 0 { 503 } else { 200 })).await;
    let setup = Setup::probes(&["two"]).set(
        "webhooks.retry",
        json!({"schedule_secs": [0, 1], "jitter": 0}),
    );
    let server = setup.start().await;
    let thread = server.new_thread().await;
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": receiver.url("/")});
    server.wait(&thread, &body).await;
    receiver.wait_for(1).await;
    assert_eq!(
        server.delete(&format!("/threads/{thread}")).await.status(),
        204
    );
    let received = receiver.wait_for(2).await;
    assert_eq!(received[1].json()["values"]["foo"], "xab");
}
