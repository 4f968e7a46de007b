//! What one caller may have, and what the server takes on at once.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::callers::{ANN, As, BOB, let_in};
use crate::support::server::{Server, text};
use crate::support::{Setup, eventually, raw};

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
async fn requests_beyond_what_is_answered_at_once_are_told_to_come_back() {
    let server = Setup::probes(&["two"])
        .set("http.max_requests", 1)
        .start()
        .await;
    // A request whose body does not come.
    let mut slow = raw::connect(&server).await;
    let head = "POST /threads HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.expect("it is sent");
    let refused = eventually("a refusal", async || {
        let answer = server.client.get(format!("{}/ok", server.base));
        let answer = answer.send().await.expect("an answer");
        (answer.status() == 503).then_some(answer)
    });
    let refused = refused.await;
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: Value = refused.json().await.expect("JSON");
    assert!(
        body["detail"].to_string().contains("http.max_requests"),
        "{body}"
    );
    slow.write_all(b"}").await.expect("the rest is sent");
    eventually("an answer", async || {
        let answer = server.client.get(format!("{}/ok", server.base));
        (answer.send().await.expect("an answer").status() == 200).then_some(())
    })
    .await;
}
