//! The event protocol over a WebSocket: commands up, their answers and events down.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::callers::{ANN, As, BOB, let_in};
use crate::support::protocol::{CHANNELS, data, is_end};
use crate::support::server::text;
use crate::support::wait::PATIENCE;
use crate::support::{Server, Setup, eventually};

/// A connection of a client's.
struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_id: u64,
    /// Events that came while an answer was waited for.
    events: Vec<Value>,
}

fn url(server: &Server, thread: &str) -> String {
    let base = server.base.replace("http://", "ws://");
    format!("{base}/threads/{thread}/stream/events")
}

impl Socket {
    async fn open(server: &Server, thread: &str) -> Self {
        let (stream, _) = connect_async(url(server, thread))
            .await
            .expect("a WebSocket");
        Self {
            stream,
            last_id: 0,
            events: Vec::new(),
        }
    }

    /// The next message; `None` once the connection is closed.
    async fn hear(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next()).await;
            match message.expect("a message in time")?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).expect("JSON")),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn event(&mut self) -> Value {
        if !self.events.is_empty() {
            return self.events.remove(0);
        }
        let event = self.hear().await.expect("an event");
        assert_eq!(event["type"], "event", "{event}");
        event
    }

    async fn until_the_end(&mut self) -> Vec<Value> {
        let mut seen = Vec::new();
        while !seen.last().is_some_and(is_end) {
            seen.push(self.event().await);
        }
        seen
    }

    async fn say(&mut self, text: &str) {
        self.stream
            .send(Message::text(text))
            .await
            .expect("an open connection");
    }

    /// The answer to a command.
    async fn command(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let command = json!({"id": self.last_id, "method": method, "params": params});
        self.say(&command.to_string()).await;
        loop {
            let message = self.hear().await.expect("an answer");
            if message["type"] == "event" {
                self.events.push(message);
                continue;
            }
            assert_eq!(message["id"], self.last_id);
            return message;
        }
    }

    async fn done(&mut self, method: &str, params: Value) -> Value {
        let answer = self.command(method, params).await;
        assert_eq!(answer["type"], "success", "{answer}");
        answer["result"].clone()
    }

    async fn refused(&mut self, method: &str, params: Value) -> String {
        let answer = self.command(method, params).await;
        assert_eq!(answer["type"], "error", "{answer}");
        text(&answer["error"]).to_owned()
    }
}

fn two(foo: &str) -> Value {
    json!({"assistant_id": "two", "input": {"foo": foo}})
}

#[tokio::test]
async fn commands_subscriptions_and_events_share_a_connection() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let mut socket = Socket::open(&server, &thread).await;
    assert_eq!(
        socket.refused("agent.getTree", json!({})).await,
        "no_such_run"
    );
    let lifecycle = json!({"channels": ["lifecycle"]});
    let first = socket
        .done("subscription.subscribe", lifecycle.clone())
        .await;
    assert_eq!(first["replayed_events"], 0);
    let run = socket.done("run.start", two("x")).await;
    let seen = socket.until_the_end().await;
    assert_eq!(
        seen[0]["event_id"],
        format!("synth:{}:lc||running", text(&run["run_id"]))
    );
    assert_eq!(seen.len(), 2);

    // Who subscribes later is told what was missed, and nobody else is.
    let answer = socket
        .command("subscription.subscribe", json!({"channels": ["values"]}))
        .await;
    let second = &answer["result"];
    assert_eq!(second["replayed_events"], 3);
    assert_eq!(answer["meta"]["applied_through_seq"], seen[1]["seq"]);
    let states: Vec<Value> = std::mem::take(&mut socket.events);
    assert_eq!(data(&states, "values").len(), 3);
    assert_eq!(states.len(), 3);

    // From here on each event comes once, whoever wants it; the same as over HTTP.
    socket
        .done(
            "subscription.subscribe",
            json!({"channels": ["lifecycle"], "since": seen[1]["seq"]}),
        )
        .await;
    socket.done("run.start", two("y")).await;
    let both = socket.until_the_end().await;
    let filter = json!({"channels": ["values", "lifecycle"], "since": seen[1]["seq"]});
    let mut http = server.thread_events(&thread, &filter).await;
    assert_eq!(both, http.until_the_end().await);

    let id = json!({"subscription_id": second["subscription_id"]});
    assert_eq!(
        socket.done("subscription.unsubscribe", id.clone()).await,
        json!({})
    );
    assert_eq!(
        socket.refused("subscription.unsubscribe", id).await,
        "no_such_subscription"
    );
    socket.done("run.start", two("z")).await;
    assert_eq!(socket.until_the_end().await.len(), 2);
    let tree = socket.done("agent.getTree", json!({})).await;
    assert_eq!(tree["tree"]["status"], "completed");
}

#[tokio::test]
async fn a_client_that_comes_back_says_what_it_has_seen() {
    let mut server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let mut socket = Socket::open(&server, &thread).await;
    socket
        .done("subscription.subscribe", json!({"channels": CHANNELS}))
        .await;
    socket.done("run.start", two("x")).await;
    let seen = socket.until_the_end().await;
    // The server stops, and says so.
    server.terminate().await;
    assert_eq!(socket.hear().await, None);
    server.restart().await;
    let mut socket = Socket::open(&server, &thread).await;
    let half = seen.len() / 2;
    let back = json!({"channels": CHANNELS, "since": seen[half - 1]["seq"]});
    let restored = socket.done("subscription.reconnect", back).await;
    assert_eq!(restored["replayed_events"], seen.len() - half);
    assert_eq!(socket.until_the_end().await, seen[half..]);
    // Before the first event that is kept, and after the last that there can be.
    for since in [1_000, 1_u64 << 53] {
        let lost = json!({"channels": CHANNELS, "since": since});
        assert_eq!(
            socket.refused("subscription.reconnect", lost).await,
            "resume_gap"
        );
    }
    let nothing = json!({"channels": CHANNELS});
    assert_eq!(
        socket.refused("subscription.reconnect", nothing).await,
        "invalid_argument"
    );
}

#[tokio::test]
async fn what_is_no_command_is_answered_and_the_connection_goes_on() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let mut socket = Socket::open(&server, &thread).await;
    let refusal = |message: &str| json!({"type": "error", "id": null, "error": "invalid_argument", "message": message});
    socket.say("nope").await;
    let no_json = refusal("Protocol commands must be valid JSON.");
    assert_eq!(socket.hear().await, Some(no_json));
    socket.say("[]").await;
    let malformed = refusal("Protocol commands must include an integer id and string method.");
    assert_eq!(socket.hear().await, Some(malformed));
    assert_eq!(socket.refused("zz", json!({})).await, "unknown_command");
    assert_eq!(
        socket
            .refused("subscription.subscribe", json!({"channels": ["zz"]}))
            .await,
        "invalid_argument"
    );
    for _ in 0..64 {
        socket
            .done("subscription.subscribe", json!({"channels": ["values"]}))
            .await;
    }
    assert_eq!(
        socket
            .refused("subscription.subscribe", json!({"channels": ["values"]}))
            .await,
        "invalid_argument"
    );
    // Without the words that make a WebSocket of it, there is nothing here.
    let plain = server
        .get(&format!("/threads/{thread}/stream/events"))
        .await;
    assert_eq!(plain.status(), 400);
}

async fn connect_as(
    server: &Server,
    thread: &str,
    who: Option<As>,
) -> Result<Socket, tokio_tungstenite::tungstenite::Error> {
    let request = url(server, thread).into_client_request();
    let mut request = request.expect("a request");
    if let Some(who) = who {
        let key = who.key().parse().expect("a header");
        request.headers_mut().insert("x-api-key", key);
    }
    let (stream, _) = connect_async(request).await?;
    Ok(Socket {
        stream,
        last_id: 0,
        events: Vec::new(),
    })
}

#[tokio::test]
async fn commands_count_among_their_callers_requests() {
    let rate = json!({"requests_per_second": 1, "burst": 4});
    let setup = let_in(Setup::probes(&["two"])).set("http.rate_limit", rate);
    let server = setup.start().await;
    let thread = text(&ANN.made(&server, "/threads", &json!({})).await["thread_id"]).to_owned();
    let connected = connect_as(&server, &thread, Some(ANN)).await;
    let mut ann = connected.expect("a WebSocket");
    // More at once than the bucket holds.
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(ann.command("run.start", two("x")).await);
    }
    let mut refused = answers.iter().filter(|answer| answer["type"] == "error");
    let refused = refused.next().expect("a refusal");
    assert!(
        text(&refused["message"]).contains("http.rate_limit"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_connection_is_its_callers_and_counts_as_one_of_their_streams() {
    let setup = let_in(Setup::probes(&["two"])).set("http.max_streams_per_caller", 1);
    let server = setup.start().await;
    let thread = text(&ANN.made(&server, "/threads", &json!({})).await["thread_id"]).to_owned();
    let connect = async |who: Option<As>| connect_as(&server, &thread, who).await;
    let status = |error: Error| match error {
        Error::Http(response) => response.status().as_u16(),
        other => panic!("{other}"),
    };
    assert_eq!(connect(None).await.err().map(status), Some(401));
    let mut bob = connect(Some(BOB)).await.expect("a WebSocket");
    let values = json!({"channels": ["values"]});
    assert_eq!(
        bob.refused("subscription.subscribe", values.clone()).await,
        "no_such_run"
    );
    let mut ann = connect(Some(ANN)).await.expect("a WebSocket");
    ann.done("subscription.subscribe", values).await;
    assert_eq!(connect(Some(ANN)).await.err().map(status), Some(429));
    drop(ann);
    eventually("another connection", async || connect(Some(ANN)).await.ok()).await;
}

#[tokio::test]
async fn connections_are_kept_alive_and_count_among_all() {
    let server = Setup::probes(&["two"])
        .set("http.max_connections", 2)
        .start()
        .await;
    let thread = server.new_thread().await;
    let mut first = Socket::open(&server, &thread).await;
    // The other place is the HTTP client's.
    let waiting = tokio::time::timeout(
        Duration::from_millis(300),
        connect_async(url(&server, &thread)),
    );
    assert!(waiting.await.is_err());
    let ping = tokio::time::timeout(PATIENCE, first.stream.next()).await;
    assert!(matches!(ping, Ok(Some(Ok(Message::Ping(_))))));
    drop(first);
    Socket::open(&server, &thread).await;
}
