//! The example `agent` with a model behind HTTP: a real server that speaks OpenAI's chat completions.

use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use crate::support::model::{Asked, Model, Reply, chunk, words};
use crate::support::server::{TALKATIVE, names, text};
use crate::support::sse::Events;
use crate::support::{Server, Setup};

const KEY: &str = "sk-the-real-key-of-the-operator";

/// A server whose agent asks this model: the key is a secret, and nothing else on loopback is open.
fn asking(model: &Model) -> Setup {
    let port = model.address.port();
    Setup::examples(&["agent"])
        .set("env", json!({"MODEL_BASE_URL": format!("http://{}/v1", model.address), "MODEL_NAME": "test-model"}))
        .set("secrets", json!({"MODEL_API_KEY": {"value": "${{ env.REAL_KEY }}", "hosts": ["127.0.0.1"]}}))
        .set("egress", json!({"allowed_networks": ["127.0.0.0/8"], "require_https": false, "allowed_ports": [port]}))
        .set("telemetry", json!({"log": TALKATIVE}))
        .env("REAL_KEY", KEY)
}

fn says(content: &str) -> Value {
    json!({"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": content}]}})
}

fn is_nowhere(secret: &str, server: &Server, seen: &Value) {
    assert!(!server.log().contains(secret), "the log has the key");
    assert!(!seen.to_string().contains(secret), "the key is in {seen}");
}

#[tokio::test]
async fn the_model_is_asked_with_the_real_key_which_nobody_else_sees() {
    let model = Model::behaving(|_, _| words(&["Hel", "lo"])).await;
    let server = asking(&model).start().await;
    let thread = server.new_thread().await;
    let values = server.wait(&thread, &says("hi")).await;
    assert_eq!(values["messages"][1]["content"], "Hello");
    let usage = json!({"input_tokens": 9, "output_tokens": 2, "total_tokens": 11});
    assert_eq!(values["messages"][1]["usage_metadata"], usage);
    assert_eq!(
        values["messages"][1]["response_metadata"]["finish_reason"],
        "stop"
    );

    let asked = model.asked().remove(0);
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(asked.headers["host"], model.address.to_string());
    assert_eq!(
        (&asked.body["model"], &asked.body["stream"]),
        (&json!("test-model"), &json!(true))
    );
    let messages = &asked.body["messages"];
    assert_eq!(
        (&messages[0]["role"], &messages[1]),
        (&json!("system"), &json!({"role": "user", "content": "hi"}))
    );
    let tools = [0, 1].map(|n| text(&asked.body["tools"][n]["function"]["name"]));
    assert_eq!(tools, ["calculator", "current_time"]);
    assert!(
        asked.body["tools"][0]["function"]["parameters"]["properties"]["expression"].is_object()
    );
    is_nowhere(
        KEY,
        &server,
        &json!([values, server.state(&thread).await, asked.body]),
    );
}

#[tokio::test]
async fn a_graph_sees_a_placeholder_in_place_of_a_secret() {
    let setup = Setup::probes(&["env"])
        .set("secrets", json!({"MODEL_API_KEY": {"value": "${{ env.REAL_KEY }}", "hosts": ["api.example.com"]}}))
        .env("REAL_KEY", KEY);
    let server = setup.start().await;
    let values = server
        .post_json(
            "/runs/wait",
            &json!({"assistant_id": "env", "input": {"name": "MODEL_API_KEY"}}),
        )
        .await;
    assert!(
        text(&values["value"]).starts_with("selvedge-secret-"),
        "{values}"
    );
    assert_eq!(values["vars"], json!({"MODEL_API_KEY": values["value"]}));
    is_nowhere(KEY, &server, &values);
}

#[tokio::test]
async fn tokens_reach_the_client_while_the_model_still_speaks() {
    let (say, heard) = unbounded_channel();
    let heard = std::sync::Mutex::new(Some(heard));
    let model = Model::behaving(move |_, _| {
        Reply::live(
            heard
                .lock()
                .expect("not poisoned")
                .take()
                .expect("one request"),
        )
    })
    .await;
    let server = asking(&model).start().await;
    let mut body = says("hi");
    body["stream_mode"] = json!("messages-tuple");
    let mut events = Events::of(server.post("/runs/stream", &body).await);
    assert_eq!(events.next().await.expect("an event").name, "metadata");
    for word in ["One", " two", " three"] {
        // The next word is said only after this one has come through.
        say.send(format!(
            "data: {}\n\n",
            chunk(json!({"content": word}), None)
        ))
        .expect("the model listens");
        let event = events.next().await.expect("a token");
        assert_eq!(
            (event.name.as_str(), &event.data[0]["content"]),
            ("messages", &json!(word))
        );
    }
    say.send(format!(
        "data: {}\n\ndata: [DONE]\n\n",
        chunk(json!({}), Some("stop"))
    ))
    .expect("the model listens");
    drop(say);
    let last = events.next().await.expect("the end of the message");
    assert_eq!(last.data[0]["chunk_position"], "last");
    assert_eq!(events.next().await, None);
}

/// Two tool calls, in pieces that interleave, as OpenAI streams them.
fn two_calls() -> Reply {
    let piece = |index: u32, call: Value| {
        let mut call = call;
        call["index"] = json!(index);
        chunk(json!({"tool_calls": [call]}), None)
    };
    let begin = |index: u32, id: &str, name: &str| {
        piece(
            index,
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": ""}}),
        )
    };
    let arguments = |index: u32, text: &str| piece(index, json!({"function": {"arguments": text}}));
    Reply::events([
        chunk(json!({"role": "assistant", "content": null}), None),
        begin(0, "call_a", "calculator"),
        arguments(0, "{\"expres"),
        begin(1, "call_b", "calculator"),
        arguments(0, "sion\": \"6"),
        arguments(1, "{\"expression\": \"1/0\"}"),
        arguments(0, " * 7\"}"),
        chunk(json!({}), Some("tool_calls")),
    ])
}

#[tokio::test]
async fn tool_calls_that_come_in_pieces_are_carried_out_and_answered() {
    let model = Model::behaving(|_, before| {
        if before == 0 {
            two_calls()
        } else {
            words(&["It is ", "42."])
        }
    })
    .await;
    let server = asking(&model).start().await;
    let mut body = says("what is 6 * 7, and 1/0?");
    body["stream_mode"] = json!("updates");
    let thread = server.new_thread().await;
    let events = server.stream(&thread, &body).await;
    let nodes: Vec<&str> = events[1..].iter().map(|e| names(&e.data)[0]).collect();
    assert_eq!(nodes, ["model", "tools", "tools", "model"]);

    let messages = &server.state(&thread).await["values"]["messages"];
    let calls = json!([
        {"name": "calculator", "args": {"expression": "6 * 7"}, "id": "call_a", "type": "tool_call"},
        {"name": "calculator", "args": {"expression": "1/0"}, "id": "call_b", "type": "tool_call"},
    ]);
    assert_eq!(messages[1]["tool_calls"], calls);
    assert_eq!(
        (&messages[2]["content"], &messages[2]["tool_call_id"]),
        (&json!("42"), &json!("call_a"))
    );
    assert_eq!(
        (&messages[3]["status"], &messages[3]["tool_call_id"]),
        (&json!("error"), &json!("call_b"))
    );
    assert_eq!(messages[4]["content"], "It is 42.");

    // What the model is told of its calls, in OpenAI's form.
    let asked = model.asked();
    assert_eq!(asked.len(), 2);
    let told = &asked[1].body["messages"];
    assert_eq!(told[2]["role"], "assistant");
    let call = &told[2]["tool_calls"][0];
    assert_eq!(
        (&call["id"], &call["type"]),
        (&json!("call_a"), &json!("function"))
    );
    let arguments: Value =
        serde_json::from_str(text(&call["function"]["arguments"])).expect("JSON");
    assert_eq!(arguments, json!({"expression": "6 * 7"}));
    assert_eq!(
        told[3],
        json!({"role": "tool", "content": "42", "tool_call_id": "call_a"})
    );
    assert_eq!(
        (&told[4]["role"], &told[4]["tool_call_id"]),
        (&json!("tool"), &json!("call_b"))
    );
}

#[tokio::test]
async fn an_overloaded_model_is_asked_again() {
    let model = Model::behaving(|_, before| match before {
        0 => Reply::error(429, "Rate limit reached"),
        1 => Reply::error(500, "The server had an error"),
        _ => words(&["Hello"]),
    })
    .await;
    let server = asking(&model).start().await;
    let values = server.post_json("/runs/wait", &says("hi")).await;
    assert_eq!(values["messages"][1]["content"], "Hello");
    assert_eq!(model.asked().len(), 3);
}

#[tokio::test]
async fn a_models_refusal_fails_the_run_with_its_message() {
    let error = async |reply: fn(&Asked, usize) -> Reply, attempts: usize| {
        let model = Model::behaving(reply).await;
        let server = asking(&model).start().await;
        let values = server.post_json("/runs/wait", &says("hi")).await;
        assert_eq!(model.asked().len(), attempts, "{values}");
        is_nowhere(KEY, &server, &values);
        let error = &values["__error__"];
        (
            text(&error["error"]).to_owned(),
            text(&error["message"]).to_owned(),
        )
    };
    let (kind, message) = error(|_, _| Reply::error(401, "Incorrect API key provided"), 1).await;
    assert_eq!(
        (kind.as_str(), message.as_str()),
        (
            "HttpStatusError",
            "the server answered 401: Incorrect API key provided"
        )
    );

    let in_the_stream =
        |_: &Asked, _| Reply::events([json!({"error": {"message": "The engine is on fire"}})]);
    let (kind, message) = error(in_the_stream, 1).await;
    assert_eq!(
        (kind.as_str(), message.as_str()),
        ("ModelError", "The engine is on fire")
    );

    let malformed = |_: &Asked, _| Reply::pieces(["data: {\"choices\": [\n\n".to_owned()]);
    let (kind, message) = error(malformed, 1).await;
    assert_eq!(kind, "ModelError");
    assert!(
        message.starts_with("the model's server sent something else than a chunk"),
        "{message}"
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let model = Model::behaving(|_, before| match before {
        0 => Reply::pieces([format!(
            "data: {}\n\n",
            chunk(json!({"content": "Hel"}), None)
        )]),
        _ => words(&["Hello"]),
    })
    .await;
    let server = asking(&model).start().await;
    let values = server.post_json("/runs/wait", &says("hi")).await;
    assert_eq!(values["messages"][1]["content"], "Hello");
    assert_eq!(model.asked().len(), 2);
}

type Change = fn(Setup) -> Setup;

#[tokio::test]
async fn the_agent_reaches_nothing_that_the_policy_does_not_name() {
    let model = Model::behaving(|_, _| words(&["Hello"])).await;
    let closed: [(&str, Change); 5] = [
        ("no egress at all", |s| s.set("egress", json!({}))),
        ("another port", |s| {
            s.set("egress.allowed_ports", json!([1]))
        }),
        ("another network", |s| {
            s.set("egress.allowed_networks", json!(["10.0.0.0/8"]))
        }),
        ("https only", |s| s.set("egress.require_https", true)),
        ("a key for another host", |s| {
            s.set("secrets.MODEL_API_KEY.hosts", json!(["api.example.com"]))
        }),
    ];
    for (what, close) in closed {
        let server = close(asking(&model)).start().await;
        let values = server.post_json("/runs/wait", &says("hi")).await;
        let error = &values["__error__"];
        assert_eq!(error["error"], "EgressDenied", "{what}: {values}");
        assert!(
            server.log().contains("an outbound request was refused"),
            "{what}: {}",
            server.log()
        );
        is_nowhere(KEY, &server, &values);
    }
    assert_eq!(model.asked().len(), 0);
}
