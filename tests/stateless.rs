//! Runs without a thread: where they are while they live, and what they leave.

use serde_json::{Value, json};

use crate::support::server::{detail_of, json_of, text};
use crate::support::sse::Events;
use crate::support::{Gate, Setup, eventually, sse};

fn two(foo: &str) -> Value {
    json!({"assistant_id": "two", "input": {"foo": foo}})
}

fn header(response: &reqwest::Response, name: &str) -> String {
    let value = response.headers().get(name);
    let value = value.unwrap_or_else(|| panic!("no {name}: {:?}", response.headers()));
    value.to_str().expect("text").to_owned()
}

#[tokio::test]
async fn a_stateless_run_can_be_found_and_followed_while_it_lives() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let response = server.post("/runs", &gate.run()).await;
    let at = header(&response, "content-location");
    let run = json_of(response, reqwest::StatusCode::OK).await;
    let id = text(&run["run_id"]);
    assert_eq!(at, format!("/runs/{id}"));
    assert_eq!(run["kwargs"]["temporary"], true);
    assert_eq!(server.get_json(&at).await["run_id"], run["run_id"]);
    let on_thread = format!("/threads/{}/runs/{id}", text(&run["thread_id"]));
    assert_eq!(server.get_json(&on_thread).await["run_id"], run["run_id"]);
    // The headers of each answer are there before the run may end.
    let streams = [&at, &on_thread].map(|at| format!("{at}/stream"));
    let joins = [&at, &on_thread].map(|at| format!("{at}/join"));
    let mut following = Vec::new();
    for path in streams.iter().chain(&joins) {
        let response = server.get(path).await;
        assert_eq!(header(&response, "location"), *path);
        let rest = path.strip_prefix(&header(&response, "content-location"));
        assert!(matches!(rest, Some("/join" | "/stream")), "{path}");
        following.push(response);
    }
    gate.open();
    let done = json!(["one", "two", "three", "after"]);
    let joined = following.split_off(streams.len());
    for stream in following {
        let events = sse::events(stream).await;
        assert_eq!(events.last().expect("an event").data["done"], done);
    }
    for join in joined {
        let values = json_of(join, reqwest::StatusCode::OK).await;
        assert_eq!(values["done"], done);
    }
    // What ends is deleted before anyone is told, so there is no trace left by now.
    let thread = format!("/threads/{}", text(&run["thread_id"]));
    for path in [&at, &on_thread, &thread] {
        assert_eq!(server.get(path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_stateless_run_says_where_it_is_and_its_outcome_too() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    for (path, rest) in [("/runs/wait", "/join"), ("/runs/stream", "/stream")] {
        let response = server.post(path, &gate.run()).await;
        let (at, location) = (
            header(&response, "content-location"),
            header(&response, "location"),
        );
        let run = server.get_json(&at).await;
        let id = text(&run["run_id"]);
        // LangGraph names the thread of a run that is waited for.
        let thread = text(&run["thread_id"]);
        let expected = match path {
            "/runs/wait" => format!("/threads/{thread}/runs/{id}"),
            _ => format!("/runs/{id}"),
        };
        assert_eq!(at, expected);
        assert_eq!(location, format!("{at}{rest}"));
        assert_eq!(server.get(&location).await.status(), 200);
        drop(response);
    }
    gate.open();
    // A location leads somewhere for ever, also when the run and its thread are gone.
    let response = server.post("/runs/wait", &two("x")).await;
    let location = header(&response, "location");
    let values = json_of(response, reqwest::StatusCode::OK).await;
    assert_eq!(values, json!({"foo": "xab", "log": ["a", "b"]}));
    assert_eq!(server.get_json(&location).await, no_such_run());
}

fn no_such_run() -> Value {
    json!({"__error__": {"error": "HTTPException", "message": "404: Run not found"}})
}

#[tokio::test]
async fn following_a_run_that_is_about_to_end_gives_its_end_or_says_that_it_is_gone() {
    const FOLLOWERS: usize = 40;
    let server = Setup::probes(&["two"]).start().await;
    for _ in 0..5 {
        let run = server.post_json("/runs", &two("x")).await;
        let join = format!("/runs/{}/join", text(&run["run_id"]));
        let joined = (0..FOLLOWERS).map(|_| server.get_json(&join));
        for outcome in futures_util::future::join_all(joined).await {
            // Nobody gets half an answer, and nobody waits for ever.
            if outcome != no_such_run() {
                assert_eq!(outcome, json!({"foo": "xab", "log": ["a", "b"]}));
            }
        }
    }
}

#[tokio::test]
async fn a_stateless_run_that_is_kept_leaves_a_thread() {
    let server = Setup::probes(&["two"]).start().await;
    let mut body = two("x");
    body["on_completion"] = json!("keep");
    let response = server.post("/runs/wait", &body).await;
    let at = header(&response, "content-location");
    let location = header(&response, "location");
    let values = json_of(response, reqwest::StatusCode::OK).await;
    let run = server.get_json(&at).await;
    let (id, thread) = (text(&run["run_id"]), text(&run["thread_id"]));
    assert_eq!(at, format!("/threads/{thread}/runs/{id}"));
    assert_eq!(location, format!("{at}/join"));
    assert_eq!(server.get_json(&location).await, values);
    assert_eq!(server.get_json(&format!("{at}/join")).await, values);
    assert_eq!(
        (&run["status"], &run["kwargs"]["temporary"]),
        (&json!("success"), &json!(false))
    );
    assert_eq!(server.state(thread).await["values"]["foo"], "xab");
    assert_eq!(
        server.wait(thread, &two("y")).await["log"],
        json!(["a", "b", "a", "b"])
    );
}

#[tokio::test]
async fn a_stateless_run_that_is_not_kept_leaves_none() {
    let server = Setup::probes(&["two"]).start().await;
    let mut asked_for = two("x");
    asked_for["on_completion"] = json!("delete");
    for body in [two("x"), asked_for] {
        assert_eq!(server.post_json("/runs/wait", &body).await["foo"], "xab");
        eventually("the thread goes", async || {
            let left = server.post_json("/threads/count", &json!({})).await;
            (left == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_stream_of_a_stateless_run_is_taken_up_again_while_it_lives_and_a_while_after() {
    let gate = Gate::closed().await;
    let mut server = gate.setup(&["two"]).start().await;
    let mut body = gate.run();
    body["stream_resumable"] = json!(true);
    body["stream_mode"] = json!(["values", "tasks"]);
    let response = server.post("/runs/stream", &body).await;
    let at = header(&response, "location");
    let run = header(&response, "content-location");
    let run = server.get_json(&run).await;
    let (thread, id) = (text(&run["thread_id"]), text(&run["run_id"]));
    let on_thread = format!("/threads/{thread}/runs/{id}/stream");
    let mut live = Events::of(response);
    let first = live.next().await.expect("metadata");
    let after_first = first.id.clone().expect("an id");
    gate.holds(3).await;
    let again = server.get_after(&at, &after_first).await;
    gate.open();
    let again = sse::events(again).await;
    let mut seen = vec![first];
    while let Some(event) = live.next().await {
        seen.push(event);
    }
    assert_eq!(again, seen[1..]);

    // The run is gone; what it showed is not, also not by a restart.
    assert_eq!(server.get(&format!("/runs/{id}")).await.status(), 404);
    server.kill();
    server.restart().await;
    for path in [&at, &on_thread] {
        for (index, event) in seen.iter().enumerate() {
            let last = event.id.as_deref().expect("an id");
            let rest = sse::events(server.get_after(path, last).await).await;
            assert_eq!(rest, seen[index + 1..], "{path} after {index}");
        }
        assert_eq!(sse::events(server.get_after(path, "0").await).await, seen);
        let values = server
            .get_after(&format!("{path}?stream_mode=values"), "0")
            .await;
        let values = sse::events(values).await;
        assert!(values.iter().all(|event| event.name != "tasks"));
        assert!(values.iter().any(|event| event.name == "values"));
        // Without an event to come back to, there is nothing to follow.
        assert_eq!(sse::events(server.get(path).await).await[0].name, "error");
    }
    let elsewhere = server.new_thread().await;
    let elsewhere = format!("/threads/{elsewhere}/runs/{id}/stream");
    let nothing = sse::events(server.get_after(&elsewhere, "0").await).await;
    assert_eq!(nothing[0].data, no_such_run()["__error__"]);

    // Of a run whose stream is not kept nothing is left.
    let response = server.post("/runs/stream", &two("x")).await;
    let at = header(&response, "location");
    sse::events(response).await;
    let nothing = sse::events(server.get_after(&at, "0").await).await;
    assert_eq!(nothing[0].data, no_such_run()["__error__"]);
}

#[tokio::test]
async fn a_stateless_run_is_deleted_where_its_creator_was_told_that_it_is() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let response = server.post("/runs", &gate.run()).await;
    let at = header(&response, "content-location");
    let join = server.get(&format!("{at}/join")).await;
    assert_eq!(server.delete(&at).await.status(), 204);
    let told = json_of(join, reqwest::StatusCode::OK).await;
    assert_eq!(text(&told["__error__"]["error"]), "ServiceUnavailable");
    assert_eq!(
        detail_of(server.delete(&at).await, 404).await,
        "Run not found"
    );
    assert_eq!(detail_of(server.get(&at).await, 404).await, "Not Found");
}
