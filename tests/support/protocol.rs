//! The event protocol: commands over HTTP, and the events of a thread.

use serde_json::{Value, json};

use super::Server;
use super::server::text;
use super::sse::Events;
use super::wait::PATIENCE;

/// All channels.
pub const CHANNELS: [&str; 9] = [
    "values",
    "updates",
    "checkpoints",
    "messages",
    "tools",
    "custom",
    "lifecycle",
    "input",
    "tasks",
];

impl Server {
    /// The answer to a command.
    pub async fn command(&self, thread: &str, method: &str, params: Value) -> Value {
        let path = format!("/threads/{thread}/commands");
        let command = json!({"id": 7, "method": method, "params": params});
        let answer = self.post_json(&path, &command).await;
        assert_eq!(answer["id"], 7);
        answer
    }

    /// Starts a run and gives its id.
    pub async fn start_run(&self, thread: &str, assistant: &str, input: Value) -> String {
        let params = json!({"assistant_id": assistant, "input": input});
        let answer = self.command(thread, "run.start", params).await;
        assert_eq!(answer["type"], "success", "{answer}");
        text(&answer["result"]["run_id"]).to_owned()
    }

    /// The kind of the refusal of a command, and what it says.
    pub async fn command_refused(
        &self,
        thread: &str,
        method: &str,
        params: Value,
    ) -> (String, String) {
        let answer = self.command(thread, method, params).await;
        assert_eq!(answer["type"], "error", "{answer}");
        (
            text(&answer["error"]).to_owned(),
            text(&answer["message"]).to_owned(),
        )
    }

    /// The events of a thread, from the first on.
    pub async fn thread_events(&self, thread: &str, filter: &Value) -> ThreadEvents {
        let path = format!("/threads/{thread}/stream/events");
        let response = self.post(&path, filter).await;
        assert_eq!(response.status(), 200);
        ThreadEvents(Events::of(response))
    }

    /// The events of all channels until the next run has ended.
    pub async fn run_shown(&self, thread: &str) -> Vec<Value> {
        let mut events = self
            .thread_events(thread, &json!({"channels": CHANNELS}))
            .await;
        events.until_the_end().await
    }
}

/// The events of a thread.
pub struct ThreadEvents(Events);

impl ThreadEvents {
    /// The next one, whole. Its frame says what it says.
    pub async fn next(&mut self) -> Value {
        let event = tokio::time::timeout(PATIENCE, self.0.next()).await;
        let event = event
            .expect("an event in time")
            .expect("a stream that does not end");
        assert_eq!(event.data["method"], event.name);
        assert_eq!(event.data["seq"].to_string(), event.id.expect("a number"));
        event.data
    }

    pub async fn until(&mut self, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            seen.push(self.next().await);
            if seen.last().is_some_and(&is_last) {
                return seen;
            }
        }
    }

    /// Until a run has ended.
    pub async fn until_the_end(&mut self) -> Vec<Value> {
        self.until(is_end).await
    }
}

/// Whether an event tells of the end of a run.
pub fn is_end(event: &Value) -> bool {
    let word = event["params"]["data"]["event"].as_str();
    event["method"] == "lifecycle"
        && event["params"]["namespace"] == json!([])
        && word.is_some_and(|word| word != "running")
}

/// What the events of a method tell.
pub fn data(events: &[Value], method: &str) -> Vec<Value> {
    let of_method = events.iter().filter(|event| event["method"] == method);
    of_method
        .map(|event| event["params"]["data"].clone())
        .collect()
}

/// The numbers of events.
pub fn seqs(events: &[Value]) -> Vec<u64> {
    let seqs = events.iter().map(|event| event["seq"].as_u64());
    seqs.collect::<Option<_>>().expect("numbers")
}

pub fn methods(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| text(&event["method"])).collect()
}
