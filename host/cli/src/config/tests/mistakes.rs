//! What cannot be honoured, or has no effect: a line that names the key and says what to write.

use std::path::Path;

use serde_json::json;

use super::super::{Flags, load};
use super::{config, load_text, one_problem, problems, with};

#[test]
fn each_mistake_has_one_line_that_names_the_key_and_what_to_write() {
    for (keys, expected) in [
        (
            json!({ "sandbx": {} }),
            "sandbx: unknown key; did you mean `sandbox`?",
        ),
        (
            json!({ "sandbox": { "cpu": 1 } }),
            "sandbox.cpu: unknown key; did you mean `cpu_ms`?",
        ),
        (
            json!({ "max_connections": 1 }),
            "max_connections: unknown key; there is `http.max_connections`",
        ),
        (json!({ "zzz": 1 }), "zzz: unknown key"),
        (
            json!({ "http.max_body_bytes": 1 }),
            "http.max_body_bytes: unknown key; write it as `max_body_bytes` in the object `http`",
        ),
        (json!({ "graphs": {} }), "graphs: names no graph"),
        (
            json!({ "sandbox": { "cpu_ms": "5" } }),
            "sandbox.cpu_ms: must be a whole number, not a text",
        ),
        (
            json!({ "sandbox": { "cpu_ms": 0 } }),
            "sandbox.cpu_ms: must be a whole number from 1 to 4294967296, not 0",
        ),
        (
            json!({ "sandbox": { "cpu_ms": 1.5 } }),
            "sandbox.cpu_ms: must be a whole number from 1 to 4294967296, not 1.5",
        ),
        (
            json!({ "sandbox": { "json_depth": 129 } }),
            "sandbox.json_depth: must be a whole number from 8 to 128, not 129",
        ),
        (
            json!({ "storage": { "synchronous": "off" } }),
            "storage.synchronous: must be \"full\" or \"normal\", not \"off\"",
        ),
        (
            json!({ "webhooks": { "retry": { "jitter": 2 } } }),
            "webhooks.retry.jitter: must be a number from 0 to 1, not 2",
        ),
        (
            json!({ "webhooks": { "url": { "allowed_domains": ["a.example", "a.*.example"] } } }),
            "webhooks.url.allowed_domains[1]: a wildcard stands only at the start: \"*.example.com\"",
        ),
        (
            json!({ "webhooks": { "url": { "allowed_networks": ["10.20.1.0/16"] } } }),
            "webhooks.url.allowed_networks[0]: \"10.20.1.0/16\" has bits beyond its prefix: write \"10.20.0.0/16\"",
        ),
        (
            json!({ "egress": { "denied_networks": ["ten"] } }),
            "egress.denied_networks[0]: a network is written like \"10.20.0.0/16\", not \"ten\"",
        ),
        (
            json!({ "egress": { "allowed_ports": [0] } }),
            "egress.allowed_ports[0]: must be a port from 1 to 65535, not the number 0",
        ),
        (
            json!({ "egress": { "methods": ["get"] } }),
            "egress.methods[0]: a method is written like \"GET\", not \"get\"",
        ),
        (
            json!({ "webhooks": { "headers": { "Webhook-Id": "x" } } }),
            "webhooks.headers.Webhook-Id: this header is set by Selvedge",
        ),
        (
            json!({ "webhooks": { "allowed_fields": ["run"] } }),
            "webhooks.allowed_fields[0]: \"run\" is no member of a webhook's body: run_id, thread_id, assistant_id, metadata, status, kwargs, multitask_strategy, created_at, updated_at, run_started_at, run_ended_at, webhook_sent_at, values, error, interrupts",
        ),
        (
            json!({ "webhooks": { "retry": { "schedule_secs": [] } } }),
            "webhooks.retry.schedule_secs: needs at least one entry: the first attempt",
        ),
        (
            json!({ "webhooks": { "signing": { "secrets": ["whsec_not base64"] } } }),
            "webhooks.signing.secrets[0]: is not base64, with or without \"whsec_\" before it",
        ),
        (
            json!({ "webhooks": { "signing": { "secrets": ["whsec_c2hvcnQ="] } } }),
            "webhooks.signing.secrets[0]: holds 5 bytes: a secret has 24 to 64, which `whsec_$(openssl rand -base64 32)` makes",
        ),
        (
            json!({ "webhooks": { "signing": { "secrets": [7] } } }),
            "webhooks.signing.secrets[0]: must be a text, not the number 7",
        ),
        (
            json!({ "webhooks": { "signing": { "secrets": vec!["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"; 9] } } }),
            "webhooks.signing.secrets: at most 8 secrets are in use at once",
        ),
        (
            json!({ "webhooks": { "headers": { "X": "x".repeat(40_000), "Y": "y".repeat(30_000) } } }),
            "webhooks.headers: hold more than 64512 bytes in all, names and values together",
        ),
        (
            json!({ "webhooks": { "headers": { "X Y": "x" } } }),
            "webhooks.headers.X Y: \"X Y\" cannot be the name of a header",
        ),
        (
            json!({ "webhooks": { "headers": { "X": "a\nb" } } }),
            "webhooks.headers.X: holds a character that a header cannot have",
        ),
        (
            json!({ "webhooks": { "url": { "mode": "log" } } }),
            "webhooks.url.mode: must be \"enforce\" or \"report\", not \"log\"",
        ),
        (
            json!({ "secrets": { "KEY": { "value": "v" } } }),
            "secrets.KEY.hosts: must be given",
        ),
        (
            json!({ "env": { "A-B": "x" } }),
            "env.A-B: \"A-B\" cannot be the name of a variable",
        ),
        (
            json!({ "env": { "PORT": 1 } }),
            "env.PORT: must be a text, not the number 1",
        ),
        (
            json!({ "env": { "KEY": "x" }, "secrets": { "KEY": { "value": "v", "hosts": ["a.example"] } } }),
            "graphs.echo: KEY is both a variable of `env` and one of `secrets`",
        ),
        (
            json!({
                "graphs": {
                    "a": "./a.wasm",
                    "b": { "path": "./b.wasm", "sandbox": { "stack_bytes": 1048576 } },
                },
                "sandbox": { "max_instances": 4097 },
            }),
            "sandbox.max_instances: is too much for graphs of 2 different stack_bytes: their product is 8192 at most",
        ),
        (
            json!({ "sandbox": { "memory_bytes": 4194304, "total_memory_bytes": 2097152 } }),
            "sandbox.total_memory_bytes: is less than memory_bytes of graph `echo`: it could never run",
        ),
    ] {
        one_problem(&keys, expected);
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let keys = json!({ "sandbox": { "cpu_ms": "x", "walls": 1 }, "http": { "app": "./a.py:app" }, "egres": {} });
    assert_eq!(problems(&keys).len(), 4);
}

#[test]
fn a_text_that_is_no_json_is_reported_with_its_position() {
    let problems = load_text("{\n  \"graphs\": {,}\n}", &[]).unwrap_err();
    assert_eq!(problems, ["langgraph.json:2:14: key must be a string"]);
    assert_eq!(
        load_text("[]", &[]).unwrap_err(),
        ["langgraph.json: must be an object, not a list"]
    );
    assert_eq!(
        load_text("{}", &[]).unwrap_err(),
        ["langgraph.json: graphs: must be given"]
    );
    let twice = r#"{ "graphs": { "a": "./a.wasm" }, "egress": {}, "egress": {} }"#;
    assert_eq!(
        load_text(twice, &[]).unwrap_err(),
        ["langgraph.json:1:55: the key `egress` stands twice"]
    );
}

#[test]
fn keys_of_langgraphs_that_cannot_be_honoured_say_what_to_use_instead() {
    let auth =
        problems(&json!({ "auth": { "path": "./auth.py:auth", "disable_studio_auth": true } }));
    assert_eq!(auth.len(), 2);
    assert!(
        auth[0].contains("auth.path") && auth[0].contains("auth.api_keys"),
        "{auth:?}"
    );
    one_problem(
        &json!({ "auth": { "api_keys": [] } }),
        "auth: lets nobody in: give it `api_keys` or `jwt`, or remove it",
    );
    one_problem(
        &json!({ "auth": {} }),
        "auth: lets nobody in: give it `api_keys` or `jwt`, or remove it",
    );
    one_problem(
        &json!({ "checkpointer": { "backend": "mongo" } }),
        "checkpointer.backend: must be \"default\", not \"mongo\"",
    );
    for keys in [
        json!({ "encryption": { "path": "./e.py" } }),
        json!({ "priority": { "path": "./p.py" } }),
        json!({ "http": { "app": "./a.py:app" } }),
        json!({ "store": { "path": "./s.py" } }),
        json!({ "env": { "LANGGRAPH_AES_KEY": "k" } }),
    ] {
        assert_eq!(problems(&keys).len(), 1, "{keys}");
    }
    for (name, value) in [
        ("LANGGRAPH_AES_KEY", "k"),
        ("LANGGRAPH_AUTH_TYPE", "custom"),
        ("DATABASE_URI", "postgres://"),
    ] {
        let problems = load_text(&with(&json!({})), &[(name, value)]).unwrap_err();
        assert!(
            problems[0].starts_with(&format!("variable {name}: ")),
            "{problems:?}"
        );
    }
    assert!(load_text(&with(&json!({})), &[("LANGGRAPH_AUTH_TYPE", "noop")]).is_ok());
}

#[test]
fn image_building_keys_give_one_warning_that_names_them() {
    let config =
        config(&json!({ "dependencies": ["."], "python_version": "3.11", "$schema": "x" }));
    assert_eq!(
        config.warnings,
        ["langgraph.json: no effect here: dependencies, python_version, $schema"]
    );
}

#[test]
fn a_variable_that_nothing_reads_gives_a_warning() {
    let config = load_text(
        &with(&json!({})),
        &[("SELVEDGE_SANDBOX_CPU", "1"), ("SELVEDGE_PORT", "1")],
    )
    .unwrap();
    assert_eq!(
        config.warnings,
        ["variable SELVEDGE_SANDBOX_CPU has no effect; did you mean SELVEDGE_SANDBOX_CPU_MS?"]
    );
}

#[test]
fn a_missing_file_says_what_to_do() {
    let problems = load(&Flags::of(Path::new("/nowhere/langgraph.json")))
        .unwrap_err()
        .to_string();
    assert_eq!(
        problems,
        "/nowhere/langgraph.json: no such file: go to the folder that has it, or name it with --config"
    );
}
