//! Finding threads, and parts of them.

use serde_json::{Value, json};

use crate::support::server::{Server, json_of, text};
use crate::support::{Gate, Setup};

struct Found {
    server: Server,
    idle: String,
    waiting: String,
    empty: String,
}

/// A thread that ran to its end, one that waits for an answer, and one that never ran.
async fn three_threads() -> Found {
    let server = Setup::probes(&["two", "hitl"]).start().await;
    let mut ids = Vec::new();
    for n in 1..=3 {
        let body = json!({"metadata": {"suite": "search", "n": n, "deep": {"a": [1, 2], "b": n}}});
        let thread = server.post_json("/threads", &body).await;
        ids.push(text(&thread["thread_id"]).to_owned());
    }
    let [idle, waiting, empty] = <[String; 3]>::try_from(ids).expect("three");
    let two = json!({"assistant_id": "two", "input": {"foo": "x"}});
    server.wait(&idle, &two).await;
    let hitl = json!({"assistant_id": "hitl", "input": {}});
    server.wait(&waiting, &hitl).await;
    Found {
        server,
        idle,
        waiting,
        empty,
    }
}

impl Found {
    async fn rows(&self, body: &Value) -> Value {
        self.server.post_json("/threads/search", body).await
    }

    /// The threads that match, in the order of their creation.
    async fn ids(&self, mut body: Value) -> Vec<String> {
        body["sort_by"] = json!("created_at");
        body["sort_order"] = json!("asc");
        let rows = self.rows(&body).await;
        let rows = rows.as_array().expect("an array").iter();
        rows.map(|row| text(&row["thread_id"]).to_owned()).collect()
    }

    async fn count(&self, body: Value) -> Value {
        self.server.post_json("/threads/count", &body).await
    }
}

#[tokio::test]
async fn threads_are_found_by_id_metadata_values_and_status() {
    let found = three_threads().await;
    let [idle, waiting, empty] = [&found.idle, &found.waiting, &found.empty].map(String::clone);
    assert_eq!(
        found.ids(json!({"ids": [idle, empty]})).await,
        [idle.clone(), empty.clone()]
    );
    for (filter, expected) in [
        (
            json!({"metadata": {"suite": "search"}}),
            vec![&idle, &waiting, &empty],
        ),
        (json!({"metadata": {"deep": {"b": 2}}}), vec![&waiting]),
        (json!({"metadata": {"graph_id": "two"}}), vec![&idle]),
        (json!({"values": {"foo": "xab"}}), vec![&idle]),
        (json!({"values": {"foo": "nothing"}}), vec![]),
        (json!({"status": "interrupted"}), vec![&waiting]),
        (json!({"status": "idle"}), vec![&idle, &empty]),
        (json!({"status": "busy"}), vec![]),
        (json!({"status": "error"}), vec![]),
    ] {
        let ids = found.ids(filter.clone()).await;
        assert_eq!(ids.iter().collect::<Vec<_>>(), expected, "{filter}");
        assert_eq!(found.count(filter).await, expected.len());
    }

    // A row is the thread as it is read by itself.
    let row = &found.rows(&json!({"ids": [idle]})).await[0];
    let thread = found.server.get_json(&format!("/threads/{idle}")).await;
    assert_eq!(*row, thread);
}

#[tokio::test]
async fn threads_are_found_while_a_run_is_under_way_and_after_one_failed() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["fail"]).start().await;
    let (busy, failed) = (server.new_thread().await, server.new_thread().await);
    server.create_run(&busy, &gate.run()).await;
    let run = json!({"assistant_id": "fail", "input": {}});
    let run = server.create_run(&failed, &run).await;
    assert_eq!(server.ended_run(&run).await["status"], "error");
    for (status, thread) in [("busy", busy), ("error", failed)] {
        let body = json!({"status": status, "select": ["thread_id", "status"]});
        let found = server.post_json("/threads/search", &body).await;
        assert_eq!(found, json!([{"thread_id": thread, "status": status}]));
        let count = json!({"status": status});
        assert_eq!(server.post_json("/threads/count", &count).await, 1);
    }
}

#[tokio::test]
async fn threads_are_sorted_by_each_of_their_members_in_either_order() {
    let found = three_threads().await;
    let [idle, waiting, empty] = [&found.idle, &found.waiting, &found.empty].map(String::clone);
    // Each order is another one: the first thread had its state last, and the second was changed last.
    let two = json!({"assistant_id": "two", "input": {"foo": "y"}});
    found.server.wait(&idle, &two).await;
    let patch = json!({"metadata": {"touched": true}});
    let path = format!("/threads/{waiting}");
    assert_eq!(found.server.patch(&path, &patch).await.status(), 200);

    let sorted = async |by: &str, order: &str| {
        let body = json!({"sort_by": by, "sort_order": order, "select": ["thread_id"]});
        let rows = found.rows(&body).await;
        let rows = rows.as_array().expect("an array").iter();
        rows.map(|row| text(&row["thread_id"]).to_owned())
            .collect::<Vec<_>>()
    };
    let mut by_id = vec![idle.clone(), waiting.clone(), empty.clone()];
    by_id.sort();
    for (by, ascending) in [
        ("thread_id", by_id),
        (
            "created_at",
            vec![idle.clone(), waiting.clone(), empty.clone()],
        ),
        (
            "updated_at",
            vec![empty.clone(), idle.clone(), waiting.clone()],
        ),
    ] {
        assert_eq!(sorted(by, "asc").await, ascending, "{by}");
        let descending: Vec<_> = ascending.into_iter().rev().collect();
        assert_eq!(sorted(by, "desc").await, descending, "{by}");
    }
    // Two threads are idle, in no particular order.
    assert_eq!(sorted("status", "asc").await[2], waiting);
    assert_eq!(sorted("status", "desc").await[0], waiting);
    // One thread never had a state, and where it stands is left open.
    for (order, expected) in [("asc", [&waiting, &idle]), ("desc", [&idle, &waiting])] {
        let rows = sorted("state_updated_at", order).await;
        let rows: Vec<_> = rows.iter().filter(|id| **id != empty).collect();
        assert_eq!(rows, expected, "{order}");
    }
}

#[tokio::test]
async fn threads_are_sorted_paged_and_selected() {
    let found = three_threads().await;
    let patch = json!({"metadata": {"touched": true}});
    let path = format!("/threads/{}", found.idle);
    assert_eq!(found.server.patch(&path, &patch).await.status(), 200);
    // The last that changed comes first.
    let body = json!({"limit": 2, "select": ["thread_id", "status"]});
    let page = found.server.post("/threads/search", &body).await;
    assert_eq!(page.headers()["x-pagination-total"], "3");
    assert_eq!(page.headers()["x-pagination-next"], "2");
    let page = json_of(page, reqwest::StatusCode::OK).await;
    let row = |id: &str, status: &str| json!({"thread_id": id, "status": status});
    assert_eq!(
        page,
        json!([row(&found.idle, "idle"), row(&found.waiting, "interrupted")])
    );
    let body = json!({"limit": 2, "offset": 2, "select": ["thread_id"]});
    let last = found.server.post("/threads/search", &body).await;
    assert_eq!(last.headers()["x-pagination-total"], "3");
    assert!(!last.headers().contains_key("x-pagination-next"));
    assert_eq!(
        last.json::<Value>().await.expect("JSON"),
        json!([{"thread_id": found.empty}])
    );

    let by_status = json!({"sort_by": "status", "select": ["status"]});
    assert_eq!(
        found.rows(&by_status).await,
        json!([{"status": "interrupted"}, {"status": "idle"}, {"status": "idle"}])
    );
    let asking = json!({"status": "interrupted", "select": ["interrupts"]});
    let interrupts = found.rows(&asking).await[0]["interrupts"].clone();
    let (_, asked) = interrupts
        .as_object()
        .expect("tasks")
        .iter()
        .next()
        .expect("one");
    assert_eq!(asked[0]["value"], json!({"question": "Go on?"}));
}

#[tokio::test]
async fn parts_of_threads_are_extracted() {
    let found = three_threads().await;
    let paths = json!({
        "foo_now": "values.foo", "last": "values.log[-1]", "first": "values.log[0]", "deep": "metadata.deep.a[1]",
        "nothing": "values.nobody.here", "beyond": "values.log[9]",
    });
    let body = json!({"ids": [found.idle], "select": ["thread_id"], "extract": paths});
    let extracted = json!({
        "foo_now": "xab", "last": "b", "first": "a", "deep": 2, "nothing": null, "beyond": null,
    });
    assert_eq!(
        found.rows(&body).await,
        json!([{"thread_id": found.idle, "extracted": extracted}])
    );
    // A thread without values has none to extract.
    let body =
        json!({"ids": [found.empty], "select": ["status"], "extract": {"foo": "values.foo"}});
    assert_eq!(
        found.rows(&body).await,
        json!([{"status": "idle", "extracted": {"foo": null}}])
    );
}

#[tokio::test]
async fn a_search_that_makes_no_sense_is_refused() {
    let server = Setup::probes(&["two"]).start().await;
    let paths: serde_json::Map<String, Value> = (0..11)
        .map(|n| (format!("p{n}"), json!("values.foo")))
        .collect();
    for body in [
        json!({"select": ["bogus"]}),
        json!({"status": "bogus"}),
        json!({"limit": 0}),
        json!({"limit": 1001}),
        json!({"offset": -1}),
        json!({"sort_by": "bogus"}),
        json!({"sort_order": "up"}),
        json!({"metadata": "x"}),
        json!({"values": []}),
        json!({"ids": "x"}),
        json!({"extract": paths}),
        json!({"extract": {"not an identifier": "values.foo"}}),
        json!({"extract": {"x": "values[zz]"}}),
        json!({"extract": ["values"]}),
        json!("text"),
    ] {
        server.refused("/threads/search", &body, 422).await;
    }
    let refused =
        async |body: Value, status| server.refused("/threads/search", &body, status).await;
    assert_eq!(
        refused(json!({"ids": ["nope"]}), 400).await,
        "Invalid thread ID nope"
    );
    assert_eq!(
        refused(json!({"extract": {"thread_id": "values.foo"}}), 422).await,
        "Extract keys cannot use reserved field names: ['thread_id']"
    );
    assert_eq!(
        refused(json!({"extract": {"x": "nowhere.foo"}}), 422).await,
        "Extract path 'nowhere.foo' must start with one of: config, interrupts, metadata, values"
    );
    server
        .refused("/threads/count", &json!({"status": "bogus"}), 422)
        .await;
}
