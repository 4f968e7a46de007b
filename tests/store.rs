//! The store: items put, found and forgotten.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::server::{Server, detail_of, json_of, names, text};
use crate::support::{Setup, eventually};

const ITEMS: &str = "/store/items";
const SEARCH: &str = "/store/items/search";
const NAMESPACES: &str = "/store/namespaces";

async fn server() -> Server {
    Setup::probes(&["two"]).start().await
}

async fn put(server: &Server, namespace: &[&str], key: &str, value: Value) {
    let item = json!({"namespace": namespace, "key": key, "value": value});
    put_item(server, &item).await;
}

async fn put_item(server: &Server, item: &Value) {
    let answer = server.put(ITEMS, item).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.text().await.expect("a body"), "");
}

async fn remove(server: &Server, body: &Value) -> reqwest::Response {
    let url = format!("{}{ITEMS}", server.base);
    let request = server.client.delete(url).json(body);
    request.send().await.expect("an answer")
}

/// The keys of what a search finds, in its order.
async fn found(server: &Server, search: Value) -> Vec<String> {
    let answer = server.post_json(SEARCH, &search).await;
    let items = answer["items"].as_array().expect("a list").iter();
    items.map(|item| text(&item["key"]).to_owned()).collect()
}

#[tokio::test]
async fn an_item_is_put_read_replaced_and_deleted() {
    let server = server().await;
    let path = format!("{ITEMS}?namespace=u.1&key=k");
    assert!(server.get_json(&path).await.is_null());
    put(&server, &["u", "1"], "k", json!({"a": {"b": [1, null]}})).await;
    let first = server.get_json(&path).await;
    assert_eq!(
        names(&first),
        ["namespace", "key", "value", "created_at", "updated_at"]
    );
    assert_eq!(
        (&first["namespace"], &first["key"], &first["value"]),
        (
            &json!(["u", "1"]),
            &json!("k"),
            &json!({"a": {"b": [1, null]}})
        )
    );
    let repeated = format!("{ITEMS}?namespace=u&namespace=1&key=k");
    assert_eq!(server.get_json(&repeated).await, first);

    put(&server, &["u", "1"], "k", json!({"v": 2})).await;
    let second = server.get_json(&path).await;
    assert_eq!(second["value"], json!({"v": 2}));
    assert_eq!(second["created_at"], first["created_at"]);
    assert!(text(&second["updated_at"]) > text(&first["updated_at"]));

    let place = json!({"namespace": ["u", "1"], "key": "k"});
    for _ in 0..2 {
        assert_eq!(remove(&server, &place).await.status(), 204);
        assert!(server.get_json(&path).await.is_null());
    }
}

#[tokio::test]
async fn items_outlive_the_process() {
    let mut server = server().await;
    put(&server, &["u"], "k", json!({"v": 1})).await;
    server.kill();
    server.restart().await;
    let path = format!("{ITEMS}?namespace=u&key=k");
    assert_eq!(server.get_json(&path).await["value"], json!({"v": 1}));
}

#[tokio::test]
async fn a_search_finds_what_lies_below_a_prefix() {
    let server = server().await;
    put(&server, &["s", "a"], "1", json!({"n": 1})).await;
    put(&server, &["s", "a", "deep"], "2", json!({"n": 2})).await;
    put(&server, &["s", "ab"], "3", json!({"n": 3})).await;
    let below = async |prefix: Value| found(&server, json!({"namespace_prefix": prefix})).await;
    assert_eq!(below(json!([])).await, ["1", "2", "3"]);
    assert_eq!(below(json!(["s"])).await, ["1", "2", "3"]);
    assert_eq!(below(json!(["s", "a"])).await, ["1", "2"]);
    assert!(below(json!(["nobody"])).await.is_empty());

    let search = json!({"namespace_prefix": ["s"], "limit": 1, "offset": 2, "query": "anything"});
    let answer = server.post_json(SEARCH, &search).await;
    let item = &answer["items"][0];
    assert_eq!(
        names(item),
        [
            "namespace",
            "key",
            "value",
            "created_at",
            "updated_at",
            "score"
        ]
    );
    assert_eq!((&item["key"], &item["score"]), (&json!("3"), &Value::Null));
}

#[tokio::test]
async fn a_search_filters_by_value() {
    let server = server().await;
    for n in 1..=3 {
        let kind = if n % 2 == 1 { "odd" } else { "even" };
        let value = json!({"n": n, "kind": kind, "nested": {"deep": n}});
        put(&server, &["s"], &n.to_string(), value).await;
    }
    for (filter, expected) in [
        (json!({"n": 2}), "2"),
        (json!({"n": {"$eq": 2}}), "2"),
        (json!({"n": {"$ne": 2}}), "13"),
        (json!({"n": {"$gt": 1}}), "23"),
        (json!({"n": {"$gte": 2}}), "23"),
        (json!({"n": {"$lt": 3}}), "12"),
        (json!({"n": {"$lte": 2}}), "12"),
        (json!({"n": {"$gt": 1, "$lt": 3}}), "2"),
        (json!({"n": {"$gt": 1}, "kind": "odd"}), "3"),
        (json!({"nested": {"deep": 2}}), "2"),
        (json!({"nobody": 1}), ""),
    ] {
        let search = json!({"namespace_prefix": ["s"], "filter": filter});
        assert_eq!(found(&server, search).await.concat(), expected, "{filter}");
    }
}

#[tokio::test]
async fn namespaces_are_listed_by_prefix_suffix_and_depth() {
    let server = server().await;
    for namespace in [["ns", "a", "x"], ["ns", "b", "x"], ["ns", "b", "y"]] {
        put(&server, &namespace, "k", json!({})).await;
        put(&server, &namespace, "l", json!({})).await;
    }
    put(&server, &["ns", "b", "y", "z"], "k", json!({})).await;
    for (query, expected) in [
        (json!({}), "ax bx by byz"),
        (json!({"prefix": ["ns", "b"]}), "bx by byz"),
        (json!({"prefix": ["ns", "*", "x"]}), "ax bx"),
        (json!({"suffix": ["x"]}), "ax bx"),
        (json!({"suffix": ["*", "z"]}), "byz"),
        (json!({"prefix": ["ns"], "max_depth": 2}), "a b"),
        (json!({"limit": 2, "offset": 1}), "bx by"),
        (json!({"prefix": ["nobody"]}), ""),
    ] {
        let answer = server.post_json(NAMESPACES, &query).await;
        let listed: Vec<String> = answer["namespaces"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|labels| {
                let labels = labels.as_array().expect("labels").iter();
                labels.skip(1).map(text).collect()
            })
            .collect();
        assert_eq!(listed.join(" "), expected, "{query}");
    }
}

#[tokio::test]
async fn an_item_goes_when_its_time_is_over_unless_reading_keeps_it() {
    let server = server().await;
    // Three seconds, in minutes.
    for key in ["read", "found", "left"] {
        let item = json!({"namespace": ["t"], "key": key, "value": {"is": key}, "ttl": 0.05});
        put_item(&server, &item).await;
    }
    let is = |key: &str| json!({"namespace_prefix": ["t"], "filter": {"is": key}});
    eventually("the end of what nobody keeps", async || {
        let read = server
            .get_json(&format!("{ITEMS}?namespace=t&key=read"))
            .await;
        assert!(read.is_object(), "what is read is gone");
        assert_eq!(found(&server, is("found")).await, ["found"]);
        let left = format!("{ITEMS}?namespace=t&key=left&refresh_ttl=false");
        server.get_json(&left).await.is_null().then_some(())
    })
    .await;
    let mut search = is("left");
    search["refresh_ttl"] = json!(false);
    assert!(found(&server, search).await.is_empty());
    let listed = server.post_json(NAMESPACES, &json!({})).await;
    assert_eq!(listed, json!({"namespaces": [["t"]]}));
}

#[tokio::test]
async fn what_cannot_be_an_item_is_refused_in_langgraphs_forms() {
    let server = server().await;
    let refused =
        async |item: Value, status| detail_of(server.put(ITEMS, &item).await, status).await;
    let item = |namespace: Value| json!({"namespace": namespace, "key": "k", "value": {}});
    assert_eq!(
        refused(item(json!([])), 400).await,
        "Namespace cannot be empty."
    );
    assert_eq!(
        refused(item(json!(["langgraph", "x"])), 400).await,
        "Root label for namespace cannot be \"langgraph\". Got: ('langgraph', 'x')"
    );
    for (label, status) in [("a.b", 422), ("", 422)] {
        let answer = server.put(ITEMS, &item(json!(["x", label]))).await;
        assert_eq!(answer.status(), status);
        let text = answer.text().await.expect("a body");
        let expected =
            format!("Namespace label '{label}' must be a non-empty string without periods");
        assert_eq!(text, expected);
    }
    for body in [
        json!({"key": "k", "value": {}}),
        json!({"namespace": ["n"], "value": {}}),
        json!({"namespace": ["n"], "key": "k"}),
        json!({"namespace": "n", "key": "k", "value": {}}),
        json!({"namespace": ["n"], "key": 1, "value": {}}),
        json!({"namespace": ["n"], "key": "k", "value": [1]}),
        json!({"namespace": ["n"], "key": "k", "value": {}, "index": "yes"}),
        json!({"namespace": ["n"], "key": "k", "value": {}, "ttl": "soon"}),
        json!({"namespace": ["n"], "key": "k", "value": {}, "ttl": 0}),
        json!({"namespace": ["n"], "key": "k", "value": {}, "ttl": -1}),
        json!({"namespace": ["n"], "key": "k", "value": {}, "ttl": 1e300}),
    ] {
        refused(body, 422).await;
    }
    let indexed = json!({"namespace": ["n"], "key": "k", "value": {}, "index": ["a"], "ttl": null});
    put_item(&server, &indexed).await;

    let keyless = server.get(&format!("{ITEMS}?namespace=n")).await;
    let keyless = json_of(keyless, StatusCode::BAD_REQUEST).await;
    assert_eq!(keyless, json!({"error": "Key is required"}));
    let nowhere = server.get(&format!("{ITEMS}?key=k")).await;
    assert_eq!(nowhere.status(), 422);
    detail_of(remove(&server, &json!({"key": "k"})).await, 422).await;
    detail_of(remove(&server, &json!({"namespace": ["n"]})).await, 422).await;
}

#[tokio::test]
async fn what_cannot_be_searched_for_is_refused() {
    let server = server().await;
    let operator = json!({"namespace_prefix": [], "filter": {"n": {"$in": [1]}}});
    assert_eq!(
        server.refused(SEARCH, &operator, 400).await,
        "Unsupported operator: $in"
    );
    for search in [
        json!({}),
        json!({"namespace_prefix": "n"}),
        json!({"namespace_prefix": [], "filter": [1]}),
        json!({"namespace_prefix": [], "limit": 0}),
        json!({"namespace_prefix": [], "limit": 1001}),
        json!({"namespace_prefix": [], "offset": -1}),
        json!({"namespace_prefix": [], "query": 1}),
        json!({"namespace_prefix": [], "refresh_ttl": "yes"}),
    ] {
        server.refused(SEARCH, &search, 422).await;
    }
    for query in [
        json!({"prefix": "n"}),
        json!({"suffix": [1]}),
        json!({"max_depth": "x"}),
        json!({"max_depth": 0}),
        json!({"limit": 0}),
    ] {
        server.refused(NAMESPACES, &query, 422).await;
    }
}
