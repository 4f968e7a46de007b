//! Streams that can be taken up again: `stream_resumable` and `Last-Event-ID`.

use serde_json::{Value, json};

use crate::support::server::{detail_of, text};
use crate::support::sse::{self, Event, Events};
use crate::support::{Gate, Server, Setup};

fn resumable(graph: &str) -> Value {
    json!({"assistant_id": graph, "input": {"foo": "in"}, "stream_mode": ["values", "updates"],
        "stream_resumable": true})
}

fn path_of(thread: &str, live: &[Event]) -> String {
    let run = text(&live[0].data["run_id"]);
    format!("/threads/{thread}/runs/{run}/stream")
}

async fn replay(server: &Server, path: &str, after: &str) -> Vec<Event> {
    sse::events(server.get_after(path, after).await).await
}

fn id(event: &Event) -> (u64, u64) {
    let id = event.id.as_deref().expect("an id");
    let (ms, n) = id.split_once('-').expect("two numbers");
    (ms.parse().expect("a number"), n.parse().expect("a number"))
}

#[tokio::test]
async fn a_resumable_stream_is_replayed_from_the_start_and_after_any_event() {
    let server = Setup::probes(&["two", "fail"]).start().await;
    for graph in ["two", "fail"] {
        let thread = server.new_thread().await;
        let live = server.stream(&thread, &resumable(graph)).await;
        assert!(live.is_sorted_by(|a, b| id(a) < id(b)), "{live:?}");
        let path = path_of(&thread, &live);
        for start in ["0", "-", "-1"] {
            assert_eq!(replay(&server, &path, start).await, live, "{graph}");
        }
        for (index, event) in live.iter().enumerate() {
            let last = event.id.as_deref().expect("an id");
            let rest = replay(&server, &path, last).await;
            assert_eq!(rest, live[index + 1..], "{graph} after {index}");
        }
        let values = replay(&server, &format!("{path}?stream_mode=values"), "0").await;
        assert!(values.iter().all(|event| event.name != "updates"));
        assert!(values.iter().any(|event| event.name == "values"));
        assert!(sse::events(server.get(&path).await).await.is_empty());
    }
}

#[tokio::test]
async fn a_stream_that_is_not_resumable_has_no_ids_and_nothing_to_replay() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let body = json!({"assistant_id": "two", "input": {"foo": "in"}});
    let live = server.stream(&thread, &body).await;
    assert!(live.iter().all(|event| event.id.is_none()));
    assert!(
        replay(&server, &path_of(&thread, &live), "0")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_no_event_id_is_refused() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let live = server.stream(&thread, &resumable("two")).await;
    let paths = [path_of(&thread, &live), format!("/threads/{thread}/stream")];
    for path in paths {
        for bad in ["nonsense", "1-2-3", "-2"] {
            let detail = detail_of(server.get_after(&path, bad).await, 422).await;
            assert_eq!(
                detail,
                "Invalid last-event-id: must be a valid Redis stream ID"
            );
        }
    }
}

#[tokio::test]
async fn whoever_comes_back_in_the_middle_gets_what_it_missed_and_then_what_comes() {
    for durability in ["async", "sync", "exit"] {
        let gate = Gate::closed().await;
        let server = gate.setup(&[]).start().await;
        let thread = server.new_thread().await;
        let mut body = gate.run();
        body["stream_resumable"] = json!(true);
        body["stream_mode"] = json!(["values", "tasks"]);
        body["durability"] = json!(durability);
        let response = server
            .post(&format!("/threads/{thread}/runs/stream"), &body)
            .await;
        let mut live = Events::of(response);
        let first = live.next().await.expect("metadata");
        gate.holds(1).await;
        let path = path_of(&thread, std::slice::from_ref(&first));
        let mut late = Events::of(server.get_after(&path, "0").await);
        let mut after_first = Events::of(
            server
                .get_after(&path, first.id.as_deref().expect("an id"))
                .await,
        );
        assert_eq!(late.next().await, Some(first));
        gate.open();
        let mut seen = 0;
        while let Some(event) = live.next().await {
            assert_eq!(late.next().await.as_ref(), Some(&event));
            assert_eq!(after_first.next().await.as_ref(), Some(&event));
            seen += 1;
        }
        assert!(seen > 4, "{seen}");
        assert_eq!((late.next().await, after_first.next().await), (None, None));
    }
}

#[tokio::test]
async fn a_stream_goes_on_after_the_process_was_killed() {
    let gate = Gate::closed().await;
    let mut server = gate.setup(&[]).start().await;
    let thread = server.new_thread().await;
    let mut body = gate.run();
    body["stream_resumable"] = json!(true);
    body["stream_mode"] = json!(["tasks", "values"]);
    let response = server
        .post(&format!("/threads/{thread}/runs/stream"), &body)
        .await;
    let mut live = Events::of(response);
    let first = live.next().await.expect("metadata");
    gate.holds(1).await;
    let path = path_of(&thread, std::slice::from_ref(&first));
    server.kill();
    let mut seen = vec![first];
    while let Some(event) = live.next().await {
        seen.push(event);
    }
    gate.open();
    server.restart().await;
    let last = seen
        .last()
        .and_then(|event| event.id.clone())
        .expect("an id");
    let rest = sse::events(server.get_after(&path, &last).await).await;
    assert!(
        rest.iter()
            .all(|event| id(event) > id(seen.last().expect("one")))
    );
    assert!(rest.is_sorted_by(|a, b| id(a) < id(b)), "{rest:?}");
    let again = rest.iter().find(|event| event.name == "metadata");
    assert_eq!(again.expect("a second attempt").data["attempt"], 2);
    let values = rest.iter().rfind(|event| event.name == "values");
    assert_eq!(
        values.expect("the state").data,
        server.state(&thread).await["values"]
    );
}

#[tokio::test]
async fn what_was_kept_long_enough_is_forgotten() {
    let server = Setup::probes(&["two"])
        .set("runtime.resumable_ttl_secs", 1)
        .start()
        .await;
    let thread = server.new_thread().await;
    let live = server.stream(&thread, &resumable("two")).await;
    let path = path_of(&thread, &live);
    crate::support::eventually("the events are forgotten", async || {
        let left = replay(&server, &path, "0").await;
        left.is_empty().then_some(())
    })
    .await;
}
