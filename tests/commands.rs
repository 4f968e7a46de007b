//! `check`, `build`, `webhooks listen` and `cron next`, as a user calls them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::server::{selvedge, signal};
use crate::support::{SELVEDGE, Setup, graphs, root};

#[test]
fn check_shows_the_graphs_of_the_repository_and_finds_nothing_wrong() {
    graphs::example("echo");
    let (code, text) = selvedge(&root(), &["check"]);
    assert_eq!(code, Some(0), "{text}");
    for word in ["echo", "agent", "fan_out", "approval", "nodes", "channels"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn check_says_what_the_webhook_policy_decides_and_which_gate_decided() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let config = json!({"graphs": {"echo": graphs::example("echo")}});
    std::fs::write(directory.path().join("langgraph.json"), config.to_string()).expect("a file");
    let decide = |url: &str| selvedge(directory.path(), &["check", "--webhook", url]);

    let (code, text) = decide("https://hooks.example.com/in");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("rule: none is needed"), "{text}");
    for (url, words) in [
        ("http://hooks.example.com/", "https"),
        ("https://127.0.0.1/", "loopback"),
        ("https://2130706433/", "raw text"),
        ("https://user@hooks.example.com/", "shape"),
        ("https://metadata.google.internal/", "name"),
    ] {
        let (code, text) = decide(url);
        assert_eq!(code, Some(1), "{url}: {text}");
        assert!(text.contains(words), "{url}: {text}");
    }
}

#[test]
fn check_knows_where_the_server_itself_would_listen() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let url = json!({"require_https": false, "disable_loopback": false});
    let config = json!({"graphs": {"echo": graphs::example("echo")}, "webhooks": {"url": url}});
    std::fs::write(directory.path().join("langgraph.json"), config.to_string()).expect("a file");
    for (url, code, words) in [
        ("http://127.0.0.1:8123/runs", 1, "rule: own_address"),
        ("http://localhost:8123/runs", 1, "gate: connect"),
        ("http://127.0.0.1:9000/", 0, "allowed"),
    ] {
        let (got, text) = selvedge(directory.path(), &["check", "--webhook", url]);
        assert_eq!(got, Some(code), "{url}: {text}");
        assert!(text.contains(words), "{url}: {text}");
    }
}

#[test]
fn check_says_what_a_policy_that_only_reports_would_refuse() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let url = json!({"mode": "report", "allowed_domains": ["hooks.example.com"]});
    let config = json!({"graphs": {"echo": graphs::example("echo")}, "webhooks": {"url": url}});
    std::fs::write(directory.path().join("langgraph.json"), config.to_string()).expect("a file");
    let decide = |url: &str| selvedge(directory.path(), &["check", "--webhook", url]);

    let (code, text) = decide("https://hooks.example.com/in");
    assert_eq!(code, Some(0), "{text}");
    let rule = "rule: allowed_domains, hooks.example.com";
    assert!(text.contains(rule) && !text.contains("reported"), "{text}");
    let (code, text) = decide("http://other.example.com/in");
    assert_eq!(code, Some(0), "{text}");
    for words in [
        "Webhook must use https",
        "rule: require_https",
        "Webhook domain not allowed",
        "rule: allowed_domains",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (code, text) = decide("https://127.0.0.1/");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("gate: address"), "{text}");
}

#[test]
fn the_policies_of_the_page_on_them_are_right() {
    let page = std::fs::read_to_string(root().join("docs/outbound.md")).expect("the page");
    let blocks = page.split("```json\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().expect("a block"));
    let mut checked = 0;
    for block in blocks {
        let mut config: Value = serde_json::from_str(block).expect("JSON");
        config["graphs"] = json!({"echo": "./echo.wasm"});
        if config["secrets"].is_object() {
            config["secrets"]["MODEL_API_KEY"]["value"] = json!("a key");
        }
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let file = directory.path().join("langgraph.json");
        std::fs::write(file, config.to_string()).expect("a file");
        // Decided one way or the other: the configuration is not what stops it.
        let url = "https://hooks.example.com/";
        let (code, text) = selvedge(directory.path(), &["check", "--webhook", url]);
        assert_ne!(code, Some(2), "{block}: {text}");
        checked += 1;
    }
    assert_eq!(checked, 5);
}

#[test]
fn check_prints_a_json_schema() {
    let (code, text) = selvedge(&root(), &["check", "--schema"]);
    assert_eq!(code, Some(0));
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(schema["properties"]["graphs"]["type"], "object");
}

#[test]
fn build_says_what_is_wrong_with_a_folder_that_holds_no_graph() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let (code, text) = selvedge(directory.path(), &["build", "."]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("Cargo.toml"), "{text}");
}

#[tokio::test]
async fn webhooks_listen_prints_each_delivery_and_answers_badly_when_asked_to() {
    let mut listen = Command::new(SELVEDGE)
        .args(["webhooks", "listen", "--port", "0", "--fail", "1", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("selvedge starts");
    let mut lines = BufReader::new(listen.stdout.take().expect("its output")).lines();
    let mut next = move || lines.next().expect("a line").expect("text");
    let first = next();
    let url = &first[first.find("http://").expect("a URL")..];

    let server = Setup::probes(&["two"])
        .set("webhooks.retry", json!({"schedule_secs": [0, 0]}))
        .start()
        .await;
    let body = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": url.trim()});
    server.post_json("/runs/wait", &body).await;
    let deliveries: Vec<Value> = tokio::task::spawn_blocking(move || {
        (0..2)
            .map(|_| serde_json::from_str(&next()).expect("JSON"))
            .collect()
    })
    .await
    .expect("two deliveries");
    let text = |delivery: &Value| delivery.to_string();
    assert!(text(&deliveries[0]).contains("500"), "{deliveries:?}");
    assert!(text(&deliveries[1]).contains("200"), "{deliveries:?}");
    signal(listen.id(), "INT");
    assert!(listen.wait().expect("it ends").success());
}

#[test]
fn cron_next_prints_the_next_times_on_the_wall_and_in_utc() {
    let next = |arguments: &[&str]| selvedge(&root(), &[&["cron", "next"], arguments].concat());
    let after = ["--after", "2027-03-26T00:00:00Z"];

    let workdays = ["0 9 * * 1-5", "--tz", "Europe/Berlin"];
    let (code, text) = next(&[&workdays[..], &after].concat());
    assert_eq!(code, Some(0), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 10, "{text}");
    // Clocks are changed on the Sunday between.
    assert_eq!(
        lines[..2],
        [
            "2027-03-26T09:00:00+01:00  Fri  2027-03-26T08:00:00Z",
            "2027-03-29T09:00:00+02:00  Mon  2027-03-29T07:00:00Z",
        ]
    );

    let (code, text) = next(&["@daily", "--count", "1"]);
    assert_eq!((code, text.lines().count()), (Some(0), 1), "{text}");

    let (code, text) = next(&["0 0 1 1 * 0 2020"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("passed"), "{text}");
}

#[test]
fn cron_next_says_what_is_wrong_with_a_schedule_or_a_time_zone() {
    for (arguments, words) in [
        (["0 24 * * *", "--tz", "UTC"], "hour: `24` is out of range"),
        (["0 0 30 2 *", "--tz", "UTC"], "never fires"),
        (["@daily", "--tz", "Mars/X"], "IANA"),
        (["@daily", "--after", "noon"], "--after"),
    ] {
        let (code, text) = selvedge(&root(), &[&["cron", "next"], &arguments[..]].concat());
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}
