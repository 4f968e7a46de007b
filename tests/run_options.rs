//! What a caller may say about a run besides its input: metadata, context, limits, durability, commands.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::Setup;
use crate::support::server::{names, text};

#[tokio::test]
async fn metadata_of_thread_config_and_request_is_merged_and_reserved_members_are_removed() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server
        .post_json(
            "/threads",
            &json!({"metadata": {"a": "thread", "b": "thread", "c": "thread"}}),
        )
        .await;
    let body = json!({
        "assistant_id": "two", "input": {"foo": "x"},
        "metadata": {"c": "request", "run_id": "mine", "thread_id": "mine", "assistant_id": "mine", "cron_id": "mine"},
        "config": {"metadata": {"b": "config", "c": "config", "run_id": "mine", "counters_since_delta_snapshot": 1}},
    });
    let run = server.create_run(text(&thread["thread_id"]), &body).await;
    let merged = json!({
        "created_by": "system", "a": "thread", "b": "config", "c": "request", "graph_id": "two",
        "assistant_id": run["assistant_id"],
    });
    assert_eq!(run["metadata"], merged);
    assert_eq!(run["kwargs"]["config"]["metadata"], merged);
    assert_eq!(server.ended_run(&run).await["metadata"], merged);
}

#[tokio::test]
async fn context_and_configurable_mirror_each_other_and_reach_the_node() {
    let server = Setup::probes(&["given"]).start().await;
    let thread = server.new_thread().await;
    let asked = [
        json!({"context": {"c": 1, "langgraph_auth_user": "me", "__after_seconds__": 9}}),
        json!({"config": {"configurable": {"c": 1, "langgraph_auth_user": "me", "__pregel_node_finished": 9}}}),
    ];
    for mut body in asked {
        body["assistant_id"] = json!("given");
        body["input"] = json!({});
        body["metadata"] = json!({"m": 1});
        let run = server.create_run(&thread, &body).await;
        let (context, configurable) = (
            &run["kwargs"]["context"],
            &run["kwargs"]["config"]["configurable"],
        );
        assert_eq!(context, &json!({"c": 1}));
        assert_eq!(
            (&configurable["c"], &configurable["langgraph_auth_user"]),
            (&json!(1), &Value::Null)
        );
        assert!(!names(configurable).contains(&"__pregel_node_finished"));
        server.ended_run(&run).await;
        let seen = &server.state(&thread).await["values"];
        assert_eq!(
            (&seen["context"], &seen["metadata"]["m"]),
            (&json!({"c": 1}), &json!(1))
        );
        assert_eq!(
            (
                &seen["configurable"]["c"],
                &seen["configurable"]["thread_id"]
            ),
            (&json!(1), &json!(thread))
        );
    }
    let both = json!({
        "assistant_id": "given", "input": {}, "context": {"c": 1}, "config": {"configurable": {"c": 1}},
    });
    for path in [format!("/threads/{thread}/runs"), "/runs/wait".to_owned()] {
        let detail = server.refused(&path, &both, 400).await;
        assert!(
            detail.starts_with(
                "Cannot specify both configurable and context. Prefer setting context"
            ),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn a_graph_sees_the_variables_that_are_named_for_it_and_no_others() {
    let setup = Setup::probes(&["env"])
        .set("env", json!({"GREETING": "hello"}))
        .env("SELVEDGE_TEST_HOST_ONLY", "x");
    let server = setup.start().await;
    let input = json!({"assistant_id": "env", "input": {"name": "GREETING"}});
    let values = server.post_json("/runs/wait", &input).await;
    assert_eq!(
        (&values["value"], &values["vars"]),
        (&json!("hello"), &json!({"GREETING": "hello"}))
    );
}

#[tokio::test]
async fn the_recursion_limit_ends_a_run_that_goes_on_too_long() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let body =
        json!({"assistant_id": "two", "input": {"foo": "x"}, "config": {"recursion_limit": 1}});
    let error = &server.wait(&thread, &body).await["__error__"];
    assert_eq!(error["error"], "GraphRecursionError");
    let message = text(&error["message"]);
    assert!(
        message.starts_with("Recursion limit of 1 reached without hitting a stop condition."),
        "{message}"
    );
    assert!(
        message.ends_with("/errors/GRAPH_RECURSION_LIMIT"),
        "{message}"
    );
    // What was reached is kept, and the run can go on from there.
    assert_eq!(server.state(&thread).await["next"], json!(["b"]));
    let more = json!({"assistant_id": "two", "input": null, "config": {"recursion_limit": 5}});
    assert_eq!(server.wait(&thread, &more).await["foo"], "xab");
}

#[tokio::test]
async fn a_run_can_create_its_thread() {
    let server = Setup::probes(&["two"]).start().await;
    let id = Uuid::new_v4();
    let body = |if_not_exists: &str| {
        json!({
            "assistant_id": "two", "input": {"foo": "x"}, "if_not_exists": if_not_exists, "metadata": {"m": 1},
        })
    };
    let path = format!("/threads/{id}/runs/wait");
    assert_eq!(
        server.refused(&path, &body("reject"), 404).await,
        "Thread or assistant not found."
    );
    assert_eq!(server.post_json(&path, &body("create")).await["foo"], "xab");
    assert_eq!(
        server.get_json(&format!("/threads/{id}")).await["metadata"]["m"],
        1
    );
    assert_eq!(
        server.post_json(&path, &body("create")).await["log"],
        json!(["a", "b", "a", "b"])
    );
}

#[tokio::test]
async fn checkpoint_during_is_the_older_word_for_durability_and_counts_in_its_absence() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    for (during, durability, expected) in [
        (json!(true), Value::Null, "async"),
        (json!(false), Value::Null, "exit"),
        (json!(false), json!("sync"), "sync"),
        (Value::Null, Value::Null, "async"),
    ] {
        let body = json!({
            "assistant_id": "two", "input": {"foo": "x"}, "checkpoint_during": during, "durability": durability,
        });
        let run = server.create_run(&thread, &body).await;
        assert_eq!(run["kwargs"]["durability"], expected, "{body}");
        server.ended_run(&run).await;
    }
}

#[tokio::test]
async fn durability_decides_what_is_stored_on_the_way_and_not_what_comes_out() {
    let server = Setup::probes(&["two", "hitl"]).start().await;
    let mut lengths = Vec::new();
    for durability in ["sync", "async", "exit"] {
        let thread = server.new_thread().await;
        let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "durability": durability});
        let values = server.wait(&thread, &body).await;
        let mut state = server.state(&thread).await;
        assert_eq!(
            values,
            json!({"foo": "xab", "log": ["a", "b"]}),
            "{durability}"
        );
        assert_eq!(
            (&state["values"], &state["next"]),
            (&values, &json!([])),
            "{durability}"
        );
        assert_eq!(state["metadata"]["step"], 2, "{durability}");
        let mut length = 1;
        while let Some(parent) = state["parent_checkpoint_id"].as_str() {
            let found = server
                .get(&format!("/threads/{thread}/state/{parent}"))
                .await;
            if found.status() == 404 {
                break;
            }
            state = found.json().await.expect("JSON");
            length += 1;
        }
        lengths.push(length);

        let thread = server.new_thread().await;
        let ask = json!({"assistant_id": "hitl", "input": {}, "durability": durability});
        assert!(
            server.wait(&thread, &ask).await["__interrupt__"].is_array(),
            "{durability}"
        );
        let resume =
            json!({"assistant_id": "hitl", "command": {"resume": "yes"}, "durability": durability});
        let answered = json!({"answer": "yes", "log": ["asked", "after"]});
        assert_eq!(
            server.wait(&thread, &resume).await,
            answered,
            "{durability}"
        );
    }
    assert_eq!(lengths, [4, 4, 1]);
}

#[tokio::test]
async fn a_command_updates_the_state_and_picks_the_next_node() {
    let server = Setup::probes(&["two"]).start().await;
    for (command, values) in [
        (
            json!({"update": {"foo": "L"}}),
            json!({"foo": "L", "log": ["a", "b"]}),
        ),
        (
            json!({"update": [["foo", "P"], ["log", ["p"]]]}),
            json!({"foo": "P", "log": ["a", "b", "p"]}),
        ),
        (
            json!({"update": {"foo": "M"}, "goto": "b"}),
            json!({"foo": "Mb", "log": ["a", "b", "b"]}),
        ),
        (
            json!({"goto": ["b"]}),
            json!({"foo": "xabb", "log": ["a", "b", "b"]}),
        ),
        (
            json!({"goto": {"node": "b", "input": {"foo": "S"}}}),
            json!({"foo": "Sb", "log": ["a", "b", "b"]}),
        ),
        (
            json!({"goto": [{"node": "b", "input": {"foo": "S"}}]}),
            json!({"foo": "Sb", "log": ["a", "b", "b"]}),
        ),
        // A node that the graph does not have is ignored, and so is an answer that nobody waits for.
        (
            json!({"goto": "nowhere"}),
            json!({"foo": "xab", "log": ["a", "b"]}),
        ),
        (
            json!({"resume": "nothing waits"}),
            json!({"foo": "xab", "log": ["a", "b"]}),
        ),
    ] {
        let thread = server.new_thread().await;
        server
            .wait(
                &thread,
                &json!({"assistant_id": "two", "input": {"foo": "x"}}),
            )
            .await;
        let got = server
            .wait(&thread, &json!({"assistant_id": "two", "command": command}))
            .await;
        assert_eq!(got, values, "{command}");
        assert_eq!(server.state(&thread).await["values"], values, "{command}");
    }
}

#[tokio::test]
async fn options_that_ask_for_nothing_special_are_accepted() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let usual = json!({
        "assistant_id": "two", "input": {"foo": "x"}, "on_disconnect": "continue", "stream_resumable": false,
        "stream_subgraphs": true, "multitask_strategy": "enqueue", "checkpoint": {"checkpoint_ns": "", "checkpoint_map": {}},
        "feedback_keys": ["score"], "langsmith_tracer": {"project_name": "p", "example_id": "e"},
    });
    let run = server.create_run(&thread, &usual).await;
    assert_eq!(run["kwargs"]["feedback_keys"], json!(["score"]));
    assert_eq!(run["kwargs"]["subgraphs"], true);
    let configurable = &run["kwargs"]["config"]["configurable"];
    assert_eq!(
        (
            &configurable["__langsmith_project__"],
            &configurable["__langsmith_example_id__"]
        ),
        (&json!("p"), &json!("e"))
    );
    assert_eq!(server.ended_run(&run).await["status"], "success");
    assert_eq!(server.state(&thread).await["values"]["foo"], "xab");
    assert_eq!(server.wait(&thread, &usual).await["foo"], "xab");
}

#[tokio::test]
async fn the_delay_is_kept_with_the_run_as_a_number_of_seconds() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    for (delay, text) in [
        (Value::Null, "0"),
        (json!(0.0), "0"),
        (json!(7), "7"),
        (json!(0.25), "0.25"),
    ] {
        let body = json!({"assistant_id": "two", "input": {}, "after_seconds": delay});
        let run = server.create_run(&thread, &body).await;
        let kept = &run["kwargs"]["config"]["configurable"]["__after_seconds__"];
        assert_eq!(kept.to_string(), text);
    }
}

#[tokio::test]
async fn a_thread_says_how_its_newest_run_was_configured() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let config = async || server.get_json(&format!("/threads/{thread}")).await["config"].clone();
    let run = |config: Value| {
        let input = json!({"foo": "x"});
        json!({"assistant_id": "two", "input": input, "config": config})
    };
    server
        .wait(&thread, &run(json!({"configurable": {"c": 1}})))
        .await;
    assert_eq!(config().await, json!({"configurable": {}}));
    let told = json!({"tags": ["t"], "recursion_limit": 9, "metadata": {"m": 1}});
    server.wait(&thread, &run(told.clone())).await;
    let mut kept = told;
    kept["configurable"] = json!({});
    assert_eq!(config().await, kept);
    // A limit that was meant for one run does not end the next.
    let later = server.create_run(&thread, &run(json!({}))).await;
    let config = &later["kwargs"]["config"];
    assert!(["tags", "recursion_limit"].map(|name| config.get(name)) == [None, None]);
    assert!(config["configurable"].get("c").is_none());
    assert!(later["metadata"].get("m").is_none());
}

#[tokio::test]
async fn the_callers_request_id_is_kept_with_the_run_and_its_checkpoints() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}});
    let kept = async |id: Option<&str>| {
        let url = format!("{}/threads/{thread}/runs", server.base);
        let mut request = server.client.post(url).json(&body);
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let answer = request.send().await.expect("an answer");
        let run: Value = answer.json().await.expect("JSON");
        let id = &run["kwargs"]["config"]["configurable"]["langgraph_request_id"];
        server.ended_run(&run).await;
        let metadata = &server.state(&thread).await["metadata"];
        assert_eq!(&metadata["langgraph_request_id"], id);
        for caller in ["user_id", "langgraph_auth_user_id"] {
            assert_eq!(metadata[caller], "", "{caller}");
        }
        text(id).to_owned()
    };
    assert_eq!(kept(Some("req-7")).await, "req-7");
    let made = [
        kept(None).await,
        kept(Some("")).await,
        kept(Some(&"x".repeat(300))).await,
    ];
    for id in made {
        id.parse::<Uuid>().expect("a UUID");
    }
}

#[tokio::test]
async fn strings_with_line_separators_nuls_and_half_surrogates_survive() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let body = r#"{"assistant_id":"two","input":{"foo":"a\u2028b\u0000c\ud800d😀"}}"#;
    let url = format!("{}/threads/{thread}/runs/wait", server.base);
    let values: Value = server
        .client
        .post(url)
        .body(body)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let kept = "a\u{2028}b\u{fffd}c?d😀ab";
    assert_eq!(values["foo"], kept);
    assert_eq!(server.state(&thread).await["values"]["foo"], kept);
    let separators = json!({"assistant_id": "two", "input": {"foo": "\u{2028}\u{2029}\u{85}\r\n"}, "stream_mode": "values"});
    let events = server.stream(&thread, &separators).await;
    assert_eq!(
        events.last().expect("an event").data["foo"],
        "\u{2028}\u{2029}\u{85}\r\nab"
    );
}
