//! What users of such servers complain about, and that it is not true here.
//!
//! | complaint | shown by |
//! |---|---|
//! | a run is marked running that no worker has | [`no_run_stays_running_that_nobody_executes`]; `crashes` |
//! | a thread is busy for ever after the attempts are used up | [`a_thread_is_free_once_the_attempts_of_its_run_are_used_up`] |
//! | a stale worker overwrites a recovered run | `fences` of the storage's conformance suite: a claim ends with the next one; `lifecycle`: no second process gets the data directory |
//! | a cancel is overwritten by a success | `cancel::a_cancel_that_was_accepted_is_never_overwritten_by_a_success` |
//! | streamed text is lost when a run is cancelled | [`what_was_streamed_is_not_lost_when_the_run_is_cancelled`] |
//! | `multitask_strategy` is ignored by `wait` | `multitask`, which tries each way to create a run |
//! | who joins a stream misses events of subgraphs | [`whoever_joins_sees_what_the_creator_sees`]; `nested`: graphs inside a graph show what they do in the same stream |
//! | a reconnected stream begins anew | `resumable::a_resumable_stream_is_replayed_from_the_start_and_after_any_event` |
//! | silent streams are cut by proxies | [`silent_streams_show_that_they_are_alive`] |
//! | interrupts are missing from the thread | [`what_a_thread_waits_for_is_in_every_view_of_it`] |
//! | one busy graph stalls everyone | [`runs_that_wait_on_one_thread_do_not_stall_others`]; `sandbox`: a graph that loops for ever delays nobody |
//! | tables of checkpoints grow without bound | [`a_long_thread_grows_by_what_is_new`]; `thread_changes`: lifetimes and pruning |
//! | a webhook that a stricter rule refuses fails at the end of the run | [`a_refused_webhook_is_refused_before_anything_runs`] |
//! | webhooks that fail stop the worker | [`webhooks_that_nobody_takes_do_not_stop_runs`] |

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::server::{json_of, text};
use crate::support::sse::{self, Events};
use crate::support::{Gate, Server, Setup, eventually};

fn two() -> Value {
    json!({"assistant_id": "two", "input": {"foo": "x"}})
}

async fn thread_of(server: &Server, run: &Value) -> Value {
    server
        .get_json(&format!("/threads/{}", text(&run["thread_id"])))
        .await
}

#[tokio::test]
async fn no_run_stays_running_that_nobody_executes() {
    let gate = Gate::closed().await;
    let mut server = gate.setup(&["two"]).start().await;
    let thread = server.new_thread().await;
    let run = server.create_run(&thread, &gate.run()).await;
    let queued = server.create_run(&thread, &two()).await;
    gate.holds(3).await;
    server.kill();
    gate.open();
    server.restart().await;
    for run in [&run, &queued] {
        assert_eq!(server.ended_run(run).await["status"], "success");
    }
    assert_eq!(thread_of(&server, &run).await["status"], "idle");
    for status in ["running", "pending"] {
        let left = format!("/threads/{thread}/runs?status={status}");
        assert_eq!(server.get_json(&left).await, json!([]));
    }
}

#[tokio::test]
async fn a_thread_is_free_once_the_attempts_of_its_run_are_used_up() {
    let gate = Gate::closed().await;
    let setup = gate.setup(&["two"]).set("runtime.max_attempts", 2);
    let mut server = setup.start().await;
    let thread = server.new_thread().await;
    let run = server.create_run(&thread, &gate.run()).await;
    for attempt in 1..=2 {
        gate.holds(3 * attempt).await;
        server.kill();
        server.restart().await;
    }
    assert_eq!(server.ended_run(&run).await["status"], "error");
    let left = thread_of(&server, &run).await;
    assert_eq!(left["status"], "error");
    let message = text(&left["error"]["message"]);
    assert!(message.contains("max attempts (2)"), "{message}");
    assert_eq!(gate.held(), 6);
    let mut next = two();
    next["multitask_strategy"] = json!("reject");
    assert_eq!(server.wait(&thread, &next).await["foo"], "xab");
    assert_eq!(thread_of(&server, &run).await["status"], "idle");
}

#[tokio::test]
async fn what_was_streamed_is_not_lost_when_the_run_is_cancelled() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    for (n, durability) in ["async", "sync", "exit"].into_iter().enumerate() {
        let thread = server.new_thread().await;
        let mut body = gate.run();
        body["stream_mode"] = json!(["tasks", "values"]);
        body["stream_resumable"] = json!(true);
        body["durability"] = json!(durability);
        let path = format!("/threads/{thread}/runs/stream");
        let mut live = Events::of(server.post(&path, &body).await);
        let mut seen = vec![live.next().await.expect("metadata")];
        let run = format!("/threads/{thread}/runs/{}", text(&seen[0].data["run_id"]));
        gate.holds(3 * (n + 1)).await;
        let cancel = format!("{run}/cancel?wait=1");
        server.post_json(&cancel, &json!({})).await;
        while let Some(event) = live.next().await {
            seen.push(event);
        }
        // The state before the nodes, and that three tasks began.
        assert_eq!(seen.len(), 5, "{durability}: {seen:?}");
        let replayed = server.get_after(&format!("{run}/stream"), "0").await;
        let replayed = sse::events(replayed).await;
        assert_eq!(replayed, seen, "{durability}");
        let state = server.state(&thread).await;
        assert_eq!(state["values"]["counter"], gate.url(), "{durability}");
    }
}

#[tokio::test]
async fn whoever_joins_sees_what_the_creator_sees() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let thread = server.new_thread().await;
    // Both streams are open before the run begins.
    let before = server.create_run(&thread, &gate.run()).await;
    gate.holds(3).await;
    let mut body = gate.run();
    body["stream_mode"] = json!([
        "values",
        "updates",
        "tasks",
        "checkpoints",
        "debug",
        "events"
    ]);
    body["stream_subgraphs"] = json!(true);
    let path = format!("/threads/{thread}/runs/stream");
    let created = server.post(&path, &body).await;
    let location = created.headers()["location"].to_str().expect("text");
    let joined = server.get(location).await;
    gate.open();
    server.ended_run(&before).await;
    let (created, joined) = tokio::join!(sse::events(created), sse::events(joined));
    assert!(created.len() > 20, "{created:?}");
    assert_eq!(joined, created);
}

/// A sign of life every 5 s meets it on a slow machine too, and one a minute does not.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn silent_streams_show_that_they_are_alive() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let post = async |way: &str| {
        let thread = server.new_thread().await;
        let path = format!("/threads/{thread}/runs/{way}");
        (thread, server.post(&path, &gate.run()).await)
    };
    let (thread, streamed) = post("stream").await;
    let (_, waited) = post("wait").await;
    let watched = server.get(&format!("/threads/{thread}/stream")).await;
    let streamed = arrives(streamed, ": heartbeat\r\n\r\n");
    let watched = arrives(watched, ": heartbeat\r\n\r\n");
    let waited = arrives(waited, "\n");
    let all = async { tokio::join!(streamed, watched, waited) };
    let all = tokio::time::timeout(SIGN_OF_LIFE, all).await;
    all.expect("a sign of life on each stream");
}

/// Reads an answer until it has this.
async fn arrives(mut response: reqwest::Response, wanted: &str) {
    let mut text = String::new();
    while !text.contains(wanted) {
        let piece = response.chunk().await.expect("an open connection");
        let piece = piece.unwrap_or_else(|| panic!("it ended: {text}"));
        text.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
    }
}

#[tokio::test]
async fn what_a_thread_waits_for_is_in_every_view_of_it() {
    let server = Setup::probes(&["hitl"]).start().await;
    let thread = server.new_thread().await;
    let body = json!({"assistant_id": "hitl", "input": {}});
    let shown = server.wait(&thread, &body).await["__interrupt__"].clone();
    let state = server.state(&thread).await;
    let asked = state["interrupts"].clone();
    assert_eq!(asked[0]["id"], shown[0]["id"]);
    assert_eq!(asked[0]["value"], shown[0]["value"]);
    let by_task = json!({text(&state["tasks"][0]["id"]): asked});
    let thread = server.get_json(&format!("/threads/{thread}")).await;
    assert_eq!(thread["interrupts"], by_task);
    let found = json!({"status": "interrupted", "select": ["interrupts"]});
    let found = server.post_json("/threads/search", &found).await;
    assert_eq!(found, json!([{"interrupts": by_task}]));
    let path = format!("/threads/{}/history", text(&thread["thread_id"]));
    let history = server.get_json(&path).await;
    assert_eq!(history[0]["tasks"][0]["interrupts"], asked);
}

#[tokio::test]
async fn runs_that_wait_on_one_thread_do_not_stall_others() {
    let gate = Gate::closed().await;
    let server = gate
        .setup(&["two"])
        .set("runtime.max_running_runs", 2)
        .start()
        .await;
    let busy = server.new_thread().await;
    let running = server.create_run(&busy, &gate.run()).await;
    gate.holds(3).await;
    let mut queued = Vec::new();
    for _ in 0..20 {
        queued.push(server.create_run(&busy, &two()).await);
    }
    let elsewhere = server.new_thread().await;
    assert_eq!(server.wait(&elsewhere, &two()).await["foo"], "xab");
    let still = format!("/threads/{busy}/runs?status=running");
    assert_eq!(
        server.get_json(&still).await[0]["run_id"],
        running["run_id"]
    );
    gate.open();
    for run in &queued {
        assert_eq!(server.ended_run(run).await["status"], "success");
    }
}

#[tokio::test]
async fn a_long_thread_grows_by_what_is_new() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let mut body = two();
    body["input"]["log"] = json!(["x".repeat(1_000)]);
    let mut sizes = Vec::new();
    for _ in 0..3 {
        for _ in 0..20 {
            server.wait(&thread, &body).await;
        }
        let usage = server.get_json(&format!("/threads/{thread}/storage")).await;
        sizes.push(usage["total_bytes"].as_u64().expect("a number"));
    }
    // Stored whole in each checkpoint, the list would weigh 20 * 80 * 1000 bytes after the first twenty runs, and five
    // times as much would be added in the last twenty as in the first.
    let (first, last) = (sizes[0], sizes[2] - sizes[1]);
    assert!(last < 2 * first, "{sizes:?}");
}

#[tokio::test]
async fn a_refused_webhook_is_refused_before_anything_runs() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let mut body = two();
    body["webhook"] = json!("http://169.254.169.254/latest");
    for way in ["", "/wait", "/stream"] {
        for path in [
            format!("/threads/{thread}/runs{way}"),
            format!("/runs{way}"),
        ] {
            server.refused(&path, &body, 422).await;
        }
    }
    let runs = server.get_json(&format!("/threads/{thread}/runs")).await;
    assert_eq!(runs, json!([]));
    let thread = server.get_json(&format!("/threads/{thread}")).await;
    assert_eq!(thread["status"], "idle");
}

#[tokio::test]
async fn webhooks_that_nobody_takes_do_not_stop_runs() {
    let server = Setup::probes(&["two"])
        .set("webhooks.retry", json!({"schedule_secs": [0, 3_600]}))
        .start()
        .await;
    // Bound and not listening: connections are refused.
    let reserved = TcpSocket::new_v4().expect("a socket");
    let any_port = "127.0.0.1:0".parse().expect("an address");
    reserved.bind(any_port).expect("a port");
    let nobody = reserved.local_addr().expect("its address");
    let mut body = two();
    body["webhook"] = json!(format!("http://{nobody}/"));
    body["on_completion"] = json!("keep");
    let mut runs = Vec::new();
    for _ in 0..15 {
        let response = server.post("/runs", &body).await;
        runs.push(json_of(response, reqwest::StatusCode::OK).await);
    }
    for run in &runs {
        assert_eq!(server.ended_run(run).await["status"], "success");
    }
    // After a few failures in a row the host is left alone for a while, and every delivery waits for its next attempt.
    eventually("some attempts", async || {
        let mut tried = 0;
        for run in &runs {
            let path = format!("/runs/{}/deliveries", text(&run["run_id"]));
            let deliveries = server.get_json(&path).await;
            assert_eq!(deliveries[0]["status"], "pending");
            tried += usize::from(deliveries[0]["attempt_count"] == 1);
        }
        (tried >= 5).then_some(())
    })
    .await;
    assert_eq!(server.post_json("/runs/wait", &two()).await["foo"], "xab");
}
