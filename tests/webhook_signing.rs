//! Receivers can tell whose a delivery is: they verify it with the official library of Standard Webhooks.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::support::receiver::{Answer, Received};
use crate::support::server::{Server, TALKATIVE, signal, text};
use crate::support::{Receiver, SELVEDGE, Setup};

const OLD: &str = "whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk";
const NEW: &str = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";
const OTHER: &str = "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcg==";

/// Whether a receiver that has this secret takes the delivery.
fn is_taken(received: &Received, secret: &str) -> bool {
    let library = Webhook::new(secret).expect("a secret");
    library.verify(&received.body, &received.headers).is_ok()
}

async fn delivered(server: &Server, receiver: &Receiver) -> Received {
    let before = receiver.received().len();
    let body = json!({"assistant_id": "two", "input": {"foo": "ä"}, "webhook": receiver.url("/")});
    server.post_json("/runs/wait", &body).await;
    receiver.wait_for(before + 1).await.remove(before)
}

#[tokio::test]
async fn the_official_library_verifies_deliveries_before_during_and_after_a_rotation() {
    let receiver = Receiver::start().await;
    for (secrets, taken, refused) in [
        (vec!["${{ env.OLD }}"], vec![OLD], vec![NEW, OTHER]),
        (vec![NEW, "${{ env.OLD }}"], vec![NEW, OLD], vec![OTHER]),
        (vec![NEW], vec![NEW], vec![OLD, OTHER]),
    ] {
        let server = Setup::probes(&["two"])
            .set("webhooks.signing", json!({"secrets": secrets}))
            .set("telemetry", json!({"log": TALKATIVE}))
            .env("OLD", OLD)
            .start()
            .await;
        let received = delivered(&server, &receiver).await;
        let signatures = received.header("webhook-signature");
        assert_eq!(signatures.split(' ').count(), secrets.len(), "{signatures}");
        for secret in taken {
            assert!(is_taken(&received, secret), "{secret}: {signatures}");
        }
        for secret in refused {
            assert!(!is_taken(&received, secret), "{secret}: {signatures}");
        }
        let mut changed = received.clone();
        changed.body = changed.body.slice(..changed.body.len() - 1);
        assert!(!is_taken(&changed, NEW) && !is_taken(&changed, OLD));
        let log = server.log();
        assert!(!log.contains("b2xk") && !log.contains("bmV3"), "{log}");
    }
}

#[tokio::test]
async fn each_attempt_has_a_signature_of_its_own_time_and_none_without_secrets() {
    let (receiver, plain) = (
        Receiver::behaving(|_, before| Answer::Status(if before == 0 { 500 } else { 200 })).await,
        Receiver::start().await,
    );
    let server = Setup::probes(&["two"])
        .set("webhooks.signing", json!({"secrets": [NEW]}))
        .set(
            "webhooks.retry",
            json!({"schedule_secs": [0, 1], "jitter": 0}),
        )
        .start()
        .await;
    delivered(&server, &receiver).await;
    let received = receiver.wait_for(2).await;
    assert_eq!(received[0].webhook_id(), received[1].webhook_id());
    assert!(received.iter().all(|attempt| is_taken(attempt, NEW)));
    assert_ne!(
        received[0].header("webhook-signature"),
        received[1].header("webhook-signature")
    );

    let unsigned = delivered(&Setup::probes(&["two"]).start().await, &plain).await;
    assert!(!unsigned.headers.contains_key("webhook-signature"));
}

#[tokio::test]
async fn webhooks_listen_verifies_what_arrives_and_refuses_what_is_not_signed() {
    let mut listen = Command::new(SELVEDGE)
        .args(["webhooks", "listen", "--port", "0", "--json"])
        .args(["--secret", OLD, "--secret", NEW])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("selvedge starts");
    let mut lines = BufReader::new(listen.stdout.take().expect("its output")).lines();
    let mut next = move || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    let url = next();
    let url = text(&url["listening"]);
    for (secrets, signature, answer) in [
        (json!([NEW]), "good", 200),
        (json!([OTHER]), "bad: no signature is by this secret", 401),
        (json!([]), "missing", 401),
    ] {
        let server = Setup::probes(&["two"])
            .set("webhooks.signing", json!({"secrets": secrets}))
            .start()
            .await;
        let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": url});
        server.post_json("/runs/wait", &body).await;
        let shown = next();
        assert_eq!(
            (&shown["signature"], &shown["answer"]),
            (&json!(signature), &json!(answer))
        );
    }
    signal(listen.id(), "INT");
    assert!(listen.wait().expect("it ends").success());
}

#[test]
fn a_secret_that_is_none_is_not_repeated() {
    for text in ["whsec_not base64", "c2hvcnQ="] {
        for from_variable in [false, true] {
            let mut listen = Command::new(SELVEDGE);
            listen.args(["webhooks", "listen", "--port", "0"]);
            if from_variable {
                listen.env("SELVEDGE_LISTEN_SECRET", text);
            } else {
                listen.args(["--secret", text]);
            }
            let output = listen.output().expect("selvedge ends");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains("SELVEDGE_LISTEN_SECRET"), "{said}");
            assert!(!said.contains(text), "{said}");
        }
    }
}
