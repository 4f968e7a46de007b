//! The event protocol over a WebSocket: commands up, their answers and events down.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::callers::{ANN, As, BOB, let_in};
use crate::support::issuer::{Issuer, jwt};
use crate::support::protocol::{CHANNELS, data, is_end};
use crate::support::server::text;
use crate::support::wait::PATIENCE;
use crate::support::{Server, Setup, eventually};

/// A thread that is not there.
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

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

    /// Somebody's, with the header by which they are known.
    async fn open_as(server: &Server, thread: &str, (name, value): (&'static str, &str)) -> Self {
        let mut request = url(server, thread)
            .into_client_request()
            .expect("a request");
        let value = value.parse().expect("a header");
        request.headers_mut().insert(name, value);
        let (stream, _) = connect_async(request).await.expect("a WebSocket");
        Self {
            stream,
            last_id: 0,
            events: Vec::new(),
        }
    }

    /// With which words the server closes the connection.
    async fn closed(&mut self) -> (CloseCode, String) {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next()).await;
            let message = message.expect("a message in time").expect("words");
            if let Message::Close(frame) = message.expect("an open connection") {
                let frame = frame.expect("a reason");
                return (frame.code, frame.reason.to_string());
            }
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

/// The namespace that an event is of.
fn namespace(event: &Value) -> Vec<&str> {
    let segments = event["params"]["namespace"].as_array();
    segments.expect("a namespace").iter().map(text).collect()
}

#[tokio::test]
async fn a_filter_says_of_which_graphs_and_how_deep() {
    let server = Setup::probes(&["nested", "leaf"]).start().await;
    let thread = server.new_thread().await;
    server
        .start_run(&thread, "nested", json!({"foo": "x"}))
        .await;
    let seen = server.run_shown(&thread).await;
    let states: Vec<Value> = seen
        .into_iter()
        .filter(|event| event["method"] == "values")
        .collect();
    let deepest = states.iter().map(namespace).max_by_key(Vec::len);
    let [middle, leaf] = deepest.expect("one")[..] else {
        panic!("two graphs inside");
    };
    let mut socket = Socket::open(&server, &thread).await;
    type AtDepth = fn(usize) -> bool;
    let filters: [(Value, AtDepth); 7] = [
        (json!({"namespaces": [[]], "depth": 0}), |depth| depth == 0),
        (json!({"namespaces": [[]], "depth": 1}), |depth| depth <= 1),
        (json!({"namespaces": [["mid"]]}), |depth| depth > 0),
        (json!({"namespaces": [[middle]], "depth": 0}), |depth| {
            depth == 1
        }),
        (json!({"namespaces": [[middle, leaf]]}), |depth| depth == 2),
        (
            json!({"namespaces": [["mid", "leaf"], []], "depth": 0}),
            |depth| depth != 1,
        ),
        (json!({"namespaces": [["leaf"], ["mid:x"]]}), |_| false),
    ];
    for (places, wants) in filters {
        let wanted = states.iter().filter(|event| wants(namespace(event).len()));
        let wanted: Vec<Value> = wanted.cloned().collect();
        let mut filter = places;
        filter["channels"] = json!(["values"]);
        let added = socket.done("subscription.subscribe", filter.clone()).await;
        assert_eq!(std::mem::take(&mut socket.events), wanted, "{filter}");
        let id = json!({"subscription_id": added["subscription_id"]});
        socket.done("subscription.unsubscribe", id).await;
        let mut http = server.thread_events(&thread, &filter).await;
        for event in &wanted {
            assert_eq!(&http.next().await, event, "{filter}");
        }
    }
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
    // Of Ann's thread Bob sees what there would be of one that is not there.
    let run = json!({"assistant_id": "two", "input": {"foo": "x"}, "stream_resumable": true});
    ANN.made(&server, &format!("/threads/{thread}/runs/wait"), &run)
        .await;
    let seen = bob.done("subscription.subscribe", values.clone()).await;
    assert_eq!(
        (&seen["replayed_events"], &bob.events),
        (&json!(0), &vec![])
    );
    let mut ann = connect(Some(ANN)).await.expect("a WebSocket");
    let seen = ann.done("subscription.subscribe", values).await;
    assert_eq!((&seen["replayed_events"], ann.events.len()), (&json!(3), 3));
    assert_eq!(connect(Some(ANN)).await.err().map(status), Some(429));
    drop(ann);
    eventually("another connection", async || connect(Some(ANN)).await.ok()).await;
}

/// Sends the head of a message and so much of it that its last byte is missing.
async fn all_but_the_last_byte(socket: &mut Socket, length: u64) {
    let mut frame = vec![0x81, 0xff];
    frame.extend(length.to_be_bytes());
    // The mask, which changes nothing, and the payload.
    frame.extend([0; 4]);
    frame.extend(vec![b' '; usize::try_from(length).expect("a size") - 1]);
    let stream = socket.stream.get_mut();
    stream.write_all(&frame).await.expect("an open connection");
}

#[tokio::test]
async fn messages_that_are_being_sent_weigh_as_bodies_do() {
    const LARGE: u64 = 1 << 20;
    let setup = Setup::probes(&["two"]).set("http.max_body_bytes", LARGE);
    let server = setup
        .set("http.max_body_bytes_total", LARGE + LARGE / 2)
        .start()
        .await;
    let thread = server.new_thread().await;
    let mut first = Socket::open(&server, &thread).await;
    all_but_the_last_byte(&mut first, LARGE).await;
    let padding = " ".repeat(900_000);
    // There is no room any more, for a body as little as for a message.
    let body = json!({"metadata": {"x": padding}});
    eventually("the message", async || {
        let refused = server.post("/threads", &body).await.status() == 503;
        refused.then_some(())
    })
    .await;
    let mut second = Socket::open(&server, &thread).await;
    all_but_the_last_byte(&mut second, LARGE).await;
    let (again, why) = second.closed().await;
    assert_eq!(again, CloseCode::Again);
    assert!(why.contains("http.max_body_bytes_total"), "{why}");
    // What has come counts no more once it is answered.
    let last = first.stream.get_mut().write_all(b" ").await;
    last.expect("an open connection");
    let answer = first.hear().await.expect("an answer");
    assert_eq!(answer["error"], "invalid_argument");
    for _ in 0..4 {
        let padded = json!({"channels": ["values"], "x": padding});
        first.done("subscription.subscribe", padded).await;
    }
    first.say(&" ".repeat(LARGE as usize + 1)).await;
    let (size, _) = first.closed().await;
    assert_eq!(size, CloseCode::Size);
}

#[tokio::test]
async fn a_message_that_does_not_end_ends_its_connection() {
    let setup = Setup::probes(&["two"]).set("http.request_timeout_secs", 1);
    let server = setup.start().await;
    let thread = server.new_thread().await;
    let mut socket = Socket::open(&server, &thread).await;
    all_but_the_last_byte(&mut socket, 1_000).await;
    let (again, why) = socket.closed().await;
    assert_eq!(again, CloseCode::Again);
    assert!(why.contains("http.request_timeout_secs"), "{why}");
}

#[tokio::test]
async fn commands_come_at_their_callers_rate() {
    let rate = json!({"requests_per_second": 1, "burst": 3});
    let setup = let_in(Setup::probes(&["two"])).set("http.rate_limit", rate);
    let server = setup.start().await;
    let mut socket = Socket::open_as(&server, UNKNOWN, ("x-api-key", &ANN.key())).await;
    let refusal = loop {
        let answer = socket.command("zz", json!({})).await;
        if answer["error"] != "unknown_command" {
            break answer;
        }
        // No server is so slow that the rate would never be met.
        assert!(socket.last_id < 1_000);
    };
    assert_eq!(refusal["error"], "unknown_error");
    assert_eq!(
        refusal["message"],
        "429: Too many requests (http.rate_limit)"
    );
}

#[tokio::test]
async fn a_connection_ends_when_its_token_does() {
    let issuer = Issuer::new("first");
    let setup = let_in(Setup::probes(&["two"]));
    let file = setup.data_dir().join("jwks.json");
    std::fs::write(&file, json!({"keys": [issuer.entry()]}).to_string()).expect("a file");
    let jwks = file.display().to_string();
    let server = setup.set("auth.jwt", jwt(&jwks)).start().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    // A minute is allowed for clocks that differ.
    let soon = now.expect("a time").as_secs() - 60 + 3;
    let bearer = format!("Bearer {}", issuer.token_until(soon, "tom", &[]));
    let mut socket = Socket::open_as(&server, UNKNOWN, ("authorization", &bearer)).await;
    let (policy, why) = socket.closed().await;
    assert_eq!(
        (policy, why.as_str()),
        (CloseCode::Policy, "the credentials have expired")
    );
}

#[tokio::test]
async fn a_connection_is_kept_alive_also_while_events_come_that_it_does_not_want() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let mut socket = Socket::open(&server, &thread).await;
    let nothing = json!({"channels": ["custom"]});
    socket.done("subscription.subscribe", nothing).await;
    let run = json!({"assistant_id": "two", "input": {"foo": "x"}});
    let begun = Instant::now();
    while !matches!(
        socket.stream.next().now_or_never(),
        Some(Some(Ok(Message::Ping(_))))
    ) {
        assert!(begun.elapsed() < PATIENCE, "no ping");
        server.wait(&thread, &run).await;
    }
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
    let mut second = std::pin::pin!(Socket::open(&server, &thread));
    let ping = tokio::time::timeout(PATIENCE, first.stream.next());
    tokio::select! {
        _ = second.as_mut() => panic!("a third connection"),
        ping = ping => assert!(matches!(ping, Ok(Some(Ok(Message::Ping(_)))))),
    }
    drop(first);
    second.await;
}
