//! A thread that is deleted, and made again by somebody else under the same id: nothing of the one is in the other.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::belongings::SECRET;
use crate::support::callers::{ANN, As, BOB, let_in};
use crate::support::server::{Server, text};
use crate::support::sse::{Event, Events};
use crate::support::{Setup, eventually};

/// The events of a thread, from what is kept of it.
async fn watch(server: &Server, who: As, thread: &str) -> Events {
    let request = who.request(server, Method::GET, &format!("/threads/{thread}/stream"));
    let response = request.header("last-event-id", "-1").send().await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), 200);
    Events::of(response)
}

async fn until_done(events: &mut Events) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        seen.push(
            events
                .next()
                .await
                .expect("the stream of a thread that is there"),
        );
        if seen
            .last()
            .is_some_and(|event| event.data["status"] == "run_done")
        {
            return seen;
        }
    }
}

async fn run(server: &Server, who: As, thread: &str, foo: &str) {
    let run = json!({"assistant_id": "two", "input": {"foo": foo}, "stream_resumable": true});
    who.made(server, &format!("/threads/{thread}/runs/wait"), &run)
        .await;
}

/// How Ann's thread goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Going {
    Deleted,
    Pruned,
    /// Its time comes.
    Swept,
}

impl Going {
    async fn happen(self, server: &Server, thread: &str) {
        let path = format!("/threads/{thread}");
        match self {
            Self::Deleted => {
                let gone = ANN.send(server, Method::DELETE, &path, None).await;
                assert_eq!(gone.status, 204);
            }
            Self::Pruned => {
                let which = json!({"thread_ids": [thread]});
                let pruned = ANN.made(server, "/threads/prune", &which).await;
                assert_eq!(pruned["pruned_count"], 1);
            }
            Self::Swept => {
                let in_minutes = json!({"ttl": 0.001});
                let changed = ANN.send(server, Method::PATCH, &path, Some(&in_minutes));
                assert_eq!(changed.await.status, 200);
                eventually("the end of its time", async || {
                    (ANN.get(server, &path).await.status == 404).then_some(())
                })
                .await;
            }
        }
    }
}

#[tokio::test]
async fn who_takes_over_the_id_of_a_thread_is_not_seen_and_sees_nothing() {
    let server = let_in(Setup::probes(&["two"])).start().await;
    for going in [Going::Deleted, Going::Pruned, Going::Swept] {
        let thread = Uuid::new_v4().to_string();
        let named = json!({"thread_id": thread});
        ANN.made(&server, "/threads", &named).await;
        let mut seen_by_ann = watch(&server, ANN, &thread).await;
        run(&server, ANN, &thread, SECRET).await;
        until_done(&mut seen_by_ann).await;
        going.happen(&server, &thread).await;
        assert_eq!(seen_by_ann.next().await, None, "{going:?}");

        let bobs = BOB.made(&server, "/threads", &named).await;
        assert_eq!(text(&bobs["thread_id"]), thread);
        let mut seen_by_bob = watch(&server, BOB, &thread).await;
        run(&server, BOB, &thread, "bob").await;
        let seen: Value = until_done(&mut seen_by_bob)
            .await
            .into_iter()
            .map(|event| event.data)
            .collect();
        let seen = seen.to_string();
        assert!(
            seen.contains("bobab") && !seen.contains(SECRET),
            "{going:?}: {seen}"
        );
    }
}
