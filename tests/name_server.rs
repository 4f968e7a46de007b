//! Names are looked up at each connection, and every answer is judged: a name server cannot lead a request inside.
//!
//! The tests' own name server has the server's questions. One network stands for the public internet, which no test
//! reaches: the policy opens it. Loopback is closed, as it is by default, and what must not be called listens there.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::dns::Reply;
use crate::support::server::text;
use crate::support::{Dns, Setup, Wire};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 1);
const INSIDE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const NETWORK: &str = "127.66.0.0/16";
const METADATA: &str = "169.254.169.254";

/// Webhooks may go to the network outside, and are tried once and then at once again.
fn webhooks(dns: &Dns) -> Setup {
    Setup::probes(&["two"]).asking(dns).set(
        "webhooks",
        json!({
            "url": {"require_https": false, "allowed_networks": [NETWORK]},
            "retry": {"schedule_secs": [0, 0], "jitter": 0},
        }),
    )
}

fn attempts(delivery: &Value) -> &Vec<Value> {
    delivery["attempts"].as_array().expect("attempts")
}

#[tokio::test]
async fn a_name_that_is_rebound_between_two_attempts_is_blocked_at_the_second() {
    let dns = Dns::saying(|_, before| match before {
        0 => Reply::addresses(&["127.66.0.1"]),
        _ => Reply::addresses(&["127.0.0.1"]),
    })
    .await;
    let [outside, inside] = Wire::twins([OUTSIDE, INSIDE], "503 Service Unavailable").await;
    let server = webhooks(&dns).start().await;
    let url = format!("http://rebound.example.com:{}/", outside.address.port());
    let delivery = server.delivery_to(&url).await;
    assert_eq!(delivery["status"], "blocked", "{delivery}");
    let [first, second] = attempts(&delivery).as_slice() else {
        panic!("{delivery}");
    };
    assert_eq!(
        (&first["status"], &first["address"]),
        (&json!(503), &json!(outside.address.to_string()))
    );
    assert!(
        text(&second["error"]).contains("loopback IP range"),
        "{delivery}"
    );
    assert_eq!(
        (outside.requests().len(), inside.requests().len()),
        (1, 0),
        "{delivery}"
    );
    assert_eq!(dns.lookups("rebound.example.com"), 2);
}

#[tokio::test]
async fn nobody_is_asked_for_a_name_before_it_is_called() {
    let dns = Dns::saying(|_, _| Reply::addresses(&["127.66.0.1"])).await;
    let [outside, _] = Wire::twins([OUTSIDE, INSIDE], "200 OK").await;
    let name = "asked.example.com";
    let url = format!("http://{name}:{}/", outside.address.port());
    let silent = webhooks(&dns).set("http", json!({"disable_webhooks": true}));
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": url});
    silent.start().await.post_json("/runs/wait", &body).await;
    assert_eq!(dns.lookups(name), 0);
    let delivery = webhooks(&dns).start().await.delivery_to(&url).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
    assert!(dns.lookups(name) > 0);
}

#[tokio::test]
async fn one_bad_address_among_good_ones_refuses_the_name() {
    let many = [
        "127.66.0.1",
        "127.66.0.2",
        "127.66.0.3",
        "127.66.0.4",
        "127.66.0.5",
        "127.66.0.6",
        "127.66.0.7",
        "127.66.0.8",
        "127.66.0.9",
        METADATA,
    ];
    let dns = Dns::saying(move |name, _| match name.split('.').next() {
        Some("good") => Reply::addresses(&["127.66.0.1"]),
        Some("aliased") => Reply::alias(
            &["a.example.net", "b.example.org", "c.example.com"],
            &["127.66.0.1"],
        ),
        Some("mixed") => Reply::addresses(&["127.66.0.1", "10.0.0.1"]),
        Some("families") => Reply::addresses(&["127.66.0.1", "::1"]),
        Some("many") => Reply::addresses(&many),
        Some("inward") => Reply::alias(&["a.example.net", "metadata.google.internal"], &[METADATA]),
        Some("mapped") => Reply::addresses(&["::ffff:127.0.0.1"]),
        Some("nat64") => Reply::addresses(&["64:ff9b::7f00:1"]),
        Some("sixtofour") => Reply::addresses(&["2002:7f00:1::1"]),
        Some("unspecified") => Reply::addresses(&["0.0.0.0"]),
        other => panic!("{other:?}"),
    })
    .await;
    let [outside, inside] = Wire::twins([OUTSIDE, INSIDE], "200 OK").await;
    let server = webhooks(&dns).start().await;
    for (host, reason) in [
        ("mixed", "private IP range"),
        ("families", "loopback IP range"),
        ("many", "cloud metadata endpoint"),
        ("inward", "cloud metadata endpoint"),
        ("mapped", "blocked IP range"),
        ("nat64", "loopback IP range"),
        ("sixtofour", "blocked IP range"),
        ("unspecified", "blocked IP range"),
    ] {
        let url = format!("http://{host}.example.com:{}/", outside.address.port());
        let delivery = server.delivery_to(&url).await;
        assert_eq!(delivery["status"], "blocked", "{host}: {delivery}");
        let error = text(&attempts(&delivery)[0]["error"]);
        assert!(error.contains(reason), "{host}: {error}");
    }
    assert_eq!(outside.requests().len(), 0);
    for host in ["good", "aliased"] {
        let url = format!("http://{host}.example.com:{}/", outside.address.port());
        let delivery = server.delivery_to(&url).await;
        assert_eq!(delivery["status"], "delivered", "{host}: {delivery}");
    }
    assert_eq!(inside.requests().len(), 0);
}

#[tokio::test]
async fn a_name_without_an_address_is_tried_again() {
    let dns = Dns::saying(|name, before| match (name, before) {
        (_, 1) => Reply::addresses(&["127.66.0.1"]),
        ("unknown.example.com", _) => Reply::Unknown,
        _ => Reply::addresses(&[]),
    })
    .await;
    let [outside, _] = Wire::twins([OUTSIDE, INSIDE], "200 OK").await;
    let server = webhooks(&dns).start().await;
    for host in ["unknown", "empty"] {
        let url = format!("http://{host}.example.com:{}/", outside.address.port());
        let delivery = server.delivery_to(&url).await;
        assert_eq!(delivery["status"], "delivered", "{host}: {delivery}");
        let error = text(&attempts(&delivery)[0]["error"]);
        assert!(error.starts_with("dns: cannot resolve"), "{host}: {error}");
    }
}

#[tokio::test]
async fn a_name_server_that_is_slow_or_silent_holds_up_its_own_names_alone() {
    let dns = Dns::saying(|name, _| match name {
        "silent.example.com" => Reply::Silence,
        "slow.example.com" => Reply::late(Duration::from_millis(300), &["127.66.0.1"]),
        _ => Reply::addresses(&["127.66.0.1"]),
    })
    .await;
    let [outside, _] = Wire::twins([OUTSIDE, INSIDE], "200 OK").await;
    let url = |host: &str| format!("http://{host}.example.com:{}/", outside.address.port());
    let setup = webhooks(&dns)
        .set("webhooks.timeout_secs", 4)
        .set("webhooks.retry.schedule_secs", json!([0]));
    let mut server = setup.start().await;
    let urls = ["silent", "slow", "good"].map(url);
    let (silent, slow, good) = tokio::join!(
        server.delivery_to(&urls[0]),
        server.delivery_to(&urls[1]),
        server.delivery_to(&urls[2])
    );
    assert_eq!(
        (&slow["status"], &good["status"]),
        (&json!("delivered"), &json!("delivered"))
    );
    assert_eq!(silent["status"], "exhausted");
    assert_eq!(
        attempts(&silent)[0]["error"],
        "timeout: timed out connecting"
    );
    // The system's look-up goes on for a minute and a half. The end of the process does not wait for it.
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_graph_is_not_led_inside_by_a_name_that_it_may_call() {
    let dns = Dns::saying(|name, before| match (name, before) {
        ("rebound.example.com", 1..) => Reply::addresses(&["127.0.0.1"]),
        ("mixed.example.com", _) => Reply::addresses(&["127.66.0.1", METADATA]),
        _ => Reply::addresses(&["127.66.0.1"]),
    })
    .await;
    let [outside, inside] = Wire::twins([OUTSIDE, INSIDE], "200 OK").await;
    let port = outside.address.port();
    let setup = Setup::probes(&["calls"]).asking(&dns).set(
        "egress",
        json!({
            "allowed_domains": ["*.example.com"], "allowed_networks": [NETWORK],
            "require_https": false, "allowed_ports": [port],
        }),
    );
    let server = setup.start().await;
    let call =
        |host: &str| json!({"method": "GET", "url": format!("http://{host}.example.com:{port}/")});
    let requests = ["rebound", "rebound", "mixed", "good"].map(call);
    let run = json!({"assistant_id": "calls", "input": {"requests": requests}});
    let values = server.post_json("/runs/wait", &run).await;
    let outcomes = values["outcomes"].as_array().expect("outcomes");
    let allowed: Vec<bool> = outcomes.iter().map(|outcome| outcome == "200 {}").collect();
    assert_eq!(allowed, [true, false, false, true], "{values}");
    for refused in [&outcomes[1], &outcomes[2]] {
        assert!(text(refused).contains("is not allowed"), "{values}");
    }
    assert_eq!((outside.requests().len(), inside.requests().len()), (2, 0));
}
