//! What the reference shows of one run in both of its protocols: from the old one's events the new one's are made, as the
//! reference makes them. `recorded/record.py` says how the recordings came to be.
//!
//! Compared is each channel by itself, in order, with the ids that are not those of stored events. What differs on
//! purpose, and is left out or straightened here:
//!
//! * The reference ends a run that asks with the first question, before the others are told. Here the end comes last.
//! * It does not say of a run of the old protocol that a graph within its graph has begun, or asks. Here it is said.
//! * It leaves the usage of tokens out of the messages of a state. Here it stays.
//! * It forgets why a run failed. Here the end says it.
//! * It tells no messages of runs of the old protocol; the recording has those of a run of the new one beside it.

use std::sync::Arc;

use selvedge_model::Json;
use selvedge_model::event::{EventId, EventKind, StreamEvent};
use selvedge_model::run::StreamMode;
use selvedge_protocol::{Event, Method, Translator};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Pair {
    graph: String,
    old: Vec<Old>,
    new: Vec<Value>,
}

#[derive(Deserialize)]
struct Old {
    event: String,
    data: Value,
}

const MODES: [StreamMode; 5] = [
    StreamMode::Values,
    StreamMode::Updates,
    StreamMode::MessagesTuple,
    StreamMode::Custom,
    StreamMode::Tasks,
];

fn pairs() -> Vec<Pair> {
    let text = include_str!("recorded/pairs.jsonl");
    let read = |line| serde_json::from_str(line).expect("a recording");
    text.lines().map(read).collect()
}

/// The events of a run as the runtime would keep them.
fn kept(pair: &Pair) -> Vec<StreamEvent> {
    let run = &pair.old[0].data["run_id"];
    let lifecycle = |event: &str, more: Value| {
        let mut data = json!({"run_id": run, "graph_name": pair.graph, "event": event});
        let members = data.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        StreamEvent {
            kind: EventKind::Lifecycle,
            namespace: String::new(),
            data: Json::from(data),
        }
    };
    let mut events = vec![lifecycle("running", json!({"modes": MODES}))];
    let mut asks = false;
    let mut error = None;
    for old in &pair.old[1..] {
        let (name, namespace) = old.event.split_once('|').unwrap_or((&old.event, ""));
        asks |= old.data.get("__interrupt__").is_some();
        let kind = match name {
            "error" => {
                error = Some(old.data["message"].clone());
                continue;
            }
            "messages" => EventKind::Mode(StreamMode::MessagesTuple),
            name => {
                let mode = MODES.into_iter().find(|mode| mode.as_str() == name);
                EventKind::Mode(mode.expect("a mode"))
            }
        };
        events.push(StreamEvent {
            kind,
            namespace: namespace.to_owned(),
            data: Json::from(old.data.clone()),
        });
    }
    events.push(match error {
        Some(error) => lifecycle("failed", json!({"error": error})),
        None if asks => lifecycle("interrupted", json!({})),
        None => lifecycle("completed", json!({})),
    });
    events
}

fn translated(events: &[StreamEvent]) -> Vec<Event> {
    let mut translator = Translator::default();
    let mut all = Vec::new();
    for (n, event) in (1..).zip(events) {
        let id = EventId { ms: n, n: 0 };
        all.extend(translator.take(id, &Arc::new(event.clone()), &|_, _| true));
    }
    let numbers: Vec<u64> = all.iter().map(|event| event.seq).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&translator.through()));
    all
}

/// The value without what the reference leaves out of messages.
fn without_usage(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.shift_remove("usage_metadata");
            members.values_mut().for_each(without_usage);
        }
        Value::Array(items) => items.iter_mut().for_each(without_usage),
        _ => {}
    }
}

/// What is compared of an event.
fn essence(event: &Value) -> Value {
    let id = event["event_id"].as_str().expect("a text");
    let params = &event["params"];
    let mut data = params["data"].clone();
    without_usage(&mut data);
    if event["method"] == "messages" && data["event"] == "message-start" {
        data["id"] = json!("the message");
    }
    json!({
        "id": id.starts_with("synth:").then_some(id),
        "namespace": params["namespace"],
        "node": params.get("node").filter(|_| event["method"] != "messages"),
        "data": data,
    })
}

fn of(method: Method, events: &[Value]) -> Vec<Value> {
    let mut of_method: Vec<Value> = events
        .iter()
        .filter(|event| event["method"] == method.as_str())
        .map(essence)
        .collect();
    if method == Method::Lifecycle {
        of_method.retain(|event| {
            let of_the_run = event["namespace"] == json!([]);
            of_the_run || event["data"]["event"] == "completed"
        });
        for event in &mut of_method {
            event["data"]
                .as_object_mut()
                .expect("an object")
                .remove("error");
        }
        of_method.sort_by_key(Value::to_string);
    }
    of_method
}

#[test]
fn what_the_old_protocol_shows_becomes_what_the_new_one_shows() {
    for pair in pairs() {
        let made: Vec<Value> = translated(&kept(&pair))
            .iter()
            .map(|event| event.to_json().to_value())
            .collect();
        for method in Method::ALL {
            let (made, recorded) = (of(method, &made), of(method, &pair.new));
            assert_eq!(made, recorded, "{} of `{}`", method.as_str(), pair.graph);
        }
    }
}

#[test]
fn the_end_of_a_run_comes_last_and_says_why_it_failed() {
    for pair in pairs() {
        let made = translated(&kept(&pair));
        let last = made.last().expect("one");
        assert_eq!(last.address.method, Method::Lifecycle);
        assert!(last.address.namespace.is_empty());
        let error = last.data.to_value().get("error").cloned();
        let failed = (pair.graph == "fail").then(|| json!("boom"));
        assert_eq!(error, failed, "{}", pair.graph);
    }
}

#[test]
fn ids_are_the_same_whenever_the_events_are_read_and_whoever_reads_them() {
    for pair in pairs() {
        let events = kept(&pair);
        let all = translated(&events);
        let mut ids: Vec<&String> = all.iter().map(|event| &event.id).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count, "{}", pair.graph);
        // A reader of one channel has them under the same numbers.
        let mut translator = Translator::default();
        let mut some = Vec::new();
        for (n, event) in (1..).zip(&events) {
            let wants = |_: u64, address: &selvedge_protocol::event::Address| {
                address.method == Method::Values
            };
            let id = EventId { ms: n, n: 0 };
            some.extend(translator.take(id, &Arc::new(event.clone()), &wants));
        }
        let of_all = all
            .iter()
            .filter(|event| event.address.method == Method::Values);
        let numbered = |event: &Event| (event.seq, event.id.clone(), event.data.to_string());
        assert_eq!(
            some.iter().map(numbered).collect::<Vec<_>>(),
            of_all.map(numbered).collect::<Vec<_>>()
        );
    }
}
