//! However a run ends, its webhook is one delivery with one id, and hosts that never answer keep none from arriving.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::support::receiver::Answer;
use crate::support::server::text;
use crate::support::{Gate, Receiver, Server, Setup, eventually};

/// A receiver that takes each delivery at the second attempt.
async fn reluctant() -> Receiver {
    let attempts: Mutex<BTreeMap<String, u32>> = Mutex::default();
    Receiver::behaving(move |request, _| {
        let mut attempts = attempts.lock().expect("not poisoned");
        let count = attempts.entry(request.webhook_id()).or_default();
        *count += 1;
        Answer::Status(if *count == 1 { 503 } else { 200 })
    })
    .await
}

/// How often each path was asked for: the status in the body, and the ids.
fn told(receiver: &Receiver) -> BTreeMap<String, Vec<(String, String)>> {
    let mut told: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for received in receiver.received() {
        let status = text(&received.json()["status"]).to_owned();
        let of_path = told.entry(received.path.clone()).or_default();
        of_path.push((status, received.webhook_id()));
    }
    told
}

/// All deliveries, once there are so many and each has arrived.
async fn delivered(server: &Server, count: usize) -> Vec<Value> {
    eventually("every delivery", async || {
        let listed = server.get_json("/webhooks/deliveries?limit=100").await;
        let listed = listed.as_array().expect("a list").clone();
        let arrived = |delivery: &Value| delivery["status"] == "delivered";
        (listed.len() >= count && listed.iter().all(arrived)).then_some(listed)
    })
    .await
}

/// Every path was told once, at the second attempt, under one id.
async fn each_was_delivered_once(server: &Server, receiver: &Receiver, outcomes: &[(&str, &str)]) {
    let deliveries = delivered(server, outcomes.len()).await;
    assert_eq!(deliveries.len(), outcomes.len());
    assert!(deliveries.iter().all(|d| d["attempt_count"] == 2));
    let told = told(receiver);
    assert_eq!(told.len(), outcomes.len(), "{told:?}");
    for (path, status) in outcomes {
        let requests = &told[*path];
        assert_eq!(requests.len(), 2, "{path}: {requests:?}");
        assert_eq!(requests[0], requests[1], "{path}");
        assert_eq!(requests[0].0, *status, "{path}");
    }
    let mut ids: Vec<&String> = told.values().map(|requests| &requests[0].1).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), outcomes.len());
}

fn setup(setup: Setup) -> Setup {
    setup.set(
        "webhooks.retry",
        json!({"schedule_secs": [0, 0, 0], "jitter": 0}),
    )
}

#[tokio::test]
async fn however_a_run_ends_its_webhook_is_one_delivery_with_one_id() {
    let (gate, receiver) = (Gate::closed().await, reluctant().await);
    let mut server = setup(gate.setup(&["two", "fail", "hitl"])).start().await;
    let to = |path: &str, mut body: Value| {
        body["webhook"] = json!(receiver.url(path));
        body
    };
    let run = |graph: &str| json!({"assistant_id": graph, "input": {"foo": "x"}});
    let thread = async || server.new_thread().await;
    server
        .wait(&thread().await, &to("/success", run("two")))
        .await;
    server
        .create_run(&thread().await, &to("/error", run("fail")))
        .await;
    let asking = json!({"assistant_id": "hitl", "input": {}});
    server
        .wait(&thread().await, &to("/interrupt", asking))
        .await;
    server
        .post_json("/runs/wait", &to("/stateless", run("two")))
        .await;
    let batch = ["/batch/1", "/batch/2", "/batch/3"].map(|path| to(path, run("two")));
    server.post_json("/runs/batch", &json!(batch)).await;
    for action in ["interrupt", "rollback"] {
        let held = gate.held();
        let body = to(&format!("/{action}ed"), gate.run());
        let run = server.create_run(&thread().await, &body).await;
        gate.holds(held + 3).await;
        let path = format!(
            "/threads/{}/runs/{}/cancel?wait=1&action={action}",
            text(&run["thread_id"]),
            text(&run["run_id"])
        );
        server.post_json(&path, &json!({})).await;
    }
    let held = gate.held();
    server
        .create_run(&thread().await, &to("/crash", gate.run()))
        .await;
    gate.holds(held + 3).await;
    // An attempt that the kill cuts off would be made again.
    delivered(&server, 9).await;
    server.kill();
    gate.open();
    server.restart().await;
    let outcomes = [
        ("/success", "success"),
        ("/error", "error"),
        ("/interrupt", "success"),
        ("/stateless", "success"),
        ("/batch/1", "success"),
        ("/batch/2", "success"),
        ("/batch/3", "success"),
        ("/interrupted", "interrupted"),
        ("/rollbacked", "rollback"),
        ("/crash", "success"),
    ];
    each_was_delivered_once(&server, &receiver, &outcomes).await;
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_one_delivery_too() {
    let (gate, receiver) = (Gate::closed().await, reluctant().await);
    let server = setup(gate.setup(&[]).set("runtime.run_timeout_secs", 1))
        .start()
        .await;
    let mut body = gate.run();
    body["webhook"] = json!(receiver.url("/timeout"));
    server.create_run(&server.new_thread().await, &body).await;
    each_was_delivered_once(&server, &receiver, &[("/timeout", "timeout")]).await;
}

/// Hosts that accept and never answer; each would have four of the 64 slots.
const HANGING: usize = 20;
const HEALTHY: usize = 10;
const DELIVERIES: usize = 4;

fn to(receiver: &Receiver) -> Value {
    json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": receiver.url("/")})
}

/// No attempt at a host that hangs ends before the test does.
async fn patient() -> Server {
    Setup::probes(&["two"])
        .set("webhooks.timeout_secs", 3600)
        .start()
        .await
}

/// In each of several rounds a run ends for each receiver, the hanging ones first; all that are for the others arrive.
async fn healthy_ones_get_all(server: &Server, hanging: &[Receiver]) {
    let mut healthy = Vec::new();
    for _ in 0..HEALTHY {
        healthy.push(Receiver::start().await);
    }
    for _ in 0..DELIVERIES {
        let batch: Vec<Value> = hanging.iter().chain(&healthy).map(to).collect();
        server.post_json("/runs/batch", &json!(batch)).await;
    }
    for healthy in &healthy {
        healthy.wait_for(DELIVERIES).await;
    }
    let pending = server.get_json("/webhooks/deliveries?status=pending&limit=1000");
    let pending = pending.await.as_array().map(Vec::len);
    assert!(pending >= Some(HANGING * DELIVERIES), "{pending:?}");
}

#[tokio::test]
async fn twenty_hosts_that_accept_and_never_answer_leave_the_others_alone() {
    let mut hanging = Vec::new();
    for _ in 0..HANGING {
        hanging.push(Receiver::behaving(|_, _| Answer::Hang).await);
    }
    let server = patient().await;
    healthy_ones_get_all(&server, &hanging).await;
    for hanging in &hanging {
        assert!(hanging.received().len() <= 1);
    }
}

#[tokio::test]
async fn twenty_hosts_that_answered_once_and_never_again_leave_the_others_alone() {
    let mut hanging = Vec::new();
    for _ in 0..HANGING {
        hanging.push(
            Receiver::behaving(|_, earlier| match earlier {
                0 => Answer::Status(200),
                _ => Answer::Hang,
            })
            .await,
        );
    }
    let server = patient().await;
    let batch: Vec<Value> = hanging.iter().map(to).collect();
    server.post_json("/runs/batch", &json!(batch)).await;
    eventually("an answer of each", async || {
        let delivered = server.get_json("/webhooks/deliveries?status=delivered&limit=1000");
        let delivered = delivered.await.as_array().map(Vec::len);
        (delivered == Some(HANGING)).then_some(())
    })
    .await;
    // From now on each may have four of the 64 slots.
    healthy_ones_get_all(&server, &hanging).await;
}

/// A run that waits behind one that is held, and is told of once.
async fn waiting_behind(server: &Server, thread: &str, webhook: String) -> Value {
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": webhook});
    server.create_run(thread, &body).await
}

#[tokio::test]
async fn a_run_that_is_cancelled_before_it_began_is_one_delivery_too() {
    let (gate, receiver) = (Gate::closed().await, reluctant().await);
    let server = setup(gate.setup(&["two"])).start().await;
    let mut outcomes = Vec::new();
    for (action, status) in [("interrupt", "interrupted"), ("rollback", "rollback")] {
        let (thread, held) = (server.new_thread().await, gate.held());
        server.create_run(&thread, &gate.run()).await;
        gate.holds(held + 3).await;
        let url = receiver.url(&format!("/{action}"));
        let waiting = waiting_behind(&server, &thread, url).await;
        let path = format!(
            "/threads/{thread}/runs/{}/cancel?action={action}",
            text(&waiting["run_id"])
        );
        assert_eq!(server.post(&path, &json!({})).await.status(), 202);
        // The next one pushes aside the one before it.
        let url = receiver.url(&format!("/superseded/{action}"));
        waiting_behind(&server, &thread, url).await;
        let mut next = gate.run();
        next["multitask_strategy"] = json!(action);
        server.create_run(&thread, &next).await;
        outcomes.push((format!("/{action}"), status));
        outcomes.push((format!("/superseded/{action}"), status));
    }
    let outcomes: Vec<(&str, &str)> = outcomes
        .iter()
        .map(|(path, status)| (path.as_str(), *status))
        .collect();
    each_was_delivered_once(&server, &receiver, &outcomes).await;
    for received in receiver.received() {
        let run = received.json();
        assert_eq!(
            (&run["values"], &run["run_started_at"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(run["kwargs"]["input"], json!({"foo": "x"}));
        let kind = match received.path.ends_with("interrupt") {
            true => "UserInterrupt",
            false => "UserRollback",
        };
        assert_eq!(run["error"]["error"], kind, "{}", received.path);
    }
    let metrics = server.get("/metrics").await.text().await.expect("text");
    // Those that were pushed aside while they were held end in their own time.
    let ended = metrics
        .lines()
        .find_map(|line| line.strip_prefix("selvedge_runs_ended_total{status=\"interrupted\"} "))
        .expect("a sample");
    assert!(ended.parse::<u32>().expect("a number") >= 4, "{metrics}");
}
