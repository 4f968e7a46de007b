//! Threads and their state.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::server::{detail_of, names, text};
use crate::support::sse::Events;
use crate::support::{Gate, Setup};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test]
async fn a_thread_is_created_read_and_deleted() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server
        .post_json(
            "/threads",
            &json!({"metadata": {"u": 1, "thread_id": "mine"}}),
        )
        .await;
    let members = [
        "thread_id",
        "created_at",
        "updated_at",
        "state_updated_at",
        "metadata",
        "status",
        "config",
        "values",
    ];
    assert_eq!(names(&thread), members);
    // `thread_id` is not for callers to set in metadata.
    assert_eq!(thread["metadata"], json!({"u": 1}));
    assert_eq!(
        (&thread["status"], &thread["config"]),
        (&json!("idle"), &json!({}))
    );
    assert!(thread["values"].is_null());
    let id = text(&thread["thread_id"]);
    assert_eq!(id.parse::<Uuid>().expect("a UUID").get_version_num(), 7);
    assert_eq!(server.get_json(&format!("/threads/{id}")).await, thread);

    server
        .wait(id, &json!({"assistant_id": "two", "input": {"foo": "x"}}))
        .await;
    let runs = server.get_json(&format!("/threads/{id}/runs")).await;
    let run = format!("/threads/{id}/runs/{}", text(&runs[0]["run_id"]));
    let deleted = server.delete(&format!("/threads/{id}")).await;
    assert_eq!(deleted.status(), 204);
    assert_eq!(deleted.text().await.expect("a body"), "");
    let gone = format!("Thread with ID {id} not found");
    assert_eq!(
        detail_of(server.get(&format!("/threads/{id}")).await, 404).await,
        gone
    );
    assert_eq!(
        detail_of(server.get(&format!("/threads/{id}/state")).await, 404).await,
        gone
    );
    assert_eq!(
        detail_of(server.get(&format!("/threads/{id}/runs")).await, 404).await,
        gone
    );
    assert_eq!(
        detail_of(server.delete(&format!("/threads/{id}")).await, 404).await,
        gone
    );
    assert_eq!(detail_of(server.get(&run).await, 404).await, gone);
}

#[tokio::test]
async fn a_thread_id_of_the_callers_is_taken_once() {
    let server = Setup::probes(&["two"]).start().await;
    let id = Uuid::new_v4().to_string();
    let thread = server
        .post_json(
            "/threads",
            &json!({"thread_id": id, "metadata": {"first": true}}),
        )
        .await;
    assert_eq!(thread["thread_id"], id.as_str());
    for body in [
        json!({"thread_id": id}),
        json!({"thread_id": id, "if_exists": "raise"}),
    ] {
        let detail = server.refused("/threads", &body, 409).await;
        assert_eq!(detail, format!("Thread with ID {id} already exists"));
    }
    let again = json!({"thread_id": id, "if_exists": "do_nothing", "metadata": {"first": false}});
    assert_eq!(server.post_json("/threads", &again).await, thread);

    let none = "Invalid thread ID: must be a UUID";
    assert_eq!(
        server
            .refused("/threads", &json!({"thread_id": "abc"}), 422)
            .await,
        none
    );
    assert_eq!(detail_of(server.get("/threads/abc").await, 422).await, none);
    server
        .refused(
            "/threads",
            &json!({"thread_id": id, "if_exists": "maybe"}),
            422,
        )
        .await;
    server
        .refused("/threads", &json!({"metadata": "text"}), 422)
        .await;
    // Who wants nothing in particular says `{}`.
    let empty = server
        .client
        .post(format!("{}/threads", server.base))
        .send()
        .await
        .expect("an answer");
    assert_eq!(detail_of(empty, 422).await, "Invalid JSON in request body");
}

#[tokio::test]
async fn the_state_of_a_new_thread_is_empty_and_that_of_an_unknown_one_404() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let empty = json!({
        "values": {}, "next": [], "tasks": [], "metadata": null, "created_at": null, "checkpoint": null,
        "parent_checkpoint": null, "interrupts": [], "checkpoint_id": null, "parent_checkpoint_id": null,
    });
    let state = server.state(&thread).await;
    assert_eq!(state, empty);
    assert_eq!(names(&state), names(&empty));
    let unknown = server.get(&format!("/threads/{NOBODY}/state")).await;
    assert_eq!(
        detail_of(unknown, 404).await,
        format!("Thread with ID {NOBODY} not found")
    );
}

#[tokio::test]
async fn a_run_leaves_its_state_on_the_thread() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server
        .post_json("/threads", &json!({"metadata": {"u": 1}}))
        .await;
    let id = text(&thread["thread_id"]);
    let body = json!({
        "assistant_id": "two", "input": {"foo": "in"}, "metadata": {"rm": 1}, "config": {"configurable": {"c": 1}},
    });
    server.wait(id, &body).await;
    let run = &server.get_json(&format!("/threads/{id}/runs")).await[0];

    let state = server.state(id).await;
    assert_eq!(state["values"], json!({"foo": "inab", "log": ["a", "b"]}));
    assert_eq!(
        (&state["next"], &state["tasks"], &state["interrupts"]),
        (&json!([]), &json!([]), &json!([]))
    );
    let metadata = &state["metadata"];
    assert_eq!(
        (&metadata["source"], &metadata["step"]),
        (&json!("loop"), &json!(2))
    );
    assert_eq!(metadata["parents"], json!({}));
    assert_eq!(metadata["run_id"], run["run_id"]);
    assert_eq!(metadata["thread_id"], id);
    assert_eq!(
        (&metadata["u"], &metadata["rm"], &metadata["c"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(
        (&metadata["graph_id"], &metadata["run_attempt"]),
        (&json!("two"), &json!(1))
    );
    let checkpoint = &state["checkpoint"];
    assert_eq!(
        names(checkpoint),
        ["checkpoint_id", "thread_id", "checkpoint_ns"]
    );
    assert_eq!(checkpoint["checkpoint_id"], state["checkpoint_id"]);
    assert_eq!(
        (&checkpoint["thread_id"], &checkpoint["checkpoint_ns"]),
        (&json!(id), &json!(""))
    );
    assert_eq!(
        state["parent_checkpoint"]["checkpoint_id"],
        state["parent_checkpoint_id"]
    );

    let thread = server.get_json(&format!("/threads/{id}")).await;
    assert_eq!(thread["values"], state["values"]);
    assert_eq!(
        (&thread["status"], &thread["error"]),
        (&json!("idle"), &Value::Null)
    );
    assert_eq!(thread["interrupts"], json!({}));
    assert_eq!(thread["metadata"]["u"], 1);
    assert_eq!(thread["metadata"]["graph_id"], "two");
    assert_eq!(thread["metadata"]["assistant_id"], run["assistant_id"]);
    assert!(text(&thread["updated_at"]) > text(&thread["created_at"]));
}

#[tokio::test]
async fn every_step_of_a_run_can_be_read_again() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    server
        .wait(
            &thread,
            &json!({"assistant_id": "two", "input": {"foo": "in"}}),
        )
        .await;
    let mut state = server.state(&thread).await;
    let mut steps = vec![state.clone()];
    while let Some(parent) = state["parent_checkpoint_id"].as_str().map(str::to_owned) {
        state = server
            .get_json(&format!("/threads/{thread}/state/{parent}"))
            .await;
        assert_eq!(state["checkpoint_id"], parent.as_str());
        steps.push(state.clone());
    }
    let seen: Vec<Value> = steps
        .iter()
        .map(|s| {
            json!([
                s["metadata"]["step"],
                s["metadata"]["source"],
                s["next"],
                s["values"]
            ])
        })
        .collect();
    let expected = [
        json!([2, "loop", [], {"foo": "inab", "log": ["a", "b"]}]),
        json!([1, "loop", ["b"], {"foo": "ina", "log": ["a"]}]),
        json!([0, "loop", ["a"], {"foo": "in", "log": []}]),
        json!([-1, "input", ["__start__"], {"log": []}]),
    ];
    assert_eq!(seen, expected);
    let task = &steps[1]["tasks"][0];
    assert_eq!(
        names(task),
        [
            "id",
            "name",
            "path",
            "error",
            "interrupts",
            "checkpoint",
            "state",
            "result"
        ]
    );
    assert_eq!(
        (&task["name"], &task["path"]),
        (&json!("b"), &json!(["__pregel_pull", "b"]))
    );
    assert_eq!(task["result"], json!({"foo": "inab", "log": ["b"]}));

    let unknown = server
        .get(&format!("/threads/{thread}/state/{NOBODY}"))
        .await;
    assert!(detail_of(unknown, 404).await.contains(NOBODY));
    detail_of(
        server.get(&format!("/threads/{thread}/state/abc")).await,
        422,
    )
    .await;
}

#[tokio::test]
async fn a_failed_run_shows_on_the_thread_and_in_its_state() {
    let server = Setup::probes(&["fail"]).start().await;
    let thread = server.new_thread().await;
    server
        .wait(
            &thread,
            &json!({"assistant_id": "fail", "input": {"foo": "x"}}),
        )
        .await;
    let shown = server.get_json(&format!("/threads/{thread}")).await;
    assert_eq!(
        (&shown["status"], &shown["values"]),
        (&json!("error"), &json!({"foo": "x"}))
    );
    assert_eq!(
        shown["error"],
        json!({"error": "ValueError", "message": "boom"})
    );
    let state = server.state(&thread).await;
    assert_eq!(state["next"], json!(["fail"]));
    assert_eq!(state["tasks"][0]["error"], "ValueError('boom')");
    assert!(state["tasks"][0]["result"].is_null());
}

#[tokio::test]
async fn a_thread_is_busy_while_a_run_is_under_way() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let thread = server.new_thread().await;
    let run = server.create_run(&thread, &gate.run()).await;
    let status = async || server.get_json(&format!("/threads/{thread}")).await["status"].clone();
    assert_eq!(status().await, "busy");
    gate.open();
    assert_eq!(server.ended_run(&run).await["status"], "success");
    assert_eq!(status().await, "idle");
}

#[tokio::test]
async fn deleting_a_thread_stops_its_runs_and_tells_whoever_waits_for_them() {
    let gate = Gate::closed().await;
    let setup = gate.setup(&["two"]).set("runtime.max_running_runs", 1);
    let server = setup.start().await;
    let thread = server.new_thread().await;
    let stream = format!("/threads/{thread}/runs/stream");
    let two = json!({"assistant_id": "two", "input": {"foo": "x"}});
    let mut running = Events::of(server.post(&stream, &gate.run()).await);
    assert_eq!(running.next().await.expect("an event").name, "metadata");
    let queued = Events::of(server.post(&stream, &two).await);
    assert_eq!(
        server.delete(&format!("/threads/{thread}")).await.status(),
        204
    );
    // The gate stays closed: only the deletion can end these.
    for mut stream in [running, queued] {
        while stream.next().await.is_some() {}
    }
    // The place of the run that was stopped is free.
    assert_eq!(server.post_json("/runs/wait", &two).await["foo"], "xab");
}

#[tokio::test]
async fn a_list_of_runs_with_large_inputs_says_how_many_it_can_hold() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let large = json!({"foo": "x".repeat(15 << 20)});
    let later = json!({"assistant_id": "two", "input": large, "after_seconds": 3_600});
    for _ in 0..3 {
        server.create_run(&thread, &later).await;
    }
    let runs = format!("/threads/{thread}/runs");
    let detail = detail_of(server.get(&runs).await, 422).await;
    assert!(detail.contains("at most 2"), "{detail}");
    let two = server.get_json(&format!("{runs}?limit=2")).await;
    assert_eq!(two.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn the_documentations_spelling_of_thread_paths_works_too() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.post_json("/thread", &json!({})).await;
    let path = format!("/thread/{}", text(&thread["thread_id"]));
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}});
    let values = server.post_json(&format!("{path}/runs/wait"), &body).await;
    assert_eq!(values["foo"], "xab");
    let stream = server.post(&format!("{path}/runs/stream"), &body).await;
    assert_eq!(stream.status(), 200);
    stream.text().await.expect("a stream");
    let run = server.post_json(&format!("{path}/runs"), &body).await;
    let run = text(&run["run_id"]);
    server.get_json(&format!("{path}/runs/{run}/join")).await;
    assert_eq!(
        server
            .get(&format!("{path}/runs/{run}/stream"))
            .await
            .status(),
        200
    );
    assert_eq!(
        server.get_json(&format!("{path}/runs/{run}")).await["status"],
        "success"
    );
    assert_eq!(
        server
            .get_json(&format!("{path}/runs"))
            .await
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    let state = server.get_json(&format!("{path}/state")).await;
    let at = format!("{path}/state/{}", text(&state["checkpoint_id"]));
    assert_eq!(server.get_json(&at).await["values"], state["values"]);
    assert_eq!(server.get_json(&path).await["values"], state["values"]);
    assert_eq!(server.delete(&path).await.status(), 204);
}
