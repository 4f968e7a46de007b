//! `supersteps` of a new thread: the state that it begins with, as if nodes had run.

use serde_json::{Value, json};

use crate::support::server::text;
use crate::support::{Server, Setup};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A thread of `two` whose input is there, led on by these updates.
fn led(updates: Value) -> Value {
    let input = json!({"as_node": "__input__", "values": {"foo": "in"}});
    let steps = json!([{"updates": [input]}, {"updates": updates}]);
    json!({"metadata": {"graph_id": "two"}, "supersteps": steps})
}

/// The values and the next nodes of the thread that a command as node `a` makes.
async fn made_by(server: &Server, command: Value) -> (Value, Value) {
    let body = led(json!([{"as_node": "a", "command": command}]));
    let thread = server.post_json("/threads", &body).await;
    let state = server.state(text(&thread["thread_id"])).await;
    assert_eq!(thread["values"], state["values"]);
    (state["values"].clone(), state["next"].clone())
}

#[tokio::test]
async fn a_thread_is_made_with_supersteps() {
    let server = Setup::probes(&["two"]).start().await;
    let body = led(json!([{"values": {"foo": "ina", "log": ["a"]}, "as_node": "a"}]));
    let thread = server.post_json("/threads", &body).await;
    assert_eq!(thread["status"], "interrupted");
    assert_eq!(thread["values"], json!({"foo": "ina", "log": ["a"]}));
    assert_eq!(thread["interrupts"], json!({}));
    let id = text(&thread["thread_id"]);
    assert_eq!(server.state(id).await["next"], json!(["b"]));
    let values = server.wait(id, &json!({"assistant_id": "two"})).await;
    assert_eq!(values, json!({"foo": "inab", "log": ["a", "b"]}));
}

#[tokio::test]
async fn a_command_updates_and_leads_as_one_that_the_node_returned() {
    let server = Setup::probes(&["two"]).start().await;
    let send = json!({"node": "b", "input": {"foo": "S", "log": []}});
    let pairs = json!([["log", "p"], ["log", "q"], ["foo", "P"]]);
    // The edge from `a` to `b` is followed in any case.
    for (command, values, next) in [
        (
            json!({"update": {"foo": "U", "log": ["u"]}, "goto": "b"}),
            json!({"foo": "U", "log": ["u"]}),
            json!(["b"]),
        ),
        (
            json!({"update": {"foo": "U"}, "goto": ["a"]}),
            json!({"foo": "U", "log": []}),
            json!(["a", "b"]),
        ),
        (
            json!({"update": pairs}),
            json!({"foo": "P", "log": ["p", "q"]}),
            json!(["b"]),
        ),
        (json!({"goto": send}), json!({"log": []}), json!(["b", "b"])),
        (json!({"goto": "__end__"}), json!({"log": []}), json!(["b"])),
        (json!({"goto": "nobody"}), json!({"log": []}), json!(["b"])),
        (json!({}), json!({"log": []}), json!(["b"])),
        // A node's command answers nobody.
        (json!({"resume": 1}), json!({"log": []}), json!(["b"])),
    ] {
        let made = made_by(&server, command.clone()).await;
        assert_eq!(made, (values, next), "{command}");
    }
}

#[tokio::test]
async fn several_commands_are_one_superstep_and_the_branches_of_their_nodes_are_asked() {
    let server = Setup::probes(&["fan"]).start().await;
    let begin = json!({"as_node": "__start__", "command": {"update": {"width": 2}}});
    let work = |done: u64| json!({"as_node": "work", "command": {"update": {"done": [done]}}});
    let body = |steps: Value| json!({"metadata": {"graph_id": "fan"}, "supersteps": steps});

    let begun = body(json!([{"updates": [begin]}]));
    let thread = server.post_json("/threads", &begun).await;
    let state = server.state(text(&thread["thread_id"])).await;
    assert_eq!(state["next"], json!(["work", "work"]));

    let both = body(json!([{"updates": [begin]}, {"updates": [work(7), work(8)]}]));
    let thread = server.post_json("/threads", &both).await;
    assert_eq!(thread["status"], "idle");
    assert_eq!(thread["values"], json!({"width": 2, "done": [7, 8]}));
    let history = format!("/threads/{}/history", text(&thread["thread_id"]));
    let history = server.post_json(&history, &json!({"limit": 10})).await;
    assert_eq!(history.as_array().map(Vec::len), Some(2), "{history}");
}

#[tokio::test]
async fn a_command_can_be_the_input() {
    let server = Setup::probes(&["two"]).start().await;
    let input = json!({"as_node": "__input__", "command": {"update": {"foo": "x"}}});
    let steps = json!([{"updates": [input]}]);
    let body = json!({"metadata": {"graph_id": "two"}, "supersteps": steps});
    let thread = server.post_json("/threads", &body).await;
    let id = text(&thread["thread_id"]);
    assert_eq!(server.state(id).await["next"], json!(["__start__"]));
    let values = server.wait(id, &json!({"assistant_id": "two"})).await;
    assert_eq!(values, json!({"foo": "xab", "log": ["a", "b"]}));
}

#[tokio::test]
async fn a_thread_whose_supersteps_are_refused_is_not_made() {
    let server = Setup::probes(&["two"]).start().await;
    let refused = async |updates: Value, status: u16| {
        let mut body = led(updates);
        body["thread_id"] = json!(NOBODY);
        server.refused("/threads", &body, status).await
    };
    let command = |command: Value| json!([{"as_node": "a", "command": command}]);
    for (updates, detail) in [
        (
            json!([{"values": {}, "as_node": "bogus"}]),
            "Node bogus does not exist",
        ),
        (
            json!([{"command": {"goto": "b"}, "as_node": "bogus"}]),
            "Node bogus does not exist",
        ),
        (
            json!([{"command": {"goto": "b"}, "as_node": "__end__"}]),
            "Node __end__ does not exist",
        ),
    ] {
        assert_eq!(refused(updates, 400).await, detail);
    }
    let twice = command(json!({"update": [["foo", "x"], ["foo", "y"]]}));
    let detail = refused(twice, 400).await;
    assert!(detail.contains("one value per step"), "{detail}");

    refused(json!([{"values": {}}]), 422).await;
    refused(json!("text"), 422).await;
    refused(command(json!("text")), 422).await;
    for (wrong, member) in [
        (json!({"update": "text"}), "command.update"),
        (json!({"goto": 5}), "command.goto"),
        (json!({"goto": ["b", 5]}), "command.goto"),
        (json!({"goto": {"input": {}}}), "command.goto"),
    ] {
        let detail = refused(command(wrong.clone()), 422).await;
        assert!(detail.starts_with(member), "{wrong}: {detail}");
        let run = json!({"assistant_id": "two", "command": wrong});
        assert_eq!(server.refused("/runs", &run, 422).await, detail);
    }
    let gone = server.get(&format!("/threads/{NOBODY}")).await;
    assert_eq!(gone.status(), 404);
    server
        .post_json("/threads", &json!({"thread_id": NOBODY}))
        .await;
}

#[tokio::test]
async fn a_thread_whose_creator_goes_away_is_whole_or_not_there() {
    const STEPS: usize = 300;
    let server = Setup::probes(&["two"]).start().await;
    let step = json!({"updates": [{"as_node": "a", "values": {"log": ["a"]}}]});
    let body = json!({
        "thread_id": NOBODY,
        "metadata": {"graph_id": "two"},
        "supersteps": vec![step; STEPS],
    });
    let path = format!("/threads/{NOBODY}");
    // Whoever looks while it is being made sees nothing of it; the creator leaves after some looks.
    let looks = async {
        for _ in 0..20 {
            let looked = server.get(&path).await.status();
            if looked == 200 {
                break;
            }
            assert_eq!(looked, 404);
        }
    };
    tokio::select! {
        biased;
        made = server.post("/threads", &body) => assert_eq!(made.status(), 200),
        () = looks => {}
    }
    // It may be whole already; else the id is free.
    let again = server.post("/threads", &body).await.status();
    assert!(again == 200 || again == 409, "{again}");
    let history = json!({"limit": 1_000});
    let history = server.post_json(&format!("{path}/history"), &history).await;
    assert_eq!(history.as_array().map(Vec::len), Some(STEPS));
    let thread = server.get_json(&path).await;
    assert_eq!(thread["values"]["log"], json!(vec!["a"; STEPS]));
}

#[tokio::test]
async fn a_thread_begins_with_a_bounded_number_of_supersteps() {
    let server = Setup::probes(&["two"]).start().await;
    let step = json!({"updates": [{"as_node": "a", "values": {}}]});
    let body = json!({
        "thread_id": NOBODY,
        "metadata": {"graph_id": "two"},
        "supersteps": vec![step; 5_001],
    });
    let detail = server.refused("/threads", &body, 422).await;
    assert!(detail.contains("5000 supersteps"), "{detail}");
    let gone = server.get(&format!("/threads/{NOBODY}")).await;
    assert_eq!(gone.status(), 404);
}
