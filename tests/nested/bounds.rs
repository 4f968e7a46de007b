//! What graphs inside a graph may cost together, however many there are.

use serde_json::{Value, json};

use crate::support::server::text;
use crate::support::{Server, Setup};

async fn assistant(server: &Server, graph: &str) -> String {
    let search = json!({"graph_id": graph});
    let found = server.post_json("/assistants/search", &search).await;
    text(&found[0]["assistant_id"]).to_owned()
}

/// Graphs side by side that each hold so many bytes and ask.
fn many(n: usize, bytes: usize) -> Value {
    json!({"assistant_id": "many", "input": {"n": n, "bytes": bytes}})
}

/// In the mode `exit` a graph inside is stored while its task waits, and not once it is done.
#[tokio::test]
async fn a_loop_around_a_graph_leaves_one_checkpoint_where_only_the_end_is_stored() {
    let server = Setup::probes(&["rounds"]).start().await;
    for (durability, left) in [("async", true), ("exit", false)] {
        let thread = server.new_thread().await;
        let run = json!({
            "assistant_id": "rounds", "input": {"left": 5}, "durability": durability,
            "stream_mode": "checkpoints", "stream_subgraphs": true,
        });
        let events = server.stream(&thread, &run).await;
        let inside = events.iter().filter(|event| event.name.contains('|'));
        let mut namespaces: Vec<_> = inside
            .map(|event| text(&event.data["config"]["configurable"]["checkpoint_ns"]))
            .collect();
        namespaces.dedup();
        assert_eq!(namespaces.len(), 5);
        let history = format!("/threads/{thread}/history");
        for namespace in namespaces {
            let body = json!({"checkpoint": {"checkpoint_ns": namespace}});
            let states = server.post_json(&history, &body).await;
            assert_eq!(states != json!([]), left, "{durability}: {states}");
        }
        let states = server.post_json(&history, &json!({"limit": 100})).await;
        let states = states.as_array().expect("states");
        assert_eq!(states.len() == 1, !left, "{durability}");
        assert_eq!(states[0]["values"], json!({"left": 0}));
    }
}

#[tokio::test]
async fn a_run_that_leaves_more_until_its_end_than_the_bound_fails() {
    let key = "runtime.max_exit_bytes";
    let setup = Setup::probes(&["many"]).set(key, 100_000);
    let server = setup.start().await;
    for (n, durability, fails) in [(2, "exit", false), (4, "exit", true), (4, "async", false)] {
        let thread = server.new_thread().await;
        let mut run = many(n, 30_000);
        run["durability"] = json!(durability);
        let came = server.wait(&thread, &run).await;
        let error = &came["__error__"];
        if fails {
            assert_eq!(error["error"], "ExitLimitExceeded", "{came}");
            assert!(text(&error["message"]).contains(key), "{error}");
            let shown = server.get_json(&format!("/threads/{thread}")).await;
            assert_eq!(shown["status"], "error");
        } else {
            assert!(error.is_null(), "{n} {durability}: {error}");
        }
    }
}

#[tokio::test]
async fn questions_count_among_what_the_tasks_of_a_step_leave() {
    // Of each question the value counts, and the id.
    let setup = Setup::probes(&["wide"]).set("runtime.max_step_bytes", 60);
    let server = setup.start().await;
    let run = json!({"assistant_id": "wide", "input": {}});
    let came = server.post_json("/runs/wait", &run).await;
    assert_eq!(
        came["__error__"]["error"], "StepOutputLimitExceeded",
        "{came}"
    );
}

/// Every node stands for the graph itself: opened all the way there would be 40 to the power of 8.
#[tokio::test]
async fn a_drawing_has_so_many_nodes_and_no_more() {
    let server = Setup::probes(&["mirrors"]).start().await;
    let id = assistant(&server, "mirrors").await;
    let drawing = server
        .get_json(&format!("/assistants/{id}/graph?xray=true"))
        .await;
    let nodes = drawing["nodes"].as_array().expect("nodes").len();
    let edges = drawing["edges"].as_array().expect("edges").len();
    assert!(
        (1_000..=10_000).contains(&(nodes + edges)),
        "{nodes} {edges}"
    );
}
