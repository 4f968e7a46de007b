//! The store from inside graphs: the same items as over HTTP, under bounds of its own.

use serde_json::{Value, json};

use crate::support::server::{Server, names, text};
use crate::support::{Setup, eventually};

/// What a run's calls of the store answer.
async fn calls(server: &Server, calls: Value) -> Vec<Value> {
    let run = json!({"assistant_id": "storing", "input": {"calls": calls}});
    let values = server.post_json("/runs/wait", &run).await;
    values["answers"]
        .as_array()
        .unwrap_or_else(|| panic!("{values}"))
        .clone()
}

async fn put_outside(server: &Server, namespace: &[&str], key: &str, value: Value) {
    let item = json!({"namespace": namespace, "key": key, "value": value});
    let answer = server.put("/store/items", &item).await;
    assert_eq!(answer.status(), 204);
}

#[tokio::test]
async fn what_callers_put_graphs_find_and_what_graphs_put_callers_find() {
    let server = Setup::probes(&["storing"]).start().await;
    put_outside(&server, &["u", "1"], "outside", json!({"n": 1})).await;
    let answers = calls(
        &server,
        json!([
            {"get": [["u", "1"], "outside"]},
            {"get": [["u", "1"], "nobody"]},
            {"put": [["u", "1"], "inside", {"n": 2}]},
            {"search": [["u"], null, 10, 0]},
        ]),
    )
    .await;
    let outside = server
        .get_json("/store/items?namespace=u.1&key=outside")
        .await;
    assert_eq!(answers[0], outside);
    assert_eq!(
        names(&outside),
        ["namespace", "key", "value", "created_at", "updated_at"]
    );
    assert_eq!(answers[1], Value::Null);
    assert_eq!(answers[3], json!(["inside", "outside"]));
    let inside = server
        .get_json("/store/items?namespace=u.1&key=inside")
        .await;
    assert_eq!(inside["value"], json!({"n": 2}));

    let answers = calls(
        &server,
        json!([{"delete": [["u", "1"], "outside"]}, {"delete": [["u", "1"], "outside"]}]),
    )
    .await;
    assert_eq!(answers, [Value::Null, Value::Null]);
    let gone = server
        .get_json("/store/items?namespace=u.1&key=outside")
        .await;
    assert!(gone.is_null());
}

#[tokio::test]
async fn graphs_search_and_list_as_callers_do() {
    let server = Setup::probes(&["storing"]).start().await;
    for n in 0..5 {
        let value = json!({"n": n, "even": n % 2 == 0});
        put_outside(&server, &["a", "numbers"], &n.to_string(), value).await;
    }
    put_outside(&server, &["ab"], "x", json!({"n": 0})).await;
    let answers = calls(
        &server,
        json!([
            {"search": [["a"], null, 2, 1]},
            {"search": [["a"], {"even": true, "n": {"$gt": 0}}, 10, 0]},
            {"search": [[], {"n": 0}, 10, 0]},
            {"namespaces": [[], [], 9]},
            {"namespaces": [["*"], ["numbers"], 1]},
        ]),
    )
    .await;
    assert_eq!(
        answers,
        [
            json!(["1", "2"]),
            json!(["2", "4"]),
            json!(["0", "x"]),
            json!([["a", "numbers"], ["ab"]]),
            json!([["a"]]),
        ]
    );
}

#[tokio::test]
async fn a_refused_call_says_what_is_wrong_and_the_node_goes_on() {
    let server = Setup::probes(&["storing"]).start().await;
    let answers = calls(
        &server,
        json!([
            {"put": [[], "k", {}]},
            {"put": [["a.b"], "k", {}]},
            {"get": [[""], "k"]},
            {"put": [["langgraph", "x"], "k", {}]},
            {"put": [["a"], "k", [1]]},
            {"put_for": [["a"], "k", {}, 0]},
            {"search": [["a"], {"n": {"$in": [1]}}, 10, 0]},
            {"search": [["a"], null, 0, 0]},
            {"search": [["a"], null, 1001, 0]},
            {"put": [["a"], "k", {"still": "works"}]},
        ]),
    )
    .await;
    let label = "must be a non-empty string without periods";
    let expected = [
        ("InvalidNamespaceError", "Namespace cannot be empty."),
        ("InvalidNamespaceError", label),
        ("InvalidNamespaceError", label),
        ("InvalidNamespaceError", "('langgraph', 'x')"),
        ("ValueError", "the value of an item must be an object"),
        ("ValueError", "ttl: 0 is not between 0 and"),
        ("ValueError", "Unsupported operator: $in"),
        ("ValueError", "limit: 0 is not between 1 and 1000"),
        ("ValueError", "limit: 1001 is not between 1 and 1000"),
    ];
    for (answer, (kind, words)) in answers.iter().zip(expected) {
        assert_eq!(answer["error"], kind, "{answer}");
        assert!(text(&answer["message"]).contains(words), "{answer}");
    }
    assert_eq!(answers.last(), Some(&Value::Null));
}

#[tokio::test]
async fn an_item_with_a_lifetime_ends_and_what_a_failed_node_has_put_stays() {
    let server = Setup::probes(&["storing"]).start().await;
    let run = json!({"assistant_id": "storing", "input": {"fails": true, "calls": [
        {"put_for": [["a"], "short", {"v": 1}, 200]},
        {"put": [["a"], "long", {"v": 1}]},
    ]}});
    let outcome = server.post_json("/runs/wait", &run).await;
    assert_eq!(outcome["__error__"]["message"], "afterwards");
    eventually("the short one has ended", async || {
        let item = server
            .get_json("/store/items?namespace=a&key=short&refresh_ttl=false")
            .await;
        item.is_null().then_some(())
    })
    .await;
    let long = server.get_json("/store/items?namespace=a&key=long").await;
    assert_eq!(long["value"], json!({"v": 1}));
}

#[tokio::test]
async fn a_task_that_calls_the_store_too_often_is_ended_by_that_bound() {
    let server = Setup::probes(&["storing"])
        .set("sandbox.store_calls", 3)
        .start()
        .await;
    let call = json!({"put": [["a"], "k", {"v": 1}]});
    let answers = calls(&server, json!([call, call, call])).await;
    assert_eq!(answers, [Value::Null, Value::Null, Value::Null]);
    let run = json!({"assistant_id": "storing", "input": {"calls": [call, call, call, call]}});
    let outcome = server.post_json("/runs/wait", &run).await;
    let error = &outcome["__error__"];
    assert_eq!(error["error"], "StoreCallLimitExceeded");
    assert!(text(&error["message"]).contains("sandbox.store_calls"));
}

#[tokio::test]
async fn what_a_run_puts_beyond_its_bounds_is_refused_and_the_next_run_puts_again() {
    for (key, most) in [
        ("runtime.max_run_store_items", 2),
        ("runtime.max_run_store_bytes", 25),
    ] {
        let server = Setup::probes(&["storing"]).set(key, most).start().await;
        let call = json!({"put": [["a"], "k", {"v": "12"}]});
        for _ in 0..2 {
            let answers = calls(&server, json!([call, call, call])).await;
            assert_eq!(
                answers[..2],
                [Value::Null, Value::Null],
                "{key}: {answers:?}"
            );
            assert_eq!(answers[2]["error"], "RunStoreLimitExceeded", "{key}");
            assert!(text(&answers[2]["message"]).contains(key));
        }
    }
}

#[tokio::test]
async fn what_a_task_hands_to_the_store_counts_as_its_output() {
    let server = Setup::probes(&["storing"])
        .set("sandbox.output_bytes", 200_000)
        .start()
        .await;
    let long = "x".repeat(200_001);
    for call in [
        json!({"put": [["a"], "k", {"v": long}]}),
        json!({"put": [["a"], long, {}]}),
        json!({"get": [[long], "k"]}),
        json!({"search": [[long], null, 1, 0]}),
    ] {
        let run = json!({"assistant_id": "storing", "input": {"calls": [call]}});
        let outcome = server.post_json("/runs/wait", &run).await;
        assert_eq!(
            outcome["__error__"]["error"], "OutputLimitExceeded",
            "{outcome}"
        );
    }
}
