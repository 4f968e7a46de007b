//! Assistants as agents: the Agent2Agent protocol at `/a2a/{assistant_id}`. `tests/clients/agents` has its official
//! client.

use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::callers::{ANN, BOB, let_in};
use crate::support::server::{Server, json_of, text};
use crate::support::sse::{self, Events};
use crate::support::{Gate, Setup};

/// LangGraph's namespace of default assistants' ids.
const GRAPHS: Uuid = Uuid::from_u128(0x6ba7_b821_9dad_11d1_80b4_00c0_4fd4_30c8);

/// Where the default assistant of a graph is talked to.
fn agent(graph: &str) -> String {
    format!("/a2a/{}", Uuid::new_v5(&GRAPHS, graph.as_bytes()))
}

fn call(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": "c-1", "method": method, "params": params})
}

fn says(words: &str) -> Value {
    message(json!([{"kind": "text", "text": words}]))
}

fn gives(data: Value) -> Value {
    message(json!([{"kind": "data", "data": data}]))
}

fn message(parts: Value) -> Value {
    json!({"message": {"role": "user", "messageId": Uuid::new_v4(), "parts": parts}})
}

/// The same message in a conversation, or to a task.
fn to(mut params: Value, name: &str, id: &Value) -> Value {
    params["message"][name] = id.clone();
    params
}

async fn answered(server: &Server, graph: &str, method: &str, params: &Value) -> Value {
    let answer = server.post_json(&agent(graph), &call(method, params)).await;
    assert_eq!(
        (&answer["jsonrpc"], &answer["id"]),
        (&json!("2.0"), &json!("c-1"))
    );
    answer
}

async fn result(server: &Server, graph: &str, method: &str, params: &Value) -> Value {
    let answer = answered(server, graph, method, params).await;
    assert!(answer["result"].is_object(), "{answer}");
    answer["result"].clone()
}

async fn refusal(server: &Server, graph: &str, method: &str, params: &Value) -> (i64, String) {
    let answer = answered(server, graph, method, params).await;
    let error = &answer["error"];
    let code = error["code"]
        .as_i64()
        .unwrap_or_else(|| panic!("not refused: {answer}"));
    (code, text(&error["message"]).to_owned())
}

fn state(task: &Value) -> &str {
    text(&task["status"]["state"])
}

/// Who says what in a task's history.
fn said(task: &Value) -> Vec<(&str, &str)> {
    let history = task["history"].as_array().into_iter().flatten();
    history
        .map(|message| (text(&message["role"]), text(&message["parts"][0]["text"])))
        .collect()
}

#[tokio::test]
async fn a_message_begins_a_task_that_is_read_again_and_goes_on_in_its_context() {
    let server = Setup::probes(&["tokens"]).start().await;
    let hello = says("hi");
    let task = result(&server, "tokens", "message/send", &hello).await;
    let context = &task["contextId"];
    assert_eq!((&task["kind"], state(&task)), (&json!("task"), "completed"));
    assert!(text(&task["id"]).starts_with(&format!("{}:", text(context))));
    assert_eq!(
        said(&task),
        [("user", "hi"), ("agent", "hello there world")]
    );
    let asked = &task["history"][0];
    assert_eq!(asked["messageId"], hello["message"]["messageId"]);
    assert_eq!(
        (&asked["taskId"], &asked["contextId"]),
        (&task["id"], context)
    );
    let artifact = &task["artifacts"][0];
    assert_eq!(artifact["name"], "Assistant Response");
    assert_eq!(
        artifact["parts"],
        json!([{"kind": "text", "text": "hello there world"}])
    );

    let again = result(
        &server,
        "tokens",
        "message/send",
        &to(says("and?"), "contextId", context),
    )
    .await;
    assert_eq!(&again["contextId"], context);
    assert_ne!(again["id"], task["id"]);
    assert_eq!(said(&again).len(), 4);
    let of = |n: usize| &again["history"][n]["taskId"];
    assert_eq!((of(0), of(1)), (&task["id"], &task["id"]));
    assert_eq!((of(2), of(3)), (&again["id"], &again["id"]));

    let first = result(&server, "tokens", "tasks/get", &json!({"id": task["id"]})).await;
    assert_eq!((&first["id"], state(&first)), (&task["id"], "completed"));
    assert_eq!(first["artifacts"], task["artifacts"]);
    let short = json!({"id": again["id"], "historyLength": 1});
    let short = result(&server, "tokens", "tasks/get", &short).await;
    assert_eq!(said(&short), [("agent", "hello there world")]);
    let none = json!({"id": again["id"], "historyLength": 0});
    let none = result(&server, "tokens", "tasks/get", &none).await;
    assert!(none.get("history").is_none());
    // The thread is a thread like any other.
    let values = server.state(text(context)).await["values"].clone();
    assert_eq!(values["messages"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn the_history_of_a_task_alone_is_shown_to_who_asks_for_it() {
    let server = Setup::probes(&["tokens"]).start().await;
    let first = result(&server, "tokens", "SendMessage", &says("one")).await["task"].clone();
    let more = to(says("two"), "contextId", &first["contextId"]);
    let url = format!("{}{}", server.base, agent("tokens"));
    let request = server
        .client
        .post(url)
        .header("LangGraph-A2A-History-Scope", "task");
    let answer = request.json(&call("SendMessage", &more)).send().await;
    let answer = json_of(answer.expect("an answer"), StatusCode::OK).await;
    let said = said(&answer["result"]["task"]);
    assert_eq!(
        said,
        [("ROLE_USER", "two"), ("ROLE_AGENT", "hello there world")]
    );
}

#[tokio::test]
async fn version_1_says_by_its_members_what_things_are() {
    let server = Setup::probes(&["tokens", "two"]).start().await;
    let hello =
        json!({"message": {"role": "ROLE_USER", "messageId": "m", "parts": [{"text": "hi"}]}});
    let sent = result(&server, "tokens", "SendMessage", &hello).await;
    let task = &sent["task"];
    assert_eq!(state(task), "TASK_STATE_COMPLETED");
    assert_eq!(
        task["artifacts"][0]["parts"],
        json!([{"text": "hello there world"}])
    );
    assert!(!sent.to_string().contains("\"kind\""), "{sent}");
    let got = result(&server, "tokens", "GetTask", &json!({"id": task["id"]})).await;
    assert_eq!(&got["id"], &task["id"]);

    let stream = server
        .post(&agent("tokens"), &call("SendStreamingMessage", &hello))
        .await;
    let events = sse::events(stream).await;
    let results: Vec<&Value> = events.iter().map(|event| &event.data["result"]).collect();
    assert_eq!(state(&results[0]["task"]), "TASK_STATE_SUBMITTED");
    let (last, artifact) = (results[results.len() - 1], results[results.len() - 2]);
    assert_eq!(state(&last["statusUpdate"]), "TASK_STATE_COMPLETED");
    assert!(last["statusUpdate"].get("final").is_none());
    let parts = &artifact["artifactUpdate"]["artifact"]["parts"];
    assert_eq!(parts, &json!([{"text": "hello there world"}]));
}

#[tokio::test]
async fn a_stream_shows_what_the_agent_says_while_it_says_it() {
    let server = Setup::probes(&["tokens", "hitl", "fail"]).start().await;
    let streamed = async |graph: &str, params: &Value| {
        let stream = server
            .post(&agent(graph), &call("message/stream", params))
            .await;
        let events = sse::events(stream).await;
        let results = events.into_iter().map(|event| {
            assert_eq!(
                (event.name.as_str(), &event.data["id"]),
                ("message", &json!("c-1"))
            );
            event.data["result"].clone()
        });
        results.collect::<Vec<_>>()
    };
    let events = streamed("tokens", &says("hi")).await;
    assert_eq!(
        (&events[0]["kind"], state(&events[0])),
        (&json!("task"), "submitted")
    );
    assert_eq!(said(&events[0]), [("user", "hi")]);
    let working = |event: &&Value| state(event) == "working";
    let words: Vec<&Value> = events[1..]
        .iter()
        .filter(|event| event["kind"] == "status-update")
        .filter(working)
        .map(|event| &event["status"]["message"]["parts"][0]["text"])
        .collect();
    assert_eq!(words.first(), Some(&&json!("hello")));
    assert_eq!(words.last(), Some(&&json!("hello there world")));
    let [.., artifact, last] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(artifact["kind"], "artifact-update");
    assert_eq!((state(last), &last["final"]), ("completed", &json!(true)));
    for event in &events[1..] {
        assert_eq!(event["taskId"], events[0]["id"]);
    }

    let events = streamed("hitl", &gives(json!({}))).await;
    let [_, artifact, last] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(artifact["artifact"]["name"], "Interrupt");
    let question = &artifact["artifact"]["parts"][0]["data"]["value"];
    assert_eq!(question, &json!({"question": "Go on?"}));
    assert_eq!(
        (state(last), &last["final"]),
        ("input-required", &json!(true))
    );

    let events = streamed("fail", &gives(json!({}))).await;
    let last = events.last().expect("an end");
    assert_eq!((state(last), &last["final"]), ("failed", &json!(true)));
    let why = &last["status"]["message"]["parts"][0]["text"];
    assert_eq!(why, "ValueError: boom");
}

#[tokio::test]
async fn a_task_that_asks_goes_on_with_the_answer_under_its_own_id() {
    let server = Setup::probes(&["hitl", "both"]).start().await;
    let task = result(&server, "hitl", "message/send", &gives(json!({}))).await;
    assert_eq!(state(&task), "input-required");
    let got = result(&server, "hitl", "tasks/get", &json!({"id": task["id"]})).await;
    assert_eq!(
        (state(&got), &got["artifacts"]),
        ("input-required", &task["artifacts"])
    );
    // Words answer a question also of a graph that holds no conversations.
    let answer = to(says("yes"), "taskId", &task["id"]);
    let done = result(&server, "hitl", "message/send", &answer).await;
    assert_eq!((&done["id"], state(&done)), (&task["id"], "completed"));
    let values = &done["artifacts"][0]["parts"][0]["data"];
    assert_eq!(values, &json!({"answer": "yes", "log": ["asked", "after"]}));
    let got = result(&server, "hitl", "tasks/get", &json!({"id": task["id"]})).await;
    assert_eq!(state(&got), "completed");
    let late = refusal(&server, "hitl", "message/send", &answer).await;
    assert_eq!(
        late,
        (
            -32004,
            "A terminal task cannot accept another message".to_owned()
        )
    );

    // Several questions are answered by their ids.
    let task = result(&server, "both", "message/send", &gives(json!({}))).await;
    let questions = task["artifacts"][0]["parts"].as_array().expect("questions");
    assert_eq!(questions.len(), 2);
    let answers: serde_json::Map<String, Value> = questions
        .iter()
        .map(|part| (text(&part["data"]["id"]).to_owned(), json!("ok")))
        .collect();
    let answers = to(gives(Value::Object(answers)), "taskId", &task["id"]);
    let done = result(&server, "both", "message/send", &answers).await;
    let log = &done["artifacts"][0]["parts"][0]["data"]["log"];
    assert_eq!(log, &json!(["left: ok", "right: ok", "after"]));
}

#[tokio::test]
async fn of_two_messages_to_a_task_that_asks_one_is_the_answer() {
    let gate = Gate::closed().await;
    gate.open();
    let server = gate.setup(&["steps"]).start().await;
    let input = gives(json!({"counter": gate.url()}));
    let task = result(&server, "steps", "message/send", &input).await;
    let answers = [
        to(says("1"), "taskId", &task["id"]),
        to(says("1"), "taskId", &task["id"]),
    ];
    let sends = |answer: &Value| {
        let (server, answer) = (&server, answer.clone());
        async move { answered(server, "steps", "message/send", &answer).await }
    };
    let both = tokio::join!(sends(&answers[0]), sends(&answers[1]));
    let refused = |answer: &&Value| answer["error"].is_object();
    assert_eq!(
        [&both.0, &both.1].iter().copied().filter(refused).count(),
        1
    );
    let got = result(&server, "steps", "tasks/get", &json!({"id": task["id"]})).await;
    assert_eq!(state(&got), "input-required");
    assert_eq!(got["artifacts"][0]["parts"][0]["data"]["value"], "two?");
}

#[tokio::test]
async fn a_task_is_there_after_a_restart_and_goes_with_its_thread() {
    let mut server = Setup::probes(&["hitl"]).start().await;
    let task = result(&server, "hitl", "message/send", &gives(json!({}))).await;
    server.kill();
    server.restart().await;
    let id = json!({"id": task["id"]});
    let got = result(&server, "hitl", "tasks/get", &id).await;
    assert_eq!(
        (state(&got), &got["artifacts"]),
        ("input-required", &task["artifacts"])
    );
    let answer = to(says("yes"), "taskId", &task["id"]);
    let done = result(&server, "hitl", "message/send", &answer).await;
    assert_eq!((&done["id"], state(&done)), (&task["id"], "completed"));
    let thread = format!("/threads/{}", text(&task["contextId"]));
    assert_eq!(server.delete(&thread).await.status(), 204);
    assert_eq!(refusal(&server, "hitl", "tasks/get", &id).await.0, -32001);
}

#[tokio::test]
async fn data_is_a_graphs_input_and_what_is_said_needs_a_graph_that_listens() {
    let server = Setup::probes(&["two", "tokens", "fail"]).start().await;
    let task = result(&server, "two", "message/send", &gives(json!({"foo": "x"}))).await;
    assert_eq!(task["artifacts"][0]["parts"][0]["data"]["foo"], "xab");
    let (code, why) = refusal(&server, "two", "message/send", &says("hi")).await;
    assert_eq!(code, -32602);
    assert!(
        why.contains("does not support A2A conversational messages"),
        "{why}"
    );
    let both = json!([{"text": "a"}, {"data": {"messages": []}}]);
    let (code, why) = refusal(&server, "tokens", "message/send", &message(both)).await;
    assert_eq!((code, why.contains("'messages'")), (-32602, true));

    let file = json!({"kind": "file", "file": {"uri": "https://x/y.png", "mimeType": "image/png"}});
    let looks = message(json!([{"kind": "text", "text": "look"}, file]));
    let task = result(&server, "tokens", "message/send", &looks).await;
    assert_eq!(task["history"][0]["parts"][1], file);
    let state_of = server.state(text(&task["contextId"])).await;
    let block = json!({"type": "image", "url": "https://x/y.png", "mime_type": "image/png"});
    assert_eq!(state_of["values"]["messages"][0]["content"][1], block);

    let failed = result(&server, "fail", "message/send", &gives(json!({}))).await;
    assert_eq!(state(&failed), "failed");
    assert_eq!(
        failed["status"]["message"]["parts"][0]["text"],
        "ValueError: boom"
    );
}

#[tokio::test]
async fn a_task_is_followed_from_elsewhere_and_cancelled() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let mut begins = gives(gate.run()["input"].clone());
    begins["configuration"] = json!({"blocking": false});
    let task = result(&server, "effects", "message/send", &begins).await;
    assert!(["submitted", "working"].contains(&state(&task)), "{task}");
    gate.holds(1).await;
    let id = json!({"id": task["id"]});
    assert_eq!(
        state(&result(&server, "effects", "tasks/get", &id).await),
        "working"
    );
    let follow = call("tasks/resubscribe", &id);
    let mut followed = Events::of(server.post(&agent("effects"), &follow).await);
    let first = followed.next().await.expect("the task");
    assert_eq!(state(&first.data["result"]), "working");
    let cancelled = result(&server, "effects", "tasks/cancel", &id).await;
    assert_eq!(
        (&cancelled["id"], state(&cancelled)),
        (&task["id"], "canceled")
    );
    let last = followed.next().await.expect("the end");
    assert_eq!(state(&last.data["result"]), "canceled");
    assert_eq!(followed.next().await, None);
    assert_eq!(
        state(&result(&server, "effects", "tasks/get", &id).await),
        "canceled"
    );
    let again = refusal(&server, "effects", "tasks/cancel", &id).await;
    assert_eq!(
        again,
        (
            -32002,
            "Task is not cancelable in its current state".to_owned()
        )
    );
    let follow = refusal(&server, "effects", "tasks/resubscribe", &id).await;
    assert_eq!(follow.0, -32004);
}

#[tokio::test]
async fn a_task_is_cancelled_with_all_that_it_still_has_to_do() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let begins = |task: Option<&Value>| {
        let mut begins = gives(gate.run()["input"].clone());
        begins["configuration"] = json!({"blocking": false});
        match task {
            Some(task) => to(begins, "taskId", &task["id"]),
            None => begins,
        }
    };
    let task = result(&server, "effects", "message/send", &begins(None)).await;
    gate.holds(3).await;
    let more = begins(Some(&task));
    let more = result(&server, "effects", "message/send", &more).await;
    assert_eq!(more["id"], task["id"]);
    let id = json!({"id": task["id"]});
    let got = result(&server, "effects", "tasks/get", &id).await;
    assert_eq!(state(&got), "working");
    let cancelled = result(&server, "effects", "tasks/cancel", &id).await;
    assert_eq!(state(&cancelled), "canceled");
    let runs = format!("/threads/{}/runs", text(&task["contextId"]));
    let runs = server.get_json(&runs).await;
    let ended = |run: &Value| run["status"] == "interrupted";
    let runs = runs.as_array().expect("runs");
    assert_eq!((runs.len(), runs.iter().all(ended)), (2, true), "{runs:?}");
}

#[tokio::test]
async fn a_list_of_tasks_shows_of_each_what_is_its_own_and_ends_where_it_weighs_enough() {
    let server = Setup::probes(&["tokens"]).start().await;
    let long = "x".repeat(600_000);
    let mut context = Value::Null;
    for n in 0..3 {
        let said = says(&format!("{n}{long}"));
        let said = match context.is_null() {
            true => said,
            false => to(said, "contextId", &context),
        };
        let task = result(&server, "tokens", "message/send", &said).await;
        context = task["contextId"].clone();
    }
    let listed = async |params: Value| {
        let list = result(&server, "tokens", "ListTasks", &params).await;
        let tasks = list["tasks"].as_array().expect("tasks").clone();
        (tasks, list["nextPageToken"].clone())
    };
    let (tasks, token) = listed(json!({"contextId": context})).await;
    assert_eq!((tasks.len(), &token), (3, &json!("")));
    assert!(tasks.iter().all(|task| task.get("history").is_none()));

    let mut seen = Vec::new();
    let mut token = json!("");
    for length in [2, 1] {
        let params = json!({"contextId": context, "historyLength": 10, "pageToken": token});
        let (tasks, next) = listed(params).await;
        assert_eq!(tasks.len(), length);
        seen.extend(tasks);
        token = next;
    }
    assert_eq!(token, "");
    for (task, n) in seen.iter().zip(["2", "1", "0"]) {
        let said = said(task);
        assert_eq!(said.len(), 2, "{n}");
        assert!(said[0].1.starts_with(n));
    }
    let last = json!({"contextId": context, "historyLength": 1, "pageSize": 1});
    let (tasks, _) = listed(last).await;
    assert_eq!(said(&tasks[0]), [("ROLE_AGENT", "hello there world")]);
}

#[tokio::test]
async fn the_tasks_of_an_assistant_are_listed_by_context_and_by_state() {
    let server = Setup::probes(&["tokens", "hitl"]).start().await;
    let first = result(&server, "tokens", "message/send", &says("one")).await;
    let more = to(says("two"), "contextId", &first["contextId"]);
    let second = result(&server, "tokens", "message/send", &more).await;
    let other = result(&server, "tokens", "message/send", &says("three")).await;
    result(&server, "hitl", "message/send", &gives(json!({}))).await;
    let listed = async |graph: &str, params: Value| {
        let list = result(&server, graph, "ListTasks", &params).await;
        let ids = list["tasks"].as_array().expect("tasks").iter();
        let ids: Vec<Value> = ids.map(|task| task["id"].clone()).collect();
        (ids, list)
    };
    let ids = |tasks: &[&Value]| {
        tasks
            .iter()
            .map(|task| task["id"].clone())
            .collect::<Vec<_>>()
    };
    let (all, list) = listed("tokens", json!({})).await;
    assert_eq!(all, ids(&[&other, &second, &first]));
    assert_eq!(
        (&list["totalSize"], &list["nextPageToken"]),
        (&json!(3), &json!(""))
    );
    assert!(list["tasks"][0].get("artifacts").is_none());
    let in_context = json!({"contextId": first["contextId"], "includeArtifacts": true});
    let (found, list) = listed("tokens", in_context).await;
    assert_eq!(found, ids(&[&second, &first]));
    assert_eq!(
        list["tasks"][1]["artifacts"][0]["parts"][0]["text"],
        "hello there world"
    );
    let (page, list) = listed("tokens", json!({"pageSize": 2})).await;
    assert_eq!(page, ids(&[&other, &second]));
    let rest = json!({"pageSize": 2, "pageToken": list["nextPageToken"]});
    assert_eq!(listed("tokens", rest).await.0, ids(&[&first]));
    for (graph, status, count) in [
        ("hitl", "TASK_STATE_INPUT_REQUIRED", 1),
        ("hitl", "TASK_STATE_COMPLETED", 0),
        ("tokens", "TASK_STATE_COMPLETED", 3),
    ] {
        assert_eq!(
            listed(graph, json!({"status": status})).await.0.len(),
            count
        );
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_said_in_the_words_of_json_rpc() {
    let server = Setup::probes(&["tokens"]).start().await;
    let bare = |message: Value| json!({"message": message});
    let nobody = Uuid::nil();
    let mut pushes = says("hi");
    pushes["configuration"] = json!({"pushNotificationConfig": {"url": "https://x/"}});
    for (method, params, code) in [
        ("message/burn", json!({}), -32601),
        ("message/send", json!({}), -32602),
        (
            "message/send",
            bare(json!({"role": "user", "messageId": "m"})),
            -32602,
        ),
        ("message/send", message(json!([])), -32602),
        ("message/send", message(json!([{"kind": "none"}])), -32602),
        (
            "message/send",
            bare(json!({"role": "user", "parts": [{"text": "x"}]})),
            -32602,
        ),
        (
            "message/send",
            bare(json!({"role": "x", "messageId": "m", "parts": [{"text": "x"}]})),
            -32602,
        ),
        (
            "message/send",
            to(says("x"), "contextId", &json!("x")),
            -32602,
        ),
        ("message/send", to(says("x"), "taskId", &json!("x")), -32001),
        (
            "message/send",
            to(says("x"), "taskId", &json!(format!("{nobody}:{nobody}"))),
            -32001,
        ),
        ("message/send", pushes, -32003),
        ("tasks/get", json!({}), -32602),
        ("tasks/get", json!({"id": "x"}), -32001),
        (
            "tasks/get",
            json!({"id": format!("{nobody}:{nobody}")}),
            -32001,
        ),
        (
            "tasks/cancel",
            json!({"id": format!("{nobody}:{nobody}")}),
            -32001,
        ),
        (
            "tasks/resubscribe",
            json!({"id": format!("{nobody}:{nobody}")}),
            -32001,
        ),
        ("ListTasks", json!({"pageSize": 1000}), -32602),
    ] {
        let refused = refusal(&server, "tokens", method, &params).await;
        assert_eq!(refused.0, code, "{method} {params}: {}", refused.1);
    }
    for id in ["x", &nobody.to_string()] {
        let answer = server
            .post_json(
                &format!("/a2a/{id}"),
                &call("tasks/get", &json!({"id": "x"})),
            )
            .await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    let odd = [
        json!(null),
        json!(-1),
        json!("\u{0}"),
        json!([]),
        json!({"": {}}),
        json!("x".repeat(100_000)),
    ];
    for value in odd {
        for params in [
            value.clone(),
            bare(value.clone()),
            message(value.clone()),
            message(json!([value])),
            message(json!([{"data": value}])),
            message(json!([{"file": value}])),
            to(says("x"), "messageId", &value),
            to(says("x"), "contextId", &value),
            json!({"id": value, "historyLength": value}),
        ] {
            for method in ["message/send", "tasks/get", "ListTasks"] {
                let status = server
                    .post(&agent("tokens"), &call(method, &params))
                    .await
                    .status();
                assert_eq!(status, 200, "{method} {params}");
            }
        }
    }
}

#[tokio::test]
async fn an_agents_card_says_where_and_how_it_is_talked_to() {
    let server = Setup::probes(&["tokens", "two"]).start().await;
    let path = agent("tokens");
    let card = server
        .get_json(&format!("{path}/.well-known/agent-card.json"))
        .await;
    let url = format!("{}{path}", server.base);
    assert_eq!(
        (&card["name"], &card["url"]),
        (&json!("tokens"), &json!(url))
    );
    let interfaces = card["supportedInterfaces"].as_array().expect("interfaces");
    let versions: Vec<&Value> = interfaces.iter().map(|i| &i["protocolVersion"]).collect();
    assert_eq!(versions, ["1.0", "0.3"]);
    assert_eq!(card["capabilities"]["pushNotifications"], false);
    let input = |card: &Value| card["skills"][0]["metadata"]["inputSchema"]["supportsA2A"].clone();
    assert_eq!(input(&card), true);
    let id = path.trim_start_matches("/a2a/");
    let by_query = format!("/.well-known/agent-card.json?assistant_id={id}");
    assert_eq!(server.get_json(&by_query).await, card);
    let extended = result(&server, "tokens", "GetExtendedAgentCard", &json!({})).await;
    assert_eq!(extended, card);
    let older = server
        .client
        .get(format!("{url}/.well-known/agent.json"))
        .send()
        .await;
    assert_eq!(
        json_of(older.expect("an answer"), StatusCode::OK).await,
        card
    );
    let two = agent("two");
    let two = server
        .get_json(&format!("{two}/.well-known/agent-card.json"))
        .await;
    assert_eq!(input(&two), false);
    // Behind a proxy that speaks TLS, under its name.
    let proxied = server.client.get(format!("{}{by_query}", server.base));
    let proxied = proxied
        .header("host", "127.0.0.1")
        .header("x-forwarded-proto", "https");
    let proxied = json_of(proxied.send().await.expect("an answer"), StatusCode::OK).await;
    assert_eq!(proxied["url"], format!("https://127.0.0.1{path}"));
    for (path, status) in [
        ("/.well-known/agent-card.json", 400),
        ("/.well-known/agent-card.json?assistant_id=x", 400),
        ("/a2a/x/.well-known/agent-card.json", 400),
        (
            "/a2a/00000000-0000-0000-0000-000000000000/.well-known/agent-card.json",
            404,
        ),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["error"]["code"], -32602, "{path}");
    }
}

#[tokio::test]
async fn anns_tasks_are_not_there_for_bob() {
    let server = let_in(Setup::probes(&["tokens"])).start().await;
    let at = agent("tokens");
    let sent = ANN
        .made(&server, &at, &call("message/send", &says("secret heron")))
        .await;
    let task = &sent["result"];
    assert_eq!(state(task), "completed");
    let id = json!({"id": task["id"]});
    for (method, params) in [
        ("tasks/get", id.clone()),
        ("tasks/cancel", id.clone()),
        ("tasks/resubscribe", id),
        ("message/send", to(says("hi"), "taskId", &task["id"])),
    ] {
        let answer = BOB.made(&server, &at, &call(method, &params)).await;
        assert_eq!(answer["error"]["code"], -32001, "{method}: {answer}");
    }
    let intrudes = to(says("hi"), "contextId", &task["contextId"]);
    let answer = BOB
        .made(&server, &at, &call("message/send", &intrudes))
        .await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let list = BOB.made(&server, &at, &call("ListTasks", &json!({}))).await;
    assert_eq!(list["result"]["tasks"], json!([]));
    let context = json!({"contextId": task["contextId"]});
    let list = BOB.made(&server, &at, &call("ListTasks", &context)).await;
    assert_eq!(list["result"]["tasks"], json!([]));
}

#[tokio::test]
async fn without_the_protocol_there_is_no_route() {
    let server = Setup::probes(&["two"])
        .set("http.disable_a2a", true)
        .start()
        .await;
    let url = format!("{}{}", server.base, agent("two"));
    let get = call("tasks/get", &json!({"id": "x"}));
    let card = format!("{url}/.well-known/agent-card.json");
    for request in [server.client.post(url).json(&get), server.client.get(card)] {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 404);
    }
    let document = server.get_json("/openapi.json").await;
    assert!(document["paths"].get("/a2a/{assistant_id}").is_none());
    assert!(document["paths"].get("/mcp").is_some());
}
