//! Runs: create, wait, join, get and list.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::Setup;
use crate::support::server::{detail_of, json_of, names, text};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn two(foo: &str) -> Value {
    json!({"assistant_id": "two", "input": {"foo": foo}})
}

#[tokio::test]
async fn a_created_run_is_answered_as_it_was_accepted() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let body = json!({
        "assistant_id": "two", "input": {"foo": "in"}, "stream_mode": "updates", "unknown_member": [1],
        "config": {"tags": ["x"], "recursion_limit": 20},
    });
    let response = server.post(&format!("/threads/{thread}/runs"), &body).await;
    let location = response.headers()["content-location"]
        .to_str()
        .expect("text")
        .to_owned();
    let run = json_of(response, reqwest::StatusCode::OK).await;
    let id = text(&run["run_id"]);
    assert_eq!(id.parse::<Uuid>().expect("a UUID").get_version_num(), 7);
    assert_eq!(location, format!("/threads/{thread}/runs/{id}"));
    let members = [
        "run_id",
        "thread_id",
        "assistant_id",
        "metadata",
        "status",
        "kwargs",
        "multitask_strategy",
        "created_at",
        "updated_at",
    ];
    assert_eq!(names(&run)[..9], members);
    assert_eq!(
        (&run["thread_id"], &run["status"]),
        (&json!(thread), &json!("pending"))
    );
    assert_eq!(run["multitask_strategy"], "enqueue");
    let kwargs = &run["kwargs"];
    let members = [
        "input",
        "command",
        "config",
        "context",
        "stream_mode",
        "interrupt_before",
        "interrupt_after",
        "webhook",
        "feedback_keys",
        "temporary",
        "subgraphs",
        "resumable",
        "checkpoint_during",
        "durability",
    ];
    assert_eq!(names(kwargs), members);
    assert_eq!(
        (&kwargs["input"], &kwargs["command"]),
        (&json!({"foo": "in"}), &Value::Null)
    );
    assert_eq!(
        (&kwargs["stream_mode"], &kwargs["temporary"]),
        (&json!(["updates"]), &json!(false))
    );
    assert_eq!(
        (&kwargs["durability"], &kwargs["checkpoint_during"]),
        (&json!("async"), &json!(true))
    );
    assert_eq!(kwargs["config"]["tags"], json!(["x"]));
    assert_eq!(kwargs["config"]["recursion_limit"], 20);
    assert_eq!(kwargs["config"]["configurable"]["run_id"], id);
    assert_eq!(kwargs["config"]["metadata"], run["metadata"]);
    assert_eq!(server.ended_run(&run).await["status"], "success");
}

#[tokio::test]
async fn wait_answers_with_the_final_values_and_says_where_the_run_is() {
    let server = Setup::probes(&["two", "fail"]).start().await;
    let thread = server.new_thread().await;
    let response = server
        .post(&format!("/threads/{thread}/runs/wait"), &two("in"))
        .await;
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    let (location, content_location) = (header("location"), header("content-location"));
    assert_eq!(header("content-type"), "application/json");
    let values = json_of(response, reqwest::StatusCode::OK).await;
    assert_eq!(values, json!({"foo": "inab", "log": ["a", "b"]}));
    assert_eq!(location, format!("{content_location}/join"));
    assert_eq!(server.get_json(&location).await, values);
    assert_eq!(
        server.get_json(&content_location).await["status"],
        "success"
    );

    let failed = server
        .post_json("/runs/wait", &json!({"assistant_id": "fail", "input": {}}))
        .await;
    assert_eq!(
        failed,
        json!({"__error__": {"error": "ValueError", "message": "boom"}})
    );
    let body = json!({"assistant_id": "fail", "input": {}});
    let thread = server.new_thread().await;
    assert_eq!(server.wait(&thread, &body).await, failed);
    let run = &server.get_json(&format!("/threads/{thread}/runs")).await[0];
    assert_eq!(run["status"], "error");
    let join = format!("/threads/{thread}/runs/{}/join", text(&run["run_id"]));
    assert_eq!(server.get_json(&join).await, failed);
}

#[tokio::test]
async fn join_waits_for_a_run_that_is_under_way() {
    let server = Setup::probes(&["slow"]).start().await;
    let thread = server.new_thread().await;
    let run = server
        .create_run(
            &thread,
            &json!({"assistant_id": "slow", "input": {"ms": 300}}),
        )
        .await;
    let join = format!("/threads/{thread}/runs/{}/join", text(&run["run_id"]));
    assert_eq!(
        server.get_json(&join).await,
        json!({"ms": 300, "done": true})
    );
    let missing = server
        .get_json(&format!("/threads/{thread}/runs/{NOBODY}/join"))
        .await;
    assert_eq!(
        missing,
        json!({"__error__": {"error": "HTTPException", "message": "404: Run not found"}})
    );
}

#[tokio::test]
async fn runs_are_listed_newest_first_by_status_and_in_pages() {
    let server = Setup::probes(&["two", "fail"]).start().await;
    let thread = server.new_thread().await;
    for assistant in ["two", "fail", "two"] {
        server
            .wait(
                &thread,
                &json!({"assistant_id": assistant, "input": {"foo": assistant}}),
            )
            .await;
    }
    let inputs = async |query: &str| {
        let runs = server
            .get_json(&format!("/threads/{thread}/runs{query}"))
            .await;
        let inputs = runs.as_array().expect("an array").iter();
        inputs
            .map(|run| text(&run["kwargs"]["input"]["foo"]).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(inputs("").await, ["two", "fail", "two"]);
    assert_eq!(inputs("?limit=2").await, ["two", "fail"]);
    assert_eq!(inputs("?limit=2&offset=1").await, ["fail", "two"]);
    assert_eq!(inputs("?status=error").await, ["fail"]);
    assert_eq!(inputs("?status=success&limit=1&offset=1").await, ["two"]);
    assert_eq!(inputs("?status=pending").await, [""; 0]);

    let selected = server
        .get_json(&format!(
            "/threads/{thread}/runs?limit=1&select=status&select=run_id"
        ))
        .await;
    assert_eq!(names(&selected[0]), ["run_id", "status"]);
    assert_eq!(selected[0]["status"], "success");

    let bad = |query: &str| format!("/threads/{thread}/runs{query}");
    let detail = detail_of(server.get(&bad("?limit=abc")).await, 400).await;
    assert_eq!(detail, "invalid literal for int() with base 10: 'abc'");
    detail_of(server.get(&bad("?limit=0")).await, 422).await;
    detail_of(server.get(&bad("?limit=-1")).await, 422).await;
    detail_of(server.get(&bad("?status=bogus")).await, 422).await;
    let detail = detail_of(server.get(&bad("?select=zzz&select=status")).await, 422).await;
    assert!(
        detail.starts_with("Invalid select columns: ['zzz']. Expected: {'run_id', "),
        "{detail}"
    );
    assert_eq!(
        detail_of(server.get(&bad(&format!("/{NOBODY}"))).await, 404).await,
        "Not Found"
    );
    detail_of(server.get(&bad("/abc")).await, 422).await;
    let elsewhere = server.new_thread().await;
    let run = &server.get_json(&bad("")).await[0];
    let path = format!("/threads/{elsewhere}/runs/{}", text(&run["run_id"]));
    assert_eq!(detail_of(server.get(&path).await, 404).await, "Not Found");
}

#[tokio::test]
async fn what_does_not_exist_is_refused_when_the_run_is_created() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let runs = format!("/threads/{thread}/runs");
    for path in [runs.as_str(), "/runs", "/runs/wait", "/runs/stream"] {
        let detail = server
            .refused(path, &json!({"assistant_id": "nope"}), 422)
            .await;
        assert!(
            detail.starts_with(
                "Invalid assistant: 'nope'. Must be either:\n- A valid assistant UUID"
            ),
            "{detail}"
        );
        assert!(detail.ends_with("registered graphs: two"), "{detail}");
        let detail = server
            .refused(path, &json!({"assistant_id": NOBODY}), 404)
            .await;
        assert_eq!(detail, "Thread or assistant not found.");
        let detail = server.refused(path, &json!({"input": {}}), 422).await;
        assert!(
            detail.starts_with("\"assistant_id\" is a required property"),
            "{detail}"
        );
    }
    let detail = server
        .refused(&format!("/threads/{NOBODY}/runs"), &two("x"), 404)
        .await;
    assert_eq!(detail, "Thread or assistant not found.");
    assert_eq!(
        server.refused("/threads/abc/runs", &two("x"), 422).await,
        "Invalid thread ID"
    );
    assert_eq!(server.get_json(&runs).await, json!([]));
}

#[tokio::test]
async fn a_body_that_is_no_json_or_has_the_wrong_types_is_422() {
    let server = Setup::probes(&["two"]).start().await;
    for bad in [
        "",
        "{\"assistant_id\": ",
        "\"two\" x",
        "{'assistant_id': 'two'}",
    ] {
        let request = server
            .client
            .post(format!("{}/runs", server.base))
            .body(bad);
        let detail = detail_of(request.send().await.expect("an answer"), 422).await;
        assert_eq!(detail, "Invalid JSON in request body", "{bad}");
    }
    // The content type does not matter, as in LangGraph.
    let plain = server
        .client
        .post(format!("{}/runs/wait", server.base))
        .body(two("x").to_string());
    assert_eq!(plain.send().await.expect("an answer").status(), 200);
    for (member, value) in [
        ("assistant_id", json!(7)),
        ("metadata", json!([])),
        ("config", json!("x")),
        ("config", json!({"recursion_limit": "many"})),
        ("config", json!({"configurable": []})),
        ("context", json!(1)),
        ("command", json!("go")),
        ("webhook", json!("")),
        ("stream_mode", json!(3)),
        ("interrupt_before", json!(true)),
        ("after_seconds", json!(-1)),
        ("durability", json!("never")),
        ("multitask_strategy", json!("maybe")),
        ("if_not_exists", json!("maybe")),
        ("checkpoint_id", json!("abc")),
    ] {
        let mut body = two("x");
        body[member] = value;
        let thread = server.new_thread().await;
        server
            .refused(&format!("/threads/{thread}/runs"), &body, 422)
            .await;
    }
    let detail = server
        .client
        .post(format!("{}/runs", server.base))
        .body("[1]")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        detail_of(detail, 422).await,
        "[1] is not of type \"object\""
    );
}

#[tokio::test]
async fn inputs_that_a_graph_cannot_take_fail_the_run_with_langgraphs_errors() {
    let server = Setup::probes(&["two"]).start().await;
    let error =
        async |body: Value| server.post_json("/runs/wait", &body).await["__error__"].clone();
    let empty = json!({"error": "EmptyInputError", "message": "Received no input for __start__"});
    assert_eq!(error(json!({"assistant_id": "two"})).await, empty);
    assert_eq!(
        error(json!({"assistant_id": "two", "input": null})).await,
        empty
    );
    let wrong = error(json!({"assistant_id": "two", "input": "astring"})).await;
    assert_eq!(wrong["error"], "InvalidUpdateError");
    assert!(
        text(&wrong["message"]).starts_with("Expected dict, got astring"),
        "{wrong}"
    );
    // Keys that the graph does not have are ignored.
    let values = server
        .post_json(
            "/runs/wait",
            &json!({"assistant_id": "two", "input": {"foo": "x", "bar": 1}}),
        )
        .await;
    assert_eq!(values, json!({"foo": "xab", "log": ["a", "b"]}));
}
