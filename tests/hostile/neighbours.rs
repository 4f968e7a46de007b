//! What a guest does with the host's own means: it waits, it asks for much, it makes others wait. Its neighbours go on.

use std::time::Instant;

use serde_json::{Value, json};

use super::{counts, error_of, run};
use crate::support::dns::Reply;
use crate::support::wait::PATIENCE;
use crate::support::{Dns, Say, Server, Setup, Wire, eventually};

/// A run of `graph` ends by the bound of this key, which is counted once; a neighbour's run succeeds before and after.
async fn is_ended_by(server: &Server, graph: &str, input: Value, kind: &str, limit: &str) {
    let before = counts(server).await;
    let (error, ()) = tokio::join!(error_of(server, graph, input), two_succeeds(server));
    assert_eq!(error.0, kind, "{graph}: {}", error.1);
    for ((key, before), (_, after)) in before.iter().zip(counts(server).await) {
        assert_eq!(after - before, u64::from(key == limit), "{graph}: {key}");
    }
    two_succeeds(server).await;
}

async fn two_succeeds(server: &Server) {
    let outcome = server
        .post_json("/runs/wait", &run("two", json!({"foo": "x"})))
        .await;
    assert_eq!(outcome["foo"], "xab", "{outcome}");
}

#[tokio::test]
async fn whoever_waits_without_end_is_ended_by_the_wall_clock() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
    let dripping = Wire::saying(move |_, _| vec![Say::text(head), Say::Slowly("x")]).await;
    let silent = Wire::saying(|_, _| vec![Say::Nothing]).await;
    let ports = [dripping.address.port(), silent.address.port()];
    let server = Setup::probes(&["slow", "excess", "two"])
        .set(
            "egress",
            json!({"allowed_networks": ["127.0.0.0/8"], "require_https": false, "allowed_ports": ports}),
        )
        .set("sandbox.wall_secs", 1)
        .start()
        .await;
    let calling = |wire: &Wire| json!({"calls": 1, "url": wire.url("/")});
    for (graph, input) in [
        ("slow", json!({"ms": 3_600_000})),
        ("excess", calling(&dripping)),
        ("excess", calling(&silent)),
    ] {
        is_ended_by(&server, graph, input, "WallClockExceeded", "wall_secs").await;
    }
}

#[tokio::test]
async fn whoever_uses_up_what_the_host_keeps_for_it_is_ended() {
    let server = Setup::probes(&["excess", "hoard", "storing", "two"])
        .set("sandbox.http_calls", 5)
        .set("sandbox.store_calls", 5)
        .set("sandbox.store_bytes", 10_000)
        .start()
        .await;
    let put = |bytes: usize| json!({"put": [["a"], "k", {"v": "x".repeat(bytes)}]});
    let nobody = "https://nobody.invalid/";
    for (graph, input, kind, limit) in [
        (
            "excess",
            json!({"calls": 6, "url": nobody}),
            "HttpCallLimitExceeded",
            "http_calls",
        ),
        (
            "hoard",
            json!({"timers": 100_000}),
            "HandleLimitExceeded",
            "handles",
        ),
        (
            "storing",
            json!({"calls": vec![put(1); 6]}),
            "StoreCallLimitExceeded",
            "store_calls",
        ),
        (
            "storing",
            json!({"calls": [put(4_000), put(4_000), put(4_000)]}),
            "StoreByteLimitExceeded",
            "store_bytes",
        ),
    ] {
        is_ended_by(&server, graph, input, kind, limit).await;
    }
}

#[tokio::test]
async fn the_runs_of_others_end_long_before_one_of_ten_thousand_sends() {
    const SENDS: usize = 10_000;
    const RUNS: usize = 20;
    let server = Setup::probes(&["excess", "two"])
        .set("sandbox.max_instances", 8)
        .start()
        .await;
    let thread = server.new_thread().await;
    let sending = run("excess", json!({"sends": SENDS}));
    let sending = server.create_run(&thread, &sending).await;
    for _ in 0..RUNS {
        two_succeeds(&server).await;
    }
    let path = format!(
        "/threads/{thread}/runs/{}",
        crate::support::server::text(&sending["run_id"])
    );
    assert_eq!(server.get_json(&path).await["status"], "running");
    // So many tasks take the test profile longer than other tests wait.
    let begun = Instant::now();
    let ended = loop {
        let run = server.get_json(&path).await;
        if run["status"] != "running" {
            break run;
        }
        assert!(begun.elapsed() < 4 * PATIENCE, "it goes on");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(ended["status"], "success");
    let values = server.state(&thread).await;
    let leaves = values["values"]["leaves"].as_array().expect("leaves");
    assert_eq!(leaves.len(), SENDS);
}

#[tokio::test]
async fn a_receiver_that_never_answers_under_many_names_keeps_no_known_receiver_waiting() {
    const NAMES: usize = 100;
    let dns = Dns::saying(|_, _| Reply::addresses(&["127.66.0.1"])).await;
    let silent = Wire::at([127, 66, 0, 1].into(), |_, _| vec![Say::Nothing]).await;
    let prompt = crate::support::Receiver::start().await;
    let server = Setup::probes(&["two"])
        .asking(&dns)
        .set(
            "webhooks",
            json!({
                "url": {"require_https": false, "disable_loopback": false, "allowed_networks": ["127.0.0.0/8"]},
                "max_concurrent": 8, "timeout_secs": 600,
            }),
        )
        .start()
        .await;
    let told = async |url: String| {
        let mut body = run("two", json!({"foo": "x"}));
        body["webhook"] = json!(url);
        server.post_json("/runs/wait", &body).await;
    };
    // Of a receiver that nothing is known of half of the attempts may be, so this one is to be known.
    told(prompt.url("/")).await;
    prompt.wait_for(1).await;
    let port = silent.address.port();
    for n in 0..NAMES {
        told(format!("http://n{n}.slow.example.org:{port}/")).await;
    }
    eventually("attempts that nobody answers", async || {
        (!silent.requests().is_empty()).then_some(())
    })
    .await;
    told(prompt.url("/")).await;
    prompt.wait_for(2).await;
    let silent = silent.requests().len();
    assert!(
        silent <= 4,
        "{silent} of 8 attempts at a receiver that nothing is known of"
    );
}
