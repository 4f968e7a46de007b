//! Graphs that depend on how a run is configured: each assistant, run and state has the graph that was built for it.

use serde_json::{Value, json};

use crate::support::server::{names, text};
use crate::support::{Gate, Server, Setup};

async fn assistant(server: &Server, graph: &str, configurable: Value) -> String {
    let body = json!({"graph_id": graph, "config": {"configurable": configurable}});
    let made = server.post_json("/assistants", &body).await;
    text(&made["assistant_id"]).to_owned()
}

fn begin(assistant: &str) -> Value {
    json!({"assistant_id": assistant, "input": {}})
}

/// A run that brings its own configuration.
fn configured(graph: &str, configurable: Value) -> Value {
    json!({"assistant_id": graph, "input": {}, "config": {"configurable": configurable}})
}

/// The nodes of an assistant's drawing, without its ends.
async fn drawn(server: &Server, assistant: &str, query: &str) -> Vec<String> {
    let path = format!("/assistants/{assistant}/graph{query}");
    let drawing = server.get_json(&path).await;
    let nodes = drawing["nodes"].as_array().expect("nodes").iter();
    let ids = nodes.map(|node| text(&node["id"]).to_owned());
    ids.filter(|id| !id.starts_with("__")).collect()
}

#[tokio::test]
async fn two_assistants_of_one_graph_are_drawn_and_run_differently() {
    let server = Setup::probes(&["chosen", "helping"]).start().await;
    let few = assistant(&server, "chosen", json!({"tools": ["search"]})).await;
    let all = json!({"tools": ["search", "math"], "helper": true, "review": true});
    let many = assistant(&server, "chosen", all).await;

    assert_eq!(drawn(&server, "chosen", "").await, ["begin"]);
    assert_eq!(drawn(&server, &few, "").await, ["begin", "search"]);
    let nodes = ["begin", "search", "math", "help", "review"];
    assert_eq!(drawn(&server, &many, "").await, nodes);
    let opened = drawn(&server, &many, "?xray=true").await;
    assert!(opened.contains(&"review:ask".to_owned()), "{opened:?}");

    let subgraphs = async |assistant: &str| {
        let path = format!("/assistants/{assistant}/subgraphs?recurse=true");
        server.get_json(&path).await
    };
    assert_eq!(subgraphs(&few).await, json!({}));
    assert_eq!(names(&subgraphs(&many).await), ["review"]);
    let schemas = server
        .get_json(&format!("/assistants/{many}/schemas"))
        .await;
    assert_eq!(schemas["state_schema"]["title"], "chosen_state");

    let thread = server.new_thread().await;
    let output = server.wait(&thread, &begin("chosen")).await;
    assert_eq!(output["log"], json!([]));
    let output = server.wait(&thread, &begin(&few)).await;
    assert_eq!(output["log"], json!(["search"]));

    let thread = server.new_thread().await;
    let asked = server.wait(&thread, &begin(&many)).await;
    let log = json!(["search", "math", "help_with_2"]);
    assert_eq!(asked["__interrupt__"][0]["value"], json!({"right?": log}));
    let answer = json!({"assistant_id": many, "command": {"resume": "yes"}});
    let output = server.wait(&thread, &answer).await;
    // The inner graph's own reducer has put both together.
    assert_eq!((&output["log"], &output["verdict"]), (&log, &json!("!yes")));

    // Another version of the assistant is another graph, from its next run on.
    let patch = json!({"config": {"configurable": {"tools": ["math"]}}});
    server.patch(&format!("/assistants/{few}"), &patch).await;
    assert_eq!(drawn(&server, &few, "").await, ["begin", "math"]);
    let thread = server.new_thread().await;
    let output = server.wait(&thread, &begin(&few)).await;
    assert_eq!(output["log"], json!(["math"]));
}

#[tokio::test]
async fn a_state_is_read_and_changed_with_the_graph_of_the_run_that_made_it() {
    let server = Setup::probes(&["chosen"]).start().await;
    let thread = server.new_thread().await;
    let setting = json!({"tools": ["a", "b"], "review": true});
    server
        .wait(&thread, &configured("chosen", setting.clone()))
        .await;

    let path = format!("/threads/{thread}/state?subgraphs=true");
    let state = server.get_json(&path).await;
    assert_eq!(state["next"], json!(["review"]));
    let inside = &state["tasks"][0]["state"];
    assert_eq!(inside["next"], json!(["ask"]), "{inside}");
    assert_eq!(inside["values"]["log"], json!(["a", "b"]));
    let question = &inside["tasks"][0]["interrupts"][0]["value"];
    assert_eq!(*question, json!({"right?": ["a", "b"]}));

    let page = server
        .get_json(&format!("/threads/{thread}/history?limit=10"))
        .await;
    let next: Vec<&Value> = page.as_array().expect("a page").iter().rev().collect();
    let next: Vec<&Value> = next.iter().map(|state| &state["next"][0]).collect();
    assert_eq!(next, ["__start__", "begin", "a", "b", "review"]);

    // As a node that there is only then; and what comes of it is read so, too.
    let change = json!({"values": {"log": ["again"]}, "as_node": "a"});
    let path = format!("/threads/{thread}/state");
    server.post_json(&path, &change).await;
    let state = server.state(&thread).await;
    assert_eq!(state["next"], json!(["b"]));
    assert_eq!(state["values"]["log"], json!(["a", "b", "again"]));
    server
        .post_json(&path, &json!({"values": null, "as_node": "b"}))
        .await;
    assert_eq!(server.state(&thread).await["next"], json!(["review"]));

    // A run of another configuration has another graph: to it nothing is left to do.
    let mut other = configured("chosen", json!({"tools": ["c"]}));
    other["input"] = Value::Null;
    server.wait(&thread, &other).await;
    let thread_now = server.get_json(&format!("/threads/{thread}")).await;
    assert_eq!(thread_now["values"]["log"], json!(["a", "b", "again"]));

    let nobody = json!({"values": {}, "as_node": "nobody"});
    let refusal = server.refused(&path, &nobody, 400).await;
    assert_eq!(refusal, "Node nobody does not exist");
}

#[tokio::test]
async fn a_run_that_was_cut_off_goes_on_with_the_graph_that_it_had() {
    let gate = Gate::closed().await;
    let mut server = gate.setup(&["chosen", "around"]).start().await;
    for graph in ["chosen", "around"] {
        let thread = server.new_thread().await;
        let setting = json!({"tools": ["one", "two"], "counter": gate.url()});
        let before = gate.held();
        let run = server
            .create_run(&thread, &configured(graph, setting))
            .await;
        gate.holds(before + 1).await;
        server.kill();
        gate.open();
        server.restart().await;
        assert_eq!(server.ended_run(&run).await["status"], "success", "{graph}");
        let log = &server.state(&thread).await["values"]["log"];
        assert_eq!(*log, json!(["one", "two"]), "{graph}");
        gate.close();
    }
}

#[tokio::test]
async fn graphs_inside_are_built_for_the_same_run() {
    let server = Setup::probes(&["around"]).start().await;
    let setting = json!({"tools": ["a"], "helper": true, "review": true});
    let around = assistant(&server, "around", setting).await;
    let opened = drawn(&server, &around, "?xray=true").await;
    assert!(
        opened.contains(&"inside:review:ask".to_owned()),
        "{opened:?}"
    );
    let thread = server.new_thread().await;
    server.wait(&thread, &begin(&around)).await;

    let path = format!("/threads/{thread}/state?subgraphs=true");
    let state = server.get_json(&path).await;
    let inside = &state["tasks"][0]["state"];
    assert_eq!(inside["next"], json!(["review"]), "{state}");
    let innermost = &inside["tasks"][0]["state"];
    assert_eq!(innermost["next"], json!(["ask"]), "{inside}");

    let path = format!("/threads/{thread}/state");
    let change =
        json!({"values": {"log": ["c"]}, "as_node": "help", "checkpoint": inside["checkpoint"]});
    server.post_json(&path, &change).await;
    let answer = json!({"assistant_id": around, "command": {"resume": "yes"}});
    let asked = server.wait(&thread, &answer).await;
    assert_eq!(
        asked["__interrupt__"][0]["value"]["right?"],
        json!(["a", "help_with_1", "c"])
    );
    let output = server.wait(&thread, &answer).await;
    assert_eq!(output["verdict"], "!yes");
}

#[tokio::test]
async fn what_cannot_be_built_ends_its_own_run_and_nothing_else() {
    let setup = Setup::probes(&["chosen", "around"]);
    let server = setup.bound("chosen", "cpu_ms", 200).start().await;
    for (wrong, kind, words) in [
        ("panic", "GuestPanicked", "cannot be built"),
        ("spin", "CpuLimitExceeded", "sandbox.cpu_ms"),
        ("edge", "InvalidGraph", "nobody"),
        ("no such tool", "ToolMissing", "no such tool"),
    ] {
        let setting = json!({"wrong": wrong});
        let thread = server.new_thread().await;
        let run = configured("chosen", setting.clone());
        let answer = server
            .post(&format!("/threads/{thread}/runs/wait"), &run)
            .await;
        let answer: Value = answer.json().await.expect("JSON");
        let error = &answer["__error__"];
        assert_eq!(error["error"], kind, "{answer}");
        assert!(text(&error["message"]).contains(words), "{answer}");
        let shown = server.get_json(&format!("/threads/{thread}")).await;
        assert_eq!(shown["status"], "error", "{wrong}");

        let broken = assistant(&server, "chosen", setting).await;
        let drawing = server.get(&format!("/assistants/{broken}/graph")).await;
        assert_eq!(drawing.status(), 400, "{wrong}");
        let refusal: Value = drawing.json().await.expect("JSON");
        assert!(text(&refusal["detail"]).starts_with(kind), "{refusal}");
    }
    // Inside another graph it ends its task.
    let thread = server.new_thread().await;
    let run = configured("around", json!({"wrong": "no such tool"}));
    let answer = server
        .post_json(&format!("/threads/{thread}/runs/wait"), &run)
        .await;
    assert_eq!(answer["__error__"]["error"], "ToolMissing");

    let thread = server.new_thread().await;
    let output = server
        .wait(&thread, &configured("chosen", json!({"tools": ["a"]})))
        .await;
    assert_eq!(output["log"], json!(["a"]));
}

#[tokio::test]
async fn a_graph_is_built_without_the_cache_as_with_it() {
    let server = Setup::probes(&["chosen"])
        .set("runtime.graph_cache_bytes", 0)
        .start()
        .await;
    for tool in ["a", "b", "a"] {
        let thread = server.new_thread().await;
        let run = configured("chosen", json!({"tools": [tool]}));
        assert_eq!(server.wait(&thread, &run).await["log"], json!([tool]));
    }
}

#[tokio::test]
async fn graphs_are_built_with_no_more_instances_than_there_are() {
    let setup = Setup::probes(&["chosen"]).set("sandbox.max_instances", 1);
    let server = setup.start().await;
    // A node holds the only instance while the graph that it calls is built, and others wait to build the same.
    let setting = json!({"tools": ["a"], "helper": true});
    let mut runs = Vec::new();
    for _ in 0..8 {
        let thread = server.new_thread().await;
        let run = configured("chosen", setting.clone());
        runs.push(server.create_run(&thread, &run).await);
    }
    for run in &runs {
        assert_eq!(server.ended_run(run).await["status"], "success");
        let state = server.state(text(&run["thread_id"])).await;
        assert_eq!(state["values"]["log"], json!(["a", "help_with_1"]));
    }
}
