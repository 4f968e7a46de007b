//! Runs that stop and ask: `interrupt()`, answers to it, and breakpoints.

use serde_json::{Value, json};

use crate::support::server::{names, text};
use crate::support::{Server, Setup};

fn ask() -> Value {
    json!({"assistant_id": "hitl", "input": {}})
}

fn resume(answer: Value) -> Value {
    json!({"assistant_id": "hitl", "command": {"resume": answer}})
}

#[tokio::test]
async fn a_question_stops_the_run_and_shows_everywhere() {
    let server = Setup::probes(&["hitl"]).start().await;
    let thread = server.new_thread().await;
    let values = server.wait(&thread, &ask()).await;
    assert_eq!(
        (&values["log"], names(&values)),
        (&json!([]), vec!["log", "__interrupt__"])
    );
    let asked = &values["__interrupt__"][0];
    let id = text(&asked["id"]);
    // LangGraph's thread and state say nothing of a schema of the answer.
    let interrupt = json!({"value": {"question": "Go on?"}, "id": id});
    assert_eq!(
        *asked,
        json!({"value": {"question": "Go on?"}, "id": id, "response_schema": null})
    );
    assert!(
        id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );

    // For LangGraph such a run is a success.
    let run = &server.get_json(&format!("/threads/{thread}/runs")).await[0];
    assert_eq!(run["status"], "success");
    let join = format!("/threads/{thread}/runs/{}/join", text(&run["run_id"]));
    assert_eq!(server.get_json(&join).await, values);

    let state = server.state(&thread).await;
    assert_eq!(
        (&state["next"], &state["values"]),
        (&json!(["ask"]), &json!({"log": []}))
    );
    assert_eq!(state["interrupts"], json!([interrupt]));
    assert_eq!(state["tasks"][0]["interrupts"], json!([interrupt]));
    let shown = server.get_json(&format!("/threads/{thread}")).await;
    assert_eq!(
        (&shown["status"], &shown["values"]),
        (&json!("interrupted"), &json!({"log": []}))
    );
    let by_task = json!({text(&state["tasks"][0]["id"]): [interrupt]});
    assert_eq!(shown["interrupts"], by_task);
}

#[tokio::test]
async fn an_answer_goes_to_the_node_that_asked() {
    let server = Setup::probes(&["hitl"]).start().await;
    let done = |answer: &Value| json!({"answer": answer, "log": ["asked", "after"]});
    for answer in [
        json!("yes"),
        json!({"a": [1, null]}),
        json!(false),
        json!(0),
        json!(""),
    ] {
        let thread = server.new_thread().await;
        server.wait(&thread, &ask()).await;
        assert_eq!(
            server.wait(&thread, &resume(answer.clone())).await,
            done(&answer)
        );
        let shown = server.get_json(&format!("/threads/{thread}")).await;
        assert_eq!(
            (&shown["status"], &shown["interrupts"]),
            (&json!("idle"), &json!({}))
        );
    }
    // By the question's id.
    let thread = server.new_thread().await;
    let asked = server.wait(&thread, &ask()).await;
    let id = text(&asked["__interrupt__"][0]["id"]);
    assert_eq!(
        server.wait(&thread, &resume(json!({id: "by id"}))).await,
        done(&json!("by id"))
    );

    let detail = server
        .refused("/runs/wait", &resume(json!("yes")), 400)
        .await;
    assert_eq!(detail, "You must provide a thread_id when resuming.");
}

/// A thread on which two tasks of one step have asked: the questions' ids.
async fn two_questions(server: &Server, thread: &str) -> [String; 2] {
    server.wait(thread, &ask()).await;
    server.wait(thread, &resume(json!("first"))).await;
    let sends =
        json!([{"node": "ask", "input": {"log": []}}, {"node": "ask", "input": {"log": []}}]);
    let asked = server
        .wait(
            thread,
            &json!({"assistant_id": "hitl", "command": {"goto": sends}}),
        )
        .await;
    assert_eq!(
        asked["__interrupt__"].as_array().map(Vec::len),
        Some(2),
        "{asked}"
    );
    [0, 1].map(|n| text(&asked["__interrupt__"][n]["id"]).to_owned())
}

#[tokio::test]
async fn of_several_questions_each_is_answered_by_its_id() {
    let server = Setup::probes(&["hitl"]).start().await;
    let thread = server.new_thread().await;
    let [one, other] = two_questions(&server, &thread).await;
    assert_ne!(one, other);
    let error = server.wait(&thread, &resume(json!("which?"))).await["__error__"].clone();
    assert_eq!(error["error"], "RuntimeError");
    assert!(
        text(&error["message"]).contains("you must specify the interrupt id"),
        "{error}"
    );

    let part = server.wait(&thread, &resume(json!({&one: "A"}))).await;
    assert_eq!(
        part["__interrupt__"].as_array().map(Vec::len),
        Some(1),
        "{part}"
    );
    assert_eq!(part["__interrupt__"][0]["id"], other);
    // Both answers are written to one channel that takes one value a step.
    let both = server.wait(&thread, &resume(json!({&other: "B"}))).await;
    assert_eq!(both["__error__"]["error"], "InvalidUpdateError", "{both}");
}

/// A thread on which two nodes have asked in one super-step: the ids of their questions.
async fn asked_by_both(server: &Server, thread: &str) -> [String; 2] {
    let run = json!({"assistant_id": "both", "input": {}});
    let asked = server.wait(thread, &run).await["__interrupt__"].clone();
    let values = [0, 1].map(|n| text(&asked[n]["value"]).to_owned());
    assert_eq!(values, ["left", "right"]);
    [0, 1].map(|n| text(&asked[n]["id"]).to_owned())
}

#[tokio::test]
async fn several_questions_are_answered_together_or_one_after_the_other() {
    let server = Setup::probes(&["both"]).start().await;
    let resume = |answers: Value| json!({"assistant_id": "both", "command": {"resume": answers}});
    let all = json!(["left: L", "right: R", "after"]);

    let thread = server.new_thread().await;
    let [left, right] = asked_by_both(&server, &thread).await;
    let together = resume(json!({&left: "L", &right: "R"}));
    assert_eq!(server.wait(&thread, &together).await["log"], all);

    let thread = server.new_thread().await;
    let [_, right] = asked_by_both(&server, &thread).await;
    let error = server.wait(&thread, &resume(json!("L"))).await["__error__"].clone();
    assert_eq!(error["error"], "RuntimeError");
    server.wait(&thread, &resume(json!({&right: "R"}))).await;
    let waiting = server.state(&thread).await["interrupts"].clone();
    assert_eq!(waiting.as_array().map(Vec::len), Some(1), "{waiting}");
    assert_eq!(waiting[0]["value"], "left");
    // The only question that is left needs no id.
    let rest = server.wait(&thread, &resume(json!("L"))).await;
    assert_eq!(rest["log"], all);
}

#[tokio::test]
async fn a_command_answers_updates_and_leads_on_at_once() {
    let server = Setup::probes(&["both"]).start().await;
    let thread = server.new_thread().await;
    let [left, right] = asked_by_both(&server, &thread).await;
    let command = json!({
        "resume": {&left: "L", &right: "R"},
        "update": {"log": ["update"]},
        "goto": {"node": "after", "input": {"log": []}},
    });
    let values = server
        .wait(
            &thread,
            &json!({"assistant_id": "both", "command": command}),
        )
        .await;
    let log = json!(["update", "left: L", "right: R", "after", "after"]);
    assert_eq!(values["log"], log);
}

#[tokio::test]
async fn breakpoints_stop_before_or_after_nodes_and_are_passed_with_no_input() {
    let server = Setup::probes(&["two"]).start().await;
    let go_on = json!({"assistant_id": "two", "input": null});
    for (member, nodes, values, next) in [
        (
            "interrupt_before",
            json!(["b"]),
            json!({"foo": "xa", "log": ["a"]}),
            "b",
        ),
        (
            "interrupt_before",
            json!("*"),
            json!({"foo": "x", "log": []}),
            "a",
        ),
        (
            "interrupt_after",
            json!(["a"]),
            json!({"foo": "xa", "log": ["a"]}),
            "b",
        ),
        (
            "interrupt_after",
            json!("*"),
            json!({"foo": "xa", "log": ["a"]}),
            "b",
        ),
    ] {
        let thread = server.new_thread().await;
        let mut body = json!({"assistant_id": "two", "input": {"foo": "x"}});
        body[member] = nodes.clone();
        assert_eq!(
            server.wait(&thread, &body).await,
            values,
            "{member} {nodes}"
        );
        let shown = server.get_json(&format!("/threads/{thread}")).await;
        assert_eq!(
            (&shown["status"], &shown["interrupts"]),
            (&json!("interrupted"), &json!({}))
        );
        assert_eq!(server.state(&thread).await["next"], json!([next]));
        assert_eq!(
            server.wait(&thread, &go_on).await,
            json!({"foo": "xab", "log": ["a", "b"]})
        );
    }
    // Names of nodes that are not there stop nothing.
    let unknown =
        json!({"assistant_id": "two", "input": {"foo": "x"}, "interrupt_before": ["nobody"]});
    assert_eq!(server.post_json("/runs/wait", &unknown).await["foo"], "xab");
}

#[tokio::test]
async fn single_steps_go_from_breakpoint_to_breakpoint() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let step =
        |input: Value| json!({"assistant_id": "two", "input": input, "interrupt_before": "*"});
    assert_eq!(
        server.wait(&thread, &step(json!({"foo": "x"}))).await["foo"],
        "x"
    );
    assert_eq!(server.wait(&thread, &step(Value::Null)).await["foo"], "xa");
    assert_eq!(server.wait(&thread, &step(Value::Null)).await["foo"], "xab");
    assert_eq!(server.state(&thread).await["next"], json!([]));
}

#[tokio::test]
async fn a_new_input_drops_the_question() {
    let server = Setup::probes(&["hitl"]).start().await;
    let thread = server.new_thread().await;
    let first = server.wait(&thread, &ask()).await;
    let second = server
        .wait(
            &thread,
            &json!({"assistant_id": "hitl", "input": {"log": ["again"]}}),
        )
        .await;
    assert_eq!(second["log"], json!(["again"]));
    assert_ne!(
        first["__interrupt__"][0]["id"],
        second["__interrupt__"][0]["id"]
    );
    let done = server.wait(&thread, &resume(json!("yes"))).await;
    assert_eq!(done["log"], json!(["again", "asked", "after"]));
}

#[tokio::test]
async fn a_graph_elsewhere_takes_up_the_one_that_is_a_node_of_it() {
    let server = Setup::probes(&["hitl", "nested", "leaf"]).start().await;
    for (graph, input) in [("hitl", json!({})), ("nested", json!({"foo": "x"}))] {
        let thread = server.new_thread().await;
        // As LangGraph's `RemoteGraph` asks, with the same input each time.
        let run = |configurable: Value| json!({"assistant_id": graph, "input": input, "config": {"configurable": configurable}});
        // What has not begun yet begins.
        let again = json!({"__pregel_resuming": true});
        let asked = server.wait(&thread, &run(again.clone())).await;
        let id = text(&asked["__interrupt__"][0]["id"]);
        assert_eq!(server.wait(&thread, &run(again)).await, asked, "{graph}");
        // Some of the answers may be to questions of others.
        let elsewhere = "0123456789abcdef0123456789abcdef";
        let answers =
            json!({"__pregel_resuming": true, "__pregel_resume_map": {id: "Y", elsewhere: "N"}});
        let done = server.wait(&thread, &run(answers)).await;
        assert_eq!(done.get("__interrupt__"), None, "{graph}: {done}");
        assert_eq!(server.state(&thread).await["next"], json!([]));

        // A run of its own begins anew, whatever is said of answers.
        let answers = json!({"__pregel_resuming": false, "__pregel_resume_map": {id: "Y"}});
        let other = server.wait(&thread, &run(answers)).await;
        assert_ne!(
            other["__interrupt__"][0]["id"],
            asked["__interrupt__"][0]["id"]
        );
    }
}
