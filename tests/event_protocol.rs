//! The event protocol of the newest clients over HTTP: commands, and the events of a thread.

use serde_json::{Value, json};

use crate::support::model::{Model, Reply, chunk, words};
use crate::support::protocol::{CHANNELS, data, is_end, methods, seqs};
use crate::support::server::{detail_of, json_of, text};
use crate::support::{Gate, Server, Setup, eventually, sse};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn all() -> Value {
    json!({"channels": CHANNELS})
}

#[tokio::test]
async fn a_run_is_started_and_shown_as_the_protocol_has_it() {
    let server = Setup::probes(&["two"]).start().await;
    // The thread is made by the run.
    let run = server.start_run(NOBODY, "two", json!({"foo": "in"})).await;
    let events = server.run_shown(NOBODY).await;
    let step = ["tasks", "updates", "tasks", "checkpoints", "values"];
    let expected: Vec<&str> = ["lifecycle", "checkpoints", "checkpoints", "values"]
        .into_iter()
        .chain(step)
        .chain(step)
        .chain(["lifecycle"])
        .collect();
    assert_eq!(methods(&events), expected);
    assert!(seqs(&events).is_sorted_by(|a, b| a < b));
    for event in &events {
        assert_eq!(event["type"], "event");
        assert_eq!(event["params"]["namespace"], json!([]));
        assert!(event["params"]["timestamp"].is_u64());
    }
    assert_eq!(
        data(&events, "lifecycle"),
        [
            json!({"event": "running", "graph_name": "two"}),
            json!({"event": "completed", "graph_name": "two"})
        ]
    );
    assert_eq!(events[0]["event_id"], format!("synth:{run}:lc||running"));
    let states = ["in", "ina", "inab"].map(|foo| json!(foo));
    let shown: Vec<Value> = data(&events, "values")
        .iter()
        .map(|s| s["foo"].clone())
        .collect();
    assert_eq!(shown, states);
    let update = events
        .iter()
        .find(|event| event["method"] == "updates")
        .expect("one");
    assert_eq!(update["params"]["node"], "a");
    assert_eq!(update["params"]["data"]["foo"], "ina");
    let newest = &server.state(NOBODY).await["checkpoint"]["checkpoint_id"];
    assert_eq!(
        &data(&events, "checkpoints").pop().expect("one")["id"],
        newest
    );
    let run = server
        .get_json(&format!("/threads/{NOBODY}/runs/{run}"))
        .await;
    assert_eq!(
        (&run["status"], &run["kwargs"]["resumable"]),
        (&json!("success"), &json!(true))
    );
}

#[tokio::test]
async fn whoever_comes_late_is_told_the_same_under_the_same_ids() {
    let mut server = Setup::probes(&["two", "fail"]).start().await;
    let thread = server.new_thread().await;
    let mut live = server.thread_events(&thread, &all()).await;
    server.start_run(&thread, "two", json!({"foo": "in"})).await;
    let mut seen = live.until_the_end().await;
    // A run of the older protocol, too.
    let older = json!({"assistant_id": "two", "input": {"foo": "x"}, "stream_mode": ["values", "updates"],
        "stream_resumable": true});
    server.wait(&thread, &older).await;
    seen.extend(live.until_the_end().await);
    server.start_run(&thread, "fail", json!({})).await;
    seen.extend(live.until_the_end().await);
    let ends = |events: &[Value]| {
        let ends = events.iter().filter(|event| is_end(event));
        ends.map(|event| event["params"]["data"]["event"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ends(&seen), ["completed", "completed", "failed"]);

    for _ in 0..2 {
        let mut late = server.thread_events(&thread, &all()).await;
        let mut again = Vec::new();
        for _ in 0..3 {
            again.extend(late.until_the_end().await);
        }
        assert_eq!(again, seen);
        // One who wants less is told that under the same numbers.
        let mut some = server
            .thread_events(&thread, &json!({"channels": ["lifecycle"]}))
            .await;
        for event in seen.iter().filter(|event| event["method"] == "lifecycle") {
            assert_eq!(&some.next().await, event);
        }
        server.kill();
        server.restart().await;
    }
}

/// The end of the newest run, for somebody who was there and for somebody who was not.
async fn end_of(
    server: &Server,
    thread: &str,
    live: &mut crate::support::protocol::ThreadEvents,
) -> Value {
    let seen = live.until_the_end().await.pop().expect("one");
    let late = server.run_shown(thread).await.pop().expect("one");
    assert_eq!(seen, late);
    late["params"]["data"].clone()
}

#[tokio::test]
async fn every_run_that_ends_says_so_however_it_ends() {
    let gate = Gate::closed().await;
    let setup = gate.setup(&["two", "fail", "hitl", "slow"]);
    let server = setup.set("runtime.run_timeout_secs", 5).start().await;
    let lifecycle = json!({"channels": ["lifecycle"]});
    let watched = async |graph: &str, input: Value| {
        let thread = server.new_thread().await;
        let live = server.thread_events(&thread, &lifecycle).await;
        let run = server.start_run(&thread, graph, input).await;
        (thread, run, live)
    };
    let (thread, _, mut live) = watched("two", json!({"foo": "x"})).await;
    assert_eq!(
        end_of(&server, &thread, &mut live).await["event"],
        "completed"
    );
    let (thread, _, mut live) = watched("fail", json!({})).await;
    let failed = json!({"event": "failed", "graph_name": "fail", "error": "boom"});
    assert_eq!(end_of(&server, &thread, &mut live).await, failed);
    let (thread, _, mut live) = watched("hitl", json!({})).await;
    assert_eq!(
        end_of(&server, &thread, &mut live).await["event"],
        "interrupted"
    );
    let (thread, _, mut live) = watched("slow", json!({"ms": 600_000})).await;
    let timeout = json!({"event": "failed", "graph_name": "slow", "error": "TimeoutError"});
    assert_eq!(end_of(&server, &thread, &mut live).await, timeout);

    let effects = json!({"counter": gate.url()});
    for action in ["interrupt", "rollback"] {
        let held = gate.held();
        let (thread, run, mut live) = watched("effects", effects.clone()).await;
        gate.holds(held + 3).await;
        let cancel = format!("/threads/{thread}/runs/{run}/cancel?wait=1&action={action}");
        server.post_json(&cancel, &json!({})).await;
        assert_eq!(
            end_of(&server, &thread, &mut live).await["event"],
            "interrupted"
        );
    }
}

#[tokio::test]
async fn a_run_that_is_cancelled_before_it_begins_says_so_too() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    let thread = server.new_thread().await;
    let lifecycle = json!({"channels": ["lifecycle"]});
    let mut live = server.thread_events(&thread, &lifecycle).await;
    let first = server
        .start_run(&thread, "effects", json!({"counter": gate.url()}))
        .await;
    gate.holds(3).await;
    let second = server.start_run(&thread, "two", json!({"foo": "x"})).await;
    let cancel = format!("/threads/{thread}/runs/{second}/cancel");
    server.post(&format!("{cancel}?wait=1"), &json!({})).await;
    let end = live.until_the_end().await.pop().expect("one");
    assert_eq!(end["event_id"], format!("synth:{second}:lc||interrupted"));
    gate.open();
    let end = live.until_the_end().await.pop().expect("one");
    assert_eq!(end["event_id"], format!("synth:{first}:lc||completed"));
    let mut late = server.thread_events(&thread, &lifecycle).await;
    let ids: Vec<Value> = late
        .until(|event| event["event_id"] == format!("synth:{first}:lc||completed"))
        .await
        .into_iter()
        .map(|event| event["event_id"].clone())
        .collect();
    assert!(ids.contains(&json!(format!("synth:{second}:lc||interrupted"))));
}

/// While another task goes on, nobody could be told what becomes of an answer.
#[tokio::test]
async fn a_question_is_told_when_it_can_be_answered() {
    let server = Setup::probes(&["nested", "leaf"]).start().await;
    for _ in 0..5 {
        let thread = server.new_thread().await;
        server
            .start_run(&thread, "nested", json!({"foo": "x"}))
            .await;
        let mut events = server
            .thread_events(
                &thread,
                &json!({"channels": ["input", "lifecycle"], "depth": 9}),
            )
            .await;
        let question = loop {
            let event = events.next().await;
            if event["method"] == "input.requested" {
                break event;
            }
        };
        let answer = json!({"interrupt_id": question["params"]["data"]["interrupt_id"],
            "namespace": question["params"]["namespace"], "response": "Y"});
        let answered = server.command(&thread, "input.respond", answer).await;
        assert_eq!(answered["type"], "success", "{answered}");
        for _ in 0..2 {
            events.until_the_end().await;
        }
        assert_eq!(server.state(&thread).await["values"]["foo"], "xamiYb");
    }
}

#[tokio::test]
async fn questions_are_told_and_answered() {
    let server = Setup::probes(&["hitl", "both"]).start().await;
    let thread = server.new_thread().await;
    server.start_run(&thread, "hitl", json!({})).await;
    let asked = server.run_shown(&thread).await;
    let question = data(&asked, "input.requested").pop().expect("one");
    assert_eq!(question["payload"], json!({"question": "Go on?"}));
    assert_eq!(data(&asked, "lifecycle")[1]["event"], "interrupted");
    assert!(
        data(&asked, "values")
            .iter()
            .all(|state| state.get("__interrupt__").is_none())
    );
    let id = &question["interrupt_id"];
    let answer = json!({"interrupt_id": id, "namespace": [], "response": "yes"});
    let answered = server
        .command(&thread, "input.respond", answer.clone())
        .await;
    assert_eq!(answered["result"], json!({}));
    let mut events = server.thread_events(&thread, &all()).await;
    events.until_the_end().await;
    let rest = events.until_the_end().await;
    assert_eq!(data(&rest, "lifecycle")[1]["event"], "completed");
    assert_eq!(data(&rest, "values").last().expect("one")["answer"], "yes");
    // It has been answered.
    let (kind, why) = server
        .command_refused(&thread, "input.respond", answer)
        .await;
    assert_eq!(kind, "no_such_interrupt");
    assert_eq!(
        why,
        format!("Unknown or already-consumed interrupt: {}", text(id))
    );

    // Two questions, answered together.
    let thread = server.new_thread().await;
    server.start_run(&thread, "both", json!({})).await;
    let asked = data(&server.run_shown(&thread).await, "input.requested");
    let answers: Vec<Value> = asked
        .iter()
        .map(|question| json!({"interrupt_id": question["interrupt_id"], "namespace": [], "response": "ok"}))
        .collect();
    assert_eq!(answers.len(), 2);
    server
        .command(&thread, "input.respond", json!({"responses": answers}))
        .await;
    let mut events = server.thread_events(&thread, &all()).await;
    events.until_the_end().await;
    let state = data(&events.until_the_end().await, "values")
        .pop()
        .expect("one");
    assert_eq!(state["log"], json!(["left: ok", "right: ok", "after"]));

    // An input is the answer where a thread waits for one.
    let thread = server.new_thread().await;
    server.start_run(&thread, "hitl", json!({})).await;
    server.run_shown(&thread).await;
    server.start_run(&thread, "hitl", json!("by input")).await;
    let mut events = server.thread_events(&thread, &all()).await;
    events.until_the_end().await;
    let state = data(&events.until_the_end().await, "values")
        .pop()
        .expect("one");
    assert_eq!(state["answer"], "by input");
}

/// The id of the question that the newest run has ended with.
async fn question_of(server: &Server, thread: &str) -> Value {
    let asked = data(&server.run_shown(thread).await, "input.requested");
    asked.last().expect("a question")["interrupt_id"].clone()
}

#[tokio::test]
async fn an_answer_is_taken_once_however_it_comes() {
    let gate = Gate::closed().await;
    gate.open();
    let server = gate.setup(&["steps"]).start().await;
    let kinds = |answers: [Value; 2]| {
        let mut kinds = answers.map(|answer| answer["error"].as_str().map(str::to_owned));
        kinds.sort();
        kinds
    };
    let once = [None, Some("no_such_interrupt".to_owned())];
    let begin = async || {
        let thread = server.new_thread().await;
        let input = json!({"counter": gate.url()});
        server.start_run(&thread, "steps", input).await;
        let id = question_of(&server, &thread).await;
        (
            thread,
            json!({"interrupt_id": id, "response": "1", "namespace": []}),
        )
    };
    // Whoever waits for the next question knows that all answers that were accepted have been used.
    let asks_next = async |thread: &str| {
        let path = format!("/threads/{thread}");
        let rests = async || {
            let thread = server.get_json(&path).await;
            (thread["status"] == "interrupted").then_some(thread)
        };
        let thread = eventually("the next question", rests).await;
        let questions = thread["interrupts"].as_object().expect("an object");
        questions.values().next().expect("a task")[0]["value"].clone()
    };

    let (thread, answer) = begin().await;
    let respond = || server.command(&thread, "input.respond", answer.clone());
    let (one, other) = tokio::join!(respond(), respond());
    assert_eq!(kinds([one, other]), once);
    assert_eq!(asks_next(&thread).await, "two?");

    // An input that is the answer, and the answer.
    let (thread, answer) = begin().await;
    let input = json!({"assistant_id": "steps", "input": "1"});
    let started = server.command(&thread, "run.start", input).await;
    let answered = server.command(&thread, "input.respond", answer).await;
    assert_eq!(kinds([started, answered]), once);
    assert_eq!(asks_next(&thread).await, "two?");
}

#[tokio::test]
async fn a_message_comes_block_by_block() {
    let server = Setup::probes(&["tokens"]).start().await;
    let thread = server.new_thread().await;
    server.start_run(&thread, "tokens", json!({})).await;
    let events = server.run_shown(&thread).await;
    let told = data(&events, "messages");
    let words: Vec<&str> = told.iter().map(|event| text(&event["event"])).collect();
    let mut expected = vec!["message-start", "content-block-start"];
    expected.extend(["content-block-delta"; 5]);
    expected.extend(["content-block-finish", "message-finish"]);
    assert_eq!(words, expected);
    assert_eq!(told[0]["role"], "ai");
    assert_eq!(
        told[2],
        json!({"event": "content-block-delta", "index": 0, "delta": {"type": "text-delta", "text": "hello"}})
    );
    assert_eq!(
        told[7]["content"],
        json!({"type": "text", "text": "hello there world"})
    );
    let state = data(&events, "values").pop().expect("one");
    let message = &state["messages"][0];
    assert_eq!(
        (&message["id"], &message["content"]),
        (&told[0]["id"], &json!("hello there world"))
    );
    // What says nothing is left out of the state.
    assert_eq!(message.get("tool_calls"), None);
}

#[tokio::test]
async fn calls_of_tools_are_told_in_either_protocol() {
    let call = |id: &str, name: &str, arguments: &str| json!({"index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let model = Model::behaving(move |_, before| {
        let expression = if before == 0 { r#"{"expression": "6 * 7"}"# } else { r#"{"expression": "1/0"}"# };
        match before {
            0 | 1 => Reply::events([
                chunk(json!({"tool_calls": [call(&format!("call_{before}"), "calculator", expression)]}), None),
                chunk(json!({}), Some("tool_calls")),
            ]),
            _ => words(&["done"]),
        }
    })
    .await;
    let port = model.address.port();
    let server = Setup::examples(&["agent"])
        .set("env", json!({"MODEL_BASE_URL": format!("http://{}/v1", model.address), "MODEL_NAME": "test"}))
        .set("egress", json!({"allowed_networks": ["127.0.0.0/8"], "require_https": false, "allowed_ports": [port]}))
        .start()
        .await;
    let thread = server.new_thread().await;
    let run = json!({"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "hi"}]},
        "stream_mode": "tools", "stream_resumable": true});
    let older = server.stream(&thread, &run).await;
    let older: Vec<&Value> = older
        .iter()
        .filter(|e| e.name == "tools")
        .map(|e| &e.data)
        .collect();
    let started = json!({"event": "on_tool_start", "toolCallId": "call_0", "name": "calculator",
        "input": {"expression": "6 * 7"}});
    assert_eq!(older[0], &started);
    assert_eq!(
        (&older[1]["event"], &older[1]["output"]["content"]),
        (&json!("on_tool_end"), &json!("42"))
    );
    assert_eq!(older[3]["event"], "on_tool_error");

    let told = data(&server.run_shown(&thread).await, "tools");
    assert_eq!(
        told[0],
        json!({"event": "tool-started", "tool_call_id": "call_0", "tool_name": "calculator",
            "input": {"expression": "6 * 7"}})
    );
    assert_eq!(
        (&told[1]["event"], &told[1]["output"]["content"]),
        (&json!("tool-finished"), &json!("42"))
    );
    assert_eq!(told[2]["tool_call_id"], "call_1");
    assert_eq!(
        (&told[3]["event"], told[3]["message"].is_string()),
        (&json!("tool-error"), true)
    );
    assert_eq!(told.len(), 4);
}

#[tokio::test]
async fn a_state_is_kept_once_and_not_with_its_checkpoint_again() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let run = server.start_run(&thread, "two", json!({"foo": "x"})).await;
    server.run_shown(&thread).await;
    let path = format!("/threads/{thread}/runs/{run}/stream");
    let kept = sse::events(server.get_after(&path, "0").await).await;
    let mut checkpoints = kept.iter().filter(|event| event.name == "checkpoints");
    assert!(kept.iter().any(|event| event.name == "values"));
    assert!(checkpoints.all(|event| event.data.get("values").is_none()));
    let newest = kept.iter().rfind(|event| event.name == "checkpoints");
    let newest = &newest.expect("one").data["config"]["configurable"]["checkpoint_id"];
    let state = server.state(&thread).await;
    assert_eq!(newest, &state["checkpoint"]["checkpoint_id"]);
}

#[tokio::test]
async fn filters_are_read_or_refused() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    server.start_run(&thread, "two", json!({"foo": "x"})).await;
    server.run_shown(&thread).await;
    for more in [
        json!({}),
        json!({"namespaces": [[]], "depth": 0}),
        json!({"namespaces": null, "depth": 5}),
    ] {
        let mut filter = json!({"channels": ["lifecycle"]});
        filter
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("one").clone());
        let mut events = server.thread_events(&thread, &filter).await;
        assert_eq!(events.until_the_end().await.len(), 2);
    }

    let path = format!("/threads/{thread}/stream/events");
    let none = "channels is required and must be a non-empty array";
    for (body, why) in [
        (json!({}), none),
        (json!([]), none),
        (json!({"channels": "values"}), none),
        (
            json!({"channels": ["values", "bogus"]}),
            "channels contains unsupported entries: bogus. Allowed: values, updates, checkpoints, messages, tools, \
             custom, lifecycle, input, tasks, or any `custom:<name>`.",
        ),
        (
            json!({"channels": ["values"], "since": -1}),
            "since must be a non-negative integer",
        ),
        (
            json!({"channels": ["values"], "depth": "x"}),
            "depth must be a non-negative integer",
        ),
        (
            json!({"channels": ["values"], "namespaces": ["a"]}),
            "namespaces must be an array of arrays of strings",
        ),
    ] {
        assert_eq!(detail_of(server.post(&path, &body).await, 400).await, why);
    }
    let nonsense = server
        .client
        .post(format!("{}{path}", server.base))
        .body("{");
    let refused = nonsense.send().await.expect("an answer");
    assert_eq!(detail_of(refused, 400).await, "Invalid JSON body");
}

#[tokio::test]
async fn commands_that_cannot_be_carried_out_are_answered_in_the_protocols_words() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let refused =
        async |method: &str, params: Value| server.command_refused(&thread, method, params).await;
    let invalid = |why: &str| ("invalid_argument".to_owned(), why.to_owned());
    let no_run = |why: &str| ("no_such_run".to_owned(), why.to_owned());
    assert_eq!(refused("zz", json!({})).await.0, "unknown_command");
    assert_eq!(
        refused("run.start", json!({})).await,
        invalid("run.start requires an assistant_id.")
    );
    let (kind, why) = refused("run.start", json!({"assistant_id": "nope"})).await;
    assert_eq!(kind, "unknown_error");
    assert!(why.starts_with("422: Invalid assistant: 'nope'"), "{why}");
    let wrong = json!({"assistant_id": "two", "config": []});
    assert_eq!(refused("run.start", wrong).await.0, "invalid_argument");
    let checkpoint = "1f0c9f3e-0000-6000-8000-000000000000";
    let gone =
        json!({"assistant_id": "two", "config": {"configurable": {"checkpoint_id": checkpoint}}});
    assert_eq!(refused("run.start", gone).await.0, "no_such_checkpoint");
    assert_eq!(
        refused("input.respond", json!({})).await,
        invalid("input.respond requires an interrupt_id.")
    );
    let nothing = json!({"responses": []});
    assert_eq!(
        refused("input.respond", nothing).await,
        invalid("input.respond requires at least one response.")
    );
    let answer = json!({"interrupt_id": "zz", "response": 1, "namespace": []});
    let asleep = no_run("No interrupted run is bound to this thread.");
    assert_eq!(refused("input.respond", answer.clone()).await, asleep);
    let idle = no_run("No active run is bound to this thread.");
    assert_eq!(refused("agent.getTree", json!({})).await, idle);
    let unknown = json!({"subscription_id": "x"});
    assert_eq!(
        refused("subscription.unsubscribe", unknown).await.0,
        "no_such_subscription"
    );
    assert_eq!(
        refused("subscription.subscribe", json!({"channels": ["zz"]}))
            .await
            .0,
        "invalid_argument"
    );
    let state = server
        .command(NOBODY, "state.get", json!({"namespace": []}))
        .await;
    assert_eq!(state["error"], "no_such_run");

    server.start_run(&thread, "two", json!({"foo": "x"})).await;
    server.run_shown(&thread).await;
    assert_eq!(
        refused("input.respond", answer).await.0,
        "no_such_interrupt"
    );
    let state = server
        .command(
            &thread,
            "state.get",
            json!({"namespace": [], "keys": ["foo"]}),
        )
        .await;
    assert_eq!(state["result"]["values"], json!({"foo": "xab"}));
    let newest = &server.state(&thread).await["checkpoint"]["checkpoint_id"];
    assert_eq!(&state["result"]["checkpoint"]["id"], newest);
    assert_eq!(
        refused("state.get", json!({"namespace": ["sub:x"]}))
            .await
            .0,
        "no_such_namespace"
    );
    let tree = server.command(&thread, "agent.getTree", json!({})).await;
    let root = json!({"namespace": [], "status": "completed", "graph_name": "two"});
    assert_eq!(tree["result"]["tree"], root);
    // A strategy that there is not is no reason to refuse a run.
    let odd = json!({"assistant_id": "two", "input": {"foo": "x"}, "multitaskStrategy": "bogus"});
    assert_eq!(
        server.command(&thread, "run.start", odd).await["type"],
        "success"
    );

    let path = format!("/threads/{thread}/commands");
    let malformed = "Protocol commands must include an integer id and string method.";
    for body in [
        json!([]),
        json!({}),
        json!({"id": -1, "method": "zz"}),
        json!({"id": 1.5, "method": "zz"}),
        json!({"id": "1", "method": "zz"}),
        json!({"id": null, "method": "zz"}),
    ] {
        let answer = json_of(
            server.post(&path, &body).await,
            reqwest::StatusCode::BAD_REQUEST,
        )
        .await;
        assert_eq!(
            answer,
            json!({"type": "error", "id": null, "error": "invalid_argument", "message": malformed})
        );
    }
    let nonsense = server
        .client
        .post(format!("{}{path}", server.base))
        .body("nope");
    let refused = nonsense.send().await.expect("an answer");
    assert_eq!(detail_of(refused, 400).await, "Invalid JSON body");
    let no_thread = server
        .post("/threads/abc/commands", &json!({"id": 1, "method": "zz"}))
        .await;
    assert_eq!(no_thread.status(), 422);
}
