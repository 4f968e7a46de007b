//! A mistake in `langgraph.json` stops the start with one message that names the key, and exit code 2.

use serde_json::{Value, json};

use crate::support::Setup;

fn refused(config: &Value) -> String {
    let mut setup = Setup::with_graphs(json!({}));
    setup.config = config.clone();
    let (code, log) = (setup.exit_code(), setup.log());
    assert_eq!(code, Some(2), "{config}: {log}");
    log
}

fn with(key: &str, value: Value) -> Value {
    let mut config = json!({"graphs": {"two": "./two.wasm"}});
    let mut at = &mut config;
    for name in key.split('.') {
        at = &mut at[name];
    }
    *at = value;
    config
}

#[test]
fn a_mistake_names_its_key_and_says_what_to_write() {
    let mistakes = [
        (with("webhook", json!({})), vec!["webhook", "webhooks"]),
        (
            with("webhooks.url.require_http", json!(true)),
            vec!["webhooks.url.require_http", "require_https"],
        ),
        (
            with("webhooks.url.require_https", json!("yes")),
            vec!["webhooks.url.require_https"],
        ),
        (
            with("webhooks.url.allowed_domains", json!(["a.*.com"])),
            vec!["webhooks.url.allowed_domains"],
        ),
        (
            with("webhooks.url.allowed_networks", json!(["10.0.0.0/99"])),
            vec!["webhooks.url.allowed_networks"],
        ),
        (
            with(
                "webhooks.headers",
                json!({"X-A": "${{ env.LG_WEBHOOK_UNSET_VARIABLE }}"}),
            ),
            vec!["webhooks.headers", "LG_WEBHOOK_UNSET_VARIABLE"],
        ),
        (
            with("webhooks.headers", json!({"X-A": "${{ env.PATH }}"})),
            vec!["webhooks.headers", "LG_WEBHOOK_"],
        ),
        (with("sandbox.cpu_ms", json!(-1)), vec!["sandbox.cpu_ms"]),
        (
            with("runtime.max_attempts", json!("three")),
            vec!["runtime.max_attempts"],
        ),
        (with("graphs.two", json!(7)), vec!["graphs.two"]),
        (json!({}), vec!["graphs"]),
    ];
    for (config, words) in mistakes {
        let log = refused(&config);
        for word in words {
            assert!(log.contains(word), "{config}: {log}");
        }
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[test]
fn keys_of_langgraph_that_would_leave_a_host_open_are_not_ignored() {
    for (key, value) in [
        ("auth", json!({"path": "./auth.py:auth"})),
        ("encryption", json!({"path": "./encryption.py:e"})),
        ("http.app", json!("./app.py:app")),
        ("store.path", json!("./store.py:store")),
    ] {
        let log = refused(&with(key, value));
        assert!(
            log.contains(key.split('.').next().expect("a word")),
            "{key}: {log}"
        );
    }
}

#[test]
fn every_mistake_has_a_line_of_its_own() {
    let mut config = with("sandbox.cpu_ms", json!("a"));
    config["runtime"] = json!({"max_attempts": []});
    config["nonsense"] = json!(1);
    let log = refused(&config);
    for key in ["sandbox.cpu_ms", "runtime.max_attempts", "nonsense"] {
        assert!(log.lines().any(|line| line.contains(key)), "{log}");
    }
}

#[test]
fn a_file_that_is_not_there_or_no_json_is_an_error_with_its_name() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let (code, text) = crate::support::server::selvedge(directory.path(), &["serve"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("langgraph.json"), "{text}");
    std::fs::write(directory.path().join("langgraph.json"), "{\"graphs\": {,}}").expect("a file");
    let (code, text) = crate::support::server::selvedge(directory.path(), &["serve"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("langgraph.json"), "{text}");
}
