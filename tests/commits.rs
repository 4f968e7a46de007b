//! Effects follow commits (invariant 3): what cannot be stored has not happened yet for anybody.
//!
//! The test holds the database's write lock, as a backup would, so that nothing can be stored for a while.

use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::server::text;
use crate::support::sse::{Event, Events};
use crate::support::{Gate, Receiver, Server, eventually};

/// From now on nothing can be stored.
fn hold_writes(server: &Server) -> Connection {
    let file = server.setup.data_dir().join("selvedge.db");
    let connection = Connection::open(file).expect("the database opens");
    // The server has it for moments only.
    connection
        .busy_timeout(crate::support::wait::PATIENCE)
        .expect("a patient connection");
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .expect("the lock");
    connection
}

/// Waits until the server has tried in vain to store something.
async fn storing_fails(server: &Server) {
    eventually("a write that fails", async || {
        server
            .log()
            .contains("storage is asked again")
            .then_some(())
    })
    .await;
}

/// A stream that is read as it comes.
struct Followed {
    shown: Arc<Mutex<Vec<Event>>>,
    reading: JoinHandle<()>,
}

impl Followed {
    fn new(mut events: Events) -> Self {
        let shown = Arc::<Mutex<Vec<Event>>>::default();
        let keeps = shown.clone();
        let reading = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                keeps.lock().expect("not poisoned").push(event);
            }
        });
        Self { shown, reading }
    }

    fn is_open(&self) -> bool {
        !self.reading.is_finished()
    }

    fn updates(&self) -> usize {
        let shown = self.shown.lock().expect("not poisoned");
        shown.iter().filter(|event| event.name == "updates").count()
    }

    async fn ends(&self) {
        eventually("the end of the stream", async || {
            (!self.is_open()).then_some(())
        })
        .await;
    }
}

/// A run at the gate on a thread of its own, and its stream.
async fn begun(gate: &Gate, server: &Server, options: Value) -> (Value, Followed) {
    let thread = server.new_thread().await;
    let mut body = gate.run();
    for (name, value) in options.as_object().expect("options") {
        body[name] = value.clone();
    }
    let run = server.create_run(&thread, &body).await;
    let path = format!("/threads/{thread}/runs/{}/stream", text(&run["run_id"]));
    let stream = Followed::new(Events::of(server.get(&path).await));
    gate.holds(3).await;
    (run, stream)
}

async fn status(server: &Server, run: &Value) -> Value {
    let (thread, run) = (text(&run["thread_id"]), text(&run["run_id"]));
    server
        .get_json(&format!("/threads/{thread}/runs/{run}"))
        .await["status"]
        .clone()
}

#[tokio::test]
async fn no_webhook_no_terminal_status_and_no_end_of_a_stream_leaves_before_it_is_durable() {
    let (gate, receiver) = (Gate::closed().await, Receiver::start().await);
    let server = gate.setup(&[]).start().await;
    let options = json!({"webhook": receiver.url("/"), "stream_mode": "values"});
    let (run, stream) = begun(&gate, &server, options).await;

    let held = hold_writes(&server);
    gate.open();
    // The last node has run: the graph has nothing left to do.
    gate.holds(4).await;
    storing_fails(&server).await;
    assert!(stream.is_open());
    assert_eq!(status(&server, &run).await, "running");
    assert_eq!(receiver.received().len(), 0);

    drop(held);
    assert_eq!(server.ended_run(&run).await["status"], "success");
    stream.ends().await;
    assert_eq!(receiver.wait_for(1).await[0].json()["status"], "success");
}

#[tokio::test]
async fn a_run_of_durability_sync_shows_no_step_before_it_is_durable() {
    let gate = Gate::closed().await;
    let server = gate.setup(&[]).start().await;
    let options = json!({"durability": "sync", "stream_mode": "updates"});
    let (run, stream) = begun(&gate, &server, options).await;

    let held = hold_writes(&server);
    gate.open();
    storing_fails(&server).await;
    assert_eq!(stream.updates(), 0);
    assert_eq!(gate.held(), 3, "the next step waits for the one before it");

    drop(held);
    stream.ends().await;
    assert_eq!(stream.updates(), 4);
    assert_eq!(server.ended_run(&run).await["status"], "success");
}
