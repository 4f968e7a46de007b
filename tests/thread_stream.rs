//! The stream of a thread: the events of all its runs.

use serde_json::{Value, json};

use crate::support::server::{detail_of, text};
use crate::support::sse::{Event, Events};
use crate::support::{Server, Setup};

fn two() -> Value {
    json!({"assistant_id": "two", "input": {"foo": "in"}, "stream_mode": "updates"})
}

/// The events until one run of the thread is done.
async fn until_done(events: &mut Events) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        let event = events.next().await.expect("a stream that does not end");
        let done = event.data["status"] == "run_done";
        seen.push(event);
        if done {
            return seen;
        }
    }
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

async fn watch(server: &Server, thread: &str, query: &str) -> Events {
    let response = server
        .get(&format!("/threads/{thread}/stream{query}"))
        .await;
    assert_eq!(response.status(), 200);
    Events::of(response)
}

#[tokio::test]
async fn every_run_of_a_thread_is_shown_with_its_beginning_and_its_end() {
    let server = Setup::probes(&["two", "fail"]).start().await;
    let thread = server.new_thread().await;
    let mut all = watch(&server, &thread, "").await;
    let mut lifecycle = watch(&server, &thread, "?stream_modes=lifecycle").await;
    let mut both = watch(
        &server,
        &thread,
        "?stream_mode=run_modes&stream_mode=lifecycle",
    )
    .await;
    for (graph, shown) in [
        ("two", vec!["metadata", "updates", "updates", "metadata"]),
        ("fail", vec!["metadata", "error", "metadata"]),
    ] {
        let mut body = two();
        body["assistant_id"] = json!(graph);
        let run = server.create_run(&thread, &body).await;
        let seen = until_done(&mut all).await;
        assert_eq!(names(&seen), shown);
        assert_eq!(seen[0].data, json!({"run_id": run["run_id"], "attempt": 1}));
        assert_eq!(
            seen.last().expect("one").data,
            json!({"status": "run_done", "run_id": run["run_id"]})
        );
        assert!(seen.iter().all(|event| event.id.is_some()));
        assert_eq!(until_done(&mut both).await, seen);
        let mut alone = shown.clone();
        alone.retain(|name| *name != "updates");
        assert_eq!(names(&until_done(&mut lifecycle).await), alone);
        // The end is stored before anybody is told.
        let path = format!("/threads/{thread}/runs/{}", text(&run["run_id"]));
        assert!(matches!(
            text(&server.get_json(&path).await["status"]),
            "success" | "error"
        ));
    }
}

#[tokio::test]
async fn whoever_comes_back_gets_what_resumable_runs_showed_meanwhile() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let mut body = two();
    body["stream_resumable"] = json!(true);
    let first = server.stream(&thread, &body).await;
    let path = format!("/threads/{thread}/stream");
    let mut events = Events::of(server.get_after(&path, "-").await);
    let kept = until_done(&mut events).await;
    assert_eq!(kept[..first.len()], first);
    let second = server.stream(&thread, &body).await;
    let live = until_done(&mut events).await;
    assert_eq!(live[..second.len()], second);

    let last = kept.last().and_then(|event| event.id.as_deref());
    let after = server.get_after(&path, last.expect("an id")).await;
    assert_eq!(until_done(&mut Events::of(after)).await, live);
}

#[tokio::test]
async fn a_thread_need_not_exist_and_unknown_modes_are_refused() {
    let server = Setup::probes(&["two"]).start().await;
    let nobody = "00000000-0000-4000-8000-000000000000";
    let mut events = watch(&server, nobody, "").await;
    let mut body = two();
    body["if_not_exists"] = json!("create");
    server.create_run(nobody, &body).await;
    assert_eq!(until_done(&mut events).await.len(), 4);
    let bogus = format!("/threads/{nobody}/stream?stream_modes=bogus");
    assert_eq!(
        detail_of(server.get(&bogus).await, 422).await,
        "Invalid stream mode: bogus"
    );
}

#[tokio::test]
async fn a_change_of_the_state_by_hand_is_shown_and_kept() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    server.stream(&thread, &two()).await;
    let path = format!("/threads/{thread}/stream?stream_modes=state_update");
    let mut live = Events::of(server.get(&path).await);
    let change = json!({"values": {"foo": "by hand"}, "as_node": "b"});
    server
        .post_json(&format!("/threads/{thread}/state"), &change)
        .await;
    let seen = live.next().await.expect("the change");
    assert_eq!(
        (seen.name.as_str(), &seen.data["thread_id"]),
        ("state_update", &json!(thread))
    );
    assert_eq!(seen.data["state"], server.state(&thread).await);
    let mut late = Events::of(server.get_after(&path, "-").await);
    assert_eq!(late.next().await, Some(seen));
}

#[tokio::test]
async fn every_change_by_hand_is_kept_in_order_whether_its_caller_stays_or_not() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    server.stream(&thread, &two()).await;
    let path = format!("/threads/{thread}");
    let state = format!("{path}/state");
    let change = |n: usize| json!({"values": {"foo": n.to_string()}, "as_node": "b"});
    for n in 0..20 {
        let body = change(n);
        // One who leaves sooner or later.
        let looks = async {
            for _ in 0..n % 5 {
                server.get(&path).await;
            }
        };
        tokio::select! {
            biased;
            _ = server.post(&state, &body) => {}
            () = looks => {}
        }
    }
    // Whatever of the others is still on its way was made for an older state than this one.
    let last = server.post_json(&state, &change(20)).await;

    let history = json!({"limit": 100, "metadata": {"source": "update"}});
    let history = server.post_json(&format!("{path}/history"), &history).await;
    let history = history.as_array().expect("a list").iter().rev();
    let made: Vec<&Value> = history.map(|state| &state["checkpoint_id"]).collect();
    assert_eq!(made.last(), Some(&&last["checkpoint_id"]));
    let kept = format!("{path}/stream?stream_modes=state_update");
    let mut kept = Events::of(server.get_after(&kept, "-").await);
    for checkpoint in made {
        let event = kept.next().await.expect("the change");
        assert_eq!(&event.data["state"]["checkpoint_id"], checkpoint);
    }
}
