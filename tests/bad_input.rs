//! Whatever the OpenAPI document says of a member, the server says of it too: a member of another type is refused, one
//! that must be there is missed, and `null` or a member that nobody knows changes nothing.

use serde_json::{Value, json};

use crate::support::documented::{document, members, schema_of_body, validator};
use crate::support::server::{detail_of, text};
use crate::support::{Server, Setup};

const TWO: &str = "4499204c-8eda-5495-a842-3696dc7527c7";

/// A body of one of two forms: `tests/cancel.rs` sends both, and neither. And three protocols that refuse in their own
/// way: `tests/mcp.rs`, `tests/a2a.rs` and `tests/event_protocol.rs`.
const ASKED_ELSEWHERE: [&str; 5] = [
    "/runs/cancel",
    "/mcp",
    "/a2a/{assistant_id}",
    "/threads/{thread_id}/commands",
    "/threads/{thread_id}/stream/events",
];

/// Where a `null` is refused: of what can be taken away it would say that it is.
const PATCH_CRON: (&str, &str) = ("patch", "/runs/crons/{cron_id}");

/// A request that is accepted, for each operation with a body.
fn requests() -> Vec<(&'static str, &'static str, Value)> {
    let run = json!({"assistant_id": "two", "input": {"foo": "x"}});
    let thread_run = |rest: &'static str| ("post", rest, run.clone());
    vec![
        ("post", "/assistants", json!({"graph_id": "two"})),
        ("post", "/assistants/search", json!({})),
        ("post", "/assistants/count", json!({})),
        ("patch", "/assistants/{assistant_id}", json!({})),
        ("post", "/assistants/{assistant_id}/versions", json!({})),
        (
            "post",
            "/assistants/{assistant_id}/latest",
            json!({"version": 1}),
        ),
        ("post", "/threads", json!({})),
        ("post", "/threads/search", json!({})),
        ("post", "/threads/count", json!({})),
        ("post", "/threads/prune", json!({"thread_ids": []})),
        ("patch", "/threads/{thread_id}", json!({})),
        (
            "post",
            "/threads/{thread_id}/state",
            json!({"values": {"foo": "y"}, "as_node": "a"}),
        ),
        (
            "post",
            "/threads/{thread_id}/state/checkpoint",
            json!({"checkpoint": {}}),
        ),
        ("post", "/threads/{thread_id}/history", json!({})),
        thread_run("/threads/{thread_id}/runs"),
        thread_run("/threads/{thread_id}/runs/stream"),
        thread_run("/threads/{thread_id}/runs/wait"),
        (
            "post",
            "/threads/{thread_id}/runs/crons",
            json!({"assistant_id": "two", "schedule": "0 0 1 1 *"}),
        ),
        (
            "post",
            "/runs/crons",
            json!({"assistant_id": "two", "schedule": "0 0 1 1 *"}),
        ),
        ("post", "/runs/crons/search", json!({})),
        ("post", "/runs/crons/count", json!({})),
        (PATCH_CRON.0, PATCH_CRON.1, json!({"enabled": false})),
        thread_run("/runs"),
        thread_run("/runs/stream"),
        thread_run("/runs/wait"),
        ("post", "/runs/batch", json!([run])),
        (
            "post",
            "/webhooks/deliveries/redeliver",
            json!({"since": "2026-01-01T00:00:00+00:00"}),
        ),
        (
            "put",
            "/store/items",
            json!({"namespace": ["a"], "key": "k", "value": {}}),
        ),
        (
            "delete",
            "/store/items",
            json!({"namespace": ["a"], "key": "k"}),
        ),
        (
            "post",
            "/store/items/search",
            json!({"namespace_prefix": []}),
        ),
        ("post", "/store/namespaces", json!({})),
        ("post", "/internal/truncate", json!({})),
    ]
}

/// Values that programs are made for seldom.
fn odd_values() -> Vec<Value> {
    let deep = |depth| (0..depth).fold(json!(1), |value, _| json!([value]));
    vec![
        json!(null),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(0.1),
        json!(""),
        json!("\u{0}"),
        json!("\u{1b}[2J\r\nx: y"),
        json!("\u{202e}é💥"),
        json!("x".repeat(100_000)),
        json!("00000000-0000-0000-0000-000000000000"),
        json!("1e999999999"),
        json!("999999-99-99T99:99:99Z"),
        json!([]),
        json!({}),
        json!([[], {}, null]),
        json!({"": {"": ""}}),
        json!({"__proto__": {"$eq": []}, "$ne": 1}),
        json!(vec![0; 10_000]),
        // Answers hold it a few levels deeper, and this test reads 128.
        deep(120),
        deep(200),
    ]
}

struct Asked {
    server: Server,
    thread: String,
    cron: String,
}

impl Asked {
    async fn new() -> Self {
        let server = Setup::probes(&["two"]).dev().start().await;
        let thread = server.new_thread().await;
        let run = json!({"assistant_id": "two", "input": {"foo": "x"}});
        server.wait(&thread, &run).await;
        let cron = json!({"assistant_id": "two", "schedule": "0 0 1 1 *"});
        let cron = server.post_json("/runs/crons", &cron).await;
        Self {
            server,
            thread,
            cron: text(&cron["cron_id"]).to_owned(),
        }
    }

    /// The path with ids that there are.
    fn path(&self, path: &str) -> String {
        path.replace("{thread_id}", &self.thread)
            .replace("{cron_id}", &self.cron)
            .replace("{assistant_id}", TWO)
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> reqwest::Response {
        let path = self.path(path);
        let method = method.to_ascii_uppercase().parse().expect("a method");
        self.server.send(method, &path, Some(body)).await
    }
}

/// A body with one member of another value.
fn with(body: &Value, member: &str, value: &Value) -> Value {
    let mut body = body.clone();
    let object = if body.is_array() {
        &mut body[0]
    } else {
        &mut body
    };
    object[member] = value.clone();
    body
}

fn without(body: &Value, member: &str) -> Value {
    let mut body = body.clone();
    let object = if body.is_array() {
        &mut body[0]
    } else {
        &mut body
    };
    object.as_object_mut().expect("an object").remove(member);
    body
}

#[test]
fn every_operation_with_a_body_is_asked() {
    let asked = requests();
    for (path, item) in document()["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            if operation["requestBody"].is_object() && !ASKED_ELSEWHERE.contains(&path.as_str()) {
                assert!(
                    asked
                        .iter()
                        .any(|(m, p, _)| (m, p) == (&method.as_str(), &path.as_str())),
                    "{method} {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_member_of_another_type_or_beyond_its_bounds_is_refused() {
    let asked = Asked::new().await;
    let values = [
        json!(5),
        json!(-1),
        json!(1.5),
        json!("x y"),
        json!(""),
        json!(true),
        json!([]),
        json!([1]),
        json!(["", {}]),
        json!({"a": 1}),
    ];
    let mut refused = 0;
    for (method, path, body) in requests() {
        for (member, schema) in members(schema_of_body(method, path)).0 {
            let validator = validator(schema);
            for value in values.iter().filter(|value| !validator.is_valid(value)) {
                let response = asked.send(method, path, &with(&body, member, value)).await;
                let what = format!("{method} {path}: {member}: {value}");
                assert!(
                    [400, 422].contains(&response.status().as_u16()),
                    "{what}: {}",
                    response.status()
                );
                assert!(!response.text().await.expect("a body").is_empty(), "{what}");
                refused += 1;
            }
        }
    }
    println!("{refused} requests were refused");
}

#[tokio::test]
async fn a_member_that_must_be_there_is_missed() {
    let asked = Asked::new().await;
    for (method, path, body) in requests() {
        for member in members(schema_of_body(method, path)).1 {
            let response = asked.send(method, path, &without(&body, member)).await;
            let detail = detail_of(response, 422).await;
            let expected = format!("\"{member}\" is a required property");
            assert!(detail.starts_with(&expected), "{method} {path}: {detail}");
        }
    }
}

#[tokio::test]
async fn members_that_nobody_knows_and_those_that_are_null_change_nothing() {
    let asked = Asked::new().await;
    for (method, path, body) in requests() {
        let (mut known, _) = members(schema_of_body(method, path));
        if (method, path) == PATCH_CRON {
            known.retain(|(member, _)| *member == "end_time");
        }
        let mut full = with(&body, "nobody_knows", &json!({"this": [1]}));
        for (member, _) in known {
            let object = if full.is_array() {
                &mut full[0]
            } else {
                &mut full
            };
            if object.get(member).is_none() {
                object[member] = Value::Null;
            }
        }
        let status = asked.send(method, path, &full).await.status();
        assert!(status.is_success(), "{method} {path}: {status} for {full}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_with_langgraphs_text() {
    let asked = Asked::new().await;
    for (method, path, _) in requests() {
        let url = format!("{}{}", asked.server.base, asked.path(path));
        for body in [
            "{",
            "nonsense",
            "{\"a\": 1}}",
            "\u{feff}{}",
            "{\"metadata\": {\"n\": 1e999}}",
        ] {
            let method = method.to_ascii_uppercase().parse().expect("a method");
            let request = asked.server.client.request(method, &url).body(body);
            let detail = detail_of(request.send().await.expect("an answer"), 422).await;
            assert!(
                detail.starts_with("Invalid JSON in request body"),
                "{path} {body}: {detail}"
            );
        }
    }
}

/// Each member that the document knows, and those within it, with each odd value.
#[tokio::test]
async fn whatever_a_body_holds_is_answered_and_no_mistake_of_the_servers() {
    let asked = Asked::new().await;
    let mut tried = 0;
    for (method, path, good) in requests()
        .into_iter()
        .filter(|(_, path, _)| !path.contains("internal"))
    {
        let (members, _) = members(schema_of_body(method, path));
        let odd = odd_values();
        let within = members.iter().flat_map(|(member, _)| {
            let bare = odd.iter().map(move |value| (*member, value.clone()));
            let wrapped = [
                "configurable",
                "filter",
                "$eq",
                "checkpoint_id",
                "update",
                "ttl",
            ]
            .iter()
            .flat_map(|name| {
                odd.iter()
                    .step_by(3)
                    .map(move |value| json!({*name: value}))
            });
            bare.chain(wrapped.map(move |value| (*member, value)))
        });
        // All of them would take minutes; each start at another place, so that every value meets many members.
        for (member, value) in within.skip(tried % 5).step_by(5) {
            let body = with(&good, member, &value);
            let answer = asked.send(method, path, &body).await;
            let status = answer.status();
            assert!(status.as_u16() < 500, "{method} {path} {member}: {status}");
            tried += 1;
        }
        asked.send(method, path, &json!("no object")).await;
    }
    println!("{tried} bodies");
    let run = json!({"assistant_id": "two", "input": {"foo": "x"}});
    let thread = asked.server.new_thread().await;
    assert_eq!(asked.server.wait(&thread, &run).await["foo"], "xab");
}
