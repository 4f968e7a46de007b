//! What one caller may have, and what the server takes on at once.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::callers::{ANN, As, BOB, let_in};
use crate::support::server::{Server, text};
use crate::support::wait::PATIENCE;
use crate::support::{Gate, Setup, eventually, raw};

#[tokio::test]
async fn a_caller_who_asks_too_often_is_asked_to_wait_and_others_are_not() {
    let setup = let_in(Setup::probes(&["two"])).set(
        "http.rate_limit",
        json!({"requests_per_second": 1, "burst": 3}),
    );
    let server = setup.start().await;
    let count = async |who: As| {
        let request = who.request(&server, Method::POST, "/threads/count");
        request.json(&json!({})).send().await.expect("an answer")
    };
    let refused = eventually("a refusal", async || {
        let answer = count(ANN).await;
        (answer.status() == 429).then_some(answer)
    });
    let refused = refused.await;
    let wait = refused.headers()["retry-after"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        wait.parse::<u64>()
            .is_ok_and(|seconds| (1..=2).contains(&seconds)),
        "{wait}"
    );
    let body: Value = refused.json().await.expect("JSON");
    assert!(
        body["detail"].to_string().contains("http.rate_limit"),
        "{body}"
    );
    assert_eq!(count(BOB).await.status(), 200);
    // Open routes are nobody's.
    assert_eq!(server.get("/ok").await.status(), 200);
    eventually("another turn", async || {
        (count(ANN).await.status() == 200).then_some(())
    })
    .await;
}

async fn watch(server: &Server, who: As, thread: &Value) -> reqwest::Response {
    let path = format!("/threads/{}/stream", text(&thread["thread_id"]));
    let request = who.request(server, Method::GET, &path);
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn a_caller_has_so_many_streams_and_one_that_is_closed_makes_room() {
    let setup = let_in(Setup::probes(&["two"])).set("http.max_streams_per_caller", 2);
    let server = setup.start().await;
    let anns = ANN.made(&server, "/threads", &json!({})).await;
    let bobs = BOB.made(&server, "/threads", &json!({})).await;
    let (first, second) = (
        watch(&server, ANN, &anns).await,
        watch(&server, ANN, &anns).await,
    );
    assert_eq!(
        (first.status().as_u16(), second.status().as_u16()),
        (200, 200)
    );
    let third = watch(&server, ANN, &anns).await;
    assert_eq!(third.status(), 429);
    assert!(third.headers().contains_key("retry-after"));
    // Nothing is begun that could not be followed.
    let run = json!({"assistant_id": "two", "input": {"foo": "x"}});
    let path = format!("/threads/{}/runs/stream", text(&anns["thread_id"]));
    assert_eq!(ANN.post(&server, &path, &run).await.status, 429);
    let runs = path.trim_end_matches("/stream");
    assert_eq!(ANN.get(&server, runs).await.body, json!([]));
    assert_eq!(watch(&server, BOB, &bobs).await.status(), 200);
    drop(first);
    eventually("room for a stream", async || {
        (watch(&server, ANN, &anns).await.status() == 200).then_some(())
    })
    .await;
    drop(second);
}

#[tokio::test]
async fn whoever_waits_for_the_end_of_a_run_has_a_stream_and_whoever_only_cancels_has_none() {
    let gate = Gate::closed().await;
    let setup = let_in(gate.setup(&["two"])).set("http.max_streams_per_caller", 1);
    let server = setup.start().await;
    let thread = ANN.made(&server, "/threads", &json!({})).await;
    let runs = format!("/threads/{}/runs", text(&thread["thread_id"]));
    let run = ANN.made(&server, &runs, &gate.run()).await;
    gate.holds(1).await;
    let watched = watch(&server, ANN, &thread).await;
    assert_eq!(watched.status(), 200);
    let cancel = format!("{runs}/{}/cancel", text(&run["run_id"]));
    let waiting = format!("{cancel}?wait=true");
    let refused = ANN.post(&server, &waiting, &json!({})).await;
    assert_eq!(refused.status, 429);
    let detail = refused.body["detail"].to_string();
    assert!(detail.contains("max_streams_per_caller"), "{detail}");
    assert_eq!(ANN.get(&server, &runs).await.body[0]["status"], "running");
    assert_eq!(ANN.post(&server, &cancel, &json!({})).await.status, 202);
    drop(watched);
}

#[tokio::test]
async fn requests_beyond_what_is_answered_at_once_are_told_to_come_back() {
    let server = Setup::probes(&["two"])
        .set("http.max_requests", 1)
        .start()
        .await;
    // A request whose body does not come.
    let mut slow = raw::connect(&server).await;
    let head = "POST /threads HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.expect("it is sent");
    let ask = async |path: &str| {
        let request = server.client.get(format!("{}{path}", server.base));
        request.send().await.expect("an answer")
    };
    let refused = eventually("a refusal", async || {
        let answer = ask("/info").await;
        (answer.status() == 503).then_some(answer)
    });
    let refused = refused.await;
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: Value = refused.json().await.expect("JSON");
    assert!(
        body["detail"].to_string().contains("http.max_requests"),
        "{body}"
    );
    // Whoever asks whether the server is well is told: it is.
    assert_eq!(ask("/ok").await.status(), 200);
    slow.write_all(b"}").await.expect("the rest is sent");
    eventually("an answer", async || {
        (ask("/info").await.status() == 200).then_some(())
    })
    .await;
}

/// A request of which so much of the body has come, and never more. Nothing comes back.
async fn unfinished(server: &Server, who: Option<As>, sent: usize) -> TcpStream {
    let mut connection = raw::connect(server).await;
    let key = who.map(|who| format!("x-api-key: {}\r\n", who.key()));
    let head = format!(
        "POST /threads HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n{}\r\n",
        sent + 1,
        key.unwrap_or_default()
    );
    connection.write_all(head.as_bytes()).await.expect("a head");
    let body = vec![b' '; sent];
    connection.write_all(&body).await.expect("a body");
    connection
}

/// Holds something until something else is refused. What is held may be refused itself while it meets what is asked: then
/// another is.
async fn held_until<T>(
    hold: impl AsyncFn() -> TcpStream,
    refused: impl AsyncFn() -> Option<T>,
) -> (Vec<TcpStream>, T) {
    let begun = Instant::now();
    let mut held = Vec::new();
    loop {
        held.push(hold().await);
        if let Some(answer) = refused().await {
            return (held, answer);
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is refused");
    }
}

#[tokio::test]
async fn bodies_weigh_so_much_together_and_room_comes_back() {
    let server = Setup::probes(&["two"])
        .set("http.max_body_bytes", 60_000)
        .set("http.max_body_bytes_total", 100_000)
        .set("http.request_timeout_secs", 300)
        .start()
        .await;
    let large = json!({"metadata": {"text": "x".repeat(50_000)}});
    let create = async || {
        let request = server.client.post(format!("{}/threads", server.base));
        request.json(&large).send().await.expect("an answer")
    };
    let hold = async || unfinished(&server, None, 59_000).await;
    let (held, refused) = held_until(hold, async || {
        let answer = create().await;
        (answer.status() == 503).then_some(answer)
    })
    .await;
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: Value = refused.json().await.expect("JSON");
    assert!(
        body["detail"].to_string().contains("max_body_bytes_total"),
        "{body}"
    );
    // What is small still fits.
    server.new_thread().await;
    drop(held);
    eventually("room", async || {
        (create().await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_caller_has_a_part_of_what_all_bodies_may_weigh_and_of_the_requests() {
    let server = let_in(Setup::probes(&["two"]))
        .set("http.max_body_bytes", 30_000)
        .set("http.max_body_bytes_total", 120_000)
        .set("http.max_requests_per_caller", 3)
        .set("http.request_timeout_secs", 300)
        .start()
        .await;
    let create = async |who: As, text: usize| {
        let thread = json!({"metadata": {"text": "x".repeat(text)}});
        who.post(&server, "/threads", &thread).await
    };
    let hold = async || unfinished(&server, Some(ANN), 25_000).await;
    let (large, refused) = held_until(hold, async || {
        let answer = create(ANN, 10_000).await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    let detail = refused.body["detail"].to_string();
    assert!(detail.contains("http.max_body_bytes_total"), "{detail}");
    assert_eq!(create(BOB, 10_000).await.status, 200);
    assert_eq!(create(ANN, 0).await.status, 200);
    let hold = async || unfinished(&server, Some(ANN), 1).await;
    let (small, refused) = held_until(hold, async || {
        let answer = ANN.post(&server, "/threads/count", &json!({})).await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    let detail = refused.body["detail"].to_string();
    assert!(detail.contains("http.max_requests_per_caller"), "{detail}");
    assert_eq!(BOB.made(&server, "/threads/count", &json!({})).await, 1);
    let metrics = server.get("/metrics").await.text().await.expect("text");
    assert!(
        metrics.contains("selvedge_http_refused_total{reason=\"requests\"}"),
        "{metrics}"
    );
    drop((large, small));
    eventually("room", async || {
        (create(ANN, 10_000).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_long_body_is_read_like_a_short_one() {
    let server = Setup::probes(&["two"]).start().await;
    let text = "x".repeat(2 << 20);
    let run = json!({"assistant_id": "two", "input": {"foo": text}});
    let ended = server.post_json("/runs/wait", &run).await;
    assert_eq!(ended["foo"], format!("{text}ab"));
    let broken = server.client.post(format!("{}/threads", server.base));
    let broken = broken
        .body(format!("{{\"metadata\": \"{text}"))
        .send()
        .await;
    assert_eq!(broken.expect("an answer").status(), 422);
}
