//! Graphs in graphs: what a node that is a graph shows, keeps and asks, at any depth. What becomes of that is in
//! `changes`; graphs that a node calls are in `calls`; what they may cost is in `bounds`.

mod bounds;
mod calls;
mod changes;
mod events;

use serde_json::{Value, json};

use crate::support::server::{names, text};
use crate::support::{Server, Setup};

const NESTED: [&str; 2] = ["nested", "leaf"];

fn begin() -> Value {
    json!({"assistant_id": "nested", "input": {"foo": "x"}})
}

fn resume(graph: &str, answer: impl Into<Value>) -> Value {
    json!({"assistant_id": graph, "command": {"resume": answer.into()}})
}

/// What `nested` comes to when it is answered with `Y`.
fn done() -> Value {
    json!({"foo": "xamiYb", "log": ["a", "a", "m", "a", "m", "i", "asked", "b"]})
}

/// The state with those of the graphs inside its tasks.
async fn deep_state(server: &Server, thread: &str) -> Value {
    server
        .get_json(&format!("/threads/{thread}/state?subgraphs=true"))
        .await
}

/// The namespaces of the two graphs inside a thread's, and the states in them.
fn levels(state: &Value) -> [(String, Value); 2] {
    let inside = |state: &Value| {
        let state = state["tasks"][0]["state"].clone();
        let namespace = text(&state["checkpoint"]["checkpoint_ns"]).to_owned();
        (namespace, state)
    };
    let middle = inside(state);
    let innermost = inside(&middle.1);
    [middle, innermost]
}

#[tokio::test]
async fn a_question_three_levels_down_is_asked_and_answered_at_the_top() {
    let server = Setup::probes(&NESTED).start().await;
    for durability in ["sync", "async", "exit"] {
        let thread = server.new_thread().await;
        let mut run = begin();
        run["durability"] = json!(durability);
        let asked = server.wait(&thread, &run).await;
        assert_eq!(
            names(&asked),
            ["foo", "log", "__interrupt__"],
            "{durability}"
        );
        assert_eq!(
            (&asked["foo"], &asked["log"]),
            (&json!("xa"), &json!(["a"]))
        );
        let question = &asked["__interrupt__"][0];
        assert_eq!(question["value"], json!({"question": "ok?"}));

        let by_id = json!({text(&question["id"]): "Y"});
        for answer in [json!("Y"), by_id] {
            let copy = server
                .post_json(&format!("/threads/{thread}/copy"), &json!({}))
                .await;
            let copy = text(&copy["thread_id"]);
            assert_eq!(server.wait(copy, &resume("nested", answer)).await, done());
            let state = deep_state(&server, copy).await;
            assert_eq!((&state["next"], &state["tasks"]), (&json!([]), &json!([])));
        }
        let shown = server.get_json(&format!("/threads/{thread}")).await;
        assert_eq!(shown["status"], "interrupted");
    }
}

#[tokio::test]
async fn each_graph_has_its_own_state_history_and_place_among_the_others() {
    let server = Setup::probes(&NESTED).start().await;
    let thread = server.new_thread().await;
    server.wait(&thread, &begin()).await;

    let state = server.state(&thread).await;
    let task = &state["tasks"][0];
    let namespace = format!("mid:{}", text(&task["id"]));
    let inside = json!({"thread_id": thread, "checkpoint_ns": namespace});
    assert_eq!(
        (&task["checkpoint"], &task["state"]),
        (&inside, &Value::Null)
    );

    let state = deep_state(&server, &thread).await;
    let [(middle, mid), (innermost, leaf)] = levels(&state);
    assert_eq!(middle, namespace);
    assert_eq!(
        innermost,
        format!("{middle}|leaf:{}", text(&mid["tasks"][0]["id"]))
    );
    assert_eq!(
        (&mid["values"], &mid["next"]),
        (&json!({"foo": "xam", "log": ["a", "m"]}), &json!(["leaf"]))
    );
    assert_eq!(
        (&leaf["values"], &leaf["next"]),
        (
            &json!({"foo": "xami", "log": ["a", "m", "i"]}),
            &json!(["ask"])
        )
    );
    for state in [&state, &mid, &leaf] {
        assert_eq!(state["interrupts"], leaf["tasks"][0]["interrupts"]);
        assert_eq!(
            state["tasks"][0]["interrupts"][0]["value"]["question"],
            "ok?"
        );
    }

    let (outer, inner) = (&state["checkpoint_id"], &mid["checkpoint_id"]);
    assert_eq!(state["metadata"]["parents"], json!({}));
    assert_eq!(mid["metadata"]["parents"], json!({"": outer}));
    assert_eq!(
        leaf["metadata"]["parents"],
        json!({"": outer, &middle: inner})
    );
    let map = json!({"": outer, &middle: inner, &innermost: leaf["checkpoint_id"]});
    assert_eq!(leaf["checkpoint"]["checkpoint_map"], map);
    assert_eq!(state["checkpoint"].get("checkpoint_map"), None);

    // As clients ask for it: by the whole checkpoint, or by the namespace alone.
    let path = format!("/threads/{thread}/state/checkpoint");
    for checkpoint in [
        leaf["checkpoint"].clone(),
        json!({"checkpoint_ns": innermost}),
    ] {
        let found = server
            .post_json(&path, &json!({"checkpoint": checkpoint}))
            .await;
        assert_eq!(
            (&found["values"], &found["checkpoint"]),
            (&leaf["values"], &leaf["checkpoint"])
        );
    }
    let body = json!({"checkpoint": {"checkpoint_ns": middle}, "subgraphs": true});
    assert_eq!(
        server.post_json(&path, &body).await["tasks"][0]["state"],
        leaf
    );
    let nowhere = json!({"checkpoint": {"checkpoint_ns": "mid:nowhere"}});
    assert_eq!(
        server.post_json(&path, &nowhere).await["checkpoint"],
        Value::Null
    );

    let body = json!({"limit": 10, "checkpoint": {"checkpoint_ns": innermost}});
    let history = server
        .post_json(&format!("/threads/{thread}/history"), &body)
        .await;
    let steps: Vec<_> = history
        .as_array()
        .expect("states")
        .iter()
        .map(|s| (&s["metadata"]["step"], &s["next"]))
        .collect();
    assert_eq!(
        steps,
        [
            (&json!(1), &json!(["ask"])),
            (&json!(0), &json!(["i"])),
            (&json!(-1), &json!(["__start__"]))
        ]
    );
    assert_eq!(
        history[1]["tasks"][0]["result"],
        json!({"foo": "xami", "log": ["i"]})
    );
}

#[tokio::test]
async fn a_stream_shows_graphs_inside_only_to_those_who_ask() {
    let server = Setup::probes(&NESTED).start().await;
    let (thread, quiet) = (server.new_thread().await, server.new_thread().await);
    let modes = json!(["values", "updates", "tasks", "checkpoints"]);
    let mut run = begin();
    run["stream_mode"] = modes.clone();
    let without = server.stream(&quiet, &run).await;
    assert!(without.iter().all(|event| !event.name.contains('|')));

    run["stream_subgraphs"] = json!(true);
    let events = server.stream(&thread, &run).await;
    let [(middle, mid), (innermost, leaf)] = levels(&deep_state(&server, &thread).await);
    let shown = |mode: &str| -> Vec<(String, Value)> {
        let of_mode = events
            .iter()
            .filter(|e| e.name.split('|').next() == Some(mode));
        let place = |name: &str| match name.split_once('|').map(|(_, namespace)| namespace) {
            None => "outer".to_owned(),
            Some(namespace) if namespace == middle => "mid".to_owned(),
            Some(namespace) if namespace == innermost => "leaf".to_owned(),
            Some(other) => other.to_owned(),
        };
        of_mode.map(|e| (place(&e.name), e.data.clone())).collect()
    };
    let updates: Vec<_> = shown("updates")
        .into_iter()
        .map(|(at, data)| (at, names(&data)[0].to_owned()))
        .collect();
    let expected = [
        ("outer", "a"),
        ("mid", "m"),
        ("leaf", "i"),
        ("leaf", "__interrupt__"),
        ("mid", "__interrupt__"),
        ("outer", "__interrupt__"),
    ];
    assert_eq!(
        updates,
        expected.map(|(at, node)| (at.to_owned(), node.to_owned()))
    );
    let values: Vec<_> = shown("values")
        .into_iter()
        .map(|(at, data)| (at, data["foo"].clone()))
        .collect();
    let expected = [
        ("outer", "x"),
        ("outer", "xa"),
        ("mid", "xa"),
        ("mid", "xam"),
        ("leaf", "xam"),
        ("leaf", "xami"),
        ("leaf", "xami"),
        ("mid", "xam"),
        ("outer", "xa"),
    ];
    assert_eq!(
        values,
        expected.map(|(at, foo)| (at.to_owned(), json!(foo)))
    );

    let checkpoints = shown("checkpoints");
    let last = |place: &str| {
        checkpoints
            .iter()
            .rev()
            .find(|(at, _)| at == place)
            .expect("a checkpoint")
            .1
            .clone()
    };
    let state = json!({"configurable": {"thread_id": thread, "checkpoint_ns": middle}});
    assert_eq!(last("outer")["tasks"][0]["state"], state);
    let config = &last("leaf")["config"]["configurable"];
    assert_eq!(config["checkpoint_ns"], innermost);
    assert_eq!(
        config["checkpoint_map"],
        leaf["checkpoint"]["checkpoint_map"]
    );
    assert_eq!(
        last("mid")["metadata"]["parents"],
        mid["metadata"]["parents"]
    );

    // Resumed, each level begins with what it has, and the innermost goes on.
    let mut answer = resume("nested", "Y");
    answer["stream_mode"] = json!("updates");
    answer["stream_subgraphs"] = json!(true);
    let updates: Vec<_> = server.stream(&thread, &answer).await;
    let updates: Vec<_> = updates[1..]
        .iter()
        .map(|e| (e.name.matches('|').count(), names(&e.data)[0]))
        .collect();
    assert_eq!(updates, [(2, "ask"), (1, "leaf"), (0, "mid"), (0, "b")]);
}

#[tokio::test]
async fn a_graph_is_found_in_its_component_or_else_on_the_server() {
    let probe = crate::support::graphs::probe();
    let path = |name: &str| json!(format!("{}:{name}", probe.display()));
    let both = json!({"abroad": path("abroad"), "served_elsewhere": path("leaf")});
    let server = Setup::with_graphs(both).start().await;
    let thread = server.new_thread().await;
    let run = json!({"assistant_id": "abroad", "input": {"foo": "x"}});
    let asked = server.wait(&thread, &run).await;
    assert_eq!(asked["__interrupt__"][0]["value"]["question"], "ok?");
    let answered = server.wait(&thread, &resume("abroad", "Y")).await;
    assert_eq!(answered, json!({"foo": "xiY", "log": ["i", "asked"]}));

    let alone = Setup::with_graphs(json!({"abroad": path("abroad")}));
    assert_eq!(alone.exit_code(), Some(1));
    let log = alone.log();
    assert!(
        log.contains("the node `sub` stands for the graph `served_elsewhere`"),
        "{log}"
    );
}

#[tokio::test]
async fn graphs_of_one_step_ask_side_by_side() {
    let server = Setup::probes(&["wide"]).start().await;
    let thread = server.new_thread().await;
    let asked = server
        .wait(&thread, &json!({"assistant_id": "wide", "input": {}}))
        .await;
    let ids = [0, 1].map(|n| text(&asked["__interrupt__"][n]["id"]).to_owned());
    let error = server.wait(&thread, &resume("wide", "which?")).await["__error__"].clone();
    assert_eq!(error["error"], "RuntimeError", "{error}");

    let copy = server
        .post_json(&format!("/threads/{thread}/copy"), &json!({}))
        .await;
    let both = json!({&ids[0]: "L", &ids[1]: "R"});
    let answered = server
        .wait(text(&copy["thread_id"]), &resume("wide", both))
        .await;
    assert_eq!(answered["log"], json!(["L", "R", "after"]));

    // One after the other: what the first was answered stays.
    let left = server
        .wait(&thread, &resume("wide", json!({&ids[1]: "R"})))
        .await;
    assert_eq!(left["__interrupt__"][0]["id"], ids[0]);
    let answered = server.wait(&thread, &resume("wide", "L")).await;
    assert_eq!(answered["log"], json!(["L", "R", "after"]));
}

#[tokio::test]
async fn a_graph_can_be_left_with_an_update_of_the_one_around_it() {
    let server = Setup::probes(&["handover"]).start().await;
    let thread = server.new_thread().await;
    let run = json!({"assistant_id": "handover", "input": {}, "stream_mode": "updates", "stream_subgraphs": true});
    let updates = server.stream(&thread, &run).await;
    let updates: Vec<_> = updates[1..]
        .iter()
        .map(|e| (e.name.as_str(), e.data.clone()))
        .collect();
    let sub = json!({"sub": {"foo": "from inside", "log": ["left"]}});
    let b = json!({"b": {"foo": "from insideb", "log": ["b"]}});
    assert_eq!(updates, [("updates", sub), ("updates", b)]);
}

#[tokio::test]
async fn a_breakpoint_inside_stops_the_whole_run_and_is_passed_once() {
    let server = Setup::probes(&["paused"]).start().await;
    let thread = server.new_thread().await;
    let run = json!({"assistant_id": "paused", "input": {}, "stream_mode": "updates"});
    let events = server.stream(&thread, &run).await;
    assert_eq!(
        events[1..]
            .iter()
            .map(|e| e.data.clone())
            .collect::<Vec<_>>(),
        [json!({"__interrupt__": []})]
    );
    let state = deep_state(&server, &thread).await;
    assert_eq!(
        (&state["next"], &state["interrupts"]),
        (&json!(["sub"]), &json!([]))
    );
    assert_eq!(state["tasks"][0]["state"]["next"], json!(["two"]));
    assert_eq!(
        server.get_json(&format!("/threads/{thread}")).await["status"],
        "interrupted"
    );
    let go_on = json!({"assistant_id": "paused", "input": null});
    assert_eq!(
        server.wait(&thread, &go_on).await["log"],
        json!(["one", "two"])
    );
}

#[tokio::test]
async fn graphs_without_end_are_an_error() {
    let server = Setup::probes(&["endless"]).start().await;
    let thread = server.new_thread().await;
    let run = json!({"assistant_id": "endless", "input": {"foo": "x"}});
    let error = server.wait(&thread, &run).await["__error__"].clone();
    assert_eq!(error["error"], "GraphRecursionError");
    assert_eq!(
        error["message"],
        "graphs are nested more than 8 levels deep"
    );
}

#[tokio::test]
async fn a_run_that_is_deleted_when_it_ends_has_graphs_inside_too() {
    let server = Setup::probes(&["handover", "wide"]).start().await;
    let run = json!({"assistant_id": "handover", "input": {}});
    assert_eq!(
        server.post_json("/runs/wait", &run).await["log"],
        json!(["left", "b"])
    );
    let run = json!({"assistant_id": "wide", "input": {}});
    let asked = server.post_json("/runs/wait", &run).await;
    assert_eq!(asked["__interrupt__"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn graphs_inside_a_graph_are_drawn_and_say_what_they_take_and_give() {
    let server = Setup::probes(&["nested", "leaf", "endless"]).start().await;
    let search = server
        .post_json("/assistants/search", &json!({"graph_id": "nested"}))
        .await;
    let path = format!("/assistants/{}", text(&search[0]["assistant_id"]));
    let drawn = async |xray: &str| {
        let drawing = server.get_json(&format!("{path}/graph{xray}")).await;
        let nodes = drawing["nodes"].as_array().expect("nodes").clone();
        nodes
            .iter()
            .map(|n| text(&n["id"]).to_owned())
            .collect::<Vec<_>>()
    };
    let closed = ["__start__", "a", "mid", "b", "__end__"];
    assert_eq!(drawn("").await, closed);
    assert_eq!(drawn("?xray=false").await, closed);
    let once = ["__start__", "a", "b", "__end__", "mid:m", "mid:leaf"];
    assert_eq!(drawn("?xray=1").await, once);
    let open = [
        "__start__",
        "a",
        "b",
        "__end__",
        "mid:m",
        "mid:leaf:i",
        "mid:leaf:ask",
    ];
    assert_eq!(drawn("?xray=true").await, open);

    let listed = async |rest: &str| {
        let subgraphs = server.get_json(&format!("{path}/subgraphs{rest}")).await;
        assert!(
            subgraphs
                .as_object()
                .expect("an object")
                .values()
                .all(|s| s["state_schema"].is_object())
        );
        names(&subgraphs)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ["mid"]);
    assert_eq!(listed("?recurse=true").await, ["mid", "mid|leaf"]);
    assert_eq!(listed("/mid").await, ["mid"]);
    assert_eq!(listed("/mid%7Cleaf").await, Vec::<String>::new());
    assert_eq!(listed("/mid%7Cleaf?recurse=true").await, ["mid|leaf"]);
    assert_eq!(listed("/nope").await, Vec::<String>::new());

    // One that contains itself has an end, too.
    let search = server
        .post_json("/assistants/search", &json!({"graph_id": "endless"}))
        .await;
    let path = format!("/assistants/{}", text(&search[0]["assistant_id"]));
    let subgraphs = server
        .get_json(&format!("{path}/subgraphs?recurse=true"))
        .await;
    assert_eq!(names(&subgraphs).len(), 8);
    server.get_json(&format!("{path}/graph?xray=true")).await;
}

#[tokio::test]
async fn a_message_from_inside_is_shown_once_where_it_is_made_or_else_when_the_node_ends() {
    let server = Setup::probes(&["talking"]).start().await;
    for mode in ["messages", "messages-tuple"] {
        let shown = async |subgraphs: bool| {
            let run = json!({
                "assistant_id": "talking", "input": {}, "stream_mode": mode, "stream_subgraphs": subgraphs,
            });
            let events = server.stream(&server.new_thread().await, &run).await;
            let names = events[1..].iter().map(|event| event.name.clone());
            names.collect::<Vec<String>>()
        };
        let inside = shown(true).await;
        assert!(inside.len() >= 5, "{mode}: {inside:?}");
        // As in LangGraph, events of the mode `messages` say only in their metadata where they come from.
        let says_where = mode == "messages-tuple";
        assert!(
            inside
                .iter()
                .all(|name| name.contains("|sub:") == says_where),
            "{mode}: {inside:?}"
        );
        let outside = shown(false).await;
        let whole: &[&str] = match mode {
            "messages" => &["messages/metadata", "messages/complete"],
            _ => &["messages"],
        };
        assert_eq!(outside, whole, "{mode}");
    }
}
