//! Clients that send nothing or take nothing: each costs its own connection, and that for a bounded time.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::raw::{connect, rest_of};
use crate::support::server::text;
use crate::support::{Server, Setup, eventually, sse};

/// Far more than the system keeps for a connection.
const LONG: usize = 12 << 20;
/// A slow reader rests so long after so much: for longer than patience in all, never for so long at once.
const PIECE: usize = LONG / 8;
const PAUSE: Duration = Duration::from_millis(100);
/// How a body ends that is sent in chunks.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// Asks for a stream that is too long for any buffer on the way, and reads nothing of it.
async fn stuck_reader(server: &Server, thread: &str) -> TcpStream {
    let body = json!({"assistant_id": "big", "input": {"bytes": LONG}, "stream_mode": ["values", "updates"]});
    let body = body.to_string();
    let mut connection = connect(server).await;
    let request = format!(
        "POST /threads/{thread}/runs/stream HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection
        .write_all(request.as_bytes())
        .await
        .expect("a request");
    connection
}

#[tokio::test]
async fn a_client_that_does_not_read_its_stream_is_got_rid_of_and_the_run_goes_on() {
    let server = Setup::probes(&["big"])
        .set("http.write_timeout_secs", 1)
        .set("telemetry.log", "info,selvedge_api=debug")
        .start()
        .await;
    let thread = server.new_thread().await;
    let stuck = stuck_reader(&server, &thread).await;
    let runs = format!("/threads/{thread}/runs");
    let run = eventually("the run", async || {
        let runs = server.get_json(&runs).await;
        runs.get(0).cloned()
    })
    .await;
    assert_eq!(server.ended_run(&run).await["status"], "success");
    eventually("the end of the connection", async || {
        server
            .log()
            .contains("the client took nothing")
            .then_some(())
    })
    .await;
    // What was under way in the system's buffers still comes, and then the stream breaks off.
    let got = rest_of(stuck).await;
    assert!(got.starts_with(b"HTTP/1.1 200 OK"));
    assert!(got.len() < LONG && !got.ends_with(LAST_CHUNK));
    let values = &server.state(&thread).await["values"];
    assert_eq!(text(&values["data"]).len(), LONG);
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    let server = Setup::probes(&["big"])
        .set("http.write_timeout_secs", 1)
        .start()
        .await;
    let thread = server.new_thread().await;
    let mut slow = stuck_reader(&server, &thread).await;
    let (mut total, mut since_pause, mut end) = (0, 0, Vec::new());
    let mut piece = vec![0; 64 << 10];
    while !end.ends_with(LAST_CHUNK) {
        let read = slow.read(&mut piece).await.expect("a piece");
        assert!(read > 0, "it broke off after {total} bytes");
        (total, since_pause) = (total + read, since_pause + read);
        end.extend_from_slice(&piece[..read]);
        end.drain(..end.len().saturating_sub(LAST_CHUNK.len()));
        if since_pause > PIECE {
            since_pause = 0;
            tokio::time::sleep(PAUSE).await;
        }
    }
    // Once in `updates` and once in `values`.
    assert!(total > 2 * LONG);
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_hold_up_the_end_of_the_server() {
    let mut server = Setup::probes(&["big"]).start().await;
    let thread = server.new_thread().await;
    let stuck = stuck_reader(&server, &thread).await;
    let runs = format!("/threads/{thread}/runs");
    let run = eventually("the run", async || {
        server.get_json(&runs).await.get(0).cloned()
    })
    .await;
    server.ended_run(&run).await;
    assert_eq!(server.terminate().await.code(), Some(0), "{}", server.log());
    drop(stuck);
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_is_got_rid_of() {
    let server = Setup::probes(&["two"])
        .set("http.request_timeout_secs", 1)
        .start()
        .await;
    let begun = [
        // In the middle of the head, and before it.
        ("POST /runs HTTP/1.1\r\nhost: localhost\r\n", ""),
        ("", ""),
        // Between two requests.
        (
            "GET /ok HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "HTTP/1.1 200 OK",
        ),
        // In the middle of the body.
        (
            "POST /runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{",
            "HTTP/1.1 408 Request Timeout",
        ),
    ];
    for (request, answer) in begun {
        let mut connection = connect(&server).await;
        connection
            .write_all(request.as_bytes())
            .await
            .expect("a beginning");
        let got = String::from_utf8(rest_of(connection).await).expect("text");
        assert!(got.starts_with(answer), "{request:?}: {got}");
    }
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}});
    let events = sse::events(server.post("/runs/stream", &body).await).await;
    assert_eq!(events.last().expect("an event").data["foo"], "xab");
}

#[tokio::test]
async fn a_request_that_is_no_http_is_refused_and_its_connection_closed() {
    let server = Setup::probes(&["two"]).start().await;
    let requests: [(&[u8], &str); 4] = [
        (b"nonsense\r\n\r\n", "400 Bad Request"),
        (
            b"GET /threads/\xff HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "400 Bad Request",
        ),
        (
            b"GET /\x01 HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "400 Bad Request",
        ),
        (
            b"POST /runs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "400 Bad Request",
        ),
    ];
    for (request, answer) in requests {
        let mut connection = connect(&server).await;
        connection.write_all(request).await.expect("a request");
        let got = String::from_utf8(rest_of(connection).await).expect("text");
        let shown = String::from_utf8_lossy(request);
        assert!(
            got.starts_with(&format!("HTTP/1.1 {answer}")),
            "{shown}: {got}"
        );
        let body = got.split_once("\r\n\r\n").expect("a head").1;
        assert!(
            body.is_empty() || body.starts_with("{\"detail\":"),
            "{shown}: {got}"
        );
    }
    assert_eq!(server.get("/ok").await.status(), 200);
}

#[tokio::test]
async fn a_connection_stays_when_a_request_is_refused_before_its_body_is_there() {
    let server = Setup::probes(&["two"]).start().await;
    for path in ["/threads/x/runs", "/nothing/here"] {
        let mut connection = connect(&server).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
        );
        let next = "{}GET /ok HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        connection.write_all(head.as_bytes()).await.expect("a head");
        let mut told = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        connection.read_exact(&mut told).await.expect("a nod");
        connection.write_all(next.as_bytes()).await.expect("a body");
        let answers = String::from_utf8(rest_of(connection).await).expect("text");
        assert!(answers.starts_with("HTTP/1.1 4"), "{answers}");
        assert!(answers.contains("HTTP/1.1 200 OK"), "{answers}");
    }
}

#[tokio::test]
async fn a_refusal_says_when_a_body_is_too_long_to_keep_the_connection() {
    let server = Setup::probes(&["two"]).start().await;
    let mut connection = connect(&server).await;
    let head = format!(
        "POST /threads/x/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: {LONG}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.expect("a head");
    let answer = String::from_utf8(rest_of(connection).await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}
