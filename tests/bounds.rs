//! Nothing is unbounded (invariant 4): what is beyond a bound is refused, ended or made to wait, as the key says.
//!
//! The bounds of one task are in `sandbox`, those of bodies in `faults`, those of deliveries in `webhooks`, those of a
//! webhook's URL in `webhook_policy`.

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::model::{Model, Reply};
use crate::support::raw::{connect, connect_from, rest_of};
use crate::support::server::detail_of;
use crate::support::wait::PATIENCE;
use crate::support::{Gate, Receiver, Setup, eventually, graphs};

fn two() -> Value {
    json!({"assistant_id": "two", "input": {"foo": "x"}})
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_until_one_is_closed() {
    let server = Setup::probes(&["two"])
        .set("http.max_connections", 2)
        .start()
        .await;
    let ask = b"GET /ok HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut first = [0; 12];
    // The client of the tests keeps a connection of its own; this is the second.
    let mut held = connect(&server).await;
    held.write_all(ask).await.expect("a request");
    held.read_exact(&mut first).await.expect("an answer");

    let mut third = connect(&server).await;
    third.write_all(ask).await.expect("a request");
    assert_eq!(server.get("/ok").await.status(), 200);
    let nothing = third.try_read(&mut first).expect_err("no answer yet");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    drop(held);
    let answer = tokio::time::timeout(PATIENCE, third.read_exact(&mut first)).await;
    answer.expect("in time").expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
}

#[tokio::test]
async fn connections_beyond_the_bound_of_an_address_are_closed_and_others_are_let_in() {
    let server = Setup::probes(&["two"])
        .set("http.max_connections_per_address", 2)
        .start()
        .await;
    let ask = b"GET /ok HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let own = Ipv4Addr::new(127, 0, 0, 2);
    let asked = async || {
        let mut connection = connect_from(own, &server).await;
        let _ = connection.write_all(ask).await;
        let mut first = [0; 12];
        let answer = tokio::time::timeout(PATIENCE, connection.read_exact(&mut first)).await;
        let is_answered = answer.expect("in time").is_ok();
        assert!(!is_answered || &first == b"HTTP/1.1 200");
        is_answered.then_some(connection)
    };
    let (first, second) = (asked().await, asked().await);
    assert!(first.is_some() && second.is_some());
    assert!(asked().await.is_none());
    assert_eq!(server.get("/ok").await.status(), 200);
    let metrics = server.get("/metrics").await.text().await.expect("text");
    let count = "selvedge_http_connections_refused_total 1\n";
    assert!(metrics.contains(count), "{metrics}");
    drop(first);
    eventually("room for a connection", asked).await;
}

#[tokio::test]
async fn connections_leave_files_for_everything_else_where_the_system_has_few() {
    let receiver = Receiver::start().await;
    let server = Setup::probes(&["two"]).max_files(256).start().await;
    let log = server.log();
    assert!(
        log.contains("lets this process open 256 files, so that it takes 128 connections"),
        "{log}"
    );
    let mut early = connect(&server).await;
    let ask = b"GET /ok HTTP/1.1\r\nhost: localhost\r\n\r\n";
    early.write_all(ask).await.expect("a request");
    let mut answer = [0; 12];
    early.read_exact(&mut answer).await.expect("an answer");
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(connect(&server).await);
    }
    let run = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": receiver.url("/")});
    let run = run.to_string();
    let request = format!(
        "POST /runs/wait HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{run}",
        run.len()
    );
    early.write_all(request.as_bytes()).await.expect("a run");
    let answers = String::from_utf8(rest_of(early).await).expect("text");
    assert!(answers.contains("\"foo\":\"xab\""), "{answers}");
    assert_eq!(receiver.wait_for(1).await[0].json()["status"], "success");
    let log = server.log();
    assert!(!log.contains("could not be accepted"), "{log}");
    drop(crowd);
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_refused() {
    let server = Setup::probes(&["two"])
        .set("http.max_header_bytes", 8_192)
        .start()
        .await;
    let mut large = connect(&server).await;
    let head = format!(
        "GET /ok HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    // The server may close before it has read all.
    let _ = large.write_all(head.as_bytes()).await;
    let answer = String::from_utf8(rest_of(large).await).expect("text");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert_eq!(server.get("/ok").await.status(), 200);
}

#[tokio::test]
async fn runs_beyond_the_bound_wait_and_beyond_the_next_are_refused_with_503() {
    let gate = Gate::closed().await;
    let server = gate
        .setup(&["two"])
        .set("runtime.max_running_runs", 1)
        .set("runtime.max_pending_runs", 2)
        .start()
        .await;
    let mut runs = Vec::new();
    for body in [gate.run(), two(), two()] {
        let thread = server.new_thread().await;
        runs.push(server.create_run(&thread, &body).await);
    }
    gate.holds(3).await;
    let thread = server.new_thread().await;
    let refused = server
        .post(&format!("/threads/{thread}/runs"), &two())
        .await;
    assert!(refused.headers().contains_key("retry-after"));
    let detail = detail_of(refused, 503).await;
    assert!(detail.contains("Too many runs are pending (2)"), "{detail}");
    for (run, status) in runs.iter().zip(["running", "pending", "pending"]) {
        let path = format!("/threads/{}/runs/{}", run["thread_id"], run["run_id"]);
        let run = server.get_json(&path.replace('"', "")).await;
        assert_eq!(run["status"], status);
    }
    gate.open();
    for run in &runs {
        assert_eq!(server.ended_run(run).await["status"], "success");
    }
}

#[tokio::test]
async fn a_run_has_no_more_tasks_at_once_than_the_bound() {
    let gate = Gate::closed().await;
    let server = gate
        .setup(&["two"])
        .set("runtime.max_parallel_tasks", 2)
        .start()
        .await;
    let thread = server.new_thread().await;
    let run = server.create_run(&thread, &gate.run()).await;
    gate.holds(2).await;
    // A third task would have come while another run went its whole way.
    server.post_json("/runs/wait", &two()).await;
    assert_eq!(gate.held(), 2);
    gate.open();
    assert_eq!(server.ended_run(&run).await["status"], "success");
}

#[tokio::test]
async fn a_run_that_takes_too_long_ends_with_the_status_timeout() {
    let gate = Gate::closed().await;
    let setup = gate.setup(&["two"]).set("runtime.run_timeout_secs", 1);
    let server = setup.start().await;
    let thread = server.new_thread().await;
    let run = server.create_run(&thread, &gate.run()).await;
    assert_eq!(server.ended_run(&run).await["status"], "timeout");
    assert_eq!(server.wait(&thread, &two()).await["foo"], "xab");
}

/// A service that answers with so many bytes, and a server whose graph `excess` may call it.
async fn with_service(answer_bytes: usize) -> (String, Setup) {
    let answer = move |_: &_, _| Reply::pieces(["x".repeat(answer_bytes)]);
    let service = Model::behaving(answer).await;
    let egress = json!({
        "allowed_networks": ["127.0.0.0/8"], "require_https": false, "allowed_ports": [service.address.port()],
        "max_response_bytes": 10_000,
    });
    let setup = Setup::probes(&["excess"]).set("egress", egress);
    (format!("http://{}/", service.address), setup)
}

#[tokio::test]
async fn an_answer_to_a_graph_ends_at_the_bound() {
    for (bytes, answered) in [(10_000, 1), (10_001, 0)] {
        let (url, setup) = with_service(bytes).await;
        let server = setup.start().await;
        let body = json!({"assistant_id": "excess", "input": {"calls": 1, "url": url}});
        let values = server.post_json("/runs/wait", &body).await;
        assert_eq!(values["answered"], answered, "{values}");
    }
}

#[test]
fn a_component_beyond_the_bound_stops_the_start() {
    let setup = Setup::with_graphs(json!({"probe": graphs::probe()}));
    let setup = setup.set("sandbox.max_component_bytes", 1_000);
    let (code, log) = (setup.exit_code(), setup.log());
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("sandbox.max_component_bytes"), "{log}");
}

#[tokio::test]
async fn the_tasks_of_a_step_make_and_write_no_more_together_than_the_bounds() {
    for (key, graph, within, beyond, kind) in [
        (
            "runtime.max_step_sends",
            "excess",
            json!({"sends": 1_000}),
            json!({"sends": 1_001}),
            "StepSendLimitExceeded",
        ),
        (
            "runtime.max_step_bytes",
            "big",
            json!({"bytes": 900}),
            json!({"bytes": 1_001}),
            "StepOutputLimitExceeded",
        ),
    ] {
        let setup = Setup::probes(&["two", graph]).set(key, 1_000);
        let server = setup.start().await;
        let body = |input: &Value| json!({"assistant_id": graph, "input": input});
        let outcome = server.post_json("/runs/wait", &body(&within)).await;
        assert!(outcome.get("__error__").is_none(), "{outcome}");
        let outcome = server.post_json("/runs/wait", &body(&beyond)).await;
        let error = &outcome["__error__"];
        assert_eq!(error["error"], kind, "{outcome}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(key), "{message}");
        assert_eq!(server.post_json("/runs/wait", &two()).await["foo"], "xab");
    }
}
