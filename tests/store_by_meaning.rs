//! The store with an index: items are found by what they mean, also when what embeds them was away.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::embeddings::UNEMBEDDABLE;
use crate::support::server::{Server, detail_of, json_of, text};
use crate::support::{Embeddings, Setup, eventually};

const ITEMS: &str = "/store/items";
const SEARCH: &str = "/store/items/search";
const KEY: &str = "sk-of-the-test";

/// A server whose items are embedded by these fields.
fn indexed(embeddings: &Embeddings, fields: &[&str]) -> Setup {
    Setup::probes(&["two", "storing"])
        .env("EMBEDDINGS_KEY", KEY)
        .set("store.index", embeddings.index())
        .set("store.index.fields", json!(fields))
}

async fn put(server: &Server, key: &str, value: Value) {
    put_item(
        server,
        json!({"namespace": ["m"], "key": key, "value": value}),
    )
    .await;
}

async fn put_item(server: &Server, item: Value) {
    let answer = server.put(ITEMS, &item).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
}

/// Keys and scores of what a search in `m` finds.
async fn found(server: &Server, search: Value) -> Value {
    let mut search = search;
    search["namespace_prefix"] = json!(["m"]);
    let answer = server.post_json(SEARCH, &search).await;
    let items = answer["items"].as_array().expect("a list").iter();
    items
        .map(|item| json!([item["key"], item["score"]]))
        .collect()
}

async fn measured(server: &Server, name: &str) -> u64 {
    let metrics = server.get("/metrics").await.text().await.expect("text");
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("no {name}:\n{metrics}"))
}

#[tokio::test]
async fn the_items_that_are_nearest_to_a_query_come_first() {
    let embeddings = Embeddings::start().await;
    let server = indexed(&embeddings, &["text", "tags[*]"]).start().await;
    put(
        &server,
        "both",
        json!({"text": "dog", "tags": ["bird", "cat dog bird text"]}),
    )
    .await;
    put(&server, "far", json!({"text": "dog", "n": 1})).await;
    put(&server, "near", json!({"text": "cat"})).await;
    put(&server, "none", json!({"n": 1})).await;
    let all = json!([["near", 1.0], ["both", 0.5], ["far", 0.0], ["none", null]]);
    assert_eq!(found(&server, json!({"query": "cat"})).await, all);
    let page = json!({"query": "cat", "limit": 2, "offset": 1});
    assert_eq!(
        found(&server, page).await,
        json!([["both", 0.5], ["far", 0.0]])
    );
    let some = json!({"query": "cat", "filter": {"n": 1}});
    assert_eq!(
        found(&server, some).await,
        json!([["far", 0.0], ["none", null]])
    );
    for nothing in [json!({}), json!({"query": ""}), json!({"query": null})] {
        let unscored = json!([
            ["both", null],
            ["far", null],
            ["near", null],
            ["none", null]
        ]);
        assert_eq!(found(&server, nothing).await, unscored);
    }

    put(&server, "near", json!({"text": "dog"})).await;
    let both = json!({"namespace": ["m"], "key": "both"});
    let deleted = server.send(Method::DELETE, ITEMS, Some(&both)).await;
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let rest = json!([["far", 0.0], ["near", 0.0], ["none", null]]);
    assert_eq!(found(&server, json!({"query": "cat"})).await, rest);
    assert_eq!(measured(&server, "selvedge_store_indexed_total").await, 5);
}

#[tokio::test]
async fn what_is_embedded_of_an_item_is_its_own_choice() {
    let embeddings = Embeddings::start().await;
    let server = indexed(&embeddings, &["$"]).start().await;
    let value =
        json!({"text": "cat", "n": 2, "is": true, "list": [{"of": "dog"}, {"of": "bird"}, {}]});
    let item = |key: &str, index: Value| json!({"namespace": ["m"], "key": key, "value": value, "index": index});
    put_item(&server, item("all", Value::Null)).await;
    put_item(&server, item("some", json!(["list[*].of", "is", "n"]))).await;
    put_item(&server, item("wrong", json!(["a[x", "missing.b"]))).await;
    put_item(&server, item("off", json!(false))).await;
    put_item(&server, item("empty", json!([]))).await;
    let whole =
        r#"{"is": true, "list": [{"of": "dog"}, {"of": "bird"}, {}], "n": 2, "text": "cat"}"#;
    assert_eq!(embeddings.texts(), [whole, "dog", "bird", "True", "2"]);
    let (path, key, body) = embeddings.asked().remove(0);
    assert_eq!(
        (path.as_str(), key),
        ("/v1/embeddings", format!("Bearer {KEY}"))
    );
    assert_eq!(
        (&body["model"], &body["encoding_format"]),
        (&json!("words"), &json!("float"))
    );
    let found = found(&server, json!({"query": "dog"})).await;
    assert_eq!(found[0], json!(["some", 1.0]));
    assert_eq!(found[1][0], "all");
    for (position, key) in ["empty", "off", "wrong"].into_iter().enumerate() {
        assert_eq!(found[position + 2], json!([key, null]));
    }

    let many: Vec<String> = (0..65).map(|n| format!("p{n}")).collect();
    for index in [
        json!(many),
        json!(["p".repeat(1_025)]),
        json!(true),
        json!("p"),
        json!([1]),
    ] {
        let answer = server.put(ITEMS, &item("refused", index)).await;
        detail_of(answer, 422).await;
    }
    assert!(!server.log().contains(KEY));
}

#[tokio::test]
async fn an_item_is_there_while_the_endpoint_fails_and_its_vectors_follow_also_in_the_next_process()
{
    let embeddings = Embeddings::start().await;
    let mut server = indexed(&embeddings, &["text"]).start().await;
    put(&server, "before", json!({"text": "cat"})).await;
    for status in [500, 429, 401] {
        embeddings.answers(status);
        put(&server, &format!("during-{status}"), json!({"text": "cat"})).await;
    }
    let read = server
        .get_json(&format!("{ITEMS}?namespace=m&key=during-500"))
        .await;
    assert_eq!(read["value"], json!({"text": "cat"}));
    assert_eq!(
        found(&server, json!({}))
            .await
            .as_array()
            .expect("a list")
            .len(),
        4
    );
    let query = json!({"namespace_prefix": ["m"], "query": "cat"});
    let answer = server.post(SEARCH, &query).await;
    assert!(answer.headers().contains_key("retry-after"));
    let detail = detail_of(answer, 503).await;
    assert!(
        detail.starts_with("The query cannot be embedded"),
        "{detail}"
    );
    eventually("a failure is counted", async || {
        (measured(&server, "selvedge_store_index_failures_total").await > 0).then_some(())
    })
    .await;
    eventually("three items wait", async || {
        (measured(&server, "selvedge_store_index_pending").await == 3).then_some(())
    })
    .await;

    server.kill();
    embeddings.answers(200);
    server.restart().await;
    let all = json!([
        ["before", 1.0],
        ["during-401", 1.0],
        ["during-429", 1.0],
        ["during-500", 1.0],
    ]);
    eventually("all have vectors", async || {
        (found(&server, json!({"query": "cat"})).await == all).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_comes_back_is_noticed_without_a_restart() {
    let embeddings = Embeddings::start().await;
    embeddings.answers(503);
    let server = indexed(&embeddings, &["text"]).start().await;
    put(&server, "k", json!({"text": "cat"})).await;
    embeddings.answers(200);
    eventually("the item has its vector", async || {
        (found(&server, json!({"query": "cat"})).await == json!([["k", 1.0]])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_item_that_cannot_be_embedded_keeps_no_other_from_it() {
    let embeddings = Embeddings::start().await;
    let mut server = indexed(&embeddings, &["text"]).start().await;
    let puts = ["a", "b", "c", "d", "e"].map(|key| {
        let word = if key == "c" { UNEMBEDDABLE } else { "cat" };
        put(&server, key, json!({"text": word}))
    });
    futures_util::future::join_all(puts).await;
    let found_now = found(&server, json!({"query": "cat"})).await;
    let scored = json!([["a", 1.0], ["b", 1.0], ["d", 1.0], ["e", 1.0], ["c", null]]);
    assert_eq!(found_now, scored);
    let query = json!({"namespace_prefix": ["m"], "query": UNEMBEDDABLE});
    assert_eq!(
        detail_of(server.post(SEARCH, &query).await, 400).await,
        "The query cannot be embedded."
    );
    eventually("it is counted", async || {
        (measured(&server, "selvedge_store_index_refused").await == 1).then_some(())
    })
    .await;

    embeddings.refuses_nothing();
    assert!(server.terminate().await.success());
    server.restart().await;
    eventually("it has its vector", async || {
        let found = found(&server, json!({"query": "cat"})).await;
        (found[2] == json!(["c", 1.0])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn another_model_embeds_all_items_anew_and_the_same_one_none() {
    let embeddings = Embeddings::start().await;
    let mut server = indexed(&embeddings, &["text"]).start().await;
    put(&server, "k", json!({"text": "cat", "title": "dog"})).await;
    let own =
        json!({"namespace": ["m"], "key": "own", "value": {"text": "cat"}, "index": ["text"]});
    put_item(&server, own).await;
    assert_eq!(embeddings.texts(), ["cat", "cat"]);
    assert!(server.terminate().await.success());
    server.restart().await;
    let near = json!([["k", 1.0], ["own", 1.0]]);
    assert_eq!(found(&server, json!({"query": "cat"})).await, near);
    assert_eq!(embeddings.texts(), ["cat", "cat", "cat"]);

    // What is put while there is no index is embedded once there is one again.
    let index = server.setup.config["store"]["index"].take();
    server.setup.config["store"] = json!({});
    assert!(server.terminate().await.success());
    server.restart().await;
    put(&server, "late", json!({"text": "bird", "title": "dog"})).await;
    assert_eq!(
        found(&server, json!({"query": "cat"}))
            .await
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    assert_eq!(embeddings.texts().len(), 3);

    server.setup.config["store"]["index"] = index;
    server.setup.config["store"]["index"]["fields"] = json!(["title"]);
    assert!(server.terminate().await.success());
    server.restart().await;
    let near = json!([["k", 1.0], ["late", 1.0], ["own", 0.0]]);
    eventually("all are embedded anew", async || {
        (found(&server, json!({"query": "dog"})).await == near).then_some(())
    })
    .await;
}

#[tokio::test]
async fn vectors_of_another_length_than_was_said_are_refused() {
    let embeddings = Embeddings::start().await;
    let server = indexed(&embeddings, &["text"])
        .set("store.index.dims", 7)
        .start()
        .await;
    put(&server, "k", json!({"text": "cat"})).await;
    let query = json!({"namespace_prefix": ["m"], "query": "cat"});
    json_of(
        server.post(SEARCH, &query).await,
        StatusCode::SERVICE_UNAVAILABLE,
    )
    .await;
    let log = server.log();
    assert!(
        log.contains("vectors of 8 numbers, where store.index.dims is 7"),
        "{log}"
    );
}

#[tokio::test]
async fn graphs_find_by_meaning_what_callers_put_and_callers_what_graphs_put() {
    let embeddings = Embeddings::start().await;
    let server = indexed(&embeddings, &["text"]).start().await;
    put(&server, "outside", json!({"text": "cat"})).await;
    let calls = async |calls: Value| {
        let run = json!({"assistant_id": "storing", "input": {"calls": calls}});
        let values = server.post_json("/runs/wait", &run).await;
        values["answers"].clone()
    };
    let answers = calls(json!([
        {"put": [["m"], "inside", {"text": "dog"}]},
        {"put_indexed": [["m"], "own", {"text": "bird", "title": "cat dog bird text"}, ["title"]]},
        {"put_indexed": [["m"], "off", {"text": "cat"}, null]},
        {"put_indexed": [["m"], "off", {"text": "cat"}, ["p".repeat(1_025)]]},
        {"near": [["m"], "cat"]},
        {"near": [["m"], UNEMBEDDABLE]},
    ]))
    .await;
    assert_eq!(answers[3]["error"], "ValueError");
    let near = json!([
        ["outside", 1.0],
        ["own", 0.5],
        ["inside", 0.0],
        ["off", null]
    ]);
    assert_eq!(answers[4], near);
    assert_eq!(found(&server, json!({"query": "cat"})).await, near);
    assert_eq!(answers[5]["error"], "ValueError");
    embeddings.answers(500);
    let answers = calls(json!([{"near": [["m"], "cat"]}, {"search": [["m"], null, 10, 0]}])).await;
    assert_eq!(answers[0]["error"], "StoreUnavailable");
    assert!(!text(&answers[0]["message"]).contains("as the test says"));
    assert_eq!(answers[1], json!(["inside", "off", "outside", "own"]));
}
