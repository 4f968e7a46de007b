//! Emptying tables, which only the author's server offers.

use serde_json::json;

use crate::support::Setup;
use crate::support::server::detail_of;

const TRUNCATE: &str = "/internal/truncate";

#[tokio::test]
async fn an_operators_server_empties_nothing() {
    let server = Setup::probes(&["two"]).start().await;
    let all = json!({"runs": true, "threads": true, "assistants": true, "store": true, "checkpoint": true});
    assert_eq!(server.refused(TRUNCATE, &all, 404).await, "Not Found");
}

#[tokio::test]
async fn an_authors_server_empties_the_tables_that_are_named() {
    let server = Setup::probes(&["two"]).dev().start().await;
    let thread = server.new_thread().await;
    let two = json!({"assistant_id": "two", "input": {"foo": "x"}});
    server.wait(&thread, &two).await;
    let item = json!({"namespace": ["a"], "key": "k", "value": {}});
    server.put("/store/items", &item).await;
    let there = async || {
        let thread = server.get(&format!("/threads/{thread}")).await;
        let item = server.get_json("/store/items?namespace=a&key=k").await;
        (thread.status() == 200, !item.is_null())
    };

    server.post_json(TRUNCATE, &json!({})).await;
    assert_eq!(there().await, (true, true));
    server.post_json(TRUNCATE, &json!({"store": true})).await;
    assert_eq!(there().await, (true, false));
    let runs = format!("/threads/{thread}/runs");
    server.post_json(TRUNCATE, &json!({"runs": true})).await;
    assert_eq!(server.get_json(&runs).await, json!([]));
    assert_eq!(server.state(&thread).await["values"]["foo"], "xab");
    server
        .post_json(TRUNCATE, &json!({"checkpoint": true}))
        .await;
    assert_eq!(server.state(&thread).await["values"], json!({}));
    // What LangGraph's documentation calls it.
    server.wait(&thread, &two).await;
    server
        .post_json(TRUNCATE, &json!({"checkpoints": true}))
        .await;
    assert_eq!(server.state(&thread).await["values"], json!({}));
    let rest = json!({"threads": true, "assistants": true});
    server.post_json(TRUNCATE, &rest).await;
    assert_eq!(there().await, (false, false));
    detail_of(server.post(TRUNCATE, &json!({"runs": "yes"})).await, 422).await;

    // The graphs are still there, and so are their assistants.
    let assistants = server.post_json("/assistants/search", &json!({})).await;
    assert_eq!(assistants[0]["graph_id"], "two");
    let thread = server.new_thread().await;
    assert_eq!(server.wait(&thread, &two).await["foo"], "xab");
}
