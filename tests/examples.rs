//! The graphs of `graphs/`, as a reader of the README meets them.

use serde_json::{Value, json};

use crate::support::server::{names, text};
use crate::support::{Receiver, Server, Setup};

fn says(assistant: &str, content: &str) -> Value {
    json!({"assistant_id": assistant, "input": {"messages": [{"role": "user", "content": content}]}})
}

/// Type and content of each message.
fn conversation(values: &Value) -> Vec<(&str, &str)> {
    let messages = values["messages"]
        .as_array()
        .unwrap_or_else(|| panic!("no messages: {values}"));
    messages
        .iter()
        .map(|m| (text(&m["type"]), text(&m["content"])))
        .collect()
}

#[tokio::test]
async fn echo_answers_the_last_message_with_its_own_text() {
    let server = Setup::examples(&["echo"]).start().await;
    let thread = server.new_thread().await;
    let values = server.wait(&thread, &says("echo", "hello")).await;
    assert_eq!(conversation(&values), [("human", "hello"), ("ai", "hello")]);
    // A bare string is a human message.
    let more = json!({"assistant_id": "echo", "input": {"messages": "again"}, "stream_mode": "messages-tuple"});
    let events = server.stream(&thread, &more).await;
    // A message that was not streamed comes whole.
    let message = &events.last().expect("an event").data[0];
    assert_eq!(
        (&message["type"], &message["content"]),
        (&json!("ai"), &json!("again"))
    );
    assert!(!names(message).contains(&"tool_call_chunks"));
    let state = server.state(&thread).await;
    let whole = [
        ("human", "hello"),
        ("ai", "hello"),
        ("human", "again"),
        ("ai", "again"),
    ];
    assert_eq!(conversation(&state["values"]), whole);
    let error = server
        .post_json("/runs/wait", &json!({"assistant_id": "echo", "input": {}}))
        .await;
    assert_eq!(error["__error__"]["error"], "ValueError");
}

#[tokio::test]
async fn the_agent_answers_a_plain_message_in_one_super_step_with_streamed_tokens() {
    let server = Setup::examples(&["agent"]).start().await;
    let thread = server.new_thread().await;
    let mut body = says("agent", "hello there");
    body["stream_mode"] = json!(["messages-tuple", "updates"]);
    let events = server.stream(&thread, &body).await;
    let tokens: Vec<&str> = events
        .iter()
        .filter(|e| e.name == "messages")
        .map(|e| text(&e.data[0]["content"]))
        .collect();
    assert_eq!(tokens.concat(), "You said: hello there");
    assert!(tokens.len() >= 4, "{tokens:?}");
    assert_eq!(events.iter().filter(|e| e.name == "updates").count(), 1);
    let state = server.state(&thread).await;
    assert_eq!(state["metadata"]["step"], 1);
    assert_eq!(
        conversation(&state["values"])[1],
        ("ai", "You said: hello there")
    );
    // The pieces and the whole are one message.
    let streamed = &events
        .iter()
        .find(|e| e.name == "messages")
        .expect("a token")
        .data[0]["id"];
    assert_eq!(&state["values"]["messages"][1]["id"], streamed);
}

#[tokio::test]
async fn the_agent_calls_a_tool_for_a_sum_and_remembers_the_conversation() {
    let (server, receiver) = (
        Setup::examples(&["agent"]).start().await,
        Receiver::start().await,
    );
    let thread = server.new_thread().await;
    let mut body = says("agent", "what is 6 * 7?");
    body["webhook"] = json!(receiver.url("/"));
    let values = server.wait(&thread, &body).await;
    let expected = [
        ("human", "what is 6 * 7?"),
        ("ai", ""),
        ("tool", "42"),
        ("ai", "The answer is 42."),
    ];
    assert_eq!(conversation(&values), expected);
    let call = &values["messages"][1]["tool_calls"][0];
    assert_eq!(
        (&call["name"], &call["args"]),
        (&json!("calculator"), &json!({"expression": "6 * 7"}))
    );
    assert_eq!(values["messages"][2]["tool_call_id"], call["id"]);
    assert_eq!(server.state(&thread).await["metadata"]["step"], 3);
    assert_eq!(receiver.wait_for(1).await[0].json()["values"], values);

    let values = server.wait(&thread, &says("agent", "thanks")).await;
    assert_eq!(
        conversation(&values)[4..],
        [("human", "thanks"), ("ai", "You said: thanks")]
    );
    let values = server.wait(&thread, &says("agent", "what is 1 / 0?")).await;
    assert_eq!(values["messages"][8]["status"], "error");
    let now = server
        .post_json("/runs/wait", &says("agent", "what time is it?"))
        .await;
    assert!(conversation(&now)[2].1.starts_with("20"), "{now}");
}

#[tokio::test]
async fn fan_out_maps_in_parallel_and_brings_the_results_together() {
    let server = Setup::examples(&["fan_out"]).start().await;
    let thread = server.new_thread().await;
    let texts = ["one", "one two three", "one two"];
    let mut body =
        json!({"assistant_id": "fan_out", "input": {"texts": texts}, "stream_mode": "updates"});
    let events = server.stream(&thread, &body).await;
    let nodes: Vec<&str> = events[1..].iter().map(|e| names(&e.data)[0]).collect();
    assert_eq!(nodes, ["split", "count", "count", "count", "combine"]);
    let values = &server.state(&thread).await["values"];
    assert_eq!(
        (&values["total"], &values["longest"]),
        (&json!(6), &json!("one two three"))
    );
    // In the order of the texts, whichever task ended first.
    let words = [0, 1, 2].map(|n| values["counts"][n]["words"].clone());
    assert_eq!(words, [1, 3, 2]);
    // A second run on the thread starts afresh.
    body["input"] = json!({"texts": ["a b"]});
    let values = server.wait(&thread, &body).await;
    assert_eq!(
        (&values["total"], &values["longest"]),
        (&json!(2), &json!("a b"))
    );
    let many: Vec<String> = (0..200).map(|n| "word ".repeat(n)).collect();
    let values = server
        .post_json(
            "/runs/wait",
            &json!({"assistant_id": "fan_out", "input": {"texts": many}}),
        )
        .await;
    assert_eq!(values["total"], 199 * 200 / 2);
}

/// A thread on which a draft waits for a decision: the thread and the draft.
async fn draft(server: &Server) -> (String, Value) {
    let thread = server.new_thread().await;
    let input = json!({"request": "please water the plants", "to": "ann@example.com"});
    let asked = server
        .wait(
            &thread,
            &json!({"assistant_id": "approval", "input": input}),
        )
        .await;
    let question = &asked["__interrupt__"][0]["value"];
    assert_eq!(question["question"], "Send this e-mail?");
    assert_eq!(question["answers"], json!(["approve", "edit", "reject"]));
    assert_eq!(server.state(&thread).await["next"], json!(["review"]));
    (thread, question["draft"].clone())
}

#[tokio::test]
async fn approval_sends_edits_or_drops_the_draft_as_the_person_decides() {
    let server = Setup::examples(&["approval"]).start().await;
    let decide = async |thread: &str, decision: Value| {
        let body = json!({"assistant_id": "approval", "command": {"resume": decision}});
        server.wait(thread, &body).await
    };
    let (thread, written) = draft(&server).await;
    let approved = decide(&thread, json!({"type": "approve"})).await;
    assert_eq!(
        (&approved["outcome"], &approved["draft"]),
        (&json!("sent to ann@example.com"), &written)
    );

    let (thread, _) = draft(&server).await;
    let edited = json!({"to": "bob@example.com", "subject": "Plants", "body": "Water them."});
    let sent = decide(&thread, json!({"type": "edit", "draft": edited})).await;
    assert_eq!(
        (&sent["outcome"], &sent["draft"]),
        (&json!("sent to bob@example.com"), &edited)
    );

    let (thread, _) = draft(&server).await;
    let rejected = decide(&thread, json!({"type": "reject", "reason": "too short"})).await;
    assert_eq!(rejected["outcome"], "rejected: too short");
    assert_eq!(server.state(&thread).await["next"], json!([]));

    // An answer that the node does not understand fails the run; the right one can still be given.
    let (thread, _) = draft(&server).await;
    let error = decide(&thread, json!({"type": "postpone"})).await["__error__"].clone();
    assert_eq!(error["error"], "InvalidAnswer", "{error}");
}
