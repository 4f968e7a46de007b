//! Bad input: one clear error that says what to do, the right status, nothing lost.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::protocol::CHANNELS;
use crate::support::server::detail_of;
use crate::support::{Server, Setup, eventually, graphs};

const NO_ID: &str = "00000000-0000-4000-8000-000000000000";

async fn post_text(
    server: &Server,
    path: &str,
    body: impl Into<reqwest::Body>,
) -> reqwest::Response {
    let request = server
        .client
        .post(format!("{}{path}", server.base))
        .body(body);
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn unknown_graphs_assistants_threads_and_runs_are_named() {
    let server = Setup::probes(&["two", "fail"]).start().await;
    let unknown_graph = server
        .refused("/runs", &json!({"assistant_id": "nope"}), 422)
        .await;
    assert_eq!(
        unknown_graph,
        "Invalid assistant: 'nope'. Must be either:\n- A valid assistant UUID, or\n- One of the registered graphs: \
         fail, two"
    );
    let unknown = "Thread or assistant not found.";
    assert_eq!(
        server
            .refused("/runs", &json!({"assistant_id": NO_ID}), 404)
            .await,
        unknown
    );
    let on_no_thread = format!("/threads/{NO_ID}/runs");
    assert_eq!(
        server
            .refused(&on_no_thread, &json!({"assistant_id": "two"}), 404)
            .await,
        unknown
    );
    let missing = format!("Thread with ID {NO_ID} not found");
    for path in [
        format!("/threads/{NO_ID}"),
        format!("/threads/{NO_ID}/state"),
        format!("/threads/{NO_ID}/runs"),
    ] {
        assert_eq!(detail_of(server.get(&path).await, 404).await, missing);
    }
    assert_eq!(
        detail_of(server.delete(&format!("/threads/{NO_ID}")).await, 404).await,
        missing
    );
    let thread = server.new_thread().await;
    let run = server.get(&format!("/threads/{thread}/runs/{NO_ID}")).await;
    assert_eq!(detail_of(run, 404).await, "Not Found");
    assert_eq!(
        detail_of(server.get("/no/such/route").await, 404).await,
        "Not Found"
    );
    assert_eq!(
        detail_of(server.delete("/runs").await, 405).await,
        "Method Not Allowed"
    );
}

#[tokio::test]
async fn ids_that_are_no_uuids_are_refused() {
    let server = Setup::probes(&["two"]).start().await;
    let refused = [
        ("/threads/x", "Invalid thread ID: must be a UUID"),
        ("/threads/x/state", "Invalid thread ID: must be a UUID"),
        ("/assistants/two", "Invalid assistant ID: must be a UUID"),
        ("/runs/x", "Invalid run ID: must be a UUID"),
    ];
    for (path, detail) in refused {
        assert_eq!(detail_of(server.get(path).await, 422).await, detail);
    }
    let created = server
        .refused("/threads", &json!({"thread_id": "x"}), 422)
        .await;
    assert_eq!(created, "Invalid thread ID: must be a UUID");
}

#[tokio::test]
async fn bodies_that_are_no_json_objects_are_refused() {
    let server = Setup::probes(&["two"]).start().await;
    for body in ["", "{", "{\"assistant_id\": }", "nonsense", "\"\\ud800"] {
        let detail = detail_of(post_text(&server, "/runs", body).await, 422).await;
        assert_eq!(detail, "Invalid JSON in request body", "{body:?}");
    }
    for body in ["[]", "1", "null", "\"text\""] {
        let detail = detail_of(post_text(&server, "/runs", body).await, 422).await;
        assert!(detail.contains("is not of type \"object\""), "{detail}");
    }
    let deep = format!(
        "{{\"assistant_id\":\"two\",\"input\":{}{}}}",
        "[".repeat(200),
        "]".repeat(200)
    );
    let detail = detail_of(post_text(&server, "/runs", deep).await, 422).await;
    assert!(detail.contains("levels deep"), "{detail}");
    let not_utf8 = post_text(&server, "/runs", b"{\"assistant_id\":\"\xff\"}".to_vec()).await;
    assert_eq!(not_utf8.status(), 422);
}

#[tokio::test]
async fn members_of_the_wrong_kind_are_refused_and_unknown_ones_ignored() {
    let server = Setup::probes(&["two"]).start().await;
    let refused = [
        (json!({}), "\"assistant_id\" is a required property"),
        (json!({"assistant_id": 1}), "is not of type \"string\""),
        (
            json!({"assistant_id": "two", "metadata": []}),
            "is not of type \"object\"",
        ),
        (
            json!({"assistant_id": "two", "config": {"configurable": 1}}),
            "is not of type \"object\"",
        ),
        (
            json!({"assistant_id": "two", "config": {"recursion_limit": 0}}),
            "recursion_limit",
        ),
        (json!({"assistant_id": "two", "stream_mode": "zzz"}), "zzz"),
        (
            json!({"assistant_id": "two", "stream_mode": ["values", 1]}),
            "stream_mode",
        ),
        (
            json!({"assistant_id": "two", "on_completion": "zzz"}),
            "on_completion",
        ),
        (
            json!({"assistant_id": "two", "after_seconds": -1}),
            "after_seconds",
        ),
        (
            json!({"assistant_id": "two", "after_seconds": 1e300}),
            "after_seconds",
        ),
        (
            json!({"assistant_id": "two", "durability": "zzz"}),
            "durability",
        ),
        (
            json!({"assistant_id": "two", "interrupt_before": "a"}),
            "interrupt_before",
        ),
        (json!({"assistant_id": "two", "webhook": ""}), "webhook"),
        (json!({"assistant_id": "two", "command": []}), "command"),
        (
            json!({"assistant_id": "two", "langsmith_tracer": "x"}),
            "langsmith_tracer",
        ),
        (
            json!({"assistant_id": "two", "feedback_keys": "x"}),
            "feedback_keys",
        ),
        (
            json!({"assistant_id": "two", "on_disconnect": "zzz"}),
            "on_disconnect",
        ),
    ];
    for (body, words) in refused {
        let detail = server.refused("/runs", &body, 422).await;
        assert!(detail.contains(words), "{body}: {detail}");
    }
    let both =
        json!({"assistant_id": "two", "config": {"configurable": {"a": 1}}, "context": {"b": 2}});
    let detail = server.refused("/runs", &both, 400).await;
    assert!(
        detail.starts_with("Cannot specify both configurable and context."),
        "{detail}"
    );
    let resume = json!({"assistant_id": "two", "command": {"resume": 1}});
    assert_eq!(
        server.refused("/runs", &resume, 400).await,
        "You must provide a thread_id when resuming."
    );
    let unknown = json!({"assistant_id": "two", "input": {"foo": "x"}, "never_heard_of": [1], "command": null});
    assert_eq!(server.post("/runs", &unknown).await.status(), 200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_413_and_the_key_to_change() {
    let server = Setup::probes(&["two"])
        .set("http.max_body_bytes", 10_000)
        .start()
        .await;
    let body = json!({"assistant_id": "two", "input": {"foo": "x".repeat(20_000)}});
    let detail = server.refused("/runs", &body, 413).await;
    assert!(detail.contains("http.max_body_bytes"), "{detail}");
}

#[tokio::test]
async fn what_a_graph_answers_is_checked_before_it_is_believed() {
    let server = Setup::probes(&["two", "garbage"]).start().await;
    for how in ["not_json", "not_an_object", "update_is_a_list", "too_deep"] {
        let body = json!({"assistant_id": "garbage", "input": {"how": how}});
        let outcome = server.post_json("/runs/wait", &body).await;
        let error = outcome["__error__"]["error"].as_str();
        assert!(error.is_some(), "{how}: {outcome}");
    }
    let values = server
        .post_json(
            "/runs/wait",
            &json!({"assistant_id": "two", "input": {"foo": "x"}}),
        )
        .await;
    assert_eq!(values["foo"], "xab");
}

#[tokio::test]
async fn a_caller_that_goes_away_in_the_middle_leaves_no_run_that_nobody_executes() {
    const CALLERS: usize = 50;
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let address = server.base.strip_prefix("http://").expect("an address");
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}}).to_string();
    let request = format!(
        "POST /threads/{thread}/runs HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..CALLERS {
        let mut connection = tokio::net::TcpStream::connect(address)
            .await
            .expect("a connection");
        connection
            .write_all(request.as_bytes())
            .await
            .expect("a request");
        drop(connection);
    }
    // A run on the same thread waits for all that were admitted before it; one that is stuck would hold it up for ever.
    server
        .wait(
            &thread,
            &json!({"assistant_id": "two", "input": {"foo": "x"}}),
        )
        .await;
    eventually("the end of every run", async || {
        let runs = server
            .get_json(&format!("/threads/{thread}/runs?limit=1000"))
            .await;
        let mut runs = runs.as_array().expect("runs").iter();
        runs.all(|run| run["status"] == "success").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_run_that_storage_refuses_ends_for_those_who_come_late_too() {
    let mut server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    server.terminate().await;
    let database = rusqlite::Connection::open(server.setup.data_dir().join("selvedge.db"));
    let database = database.expect("the database");
    database
        .execute_batch(
            "CREATE TRIGGER refuses BEFORE INSERT ON checkpoint BEGIN SELECT RAISE(ABORT, 'the test says so'); END",
        )
        .expect("a trigger");
    drop(database);
    server.restart().await;
    let everything = json!({"channels": CHANNELS});
    let mut live = server.thread_events(&thread, &everything).await;
    server.start_run(&thread, "two", json!({"foo": "x"})).await;
    let end = live.until_the_end().await.pop().expect("one");
    assert_eq!(
        end["params"]["data"],
        json!({"event": "failed", "graph_name": "two", "error": "what the run did could not be stored"})
    );
    server.kill();
    server.restart().await;
    let late = server.run_shown(&thread).await;
    assert_eq!(late.last(), Some(&end));
    assert_eq!(late[0]["params"]["data"]["event"], "running");
}

/// What the server says about a graph that it cannot load, and its exit code.
fn refused_graph(name: &str, bytes: &[u8]) -> (Option<i32>, String) {
    let setup = Setup::with_graphs(json!({}));
    let path = setup.data_dir().with_file_name(name);
    std::fs::write(&path, bytes).expect("a file");
    let setup = setup.set("graphs", json!({"graph": path}));
    (setup.exit_code(), setup.log())
}

#[test]
fn files_that_are_no_components_of_the_contract_stop_the_start() {
    let component = std::fs::read(graphs::probe()).expect("the probe");
    // An empty component: valid, and without an export.
    let empty = b"\0asm\x0d\0\x01\0".to_vec();
    let refused = [
        ("nothing.wasm", Vec::new(), "it is empty"),
        (
            "text.wasm",
            b"print('hello')".to_vec(),
            "does not begin like one",
        ),
        ("module.wasm", b"\0asm\x01\0\0\0".to_vec(), "core module"),
        (
            "truncated.wasm",
            component[..component.len() / 2].to_vec(),
            "does not compile",
        ),
        ("without_exports.wasm", empty, "selvedge:graph"),
    ];
    for (name, bytes, words) in refused {
        let (code, log) = refused_graph(name, &bytes);
        assert_eq!(code, Some(1), "{name}: {log}");
        assert!(log.contains(words) && log.contains(name), "{name}: {log}");
        assert!(!log.contains("panicked"), "{name}: {log}");
    }
}

#[test]
fn a_graph_that_a_component_does_not_hold_stops_the_start_and_names_those_that_it_does() {
    let probe = graphs::probe();
    for (path, words) in [
        (format!("{}:nope", probe.display()), "holds no graph `nope`"),
        (probe.display().to_string(), "holds several graphs"),
    ] {
        let setup = Setup::with_graphs(Value::Object(
            [("graph".to_owned(), json!(path))].into_iter().collect(),
        ));
        let (code, log) = (setup.exit_code(), setup.log());
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains(words) && log.contains("two"), "{log}");
    }
}
