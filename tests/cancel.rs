//! Cancelling and deleting runs: they stop, what they did stays or is undone, and everyone who waits is told.

use serde_json::{Value, json};

use crate::support::server::{detail_of, json_of, text};
use crate::support::sse::Events;
use crate::support::{Gate, Receiver, Server, Setup, eventually};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
const ENDED: &str = "No matching runs to cancel. Please verify the thread ID and run IDs are correct, and the runs \
                     haven't been deleted or completed.";
const INTERRUPTED: &str = "interrupt requested via POST /threads/{thread_id}/runs/{run_id}/cancel";
const ROLLED_BACK: &str = "rollback requested via POST /threads/{thread_id}/runs/{run_id}/cancel";

fn two(foo: &str) -> Value {
    json!({"assistant_id": "two", "input": {"foo": foo}})
}

fn path_of(run: &Value) -> String {
    let (thread, run) = (text(&run["thread_id"]), text(&run["run_id"]));
    format!("/threads/{thread}/runs/{run}")
}

async fn thread_of(server: &Server, run: &Value) -> Value {
    let thread = text(&run["thread_id"]);
    server.get_json(&format!("/threads/{thread}")).await
}

/// Cancels and waits until that has happened.
async fn cancel(server: &Server, run: &Value, action: &str) {
    let path = format!("{}/cancel?wait=1&action={action}", path_of(run));
    assert_eq!(server.post_json(&path, &json!({})).await, json!({}));
}

#[tokio::test]
async fn a_run_in_the_middle_of_a_node_stops_and_what_it_had_done_stays() {
    let gate = Gate::closed().await;
    let (server, receiver) = (gate.setup(&["two"]).start().await, Receiver::start().await);
    let thread = server.new_thread().await;
    let mut body = gate.run();
    body["webhook"] = json!(receiver.url("/"));
    let run = server.create_run(&thread, &body).await;
    gate.holds(3).await;
    let response = server
        .post(&format!("{}/cancel", path_of(&run)), &json!({}))
        .await;
    assert_eq!(response.status(), 202);
    assert_eq!(response.text().await.expect("a body"), "");
    assert_eq!(server.ended_run(&run).await["status"], "interrupted");
    let after = thread_of(&server, &run).await;
    assert_eq!(after["status"], "interrupted");
    assert_eq!(
        after["error"],
        json!({"error": "UserInterrupt", "message": INTERRUPTED})
    );
    let state = server.state(&thread).await;
    assert_eq!(state["next"], json!(["effect", "effect", "effect"]));

    let posted = receiver.wait_for(1).await[0].json();
    assert_eq!(posted["status"], "interrupted");
    assert_eq!(posted["error"], after["error"]);
    assert_eq!(posted["values"], state["values"]);

    let path = format!("{}/cancel", path_of(&run));
    assert_eq!(server.refused(&path, &json!({}), 404).await, ENDED);
    // The thread is free, and goes on where the run was stopped.
    gate.open();
    let body = json!({"assistant_id": "effects", "input": null});
    let values = server.wait(&thread, &body).await;
    assert_eq!(values["done"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn a_run_that_is_rolled_back_leaves_its_thread_as_it_was() {
    let gate = Gate::closed().await;
    let (server, receiver) = (gate.setup(&["two"]).start().await, Receiver::start().await);
    let thread = server.new_thread().await;
    server.wait(&thread, &two("x")).await;
    let before = server.state(&thread).await;
    let mut body = gate.run();
    body["webhook"] = json!(receiver.url("/"));
    let run = server.create_run(&thread, &body).await;
    gate.holds(3).await;
    cancel(&server, &run, "rollback").await;
    assert_eq!(server.get(&path_of(&run)).await.status(), 404);
    assert_eq!(
        server.state(&thread).await["checkpoint"],
        before["checkpoint"]
    );
    let after = thread_of(&server, &run).await;
    assert_eq!(after["status"], "idle");
    let error = json!({"error": "UserRollback", "message": ROLLED_BACK});
    assert_eq!(after["error"], error);
    let posted = receiver.wait_for(1).await[0].json();
    assert_eq!(
        (&posted["status"], &posted["values"], &posted["error"]),
        (&json!("rollback"), &Value::Null, &error)
    );
}

#[tokio::test]
async fn a_run_that_has_not_begun_ends_at_once_and_its_webhook_says_so() {
    let gate = Gate::closed().await;
    let (server, receiver) = (gate.setup(&["two"]).start().await, Receiver::start().await);
    let thread = server.new_thread().await;
    server.wait(&thread, &two("x")).await;
    let mut later = two("y");
    later["after_seconds"] = json!(3600);
    later["webhook"] = json!(receiver.url("/late"));
    let due_later = server.create_run(&thread, &later).await;
    cancel(&server, &due_later, "interrupt").await;
    let run = server.get_json(&path_of(&due_later)).await;
    assert_eq!(run["status"], "interrupted");
    assert_eq!(thread_of(&server, &run).await["status"], "idle");
    let due_later = server.create_run(&thread, &later).await;
    cancel(&server, &due_later, "rollback").await;
    assert_eq!(server.get(&path_of(&due_later)).await.status(), 404);
    assert_eq!(thread_of(&server, &run).await["status"], "idle");

    // What waits behind it on its thread is next.
    let waits = server.create_run(&thread, &later).await;
    let (path, body) = (format!("{}/cancel", path_of(&waits)), two("z"));
    let next = server.create_run(&thread, &body).await;
    assert_eq!(server.post(&path, &json!({})).await.status(), 202);
    assert_eq!(server.ended_run(&next).await["status"], "success");
    let mut told = two("w");
    told["webhook"] = json!(receiver.url("/told"));
    server.wait(&thread, &told).await;
    let mut told: Vec<(String, Value)> = receiver
        .wait_for(4)
        .await
        .iter()
        .map(|request| (request.path.clone(), request.json()["status"].clone()))
        .collect();
    told.sort_by_key(|(path, status)| (path.clone(), status.to_string()));
    let expected = [
        ("/late", "interrupted"),
        ("/late", "interrupted"),
        ("/late", "rollback"),
        ("/told", "success"),
    ];
    assert_eq!(
        told,
        expected.map(|(path, status)| (path.to_owned(), json!(status)))
    );
}

#[tokio::test]
async fn those_who_wait_for_a_cancelled_run_get_its_last_values_and_its_stream_just_ends() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let thread = server.new_thread().await;
    let response = server
        .post(&format!("/threads/{thread}/runs/stream"), &gate.run())
        .await;
    let mut events = Events::of(response);
    let metadata = events.next().await.expect("an event");
    let run = json!({"thread_id": thread, "run_id": metadata.data["run_id"]});
    gate.holds(3).await;
    let queued = server.create_run(&thread, &gate.run()).await;
    let joined = format!("{}/join", path_of(&run));
    let joins_queued = format!("{}/join", path_of(&queued));
    let cancelling = async {
        cancel(&server, &queued, "interrupt").await;
        cancel(&server, &run, "interrupt").await;
    };
    let (values, none, ()) = tokio::join!(
        server.get_json(&joined),
        server.get_json(&joins_queued),
        cancelling
    );
    assert_eq!(values["counter"], gate.url());
    assert!(none.get("__error__").is_none(), "{none}");
    let mut names = Vec::new();
    while let Some(event) = events.next().await {
        names.push(event.name);
    }
    assert_eq!(names, ["values"]);
}

#[tokio::test]
async fn many_runs_are_cancelled_at_once_by_their_status_or_by_their_ids() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    let post = async |body: Value, status: u16| {
        let response = server.post("/runs/cancel", &body).await;
        assert_eq!(response.status(), status, "{body}");
    };
    let all = json!({"status": "all"});
    let detail = server.refused("/runs/cancel", &all, 404).await;
    assert_eq!(detail, "No runs found to cancel.");
    for wrong in [
        json!({}),
        json!({"status": "ended"}),
        json!({"thread_id": NOBODY}),
        json!({"status": "all", "thread_id": NOBODY, "run_ids": [NOBODY]}),
        json!({"thread_id": NOBODY, "run_ids": ["x"]}),
    ] {
        post(wrong, 422).await;
    }
    let (one, other) = (server.new_thread().await, server.new_thread().await);
    let running = server.create_run(&one, &gate.run()).await;
    gate.holds(3).await;
    let pending = [
        server.create_run(&one, &two("x")).await,
        server.create_run(&one, &two("y")).await,
    ];
    let elsewhere = server.create_run(&other, &gate.run()).await;
    gate.holds(6).await;
    let ids = |runs: &[&Value]| {
        runs.iter()
            .map(|run| run["run_id"].clone())
            .collect::<Vec<_>>()
    };
    // Only runs of that thread count.
    let named = json!({"thread_id": one, "run_ids": ids(&[&pending[0], &elsewhere])});
    post(named.clone(), 204).await;
    post(named, 404).await;
    assert_eq!(server.ended_run(&pending[0]).await["status"], "interrupted");
    post(json!({"status": "pending"}), 204).await;
    assert_eq!(server.ended_run(&pending[1]).await["status"], "interrupted");
    for run in [&running, &elsewhere] {
        assert_eq!(server.get_json(&path_of(run)).await["status"], "running");
    }
    post(json!({"status": "running"}), 204).await;
    for run in [&running, &elsewhere] {
        assert_eq!(server.ended_run(run).await["status"], "interrupted");
    }
    let thread = thread_of(&server, &running).await;
    assert_eq!(
        thread["error"]["message"],
        "interrupt requested via POST /runs/cancel"
    );
    let running = server.create_run(&one, &gate.run()).await;
    gate.holds(9).await;
    let pending = server.create_run(&one, &two("z")).await;
    post(all, 204).await;
    for run in [&running, &pending] {
        assert_eq!(server.ended_run(run).await["status"], "interrupted");
    }
}

#[tokio::test]
async fn a_deleted_run_stops_and_is_gone_with_what_it_did() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    let thread = server.new_thread().await;
    server.wait(&thread, &two("x")).await;
    let before = server.state(&thread).await;
    let running = server.create_run(&thread, &gate.run()).await;
    gate.holds(3).await;
    assert_eq!(server.delete(&path_of(&running)).await.status(), 204);
    let detail = detail_of(server.delete(&path_of(&running)).await, 404).await;
    assert_eq!(detail, "Run not found");
    assert_eq!(thread_of(&server, &running).await["status"], "idle");
    let state = server.state(&thread).await;
    assert_eq!(state["checkpoint"], before["checkpoint"]);
    let runs = server.get_json(&format!("/threads/{thread}/runs")).await;
    let ended = &runs[0];
    assert_eq!(runs.as_array().map(Vec::len), Some(1));
    assert_eq!(server.delete(&path_of(ended)).await.status(), 204);
    // What a run that had ended did stays.
    assert_eq!(server.state(&thread).await, state);
    assert_eq!(server.wait(&thread, &two("y")).await["foo"], "yab");
}

#[tokio::test]
async fn what_cannot_be_cancelled_is_refused() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    let thread = server.new_thread().await;
    let run = server.create_run(&thread, &two("x")).await;
    server.ended_run(&run).await;
    let path = format!("{}/cancel?action=rollback&wait=true", path_of(&run));
    assert_eq!(server.refused(&path, &json!({}), 404).await, ENDED);
    let path = format!("/threads/{thread}/runs/{NOBODY}/cancel");
    let detail = server.refused(&path, &json!({}), 404).await;
    assert_eq!(detail, "No runs found to cancel.");
    for path in ["abc/runs/abc", &format!("{thread}/runs/abc")] {
        let path = format!("/threads/{path}/cancel");
        server.refused(&path, &json!({}), 422).await;
    }
}

#[tokio::test]
async fn a_stateless_run_can_be_cancelled_where_its_creator_was_told_that_it_is() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let response = server.post("/runs", &gate.run()).await;
    let location = text(&json!(
        response.headers()["content-location"]
            .to_str()
            .expect("text")
    ))
    .to_owned();
    json_of(response, reqwest::StatusCode::OK).await;
    gate.holds(3).await;
    let answer = server
        .post_json(&format!("{location}/cancel?wait=1"), &json!({}))
        .await;
    assert_eq!(answer, json!({}));
    assert_eq!(server.get(&location).await.status(), 404);
}

#[tokio::test]
async fn what_a_run_had_done_stays_whenever_checkpoints_are_stored() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    for (n, durability) in ["sync", "async", "exit"].into_iter().enumerate() {
        let thread = server.new_thread().await;
        let mut body = gate.run();
        body["durability"] = json!(durability);
        let run = server.create_run(&thread, &body).await;
        gate.holds(3 * (n + 1)).await;
        cancel(&server, &run, "interrupt").await;
        let state = server.state(&thread).await;
        assert_eq!(state["values"]["counter"], gate.url(), "{durability}");
        assert_eq!(state["next"], json!(["effect", "effect", "effect"]));
    }
}

#[tokio::test]
async fn a_node_that_never_ends_stops() {
    let server = Setup::probes(&["spin"]).start().await;
    let thread = server.new_thread().await;
    let body = json!({"assistant_id": "spin", "input": {}});
    let run = server.create_run(&thread, &body).await;
    cancel(&server, &run, "interrupt").await;
    let run = server.get_json(&path_of(&run)).await;
    assert_eq!(run["status"], "interrupted");
}

/// Whoever is told that a run is cancelled never finds that it succeeded, and no run hangs.
#[tokio::test]
async fn a_cancel_that_was_accepted_is_never_overwritten_by_a_success() {
    let server = Setup::probes(&["two"])
        .set("runtime", json!({"max_running_runs": 4}))
        .start()
        .await;
    let body = two("x");
    let races = (0..60).map(|n| {
        let (server, body) = (&server, &body);
        async move {
            let thread = server.new_thread().await;
            let run = server.create_run(&thread, body).await;
            // Some are cancelled as they begin, others a little later.
            for _ in 0..n % 4 {
                server.get_json(&path_of(&run)).await;
            }
            let path = format!("{}/cancel", path_of(&run));
            let answer = server.post(&path, &json!({})).await.status().as_u16();
            let ended = server.ended_run(&run).await["status"].clone();
            let expected = if answer == 202 {
                "interrupted"
            } else {
                "success"
            };
            assert_eq!(ended, expected, "answered with {answer}");
            assert_ne!(thread_of(server, &run).await["status"], "busy");
        }
    });
    futures_util::future::join_all(races).await;
}

#[tokio::test]
async fn a_wish_that_a_crash_cut_off_is_carried_out_after_it() {
    let gate = Gate::closed().await;
    let mut server = gate.setup(&["two"]).start().await;
    let thread = server.new_thread().await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        let thread = server.new_thread().await;
        runs.push(server.create_run(&thread, &gate.run()).await);
    }
    gate.holds(6).await;
    for (run, action) in runs.iter().zip(["interrupt", "rollback"]) {
        let path = format!("{}/cancel?action={action}", path_of(run));
        assert_eq!(server.post(&path, &json!({})).await.status(), 202);
    }
    server.kill();
    gate.open();
    server.restart().await;
    assert_eq!(server.ended_run(&runs[0]).await["status"], "interrupted");
    eventually("the rolled back run to go", async || {
        let gone = server.get(&path_of(&runs[1])).await.status() == 404;
        gone.then_some(())
    })
    .await;
    assert_eq!(thread_of(&server, &runs[0]).await["status"], "interrupted");
    assert_eq!(thread_of(&server, &runs[1]).await["status"], "idle");
    assert_eq!(server.wait(&thread, &two("x")).await["foo"], "xab");
}
