//! `multitask_strategy`: what a new run does about those before it on its thread, however it is created.

use serde_json::{Value, json};

use crate::support::server::text;
use crate::support::{Gate, Receiver, Server};

fn two(strategy: &str) -> Value {
    json!({"assistant_id": "two", "input": {"foo": "x"}, "multitask_strategy": strategy})
}

/// Creates a run in each of the three ways and waits for its end: the values.
async fn ended_in_each_way(server: &Server, thread: &str, body: &Value, way: &str) -> Value {
    match way {
        "" => {
            let run = server.create_run(thread, body).await;
            server.ended_run(&run).await;
        }
        "stream" => {
            server.stream(thread, body).await;
        }
        _ => {
            server.wait(thread, body).await;
        }
    }
    server.state(thread).await["values"].clone()
}

#[tokio::test]
async fn interrupt_ends_those_before_it_and_goes_on_from_where_they_were() {
    let gate = Gate::closed().await;
    let (server, receiver) = (gate.setup(&["two"]).start().await, Receiver::start().await);
    for (n, way) in ["", "stream", "wait"].into_iter().enumerate() {
        let thread = server.new_thread().await;
        let mut body = gate.run();
        body["webhook"] = json!(receiver.url(&format!("/{n}")));
        let running = server.create_run(&thread, &body).await;
        gate.holds(3 * (n + 1)).await;
        let pending = server.create_run(&thread, &two("enqueue")).await;
        let values = ended_in_each_way(&server, &thread, &two("interrupt"), way).await;
        assert_eq!(values["foo"], "xab", "{way}");
        for run in [&running, &pending] {
            assert_eq!(server.ended_run(run).await["status"], "interrupted");
        }
        let runs = server.get_json(&format!("/threads/{thread}/runs")).await;
        assert_eq!(runs[0]["status"], "success");
        let posted = receiver.wait_for(n + 1).await[n].json();
        assert_eq!(posted["status"], "interrupted");
        let newest = text(&runs[0]["run_id"]);
        assert_eq!(
            posted["error"],
            json!({
                "error": "UserInterrupt",
                "message": format!("superseded by run {newest} (multitask_strategy=interrupt)"),
            })
        );
    }
}

#[tokio::test]
async fn rollback_undoes_those_before_it_and_starts_from_the_state_before_them() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    for (n, way) in ["", "stream", "wait"].into_iter().enumerate() {
        let thread = server.new_thread().await;
        let running = server.create_run(&thread, &gate.run()).await;
        gate.holds(3 * (n + 1)).await;
        server.create_run(&thread, &two("enqueue")).await;
        let values = ended_in_each_way(&server, &thread, &two("rollback"), way).await;
        assert_eq!(values, json!({"foo": "xab", "log": ["a", "b"]}), "{way}");
        let runs = server.get_json(&format!("/threads/{thread}/runs")).await;
        assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
        assert_ne!(runs[0]["run_id"], running["run_id"]);
        let thread = server.get_json(&format!("/threads/{thread}")).await;
        assert_eq!(thread["status"], "idle");
    }
}

#[tokio::test]
async fn on_an_idle_thread_every_strategy_just_runs() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    for strategy in ["enqueue", "reject", "interrupt", "rollback"] {
        let thread = server.new_thread().await;
        let values = server.wait(&thread, &two(strategy)).await;
        assert_eq!(values["foo"], "xab", "{strategy}");
    }
}
