//! The event protocol, for readers who come back: with the number of the last event that they were told, they miss
//! nothing that came after it, whatever has become of what was before.

use serde_json::{Value, json};

use crate::support::protocol::{CHANNELS, ThreadEvents, seqs};
use crate::support::sse::Events;
use crate::support::{Gate, Server, Setup, eventually};

impl Server {
    /// What comes after the last of these events.
    async fn after(&self, thread: &str, seen: &[Value]) -> ThreadEvents {
        let since = seqs(seen).pop().expect("an event");
        self.thread_events(thread, &json!({"channels": CHANNELS, "since": since}))
            .await
    }
}

#[tokio::test]
async fn a_reader_who_comes_back_is_told_what_is_new() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    server.start_run(&thread, "two", json!({"foo": "x"})).await;
    let seen = server.run_shown(&thread).await;
    for known in 1..seen.len() {
        let mut events = server.after(&thread, &seen[..known]).await;
        assert_eq!(events.until_the_end().await, seen[known..]);
    }
    let mut events = server.after(&thread, &seen).await;
    server.start_run(&thread, "two", json!({"foo": "y"})).await;
    let new = events.until_the_end().await;
    assert_eq!(new.len(), seen.len());
    assert!(seqs(&new)[0] > seqs(&seen)[seen.len() - 1]);
    // A number of no event that was told of says nothing, nor does one beyond the last that there can be.
    for since in [0, 1_000, 1_u64 << 53] {
        let filter = json!({"channels": CHANNELS, "since": since});
        let mut events = server.thread_events(&thread, &filter).await;
        assert_eq!(events.until_the_end().await, seen);
    }
}

#[tokio::test]
async fn events_that_are_not_kept_do_not_hide_those_that_are() {
    let mut server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let lifecycle = json!({"channels": CHANNELS});
    let mut live = server.thread_events(&thread, &lifecycle).await;
    let unkept = json!({"assistant_id": "two", "input": {"foo": "x"}, "stream_mode": ["values", "updates", "tasks"]});
    let mut seen = Vec::new();
    for _ in 0..3 {
        server.wait(&thread, &unkept).await;
        seen.extend(live.until_the_end().await);
    }
    // Its reader is away while the next run goes on.
    server.start_run(&thread, "two", json!({"foo": "y"})).await;
    let missed = live.until_the_end().await;
    let mut back = server.after(&thread, &seen).await;
    assert_eq!(back.until_the_end().await, missed);
    server.kill();
    server.restart().await;
    let mut back = server.after(&thread, &seen).await;
    assert_eq!(back.until_the_end().await, missed);
}

#[tokio::test]
async fn events_that_are_not_kept_any_more_do_not_hide_those_that_are() {
    let gate = Gate::closed().await;
    let setup = gate.setup(&["two"]);
    let server = setup.set("runtime.resumable_ttl_secs", 1).start().await;
    let thread = server.new_thread().await;
    let run = server.start_run(&thread, "two", json!({"foo": "x"})).await;
    let seen = server.run_shown(&thread).await;
    let path = format!("/threads/{thread}/runs/{run}/stream");
    eventually("the first run's events are forgotten", async || {
        let mut kept = Events::of(server.get_after(&path, "0").await);
        kept.next().await.is_none().then_some(())
    })
    .await;
    server
        .start_run(&thread, "effects", json!({"counter": gate.url()}))
        .await;
    gate.holds(1).await;
    let mut back = server.after(&thread, &seen).await;
    let began = back.next().await;
    assert_eq!(began["params"]["data"]["event"], "running");
    gate.open();
    let end = back.until_the_end().await.pop().expect("one");
    assert_eq!(end["params"]["data"]["event"], "completed");
}
