//! A run's events as they come over the wire.

use serde_json::{Value, json};

use crate::support::server::text;
use crate::support::sse::{self, Event, Events};
use crate::support::{Gate, Server, Setup};

fn two(modes: Value) -> Value {
    json!({"assistant_id": "two", "input": {"foo": "in"}, "stream_mode": modes})
}

/// Events without the first, which must be `metadata`: their names and data.
fn after_metadata(events: &[Event]) -> Vec<(&str, Value)> {
    assert_eq!(
        (events[0].name.as_str(), &events[0].data["attempt"]),
        ("metadata", &json!(1))
    );
    text(&events[0].data["run_id"]);
    events[1..]
        .iter()
        .map(|e| (e.name.as_str(), e.data.clone()))
        .collect()
}

async fn stateless(server: &Server, body: &Value) -> Vec<Event> {
    sse::events(server.post("/runs/stream", body).await).await
}

#[tokio::test]
async fn a_stream_is_framed_as_langgraph_frames_it() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let response = server
        .post(
            &format!("/threads/{thread}/runs/stream"),
            &two(json!("values")),
        )
        .await;
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(
        (header("cache-control"), header("x-accel-buffering")),
        ("no-store".to_owned(), "no".to_owned())
    );
    let (location, run) = (header("location"), header("content-location"));
    assert_eq!(location, format!("{run}/stream"));
    let id = run.rsplit('/').next().expect("an id").to_owned();
    let frames = [
        format!("event: metadata\r\ndata: {{\"run_id\":\"{id}\",\"attempt\":1}}\r\n\r\n"),
        "event: values\r\ndata: {\"foo\":\"in\",\"log\":[]}\r\n\r\n".to_owned(),
        "event: values\r\ndata: {\"foo\":\"ina\",\"log\":[\"a\"]}\r\n\r\n".to_owned(),
        "event: values\r\ndata: {\"foo\":\"inab\",\"log\":[\"a\",\"b\"]}\r\n\r\n".to_owned(),
    ];
    assert_eq!(response.text().await.expect("a stream"), frames.concat());
    // The end is stored before the stream closes.
    assert_eq!(server.get_json(&run).await["status"], "success");
    let again = server.get(&location).await;
    assert_eq!(
        (
            again.status().as_u16(),
            again.text().await.expect("a stream")
        ),
        (200, String::new())
    );
}

#[tokio::test]
async fn updates_show_what_each_node_returned() {
    let server = Setup::probes(&["two"]).start().await;
    let expected = [
        ("updates", json!({"a": {"foo": "ina", "log": ["a"]}})),
        ("updates", json!({"b": {"foo": "inab", "log": ["b"]}})),
    ];
    for modes in [
        json!("updates"),
        json!(["updates"]),
        json!(["updates", "custom"]),
    ] {
        assert_eq!(
            after_metadata(&stateless(&server, &two(modes)).await),
            expected
        );
    }
    let both = stateless(&server, &two(json!(["values", "updates"]))).await;
    let order = [
        ("values", json!({"foo": "in", "log": []})),
        ("updates", json!({"a": {"foo": "ina", "log": ["a"]}})),
        ("values", json!({"foo": "ina", "log": ["a"]})),
        ("updates", json!({"b": {"foo": "inab", "log": ["b"]}})),
        ("values", json!({"foo": "inab", "log": ["a", "b"]})),
    ];
    assert_eq!(after_metadata(&both), order);
    // `values` is what one gets without asking.
    let body = json!({"assistant_id": "two", "input": {"foo": "in"}});
    assert_eq!(after_metadata(&stateless(&server, &body).await).len(), 3);
    // A graph that shows nothing of the kind has an empty stream.
    for mode in ["custom", "messages-tuple"] {
        assert_eq!(
            after_metadata(&stateless(&server, &two(json!(mode))).await),
            []
        );
    }
}

#[tokio::test]
async fn custom_events_are_what_the_node_emitted() {
    let server = Setup::probes(&["custom"]).start().await;
    let body = json!({"assistant_id": "custom", "input": {"foo": "x"}, "stream_mode": ["values", "custom"]});
    let expected = [
        ("values", json!({"foo": "x", "messages": []})),
        ("custom", json!({"progress": 1})),
        ("custom", json!("plain string")),
        ("values", json!({"foo": "c", "messages": []})),
    ];
    assert_eq!(after_metadata(&stateless(&server, &body).await), expected);
}

#[tokio::test]
async fn tokens_come_as_message_chunks_with_their_origin() {
    let server = Setup::probes(&["tokens"]).start().await;
    let body = json!({
        "assistant_id": "tokens", "input": {}, "metadata": {"m": 1}, "stream_mode": ["messages-tuple", "updates"],
    });
    let events = stateless(&server, &body).await;
    let shown = after_metadata(&events);
    let (last, chunks) = shown.split_last().expect("events");
    let content: Vec<&str> = chunks
        .iter()
        .map(|(_, data)| text(&data[0]["content"]))
        .collect();
    assert_eq!(content, ["hello", " ", "there", " ", "world", ""]);
    assert_eq!(last.0, "updates");
    let message = &last.1["chat"]["messages"][0];
    assert_eq!(
        (&message["type"], &message["content"]),
        (&json!("ai"), &json!("hello there world"))
    );
    for (n, (name, data)) in chunks.iter().enumerate() {
        let (chunk, origin) = (&data[0], &data[1]);
        assert_eq!(
            (*name, &chunk["type"]),
            ("messages", &json!("AIMessageChunk"))
        );
        assert_eq!(chunk["id"], message["id"]);
        let position = if n == 5 { json!("last") } else { Value::Null };
        assert_eq!(chunk["chunk_position"], position);
        assert_eq!(chunk["tool_call_chunks"], json!([]));
        assert_eq!(
            (&origin["langgraph_node"], &origin["langgraph_step"]),
            (&json!("chat"), &json!(1))
        );
        assert_eq!(origin["langgraph_triggers"], json!(["branch:to:chat"]));
        assert_eq!(origin["langgraph_path"], json!(["__pregel_pull", "chat"]));
        assert!(text(&origin["langgraph_checkpoint_ns"]).starts_with("chat:"));
        assert_eq!(
            (&origin["m"], &origin["graph_id"]),
            (&json!(1), &json!("tokens"))
        );
    }
}

#[tokio::test]
async fn a_failing_graph_ends_its_stream_with_an_error_event() {
    let server = Setup::probes(&["fail", "two"]).start().await;
    let error = ("error", json!({"error": "ValueError", "message": "boom"}));
    for (modes, before) in [
        (json!("values"), vec![("values", json!({"foo": "x"}))]),
        (json!("custom"), vec![]),
    ] {
        let body = json!({"assistant_id": "fail", "input": {"foo": "x"}, "stream_mode": modes});
        let mut expected = before;
        expected.push(error.clone());
        assert_eq!(after_metadata(&stateless(&server, &body).await), expected);
    }
    let mut limited = two(json!("updates"));
    limited["config"] = json!({"recursion_limit": 1});
    let events = stateless(&server, &limited).await;
    let shown = after_metadata(&events);
    assert_eq!(
        (shown.len(), shown[0].0, shown[1].0),
        (2, "updates", "error")
    );
    assert_eq!(shown[1].1["error"], "GraphRecursionError");
}

#[tokio::test]
async fn a_question_is_shown_in_updates_and_values_and_a_breakpoint_in_updates() {
    let server = Setup::probes(&["hitl", "two"]).start().await;
    let thread = server.new_thread().await;
    let body = json!({"assistant_id": "hitl", "input": {"log": ["x"]}, "stream_mode": ["updates", "values"]});
    let events = server.stream(&thread, &body).await;
    let shown = after_metadata(&events);
    let question = &shown[1].1["__interrupt__"];
    assert_eq!(question[0]["value"], json!({"question": "Go on?"}));
    let expected = [
        ("values", json!({"log": ["x"]})),
        ("updates", json!({"__interrupt__": question})),
        ("values", json!({"log": ["x"], "__interrupt__": question})),
    ];
    assert_eq!(shown, expected);

    let resume =
        json!({"assistant_id": "hitl", "command": {"resume": 1}, "stream_mode": "updates"});
    let answered = [
        ("updates", json!({"ask": {"answer": 1, "log": ["asked"]}})),
        ("updates", json!({"after": {"log": ["after"]}})),
    ];
    assert_eq!(
        after_metadata(&server.stream(&thread, &resume).await),
        answered
    );

    let mut stopping = two(json!("updates"));
    stopping["interrupt_before"] = json!(["b"]);
    let breakpoint = [
        ("updates", json!({"a": {"foo": "ina", "log": ["a"]}})),
        ("updates", json!({"__interrupt__": []})),
    ];
    let thread = server.new_thread().await;
    assert_eq!(
        after_metadata(&server.stream(&thread, &stopping).await),
        breakpoint
    );
}

#[tokio::test]
async fn a_run_that_has_not_begun_can_be_joined_and_its_modes_narrowed() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    let thread = server.new_thread().await;
    server.create_run(&thread, &gate.run()).await;
    let run = server
        .create_run(&thread, &two(json!(["values", "updates"])))
        .await;
    let path = format!("/threads/{thread}/runs/{}/stream", text(&run["run_id"]));
    let queries = [
        "",
        "?stream_mode=updates",
        "?stream_mode=values&stream_mode=updates",
        "?stream_mode=values,updates",
        "?stream_mode=%5B%22values%22%5D",
        "?stream_mode=custom",
    ];
    // The headers of each answer are there before the run may begin.
    let mut streams = Vec::new();
    for query in queries {
        streams.push(server.get(&format!("{path}{query}")).await);
    }
    gate.open();
    let mut names = Vec::new();
    for stream in streams {
        let events = sse::events(stream).await;
        names.push(
            events
                .iter()
                .map(|e| e.name.as_str())
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    let all = "metadata values updates values updates values";
    let expected = [
        all,
        "metadata updates updates",
        all,
        all,
        "metadata values values values",
        "metadata",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_the_run() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let thread = server.new_thread().await;
    let response = server
        .post(&format!("/threads/{thread}/runs/stream"), &gate.run())
        .await;
    let mut events = Events::of(response);
    let run = json!({"thread_id": thread, "run_id": events.next().await.expect("an event").data["run_id"]});
    drop(events);
    gate.open();
    assert_eq!(server.ended_run(&run).await["status"], "success");
    assert_eq!(
        server.state(&thread).await["values"]["done"],
        json!(["one", "two", "three", "after"])
    );
}

#[tokio::test]
async fn the_stream_of_an_unknown_run_is_an_error_event() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let nobody = "00000000-0000-4000-8000-000000000000";
    for path in [
        format!("/threads/{thread}/runs/{nobody}/stream"),
        format!("/runs/{nobody}/stream"),
    ] {
        let response = server.get(&path).await;
        assert_eq!(response.status(), 200);
        let events = sse::events(response).await;
        let shown: Vec<(&str, &Value)> =
            events.iter().map(|e| (e.name.as_str(), &e.data)).collect();
        let error = json!({"error": "HTTPException", "message": "404: Run not found"});
        assert_eq!(shown, [("error", &error)]);
    }
}

#[tokio::test]
async fn stream_modes_that_are_not_there_are_refused_before_anything_runs() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    for mode in ["tool", "zzz"] {
        for modes in [json!(mode), json!(["values", mode])] {
            for path in [
                format!("/threads/{thread}/runs/stream"),
                format!("/threads/{thread}/runs"),
            ] {
                let detail = server.refused(&path, &two(modes.clone()), 422).await;
                assert!(detail.contains(&format!("{mode:?}")), "{detail}");
                assert!(
                    detail.contains("values, updates, messages, messages-tuple, tasks"),
                    "{detail}"
                );
            }
        }
    }
    assert_eq!(
        server.get_json(&format!("/threads/{thread}/runs")).await,
        json!([])
    );
}
