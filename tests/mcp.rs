//! Assistants as tools: the Model Context Protocol at `/mcp`. `tests/clients/agents` has its official client.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::callers::{ANN, BOB, OPERATOR, let_in};
use crate::support::server::{Server, json_of};
use crate::support::{Gate, Setup, eventually};

fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

fn tool_call(name: &str, arguments: Value) -> Value {
    request("tools/call", json!({"name": name, "arguments": arguments}))
}

async fn asked(server: &Server, method: &str, params: Value) -> Value {
    let answer = server.post_json("/mcp", &request(method, params)).await;
    assert_eq!(
        (&answer["jsonrpc"], &answer["id"]),
        (&json!("2.0"), &json!(1))
    );
    answer
}

/// The text that a tool answers with.
async fn called(server: &Server, name: &str, arguments: Value) -> String {
    let answer = server.post_json("/mcp", &tool_call(name, arguments)).await;
    let content = &answer["result"]["content"];
    assert_eq!(content.as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(content[0]["type"], "text");
    content[0]["text"].as_str().expect("a text").to_owned()
}

fn json_in(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn assistants_are_tools_that_are_listed_and_called() {
    let server = Setup::probes(&["two", "hitl"]).start().await;
    let named = json!({"graph_id": "two", "name": "My assistant!", "description": "says it twice"});
    server.post_json("/assistants", &named).await;
    let hello = json!({
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
    });
    let welcome = asked(&server, "initialize", hello).await;
    assert_eq!(welcome["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(welcome["result"]["serverInfo"]["name"], "Selvedge");
    assert!(welcome["result"]["capabilities"]["tools"].is_object());
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(server.post("/mcp", &initialized).await.status(), 202);
    assert_eq!(asked(&server, "ping", json!({})).await["result"], json!({}));

    let tools = asked(&server, "tools/list", json!({})).await["result"]["tools"].clone();
    let names: Vec<&Value> = tools
        .as_array()
        .expect("tools")
        .iter()
        .map(|t| &t["name"])
        .collect();
    // Newest first; those of the configuration are of one age.
    assert_eq!(names[0], "My_assistant");
    assert!(names.contains(&&json!("hitl")) && names.contains(&&json!("two")));
    assert_eq!(names.len(), 3);
    let schemas = server
        .post_json("/assistants/search", &json!({"graph_id": "two"}))
        .await;
    let id = schemas[0]["assistant_id"].as_str().expect("an id");
    let schemas = server.get_json(&format!("/assistants/{id}/schemas")).await;
    let mine = &tools[0];
    assert_eq!(mine["title"], "My assistant!");
    assert_eq!(mine["description"], "says it twice");
    assert_eq!(mine["inputSchema"], schemas["input_schema"]);
    let hitl = tools
        .as_array()
        .into_iter()
        .flatten()
        .find(|tool| tool["name"] == "hitl");
    let hitl = hitl.expect("the tool of hitl");
    assert_eq!(hitl["description"], "Tool based on the hitl assistant");
    let hints = json!({
        "readOnlyHint": false, "destructiveHint": false, "idempotentHint": false, "openWorldHint": true,
    });
    assert_eq!(mine["annotations"], hints);

    let values = called(&server, "My_assistant", json!({"foo": "x"})).await;
    assert_eq!(json_in(&values)["foo"], "xab");
    // Nothing is left of a call.
    assert_eq!(server.post_json("/threads/count", &json!({})).await, 0);
}

#[tokio::test]
async fn what_a_tool_is_given_and_gives_is_json_to_the_last_digit() {
    let server = Setup::probes(&["hitl"]).start().await;
    let asked = json_in(&called(&server, "hitl", json!({})).await);
    assert_eq!(
        asked["__interrupt__"][0]["value"],
        json!({"question": "Go on?"})
    );
    // Numbers that no double holds; serde_json would round them, so this is written by hand.
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hitl",
        "arguments":{"answer":123456789012345678901234567890}}}"#;
    let url = format!("{}/mcp", server.base);
    let answer = server.client.post(url).body(body).send().await;
    let answer = answer.expect("an answer").text().await.expect("a body");
    assert!(
        answer.contains(r#"\"answer\":123456789012345678901234567890"#),
        "{answer}"
    );
}

#[tokio::test]
async fn a_tool_that_fails_says_why_and_one_that_is_not_there_is_unknown() {
    let server = Setup::probes(&["two", "fail"]).start().await;
    let failed = server
        .post_json("/mcp", &tool_call("fail", json!({})))
        .await;
    assert_eq!(failed["result"]["isError"], true);
    assert_eq!(
        failed["result"]["content"],
        json!([{"type": "text", "text": "ValueError: boom"}])
    );

    let twin = json!({"graph_id": "two", "name": "two"});
    server.post_json("/assistants", &twin).await;
    for (name, why) in [
        ("none", "Unknown tool: none"),
        ("My assistant", "Unknown tool: My assistant"),
        ("two", "Multiple tools found with the same name."),
    ] {
        let refused = server.post_json("/mcp", &tool_call(name, json!({}))).await;
        assert_eq!(refused["error"], json!({"code": -32602, "message": why}));
    }
    let unknown = asked(&server, "tools/burn", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32601);
    let cursor = asked(&server, "tools/list", json!({"cursor": "x"})).await;
    assert_eq!(cursor["error"]["code"], -32602);
}

#[tokio::test]
async fn names_of_tools_have_only_what_may_stand_in_them() {
    let server = Setup::probes(&["two"]).start().await;
    let long = "q".repeat(300);
    let mut nameless = String::new();
    for name in ["a/b:c  d", "été", "!!!", &long] {
        let made = server
            .post_json("/assistants", &json!({"graph_id": "two", "name": name}))
            .await;
        if name == "!!!" {
            nameless = made["assistant_id"].as_str().expect("an id").to_owned();
        }
    }
    let tools = asked(&server, "tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().expect("tools");
    let names: Vec<&str> = tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    let expected = ["abc_d", "t", nameless.as_str(), &long[..128], "two"];
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let mut expected_sorted = expected;
    expected_sorted.sort_unstable();
    assert_eq!(sorted, expected_sorted);
    for name in expected {
        let values = called(&server, name, json!({"foo": "x"})).await;
        assert_eq!(json_in(&values)["foo"], "xab", "{name}");
    }
}

#[tokio::test]
async fn many_tools_are_listed_in_pages() {
    let server = Setup::probes(&["two"]).start().await;
    for n in 0..104 {
        let assistant = json!({"graph_id": "two", "name": format!("n{n}")});
        server.post_json("/assistants", &assistant).await;
    }
    let first = asked(&server, "tools/list", json!({})).await["result"].clone();
    let cursor = first["nextCursor"].as_str().expect("more");
    let second = asked(&server, "tools/list", json!({"cursor": cursor})).await["result"].clone();
    assert!(
        second.get("nextCursor").is_none_or(Value::is_null),
        "{second}"
    );
    let count = |page: &Value| page["tools"].as_array().map(Vec::len);
    assert_eq!((count(&first), count(&second)), (Some(100), Some(5)));
    let values = called(&server, "n0", json!({"foo": "x"})).await;
    assert_eq!(json_in(&values)["foo"], "xab");
}

#[tokio::test]
async fn what_is_no_message_of_the_protocol_is_refused() {
    let server = Setup::probes(&["two"]).start().await;
    let url = format!("{}/mcp", server.base);
    for (body, why) in [
        ("{", "Invalid JSON"),
        ("[]", "Invalid message format."),
        ("{}", "Invalid message format."),
        (r#"{"id":1,"method":"ping"}"#, "Invalid message format."),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            "Invalid message format.",
        ),
    ] {
        let answer = server.client.post(&url).body(body).send().await;
        let answer = json_of(answer.expect("an answer"), StatusCode::BAD_REQUEST).await;
        assert_eq!(answer, json!({"error": why}), "{body}");
    }
    for (accepted, status) in [
        ("text/html", 400),
        ("application/json", 200),
        ("text/event-stream", 200),
        ("*/*", 200),
    ] {
        let ping = server.client.post(&url).header("accept", accepted);
        let answer = ping.json(&request("ping", json!({}))).send().await;
        assert_eq!(answer.expect("an answer").status(), status, "{accepted}");
    }
    // No stream to listen to, no session to end.
    assert_eq!(server.get("/mcp").await.status(), 405);
    assert_eq!(server.delete("/mcp").await.status(), 405);
    let odd = [
        json!(null),
        json!(-1),
        json!("\u{0}"),
        json!([]),
        json!({"": {}}),
        json!("x".repeat(100_000)),
    ];
    for value in odd {
        for message in [
            request("tools/call", value.clone()),
            request("tools/call", json!({"name": value})),
            request("tools/call", json!({"name": "two", "arguments": value})),
            request("tools/call", json!({"name": "two", "_meta": value})),
            request("tools/list", json!({"cursor": value})),
            request("initialize", json!({"protocolVersion": value})),
        ] {
            let status = server.post("/mcp", &message).await.status();
            assert!(!status.is_server_error(), "{status} for {message}");
        }
    }
}

#[tokio::test]
async fn a_call_is_made_by_whoever_makes_it() {
    let server = let_in(Setup::probes(&["two", "storing"])).start().await;
    let anns = json!({"graph_id": "two", "name": "anns"});
    ANN.made(&server, "/assistants", &anns).await;
    for (who, sees) in [(ANN, true), (BOB, false), (OPERATOR, true)] {
        let tools = who
            .made(&server, "/mcp", &request("tools/list", json!({})))
            .await;
        assert_eq!(tools.to_string().contains("\"anns\""), sees, "{tools}");
        let answer = who
            .made(&server, "/mcp", &tool_call("anns", json!({"foo": "x"})))
            .await;
        assert_eq!(answer["result"].is_object(), sees, "{answer}");
    }
    // Each has a store of their own.
    let put = json!({"calls": [{"put": [["u"], "k", {"of": "ann"}]}]});
    ANN.made(&server, "/mcp", &tool_call("storing", put)).await;
    for (who, sees) in [(ANN, true), (BOB, false)] {
        let get = json!({"calls": [{"get": [["u"], "k"]}]});
        let answer = who.made(&server, "/mcp", &tool_call("storing", get)).await;
        let text = answer["result"]["content"][0]["text"].to_string();
        assert_eq!(text.contains("ann"), sees, "{answer}");
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_cancelled() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let body = tool_call("effects", gate.run()["input"].clone());
    let call = server
        .client
        .post(format!("{}/mcp", server.base))
        .json(&body);
    let call = tokio::spawn(call.send());
    gate.holds(1).await;
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()));
    eventually("the end of the run", async || {
        let metrics = server.get("/metrics").await.text().await.expect("text");
        metrics
            .contains("selvedge_runs_ended_total{status=\"interrupted\"} 1")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_long_call_gives_signs_of_life_and_then_its_result() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let url = format!("{}/mcp", server.base);
    let body = tool_call("effects", gate.run()["input"].clone());
    let ask = |accepted: &'static str| {
        let request = server
            .client
            .post(&url)
            .header("accept", accepted)
            .json(&body);
        tokio::spawn(request.send())
    };
    let as_events = ask("application/json, text/event-stream");
    let as_json = ask("application/json");
    gate.holds(2).await;
    // The head of an answer comes when the call has taken long, while it is still held.
    let (as_events, as_json) = (as_events.await.expect("sent"), as_json.await.expect("sent"));
    let (as_events, as_json) = (as_events.expect("an answer"), as_json.expect("an answer"));
    assert_eq!(
        as_events.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    assert_eq!(as_json.headers()["content-type"], "application/json");
    gate.open();
    let as_json = json_of(as_json, StatusCode::OK).await;
    let events = crate::support::sse::events(as_events).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].name, "message");
    for answer in [&as_json, &events[0].data] {
        let text = answer["result"]["content"][0]["text"]
            .as_str()
            .expect("a text");
        assert_eq!(
            json_in(text)["done"],
            json!(["one", "two", "three", "after"])
        );
    }
}

#[tokio::test]
async fn without_the_protocol_there_is_no_route() {
    let server = Setup::probes(&["two"])
        .set("http.disable_mcp", true)
        .start()
        .await;
    let ping = request("ping", json!({}));
    assert_eq!(server.post("/mcp", &ping).await.status(), 404);
    let document = server.get_json("/openapi.json").await;
    assert!(document["paths"].get("/mcp").is_none());
    assert!(document["paths"].get("/a2a/{assistant_id}").is_some());
}
