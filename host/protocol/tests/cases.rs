//! What the recordings of the reference do not have: tools, names, checkpoints, several runs, interleaved messages.

use std::sync::Arc;

use selvedge_model::Json;
use selvedge_model::event::{EventId, EventKind, StreamEvent};
use selvedge_model::run::StreamMode;
use selvedge_protocol::{Event, Translator};
use serde_json::{Value, json};

const RUN: &str = "01a20591-f647-71d5-acce-bfceaf26b99f";
const OTHER: &str = "01a20591-feba-739b-af79-4aea959060ba";

/// A thread's events, told one by one.
#[derive(Default)]
struct Thread {
    translator: Translator,
    told: i64,
}

impl Thread {
    fn tell(&mut self, kind: EventKind, namespace: &str, data: Value) -> Vec<Event> {
        self.told += 1;
        let event = StreamEvent {
            kind,
            namespace: namespace.to_owned(),
            data: Json::from(data),
        };
        let id = EventId {
            ms: self.told,
            n: 0,
        };
        self.translator.take(id, &Arc::new(event), &|_, _| true)
    }

    fn show(&mut self, mode: StreamMode, data: Value) -> Vec<Event> {
        self.tell(EventKind::Mode(mode), "", data)
    }

    fn lifecycle(&mut self, run: &str, event: &str) -> Vec<Event> {
        let modes = ["values", "checkpoints", "messages-tuple"];
        let data = json!({"run_id": run, "graph_name": "g", "event": event, "modes": modes});
        self.tell(EventKind::Lifecycle, "", data)
    }

    fn piece(&mut self, node: &str, id: &str, text: &str, pushed: bool) -> Vec<Event> {
        let path = if pushed {
            "__pregel_push"
        } else {
            "__pregel_pull"
        };
        let piece = json!({"type": "AIMessageChunk", "id": id, "content": text});
        self.show(
            StreamMode::MessagesTuple,
            json!([piece, {"langgraph_node": node, "langgraph_path": [path, node]}]),
        )
    }
}

fn data(events: &[Event]) -> Vec<Value> {
    events.iter().map(|event| event.data.to_value()).collect()
}

fn methods(events: &[Event]) -> Vec<&'static str> {
    events
        .iter()
        .map(|event| event.address.method.as_str())
        .collect()
}

#[test]
fn tools_are_told_in_the_protocols_words() {
    let mut thread = Thread::default();
    let mut tool = |event: Value| {
        data(&thread.show(StreamMode::Tools, event))
            .pop()
            .expect("one")
    };
    assert_eq!(
        tool(
            json!({"event": "on_tool_start", "toolCallId": "c", "name": "add", "input": {"a": 1}})
        ),
        json!({"event": "tool-started", "tool_call_id": "c", "tool_name": "add", "input": {"a": 1}})
    );
    assert_eq!(
        tool(json!({"event": "on_tool_event", "toolCallId": "c", "name": "add", "data": "so far"})),
        json!({"event": "tool-output-delta", "tool_call_id": "c", "delta": "so far"})
    );
    assert_eq!(
        tool(json!({"event": "on_tool_end", "toolCallId": "c", "name": "add", "output": 3})),
        json!({"event": "tool-finished", "tool_call_id": "c", "output": 3})
    );
    assert_eq!(
        tool(json!({"event": "on_tool_error", "toolCallId": "c", "name": "add", "error": "no"})),
        json!({"event": "tool-error", "tool_call_id": "c", "message": "no"})
    );
}

#[test]
fn custom_events_are_found_by_their_names() {
    let mut thread = Thread::default();
    let mut custom = |value: Value| {
        let event = thread.show(StreamMode::Custom, value).pop().expect("one");
        (event.address.name.clone(), event.data.to_value())
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(
        custom(json!({"name": "a", "payload": {"n": 1}})),
        (named("a"), json!({"name": "a", "payload": {"n": 1}}))
    );
    assert_eq!(
        custom(json!({"name": "a", "n": 1})),
        (
            named("a"),
            json!({"name": "a", "payload": {"name": "a", "n": 1}})
        )
    );
    assert_eq!(
        custom(json!({"name": 5})),
        (None, json!({"payload": {"name": 5}}))
    );
    assert_eq!(custom(json!([1])), (None, json!({"payload": [1]})));
}

#[test]
fn a_checkpoint_is_told_before_its_state() {
    let mut thread = Thread::default();
    thread.lifecycle(RUN, "running");
    assert!(
        thread
            .show(StreamMode::Values, json!({"foo": 1}))
            .is_empty()
    );
    let checkpoint = json!({
        "config": {"configurable": {"checkpoint_id": "c1", "checkpoint_ns": ""}},
        "parent_config": {"configurable": {"checkpoint_id": "c0"}},
        "metadata": {"step": 2, "source": "loop"},
    });
    let told = thread.show(StreamMode::Checkpoints, checkpoint);
    assert_eq!(methods(&told), ["checkpoints", "values"]);
    assert_eq!(
        data(&told),
        [
            json!({"id": "c1", "parent_id": "c0", "step": 2, "source": "loop"}),
            json!({"foo": 1})
        ]
    );
    assert_eq!(told[0].id, format!("synth:{RUN}:checkpoint||c1"));
    // A state that has no checkpoint of its own comes with whatever is next.
    thread.show(StreamMode::Values, json!({"foo": 2}));
    let told = thread.lifecycle(RUN, "completed");
    assert_eq!(methods(&told), ["values", "lifecycle"]);
    assert!(told[0].seq < told[1].seq);
}

#[test]
fn a_run_that_is_taken_up_again_begins_once_and_says_anew_what_it_had_begun_to_say() {
    let mut thread = Thread::default();
    assert_eq!(methods(&thread.lifecycle(RUN, "running")), ["lifecycle"]);
    thread.piece("chat", "m", "hel", false);
    let again = thread.lifecycle(RUN, "running");
    assert_eq!(
        data(&again),
        [json!({"event": "error", "message": "the run was taken up again"})]
    );
    let said = thread.piece("chat", "m", "hello", false);
    assert_eq!(said[0].data.to_value()["event"], "message-start");
    let end = thread.lifecycle(RUN, "completed");
    let told: Vec<Value> = data(&end);
    assert_eq!(told[0]["content"], json!({"type": "text", "text": "hello"}));
    assert_eq!(told[1], json!({"event": "message-finish"}));
    assert_eq!(told[2]["event"], "completed");
}

#[test]
fn a_run_that_ends_before_it_begins_leaves_the_one_that_goes_on_alone() {
    let mut thread = Thread::default();
    thread.lifecycle(RUN, "running");
    let other = thread.lifecycle(OTHER, "interrupted");
    assert_eq!(other[0].id, format!("synth:{OTHER}:lc||interrupted"));
    let tree = thread.translator.tree().unwrap();
    assert_eq!(serde_json::to_value(tree).unwrap()["status"], "running");
    assert_eq!(thread.translator.run().unwrap().to_string(), RUN);
}

#[test]
fn messages_that_grow_at_once_can_be_told_apart() {
    let mut thread = Thread::default();
    thread.lifecycle(RUN, "running");
    // One alone needs no name.
    let one = thread.piece("left", "m1", "a", false);
    assert_eq!(one.last().expect("one").data.to_value().get("id"), None);
    assert_eq!(one.last().expect("one").node.as_deref(), Some("left"));
    let two = thread.piece("right", "m2", "b", false);
    assert_eq!(two.last().expect("one").data.to_value()["id"], "m2");
    let one = thread.piece("left", "m1", "c", false);
    assert_eq!(one.last().expect("one").data.to_value()["id"], "m1");
    // Tasks that share a node always say which message it is.
    let pushed = thread.piece("worker", "m3", "d", true);
    for event in data(&pushed) {
        assert_eq!(
            (&event["id"], &event["run_id"]),
            (&json!("m3"), &json!("m3"))
        );
    }
    let ends = thread.lifecycle(RUN, "completed");
    let finished = data(&ends)
        .iter()
        .filter(|d| d["event"] == "message-finish")
        .count();
    assert_eq!(finished, 3);
}

#[test]
fn blocks_of_every_kind_begin_grow_and_finish() {
    let mut thread = Thread::default();
    let mut say = |content: Value, calls: Value, last: bool| {
        let position = last.then_some("last");
        let piece = json!({
            "type": "AIMessageChunk", "id": "m", "content": content, "tool_call_chunks": calls,
            "chunk_position": position,
        });
        data(&thread.show(StreamMode::MessagesTuple, json!([piece, {}])))
    };
    let reasons = say(
        json!([{"type": "reasoning", "reasoning": "hm", "index": 0}]),
        json!([]),
        false,
    );
    assert_eq!(
        reasons[1]["content"],
        json!({"type": "reasoning", "reasoning": ""})
    );
    assert_eq!(
        reasons[2]["delta"],
        json!({"type": "reasoning-delta", "reasoning": "hm"})
    );
    let says = say(
        json!([{"type": "text", "text": "so", "index": 1}]),
        json!([]),
        false,
    );
    assert_eq!(says[0]["index"], 1);
    let image = json!({"type": "image", "url": "https://example.com/a.png"});
    assert_eq!(say(json!([image]), json!([]), false)[0]["content"], image);
    say(
        json!(""),
        json!([{"name": "add", "args": "{\"a\":", "id": "c", "index": 0}]),
        false,
    );
    let end = say(
        json!(""),
        json!([{"name": null, "args": "oops", "id": null, "index": 0}]),
        true,
    );
    let blocks: Vec<&Value> = end[1..5].iter().map(|event| &event["content"]).collect();
    assert_eq!(blocks[0], &json!({"type": "reasoning", "reasoning": "hm"}));
    assert_eq!(blocks[1], &json!({"type": "text", "text": "so"}));
    assert_eq!(blocks[2], &image);
    assert_eq!(blocks[3]["type"], "invalid_tool_call");
    assert_eq!(blocks[3]["args"], "{\"a\":oops");
    assert_eq!(end[5]["event"], "message-finish");
}

#[test]
fn graphs_within_graphs_begin_and_end_with_their_tasks() {
    let mut thread = Thread::default();
    thread.lifecycle(RUN, "running");
    let values = EventKind::Mode(StreamMode::Updates);
    let begun = thread.tell(values, "sub:t1|in:t2", json!({"x": null}));
    assert_eq!(methods(&begun), ["lifecycle", "lifecycle", "updates"]);
    assert_eq!(begun[0].id, format!("synth:{RUN}:lc|sub:t1|started"));
    assert_eq!(
        begun[1].data.to_value(),
        json!({"event": "started", "namespace": ["sub:t1", "in:t2"], "graph_name": "in", "trigger_call_id": "t2"})
    );
    let asks = json!({"id": "t1", "name": "sub", "error": null, "result": {},
                      "interrupts": [{"id": "i", "value": 1}]});
    let ended = thread.show(StreamMode::Tasks, asks);
    assert_eq!(methods(&ended), ["lifecycle", "lifecycle", "tasks"]);
    assert_eq!(
        ended[0].id,
        format!("synth:{RUN}:lc|sub:t1|in:t2|interrupted")
    );
    assert_eq!(ended[1].id, format!("synth:{RUN}:lc|sub:t1|interrupted"));
    // Now that the run has stopped, an answer can come.
    let stopped = thread.lifecycle(RUN, "interrupted");
    assert_eq!(methods(&stopped), ["input.requested", "lifecycle"]);
    assert_eq!(stopped[0].id, format!("synth:{RUN}:input||i"));
    let tree = serde_json::to_value(thread.translator.tree().unwrap()).unwrap();
    assert_eq!(
        tree,
        json!({"namespace": [], "status": "interrupted", "graph_name": "g", "children": [
            {"namespace": ["sub:t1"], "status": "interrupted", "graph_name": "sub", "children": [
                {"namespace": ["sub:t1", "in:t2"], "status": "interrupted", "graph_name": "in"},
            ]},
        ]})
    );
}
