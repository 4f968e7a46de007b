//! HTTP by graphs: a graph reaches the server that the operator named, in the ways that he named, and nothing else.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::support::dns::Reply;
use crate::support::server::text;
use crate::support::{Dns, Say, Server, Setup, Wire};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 1);
const INSIDE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Every name leads to the network that stands for the internet.
async fn names() -> Dns {
    Dns::saying(|_, _| Reply::addresses(&["127.66.0.1"])).await
}

/// A server of `calls` that may POST to `model.example.com` on this port.
fn allowed(dns: &Dns, port: u16) -> Setup {
    Setup::probes(&["calls"]).asking(dns).set(
        "egress",
        json!({
            "allowed_domains": ["model.example.com"], "allowed_networks": ["127.66.0.0/16"],
            "allowed_ports": [port], "require_https": false, "methods": ["POST"],
        }),
    )
}

fn post(url: &str) -> Value {
    json!({"method": "POST", "url": url})
}

/// What came of each request of a run.
async fn outcomes(server: &Server, requests: &[Value]) -> Vec<String> {
    let run = json!({"assistant_id": "calls", "input": {"requests": requests}});
    let values = server.post_json("/runs/wait", &run).await;
    let outcomes = values["outcomes"]
        .as_array()
        .unwrap_or_else(|| panic!("{values}"));
    outcomes
        .iter()
        .map(|outcome| text(outcome).to_owned())
        .collect()
}

#[tokio::test]
async fn a_graph_reaches_the_allowed_server_and_nothing_else() {
    let dns = names().await;
    let [outside, inside] = Wire::twins([OUTSIDE, INSIDE], "200 OK").await;
    let port = outside.address.port();
    let elsewhere = Wire::saying(|_, _| Say::answer("200 OK", "", "{}")).await;
    let server = allowed(&dns, port).start().await;

    let model = format!("http://model.example.com:{port}");
    let reached = [
        post(&format!("{model}/v1?token=s3cret")),
        post(&format!("http://MODEL.example.com:{port}/")),
    ];
    assert_eq!(outcomes(&server, &reached).await, ["200 {}", "200 {}"]);
    let asked = outside.requests();
    assert!(
        asked[0].starts_with("POST /v1?token=s3cret HTTP/1.1"),
        "{asked:?}"
    );

    let mut refused = vec![
        json!({"method": "GET", "url": model}),
        json!({"method": "DELETE", "url": model}),
        json!({"method": "post", "url": model}),
        json!({"method": "TRACE", "url": model}),
        json!({"method": "CONNECT", "url": model}),
        post(&format!(
            "http://model.example.com:{}/",
            elsewhere.address.port()
        )),
        post("http://model.example.com/"),
    ];
    for host in [
        "other.example.com",
        "sub.model.example.com",
        "model.example.com.",
        "xmodel.example.com",
        "model.example.com.evil.example.org",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "metadata.google.internal",
        "169.254.169.254",
        "user:password@model.example.com",
        "model.example.com@127.0.0.1",
    ] {
        refused.push(post(&format!("http://{host}:{port}/")));
    }
    for (request, outcome) in refused.iter().zip(outcomes(&server, &refused).await) {
        assert!(!outcome.starts_with("200"), "{request}: {outcome}");
        let words = ["not allowed", "not valid"];
        assert!(
            words.iter().any(|word| outcome.contains(word)),
            "{request}: {outcome}"
        );
    }
    assert_eq!(outside.requests().len(), 2);
    assert_eq!(
        (inside.requests().len(), elsewhere.requests().len()),
        (0, 0)
    );
    assert!(!server.log().contains("s3cret"), "a query is in the log");
}

#[tokio::test]
async fn a_graph_is_shown_a_redirect_and_is_not_led_by_it() {
    let dns = names().await;
    let [inside, _] = Wire::twins([INSIDE, OUTSIDE], "200 OK").await;
    let location = inside.url("/latest/meta-data");
    let redirecting = Wire::at(OUTSIDE, move |head, _| {
        let status = head.split('/').nth(1).and_then(|rest| rest.get(..3));
        let status = format!("{} X", status.unwrap_or("200"));
        Say::answer(&status, &format!("location: {location}\r\n"), "go")
    })
    .await;
    let port = redirecting.address.port();
    let server = allowed(&dns, port).start().await;
    let statuses = ["301", "302", "303", "307", "308"];
    let requests = statuses.map(|s| post(&format!("http://model.example.com:{port}/{s}")));
    let expected = statuses.map(|status| format!("{status} go"));
    assert_eq!(outcomes(&server, &requests).await, expected);
    assert_eq!(redirecting.requests().len(), 5);
    assert_eq!(inside.requests().len(), 0);
}

#[tokio::test]
async fn a_graph_does_not_choose_the_host_that_its_request_names() {
    let dns = names().await;
    let [outside, _] = Wire::twins([OUTSIDE, INSIDE], "200 OK").await;
    let port = outside.address.port();
    let server = allowed(&dns, port).start().await;
    let url = format!("http://model.example.com:{port}/");
    let headers = [
        ("host", "inside.example.com"),
        ("connection", "upgrade"),
        ("upgrade", "h2c"),
        ("transfer-encoding", "chunked, identity"),
        ("proxy-authorization", "Basic eA=="),
        ("te", "trailers"),
        ("x-a", "b\r\nhost: inside.example.com"),
    ];
    let requests = headers.map(|(name, value)| {
        let mut request = post(&url);
        request["headers"][name] = json!(value);
        request
    });
    outcomes(&server, &requests).await;
    let host = format!("host: model.example.com:{port}");
    for head in outside.requests() {
        let hosts: Vec<&str> = head
            .lines()
            .filter(|line| line.to_lowercase().starts_with("host:"))
            .collect();
        assert_eq!(hosts, [host.as_str()], "{head}");
        for header in ["upgrade", "proxy-authorization", "identity"] {
            assert!(!head.contains(header), "{head}");
        }
    }
}

#[tokio::test]
async fn what_a_server_sends_to_a_graph_has_bounds() {
    let dns = names().await;
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000)).into_bytes();
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let wire = Wire::at(OUTSIDE, move |request, _| {
        let rest = match request.split(' ').nth(1) {
            Some("/endless") => Say::Endlessly(chunk.clone()),
            Some("/slow") => Say::Slowly("1\r\nx\r\n"),
            _ => Say::Nothing,
        };
        vec![Say::text(head), rest]
    })
    .await;
    let port = wire.address.port();
    let server = allowed(&dns, port)
        .set("egress.max_response_bytes", 100_000)
        .set("egress.timeout_secs", 2)
        .start()
        .await;
    let requests = ["endless", "slow", "silent"]
        .map(|path| post(&format!("http://model.example.com:{port}/{path}")));
    let outcomes = outcomes(&server, &requests).await;
    assert!(
        outcomes[0].contains("exceeds limit: 100000 bytes"),
        "{outcomes:?}"
    );
    for late in &outcomes[1..] {
        assert!(late.contains("HTTP response timeout"), "{outcomes:?}");
    }
    assert!(wire.written() < 32 << 20, "{} bytes", wire.written());
}

#[tokio::test]
async fn no_proxy_of_the_environment_is_asked() {
    let dns = names().await;
    let proxy = Wire::saying(|_, _| Say::answer("200 OK", "", "from the proxy")).await;
    let [outside, _] = Wire::twins([OUTSIDE, INSIDE], "200 OK").await;
    let port = outside.address.port();
    let mut setup = allowed(&dns, port);
    let both = Setup::probes(&["calls", "two"]);
    setup.config["graphs"] = both.config["graphs"].clone();
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        setup = setup.env(name, &proxy.url(""));
    }
    let server = setup
        .set("webhooks.url.disable_loopback", true)
        .set("webhooks.url.allowed_networks", json!(["127.66.0.0/16"]))
        .start()
        .await;
    let url = format!("http://model.example.com:{port}/");
    assert_eq!(outcomes(&server, &[post(&url)]).await, ["200 {}"]);
    let delivery = server.delivery_to(&url).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
    assert_eq!((outside.requests().len(), proxy.requests().len()), (2, 0));
}
