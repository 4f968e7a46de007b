//! A disk that is full or read-only: new work is refused in so many words, and nothing that was accepted is lost.

use serde_json::{Value, json};

use crate::support::server::{detail_of, text};
use crate::support::{Disk, Gate, Receiver, Server, Setup};

/// What the disk holds, and what of it something else takes up until there is room again.
const DISK_KIB: u64 = 64 << 10;
const BALLAST_BYTES: usize = 60 << 20;

/// Sends the same run again and again until it is refused: the runs that were accepted, and the refusal.
async fn until_refused(
    server: &Server,
    path: &str,
    body: &Value,
) -> (Vec<Value>, reqwest::Response) {
    let mut accepted = Vec::new();
    loop {
        let response = server.post(path, body).await;
        if response.status() != 200 {
            return (accepted, response);
        }
        accepted.push(response.json().await.expect("a run"));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_new_runs_with_507_and_loses_none_that_was_accepted() {
    let (gate, receiver) = (Gate::closed().await, Receiver::start().await);
    let setup = gate.setup(&["big"]).on(Disk::OfKib(DISK_KIB));
    let server = setup.start().await;
    let thread = server.new_thread().await;
    let mut held = gate.run();
    held["webhook"] = json!(receiver.url("/held"));
    let held = server.create_run(&thread, &held).await;
    gate.holds(3).await;

    // The runs wait behind the one that is held: what they take is what they were given.
    let ballast = server.on_its_disk("ballast");
    std::fs::write(&ballast, vec![1; BALLAST_BYTES]).expect("a file as large as most of the disk");
    let runs = format!("/threads/{thread}/runs");
    let run = |bytes: usize| json!({"assistant_id": "big", "input": {"data": "x".repeat(bytes)}, "webhook": receiver.url("/waited")});
    let (mut accepted, _) = until_refused(&server, &runs, &run(100_000)).await;
    let (small, refusal) = until_refused(&server, &runs, &run(0)).await;
    accepted.extend(small);
    assert!(accepted.len() > 1, "{accepted:?}");
    let detail = detail_of(refusal, 507).await;
    assert!(
        detail.contains("disk is full") && detail.contains("Nothing was stored"),
        "{detail}"
    );
    // What is there can be read, and what ends meanwhile waits for room.
    assert_eq!(server.get("/ok?check_db=1").await.status(), 200);
    assert_eq!(
        server.get_json(&format!("/threads/{thread}")).await["status"],
        "busy"
    );
    gate.open();

    std::fs::remove_file(&ballast).expect("room");
    for run in accepted.iter().chain([&held]) {
        let ended = server.ended_run(run).await;
        assert_eq!(ended["status"], "success", "{}", server.log());
    }
    let listed = server.get_json(&format!("{runs}?limit=1000")).await;
    let listed = listed.as_array().expect("runs").len();
    assert_eq!(listed, accepted.len() + 1, "a refused run leaves nothing");
    receiver.wait_for(accepted.len() + 1).await;
    server.wait(&thread, &run(0)).await;
}

#[test]
fn a_disk_that_is_full_from_the_first_stops_the_start() {
    let setup = Setup::probes(&["two"]).on(Disk::OfKib(8));
    let (code, log) = (setup.exit_code(), setup.log());
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("is full") && log.contains("make room"),
        "{log}"
    );
}

#[tokio::test]
async fn a_read_only_data_directory_stops_the_start_and_is_left_as_it_was() {
    let mut server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    server
        .wait(
            &thread,
            &json!({"assistant_id": "two", "input": {"foo": "x"}}),
        )
        .await;
    assert_eq!(server.terminate().await.code(), Some(0));

    server.setup.disk = Some(Disk::ReadOnly);
    let (code, log) = (server.setup.exit_code(), server.setup.log());
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("is read-only") && log.contains("--data-dir"),
        "{log}"
    );

    server.setup.disk = None;
    server.restart().await;
    assert_eq!(text(&server.state(&thread).await["values"]["foo"]), "xab");
}
