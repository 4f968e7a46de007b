//! `POST /runs/batch`: several stateless runs at once, all of them or none.

use serde_json::{Value, json};

use crate::support::callers::{ANN, BOB, let_in};
use crate::support::{Receiver, Setup};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn two(foo: &str) -> Value {
    json!({"assistant_id": "two", "input": {"foo": foo}})
}

#[tokio::test]
async fn all_runs_of_a_batch_are_answered_in_their_order_and_come_to_their_end() {
    let (server, receiver) = (
        Setup::probes(&["two"])
            .set("runtime", json!({"max_running_runs": 2}))
            .start()
            .await,
        Receiver::start().await,
    );
    let mut batch = Vec::new();
    for n in 0..5 {
        let mut run = two(&format!("{n}-"));
        run["webhook"] = json!(receiver.url("/"));
        run["on_completion"] = json!("keep");
        batch.push(run);
    }
    let runs = server.post_json("/runs/batch", &json!(batch)).await;
    let runs = runs.as_array().expect("an array");
    assert_eq!(runs.len(), 5);
    for (n, run) in runs.iter().enumerate() {
        assert_eq!(run["status"], "pending");
        assert_eq!(run["kwargs"]["input"]["foo"], format!("{n}-"));
        assert_eq!(server.ended_run(run).await["status"], "success");
    }
    let posted = receiver.wait_for(5).await;
    let mut values: Vec<Value> = posted
        .iter()
        .map(|r| r.json()["values"]["foo"].clone())
        .collect();
    values.sort_by_key(Value::to_string);
    assert_eq!(values, ["0-ab", "1-ab", "2-ab", "3-ab", "4-ab"]);
}

#[tokio::test]
async fn one_that_is_refused_lets_none_begin() {
    let (server, receiver) = (
        Setup::probes(&["two"])
            .set(
                "runtime",
                json!({"max_running_runs": 1, "max_pending_runs": 2}),
            )
            .start()
            .await,
        Receiver::start().await,
    );
    let mut good = two("x");
    good["webhook"] = json!(receiver.url("/none"));
    let refused = async |second: Value, status| {
        let batch = json!([good, second]);
        server.refused("/runs/batch", &batch, status).await
    };
    let detail = refused(json!({"assistant_id": NOBODY}), 404).await;
    assert_eq!(detail, "Thread or assistant not found.");
    assert!(
        refused(json!({"assistant_id": "nope"}), 422)
            .await
            .starts_with("Invalid assistant: 'nope'")
    );
    let detail = refused(json!({"input": {}}), 422).await;
    assert_eq!(
        detail,
        "\"assistant_id\" is a required property\n\nOn instance[1]"
    );
    let detail = refused(json!(7), 422).await;
    assert_eq!(detail, "7 is not of type \"object\"\n\nOn instance[1]");
    let detail = server.refused("/runs/batch", &json!([]), 422).await;
    assert_eq!(detail, "[] has less than 1 item");
    let detail = server.refused("/runs/batch", &good, 422).await;
    assert!(detail.ends_with("is not of type \"array\""), "{detail}");
    // One begins, two wait, and there is no room for the fourth.
    let batch = json!([good, good, good, good]);
    server.refused("/runs/batch", &batch, 503).await;

    let mut last = two("y");
    last["webhook"] = json!(receiver.url("/last"));
    server.post_json("/runs/wait", &last).await;
    assert_eq!(receiver.wait_for(1).await[0].path, "/last");
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_batch_of_more_than_the_bound_is_refused_whole() {
    let server = Setup::probes(&["two"])
        .set("runtime.max_batch_runs", 3)
        .start()
        .await;
    let batch = |runs| Value::from(vec![two("x"); runs]);
    let detail = server.refused("/runs/batch", &batch(4), 422).await;
    assert!(
        detail.ends_with("has more than 3 items (runtime.max_batch_runs)"),
        "{detail}"
    );
    let runs = server.post_json("/runs/batch", &batch(3)).await;
    assert_eq!(runs.as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_batch_with_a_run_of_anothers_assistant_makes_none() {
    let server = let_in(Setup::probes(&["two"])).start().await;
    let receiver = Receiver::start().await;
    let anns = ANN
        .made(&server, "/assistants", &json!({"graph_id": "two"}))
        .await;
    let run = |assistant: &Value| json!({"assistant_id": assistant, "input": {"foo": "x"}, "webhook": receiver.url("/")});
    let (own, foreign) = (run(&json!("two")), run(&anns["assistant_id"]));
    let refused = BOB
        .post(&server, "/runs/batch", &json!([own, foreign, own]))
        .await;
    assert_eq!(refused.status, 404);
    // What is accepted afterwards is all that ever runs.
    let mut last = own;
    last["webhook"] = json!(receiver.url("/last"));
    BOB.made(&server, "/runs/batch", &json!([last])).await;
    assert_eq!(receiver.wait_for(1).await[0].path, "/last");
    assert_eq!(receiver.received().len(), 1);
}
