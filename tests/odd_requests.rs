//! Whatever a request holds (in its path, query, headers and body) it is answered, and not by a mistake of the server's.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use crate::support::documented::{METHODS, document, members, resolved, schema_of_body};
use crate::support::server::text;
use crate::support::{Server, Setup};

const CASES: u32 = 1_500;
/// Far beyond what the head of an answer takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Headers that the server reads for itself.
const HEADERS: [&str; 5] = [
    "last-event-id",
    "prefer",
    "x-request-id",
    "content-type",
    "accept",
];
const TWO: &str = "4499204c-8eda-5495-a842-3696dc7527c7";

#[derive(Clone, Copy, Debug)]
struct Operation {
    method: &'static str,
    path: &'static str,
}

#[derive(Clone, Debug)]
struct OddRequest {
    operation: Operation,
    /// What stands in the place of each `{name}` of the path; `None` is an id that there is.
    ids: Vec<Option<String>>,
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// All but the one that empties the tables.
fn operations() -> Vec<Operation> {
    let paths = document()["paths"].as_object().expect("paths").iter();
    paths
        .filter(|(path, _)| !path.starts_with("/internal"))
        .flat_map(|(path, item)| {
            let known = METHODS.into_iter().filter(|name| item.get(name).is_some());
            known.map(|method| Operation { method, path })
        })
        .collect()
}

impl Operation {
    fn described(self) -> &'static Value {
        &document()["paths"][self.path][self.method]
    }

    fn parameters(self) -> Vec<String> {
        let named = self.described()["parameters"].as_array();
        let named = named.into_iter().flatten().map(resolved);
        let in_query = named.filter(|parameter| parameter["in"] == "query");
        in_query
            .map(|parameter| text(&parameter["name"]).to_owned())
            .collect()
    }

    fn members(self) -> Vec<&'static str> {
        if self.described()["requestBody"].is_null() {
            return Vec::new();
        }
        let (named, _) = members(schema_of_body(self.method, self.path));
        named.into_iter().map(|(name, _)| name).collect()
    }

    fn takes_a_list(self) -> bool {
        self.path == "/runs/batch"
    }
}

fn odd_text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "two",
        "00000000-0000-0000-0000-000000000000",
        "2030-01-01T00:00:00Z",
        "-1",
        "18446744073709551616",
        "*/5 * * * mon#2",
        "Europe/Berlin",
        "values",
        "messages-tuple",
        "pending",
        "asc",
        "thread_id",
        "metadata.a[-1].b",
        "http://127.0.0.1:1/",
        "%00\u{0}\r\n",
        "[\"a\"",
    ]);
    prop_oneof![known.prop_map(str::to_owned), ".{0,20}"]
}

fn odd_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2_i64..20).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        odd_text().prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "configurable",
        "checkpoint_id",
        "updates",
        "as_node",
        "goto",
        "node",
        "input",
        "ttl",
        "$eq",
        "$gt",
    ]);
    let name = prop_oneof![names.prop_map(str::to_owned), ".{0,8}"];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What lets a body get past its required members, where it does not say otherwise.
fn usual(operation: Operation) -> Map<String, Value> {
    let usual = json!({
        "assistant_id": "two", "schedule": "0 0 1 1 *", "namespace": ["a"], "namespace_prefix": [], "key": "k",
        "value": {}, "graph_id": "two", "version": 1, "checkpoint": {}, "thread_ids": [],
        "since": "2026-01-01T00:00:00Z", "values": {"foo": "x"}, "as_node": "a",
    });
    let known = operation.members();
    let usual = usual.as_object().expect("an object").clone().into_iter();
    usual
        .filter(|(name, _)| known.contains(&name.as_str()) && name != "graph_id")
        .collect()
}

fn body(operation: Operation) -> BoxedStrategy<Vec<u8>> {
    let anything = prop_oneof![
        odd_value().prop_map(|value| value.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..64),
    ];
    let names = operation.members();
    if names.is_empty() {
        return anything.boxed();
    }
    let known = prop::collection::vec((prop::sample::select(names), odd_value()), 0..5);
    let object = known.prop_map(move |members| {
        let mut object = usual(operation);
        object.extend(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        let body = match operation.takes_a_list() {
            true => json!([object]),
            false => Value::Object(object),
        };
        body.to_string().into_bytes()
    });
    prop_oneof![6 => object, 1 => anything].boxed()
}

fn request() -> impl Strategy<Value = OddRequest> {
    prop::sample::select(operations()).prop_flat_map(|operation| {
        // What is deleted is missed by all that comes after.
        let known = if operation.method == "delete" { 0 } else { 4 };
        let id = prop_oneof![
            known => Just(None),
            1 => odd_text().prop_map(Some),
        ];
        let ids = prop::collection::vec(id, operation.path.matches('{').count());
        let parameter = match operation.parameters() {
            none if none.is_empty() => Just("a".to_owned()).boxed(),
            some => prop::sample::select(some).boxed(),
        };
        let query = prop::collection::vec((parameter, odd_text()), 0..4);
        let events =
            prop::sample::select(vec!["-", "-1", "17-3", "17-*", "99999999999999999999-1"]);
        let value = prop_oneof![events.prop_map(str::to_owned), "[ -~]{0,20}"];
        let headers = prop::collection::vec((prop::sample::select(HEADERS.to_vec()), value), 0..3);
        (ids, query, headers, body(operation)).prop_map(move |(ids, query, headers, body)| {
            OddRequest {
                operation,
                ids,
                query,
                headers,
                body,
            }
        })
    })
}

struct Asked {
    server: Server,
    thread: String,
    cron: String,
}

impl Asked {
    async fn new() -> Self {
        let server = Setup::probes(&["two"]).start().await;
        let thread = server.new_thread().await;
        let run = json!({"assistant_id": "two", "input": {"foo": "x"}});
        server.wait(&thread, &run).await;
        let cron = json!({"assistant_id": "two", "schedule": "0 0 1 1 *"});
        let cron = server.post_json("/runs/crons", &cron).await;
        let cron = text(&cron["cron_id"]).to_owned();
        Self {
            server,
            thread,
            cron,
        }
    }

    fn url(&self, request: &OddRequest) -> Url {
        let mut url = Url::parse(&self.server.base).expect("a URL");
        let mut ids = request.ids.iter();
        let mut segments = url.path_segments_mut().expect("a path");
        segments.clear();
        for part in request.operation.path.trim_start_matches('/').split('/') {
            let given = match part.starts_with('{') {
                true => ids.next().expect("an id for each").as_deref(),
                false => Some(part),
            };
            segments.push(given.unwrap_or(match part {
                "{thread_id}" => &self.thread,
                "{cron_id}" => &self.cron,
                _ => TWO,
            }));
        }
        drop(segments);
        url.query_pairs_mut().extend_pairs(&request.query);
        url
    }

    async fn send(&self, request: &OddRequest) -> Result<(), TestCaseError> {
        let method = request.operation.method.to_ascii_uppercase();
        let method: Method = method.parse().expect("a method");
        let mut sent = self.server.client.request(method, self.url(request));
        for (name, value) in &request.headers {
            sent = sent.header(*name, value);
        }
        let sent = sent.body(request.body.clone()).send();
        let answer = tokio::time::timeout(PATIENCE, sent).await;
        let answer = answer.map_err(|_| TestCaseError::fail("no answer"))?;
        let status = answer.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let status = status.status();
        prop_assert!(!status.is_server_error(), "{}", status);
        Ok(())
    }
}

#[test]
fn whatever_a_request_holds_is_answered_and_no_mistake_of_the_servers() {
    let turns = tokio::runtime::Runtime::new().expect("threads");
    let asked = turns.block_on(Asked::new());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&request(), |request| turns.block_on(asked.send(&request)))
        .unwrap_or_else(|failure| panic!("{failure}\n{}", asked.server.log()));
    turns.block_on(async {
        let thread = asked.server.new_thread().await;
        let run = json!({"assistant_id": "two", "input": {"foo": "x"}});
        assert_eq!(asked.server.wait(&thread, &run).await["foo"], "xab");
    });
}
