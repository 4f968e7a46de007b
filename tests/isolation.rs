//! A guest reaches nothing that it was not given, and finds nothing of those before it: the half of invariant 5 that
//! `sandbox` does not hold.

use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::server::text;
use crate::support::{Server, Setup};

fn run(graph: &str, input: Value) -> Value {
    json!({"assistant_id": graph, "input": input})
}

#[tokio::test]
async fn files_sockets_processes_and_the_hosts_environment_are_out_of_reach() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let datagrams = UdpSocket::bind(address).expect("the same port");
    listener.set_nonblocking(true).expect("a listener");
    datagrams.set_nonblocking(true).expect("a socket");
    let server = Setup::probes(&["reach", "two"]).start().await;
    let secret = server.setup.data_dir().join("secret");
    std::fs::write(&secret, "not for guests").expect("a file");

    let input = json!({"address": address, "path": secret});
    let values = server.post_json("/runs/wait", &run("reach", input)).await;
    let attempts = values["attempts"].as_object().expect("attempts");
    assert_eq!(attempts.len(), 22, "{values}");
    for (name, outcome) in attempts {
        assert!(text(outcome).starts_with("refused: "), "{name}: {outcome}");
    }
    let came = [
        listener.accept().map(|_| ()),
        datagrams.recv(&mut [0]).map(|_| ()),
    ];
    for came in came {
        let error = came.expect_err("nobody came");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    let kept = std::fs::read_to_string(&secret).expect("a file");
    assert_eq!(kept, "not for guests");
    let after = server
        .post_json("/runs/wait", &run("two", json!({"foo": "x"})))
        .await;
    assert_eq!(after["foo"], "xab");
}

#[tokio::test]
async fn a_guest_gets_nothing_of_the_hosts_that_it_could_use_up() {
    let server = Setup::probes(&["hoard", "two"]).start().await;
    let sockets = server
        .post_json("/runs/wait", &run("hoard", json!({})))
        .await;
    assert_eq!(sockets["sockets"], 0, "{sockets}");
    let timers = run("hoard", json!({"timers": 100_000}));
    let timers = server.post_json("/runs/wait", &timers).await;
    let error = &timers["__error__"];
    assert_eq!(error["error"], "HandleLimitExceeded", "{timers}");
    assert!(text(&error["message"]).contains("sandbox.handles"));
    let after = server
        .post_json("/runs/wait", &run("two", json!({"foo": "x"})))
        .await;
    assert_eq!(after["foo"], "xab");
}

#[tokio::test]
async fn a_guest_that_asks_for_the_end_of_the_process_ends_its_own_task() {
    let mut server = Setup::probes(&["exit", "two"]).start().await;
    let outcome = server
        .post_json("/runs/wait", &run("exit", json!({})))
        .await;
    assert_eq!(outcome["__error__"]["error"], "GuestTrapped");
    let after = server
        .post_json("/runs/wait", &run("two", json!({"foo": "x"})))
        .await;
    assert_eq!(after["foo"], "xab");
    assert_eq!(server.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn every_task_begins_with_the_memory_of_a_fresh_instance() {
    const RUNS: usize = 100;
    let server = Setup::probes(&["memory"]).start().await;
    let run = run("memory", json!({}));
    let runs = (0..RUNS).map(|_| server.post_json("/runs/wait", &run));
    for values in join_all(runs).await {
        // One call in each of the two nodes: they are two tasks.
        assert_eq!(values["calls"], json!([1, 1]));
    }
}

/// A secret, each byte with its bits turned as the probe wants it.
fn masked_secret() -> Vec<u8> {
    [Uuid::new_v4(), Uuid::new_v4()]
        .iter()
        .flat_map(|id| *id.as_bytes())
        .collect()
}

async fn found(server: &Server, input: Value) -> u64 {
    let values = server.post_json("/runs/wait", &run("memory", input)).await;
    values["found"]
        .as_u64()
        .unwrap_or_else(|| panic!("{values}"))
}

#[tokio::test]
async fn what_a_run_leaves_in_memory_is_not_there_for_the_next_one_in_the_same_slot() {
    let server = Setup::probes(&["memory"])
        .set("sandbox.max_instances", 1)
        .start()
        .await;
    for _ in 0..3 {
        let secret = masked_secret();
        let kept = found(&server, json!({"keep": secret, "look_for": secret})).await;
        assert!(
            kept >= 100_000,
            "the probe finds what it has kept itself: {kept}"
        );
        assert_eq!(found(&server, json!({"look_for": secret})).await, 0);
    }
}
