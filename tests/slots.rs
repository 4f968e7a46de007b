//! More tasks than instances may live at once: they take turns, in order, and nobody holds the others up for ever.

use std::sync::{Arc, OnceLock};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use crate::support::model::{Model, Reply};
use crate::support::{Gate, Server, Setup, eventually};

const SLOTS: u64 = 2;

fn two() -> Value {
    json!({"assistant_id": "two", "input": {"foo": "x"}})
}

fn fan(width: u64) -> Value {
    json!({"assistant_id": "fan", "input": {"width": width}})
}

#[tokio::test]
async fn runs_with_more_tasks_than_slots_all_end_with_their_results_in_order() {
    const WIDTH: u64 = 64;
    const RUNS: usize = 6;
    let server = Setup::probes(&["fan", "two"])
        .set("sandbox.max_instances", SLOTS)
        .start()
        .await;
    let fan = fan(WIDTH);
    let fans = join_all((0..RUNS).map(|_| server.post_json("/runs/wait", &fan)));
    let two = two();
    let (wide, narrow) = tokio::join!(fans, server.post_json("/runs/wait", &two));
    let all: Vec<u64> = (0..WIDTH).collect();
    for values in wide {
        assert_eq!(values["done"], json!(all));
    }
    assert_eq!(narrow["foo"], "xab");
}

#[tokio::test]
async fn tasks_that_wait_for_others_give_their_slots_back_when_their_time_is_over() {
    let gate = Gate::closed().await;
    let server = gate
        .setup(&["two"])
        .set("sandbox.max_instances", SLOTS)
        .bound("effects", "max_instances", SLOTS)
        .set("sandbox.wall_secs", 1)
        .start()
        .await;
    let waiting = gate.run();
    let waiting = join_all((0..2).map(|_| server.post_json("/runs/wait", &waiting)));
    let two = async {
        gate.holds(2).await;
        server.post_json("/runs/wait", &two()).await
    };
    let (waited, two) = tokio::join!(waiting, two);
    assert_eq!(two["foo"], "xab");
    for outcome in waited {
        assert_eq!(
            outcome["__error__"]["error"], "WallClockExceeded",
            "{outcome}"
        );
    }
}

#[tokio::test]
async fn a_graph_whose_tasks_wait_leaves_others_their_slots_and_its_own_wait_in_vain() {
    let gate = Gate::closed().await;
    let server = gate
        .setup(&["two"])
        .set("sandbox.max_instances", SLOTS)
        .bound("effects", "instance_wait_secs", 1)
        .start()
        .await;
    let waiting = gate.run();
    let others = async {
        gate.holds(1).await;
        server.post_json("/runs/wait", &two()).await
    };
    // One of its three tasks has the graph's share, and the two others wait for it.
    let (waited, two) = tokio::join!(server.post_json("/runs/wait", &waiting), others);
    assert_eq!(two["foo"], "xab");
    assert_eq!(waited["__error__"]["error"], "InstanceWaitExceeded");
    let counted = "selvedge_task_limits_total{limit=\"instance_wait_secs\"} ";
    eventually("nobody waits, and it is counted", async || {
        let metrics = server.get("/metrics").await.text().await.expect("metrics");
        let count = metrics.lines().find_map(|line| line.strip_prefix(counted));
        (count.is_some_and(|count| count != "0")
            && metrics.contains("selvedge_sandbox_waiting 0\n"))
        .then_some(())
    })
    .await;
}

/// A service that runs the graph `two` of our server before it answers, and the server, whose graph `excess` may call it.
async fn calling_itself() -> (String, Server) {
    let server: Arc<OnceLock<(String, reqwest::Client)>> = Arc::default();
    let api = server.clone();
    let service = Model::behaving(move |_, _| {
        let (base, client) = api.get().expect("the server has started").clone();
        let (answer, pieces) = unbounded_channel();
        tokio::spawn(async move {
            let inner = client.post(format!("{base}/runs/wait")).json(&two());
            let inner = inner.send().await.expect("an answer");
            // The graph that asked may be gone by now.
            let _ = answer.send(inner.text().await.expect("a body"));
        });
        Reply::live(pieces)
    })
    .await;
    let port = service.address.port();
    let started = Setup::probes(&["excess", "two"])
        .set("sandbox.max_instances", SLOTS)
        .bound("excess", "max_instances", SLOTS)
        .set("sandbox.wall_secs", 2)
        .set(
            "egress",
            json!({"allowed_networks": ["127.0.0.0/8"], "require_https": false, "allowed_ports": [port]}),
        )
        .start()
        .await;
    let known = server.set((started.base.clone(), started.client.clone()));
    assert!(known.is_ok(), "nobody else sets it");
    (format!("http://{}/", service.address), started)
}

#[tokio::test]
async fn graphs_that_wait_for_runs_of_their_own_server_end_in_time_even_when_they_hold_every_slot()
{
    let (url, server) = calling_itself().await;
    let outer = json!({"assistant_id": "excess", "input": {"calls": 1, "url": url}});
    let alone = server.post_json("/runs/wait", &outer).await;
    assert_eq!(alone["answered"], 1, "{alone}");

    let many = (0..2 * SLOTS).map(|_| server.post_json("/runs/wait", &outer));
    for outcome in join_all(many).await {
        let ended = &outcome["__error__"]["error"];
        assert!(
            outcome["answered"] == 1 || ended == "WallClockExceeded",
            "{outcome}"
        );
    }
    assert_eq!(server.post_json("/runs/wait", &two()).await["foo"], "xab");
}
