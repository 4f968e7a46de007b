//! Receivers that are wrong, slow, endless or malicious cost one attempt, and no more than its deadline and a few bytes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::receiver::Answer;
use crate::support::server::text;
use crate::support::{Receiver, Say, Server, Setup, Wire};

/// How many bytes of an endless answer a server may let its receiver send: what is read before somebody notices, and
/// what the system's buffers on both sides take (`tcp_rmem` and `tcp_wmem` allow 6 and 4 MiB). In the time that an
/// attempt has, many times as much could come.
const MOST_WRITTEN: u64 = 128 << 20;

/// Seconds of an attempt that is to run out of time, and of one that is not, also on a busy machine.
const BRIEF: u32 = 3;
const LONG: u32 = 30;

/// A million zeros.
const ZEROS: &[u8] = include_bytes!("data/zeros.gz");

/// One attempt for each delivery, which may take so long.
async fn server(timeout_secs: u32) -> Server {
    Setup::probes(&["two"])
        .set("webhooks.timeout_secs", timeout_secs)
        .set("webhooks.retry", json!({"schedule_secs": [0], "jitter": 0}))
        .start()
        .await
}

fn ok_then(rest: Say) -> Vec<Say> {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    vec![Say::text(head), rest]
}

struct Case {
    what: &'static str,
    says: Vec<Say>,
    /// The state in which the delivery ends, and the status that was recorded.
    end: (&'static str, Option<u16>),
    /// How the recorded error begins; `""`: there is none.
    error: &'static str,
}

fn silent_or_slow() -> Vec<Case> {
    let waiting = "timeout: timed out waiting for an answer";
    let reading = "timeout: timed out reading the answer";
    vec![
        Case {
            what: "accepts and never answers",
            says: vec![Say::Nothing],
            end: ("exhausted", None),
            error: waiting,
        },
        Case {
            what: "sends its headers drop by drop",
            says: vec![Say::text("HTTP/1.1 200 OK\r\n"), Say::Slowly("x-a: 1\r\n")],
            end: ("exhausted", None),
            error: waiting,
        },
        Case {
            what: "never ends its status line",
            says: vec![Say::text("HTTP/1.1 200 "), Say::Slowly("O")],
            end: ("exhausted", None),
            error: waiting,
        },
        Case {
            what: "promises an answer for ever",
            says: vec![Say::text("HTTP/1.1 102 Processing\r\n\r\n"), Say::Nothing],
            end: ("exhausted", None),
            error: waiting,
        },
        // The status has come: the receiver has taken the delivery, whatever it does then.
        Case {
            what: "sends its body drop by drop",
            says: ok_then(Say::Slowly("1\r\nx\r\n")),
            end: ("delivered", Some(200)),
            error: reading,
        },
        Case {
            what: "sends half of its body and waits",
            says: vec![
                Say::text("HTTP/1.1 500 Oh\r\ncontent-length: 8\r\n\r\nhalf"),
                Say::Nothing,
            ],
            end: ("exhausted", Some(500)),
            error: reading,
        },
    ]
}

fn endless_or_large() -> Vec<Case> {
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let header = format!("x-a: {}\r\n", "x".repeat(0x1000));
    let bomb = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        ZEROS.len()
    );
    vec![
        Case {
            what: "never ends its body",
            says: ok_then(Say::Endlessly(chunk.into_bytes())),
            end: ("delivered", Some(200)),
            error: "",
        },
        Case {
            what: "never ends its headers",
            says: vec![
                Say::text("HTTP/1.1 200 OK\r\n"),
                Say::Endlessly(header.into_bytes()),
            ],
            end: ("exhausted", None),
            error: "protocol: ",
        },
        Case {
            what: "never ends its status line, and hurries",
            says: vec![
                Say::text("HTTP/1.1 200 "),
                Say::Endlessly(b"OK".repeat(0x1000)),
            ],
            end: ("exhausted", None),
            error: "protocol: ",
        },
        Case {
            what: "promises an answer again and again",
            says: vec![Say::Endlessly(
                b"HTTP/1.1 102 Processing\r\n\r\n".repeat(0x100),
            )],
            end: ("exhausted", None),
            error: "protocol: more than 32 interim answers",
        },
        Case {
            what: "promises an answer twice and keeps its word",
            says: [
                vec![Say::text(
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
                )],
                Say::answer("200 OK", "", "{}"),
            ]
            .concat(),
            end: ("delivered", Some(200)),
            error: "",
        },
        Case {
            what: "sends something small that unpacks to something large",
            says: vec![Say::text(bomb), Say::Bytes(ZEROS.to_vec())],
            end: ("delivered", Some(200)),
            error: "",
        },
    ]
}

fn wrong() -> Vec<Case> {
    let protocol = |what, says: Vec<Say>| Case {
        what,
        says,
        end: ("exhausted", None),
        error: "protocol: ",
    };
    let head = |lines: &str| vec![Say::text(format!("HTTP/1.1 200 OK\r\n{lines}\r\n"))];
    vec![
        protocol("closes without an answer", vec![]),
        protocol(
            "closes within its headers",
            vec![Say::text("HTTP/1.1 200 OK\r\nx-a")],
        ),
        protocol(
            "speaks another protocol",
            vec![Say::text("SSH-2.0-OpenSSH_9.6\r\n")],
        ),
        protocol(
            "speaks no protocol",
            vec![Say::Bytes(vec![0, 255, 13, 10, 13, 10])],
        ),
        protocol(
            "has a status that is none",
            vec![Say::text("HTTP/1.1 9999 X\r\n\r\n")],
        ),
        protocol(
            "says two lengths",
            head("content-length: 1\r\ncontent-length: 2\r\n"),
        ),
        protocol("says a length that is none", head("content-length: -1\r\n")),
        protocol("has a header with a zero in it", head("x-a: a\0b\r\n")),
        Case {
            what: "closes within its body",
            says: vec![Say::text(
                "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf",
            )],
            end: ("delivered", Some(200)),
            error: "protocol: ",
        },
        Case {
            what: "sends a chunk that is none",
            says: ok_then(Say::text("zz\r\nx\r\n")),
            end: ("delivered", Some(200)),
            error: "protocol: ",
        },
    ]
}

/// What comes of a delivery to a receiver that behaves so; and what the receiver could write.
async fn suffer(server: &Server, case: &Case) -> u64 {
    let says = case.says.clone();
    let wire = Wire::saying(move |_, _| says.clone()).await;
    let delivery = server.delivery_to(&wire.url("/?token=s3cret")).await;
    let what = case.what;
    let (end, status) = case.end;
    assert_eq!(delivery["status"], end, "{what}: {delivery}");
    let attempts = delivery["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 1, "{what}: {delivery}");
    let attempt = &attempts[0];
    assert_eq!(attempt["status"], json!(status), "{what}: {delivery}");
    assert_eq!(
        attempt["address"],
        wire.address.to_string(),
        "{what}: {delivery}"
    );
    match attempt["error"].as_str() {
        None => assert_eq!(case.error, "", "{what}: {delivery}"),
        Some(error) => assert!(
            !case.error.is_empty() && error.starts_with(case.error),
            "{what}: {error}"
        ),
    }
    let kept = attempt["response"].as_str().map_or(0, str::len);
    assert!(kept <= 4096, "{what}: {kept} bytes were kept");
    assert_eq!(wire.requests().len(), 1, "{what}: {:?}", wire.requests());
    wire.written()
}

async fn suffer_all(timeout_secs: u32, cases: Vec<Case>) {
    let server = server(timeout_secs).await;
    let suffering = cases.iter().map(|case| suffer(&server, case));
    let written = futures_util::future::join_all(suffering).await;
    for (case, written) in cases.iter().zip(written) {
        assert!(written < MOST_WRITTEN, "{}: {written} bytes", case.what);
    }
    // It is as well as before.
    let receiver = Receiver::start().await;
    let delivery = server.delivery_to(&receiver.url("/")).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
    let log = server.log();
    assert!(
        !log.contains("s3cret") && !log.contains("panicked"),
        "{log}"
    );
}

#[tokio::test]
async fn whoever_is_silent_or_slow_is_given_up_in_time() {
    suffer_all(BRIEF, silent_or_slow()).await;
}

#[tokio::test]
async fn of_an_endless_or_packed_answer_a_little_is_read() {
    suffer_all(LONG, endless_or_large()).await;
}

#[tokio::test]
async fn what_is_not_http_is_a_failed_attempt() {
    suffer_all(LONG, wrong()).await;
}

#[tokio::test]
async fn an_answer_is_kept_as_it_came_and_is_not_asked_for_packed() {
    let wire = Wire::saying(|_, _| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            ZEROS.len()
        );
        vec![Say::text(head), Say::Bytes(ZEROS.to_vec())]
    })
    .await;
    let server = server(LONG).await;
    let delivery = server.delivery_to(&wire.url("/")).await;
    // The first two bytes of whatever is gzip, the second of which is no text.
    let kept = text(&delivery["attempts"][0]["response"]);
    assert!(kept.starts_with("\u{1f}\u{fffd}"), "{kept:?}");
    let asked = &wire.requests()[0];
    assert!(
        !asked.to_ascii_lowercase().contains("accept-encoding"),
        "{asked}"
    );
}

#[tokio::test]
async fn a_receiver_that_does_not_shake_hands_is_given_up_in_time() {
    let silent = Wire::saying(|_, _| vec![]).await;
    let plain = Receiver::start().await;
    let server = server(BRIEF).await;
    // The server speaks first, and this one waits for the head of a request, which never comes unencrypted.
    let silent = silent.url("/").replace("http:", "https:");
    let plain = plain.url("/").replace("http:", "https:");
    for (url, error) in [
        (silent, "timeout: timed out connecting"),
        (plain, "tls: TLS with 127.0.0.1"),
    ] {
        let delivery = server.delivery_to(&url).await;
        assert_eq!(delivery["status"], "exhausted", "{delivery}");
        let recorded = text(&delivery["attempts"][0]["error"]);
        assert!(recorded.starts_with(error), "{delivery}");
    }
}

#[tokio::test]
async fn no_redirect_is_followed_wherever_it_leads() {
    let target = Receiver::start().await;
    let inside = target.url("/inside");
    let server = server(LONG).await;
    for (status, location) in [
        (300, inside.as_str()),
        (301, "http://169.254.169.254/latest/meta-data/"),
        (302, "http://metadata.google.internal/"),
        (303, inside.as_str()),
        (307, inside.as_str()),
        (307, "/elsewhere"),
        (308, inside.as_str()),
        (308, "file:///etc/passwd"),
        // Where no redirect stands, a place is no more than a header.
        (200, inside.as_str()),
    ] {
        let headers = format!("location: {location}\r\nrefresh: 0; url={location}\r\n");
        let wire =
            Wire::saying(move |_, _| Say::answer(&format!("{status} X"), &headers, "{}")).await;
        let delivery = server.delivery_to(&wire.url("/")).await;
        let end = if status == 200 {
            "delivered"
        } else {
            "exhausted"
        };
        assert_eq!(
            (&delivery["status"], &delivery["attempts"][0]["status"]),
            (&json!(end), &json!(status)),
            "{location}: {delivery}"
        );
        assert_eq!(wire.requests().len(), 1, "{location}");
    }
    assert_eq!(target.received().len(), 0);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let receiver = Receiver::behaving(|_, _| Answer::Status(410)).await;
    let setup = Setup::probes(&["two"]).set(
        "webhooks.retry",
        json!({"schedule_secs": [0, 0], "jitter": 0}),
    );
    let server = setup.start().await;
    let delivery = server.delivery_to(&receiver.url("/")).await;
    assert_eq!(
        (&delivery["status"], &delivery["next_attempt_at"]),
        (&json!("gone"), &Value::Null)
    );
    assert_eq!(receiver.received().len(), 1);
}

/// A date as HTTP writes it (RFC 9110 section 5.6.7), so far from now.
fn http_date(from_now: chrono::Duration) -> String {
    let date = Utc::now() + from_now;
    date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// How long after its first attempt a delivery is tried again, when that was answered 429 with this `Retry-After`.
async fn wait_after(server: &Server, retry_after: String) -> Duration {
    let wire = Wire::saying(move |_, _| {
        Say::answer(
            "429 Slow down",
            &format!("retry-after: {retry_after}\r\n"),
            "",
        )
    })
    .await;
    let delivery = server.delivery_tried(&wire.url("/"), 1).await;
    let time = |value: &Value| {
        DateTime::parse_from_rfc3339(text(value)).unwrap_or_else(|error| panic!("{value}: {error}"))
    };
    let wait = time(&delivery["next_attempt_at"]) - time(&delivery["attempts"][0]["at"]);
    wait.to_std().expect("the next attempt is later")
}

#[tokio::test]
async fn retry_after_puts_the_next_attempt_off_within_an_hour() {
    let setup = Setup::probes(&["two"]).set(
        "webhooks.retry",
        json!({"schedule_secs": [0, 100], "jitter": 0}),
    );
    let server = setup.start().await;
    let (schedule, hour) = (100, 3600);
    for (retry_after, least) in [
        ("700".to_owned(), 700),
        (http_date(chrono::Duration::seconds(1700)), 1600),
        ("3600".to_owned(), hour),
        ("86400".to_owned(), hour),
        ("99999999999999999999999".to_owned(), hour),
        (http_date(chrono::Duration::days(3000)), hour),
        // The schedule is later, or there is nothing to go by.
        ("1".to_owned(), schedule),
        (http_date(chrono::Duration::days(-1)), schedule),
        ("-700".to_owned(), schedule),
        ("soon".to_owned(), schedule),
        (String::new(), schedule),
    ] {
        let wait = wait_after(&server, retry_after.clone()).await.as_secs();
        // The attempt itself takes its time, and a date is not as exact as a clock.
        let expected = least..=least + 100;
        assert!(expected.contains(&wait), "{retry_after:?}: {wait} s");
    }
}
