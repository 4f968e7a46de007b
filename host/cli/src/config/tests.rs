//! The rules for keys, over texts of files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::keys::{Fallback, Kind, Status};
use super::table::KEYS;
use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment {
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        directory: PathBuf::from("/project"),
        needs_values: true,
    }
}

fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let flags = Flags::of(Path::new("langgraph.json"));
    parse(text, &flags, &environment(variables))
        .map_err(|problems| problems.to_string().lines().map(str::to_owned).collect())
}

/// A file with one graph and these keys.
fn with(keys: &Value) -> String {
    let mut file = json!({ "graphs": { "echo": "./echo.wasm" } });
    for (name, value) in keys.as_object().unwrap() {
        file[name] = value.clone();
    }
    file.to_string()
}

fn config(keys: &Value) -> Config {
    load_text(&with(keys), &[]).unwrap()
}

fn problems(keys: &Value) -> Vec<String> {
    load_text(&with(keys), &[]).unwrap_err()
}

#[track_caller]
fn one_problem(keys: &Value, expected: &str) {
    assert_eq!(
        problems(keys),
        [format!("langgraph.json: {expected}")],
        "{keys}"
    );
}

#[test]
fn a_file_with_one_graph_has_the_documented_defaults() {
    let config = config(&json!({}));
    let graph = &config.graphs[0];
    assert_eq!(
        (graph.id.as_str(), graph.path.as_path()),
        ("echo", Path::new("/project/./echo.wasm"))
    );
    assert_eq!(graph.limits.memory_bytes, 268_435_456);
    assert_eq!(graph.limits.cpu, Duration::from_secs(10));
    assert_eq!(graph.limits.wall, Duration::from_secs(600));
    assert_eq!((graph.limits.json_depth, graph.limits.sends), (128, 10_000));
    assert_eq!(config.http.max_body_bytes, 33_554_432);
    assert_eq!(config.http.max_header_bytes, 32_768);
    assert!(config.webhooks.enabled && config.webhooks.url.require_https);
    assert!(config.webhooks.url.disable_loopback && config.webhooks.url.disable_private_ips);
    assert_eq!(config.webhooks.allowed_fields, None);
    assert_eq!(config.webhooks.retry_schedule.len(), 10);
    assert_eq!(config.webhooks.timeout, Duration::from_secs(15));
    assert_eq!(config.egress.policy.allowed_ports, [443]);
    assert_eq!(config.egress.timeout, Duration::from_secs(300));
    assert_eq!(config.sandbox.max_instances, 2_048);
    assert_eq!(config.runtime.max_running_runs, 1_000);
    assert_eq!(config.runtime.run_timeout, Duration::from_secs(86_400));
    assert_eq!(config.storage.path, Path::new("/project/.selvedge"));
    assert_eq!(config.storage.synchronous, Synchronous::Full);
    assert!(config.thread_ttl.default.is_none());
    assert_eq!(config.thread_ttl.sweep_interval, Duration::from_mins(5));
    assert_eq!(config.thread_ttl.sweep_limit, 10_000);
    assert_eq!(config.telemetry.log, "info");
    assert!(config.warnings.is_empty());
}

/// A value that fits a key and differs from its default.
fn sample(key: &keys::Key) -> Value {
    match key.kind {
        Kind::Section | Kind::Object | Kind::Map(_) => json!({}),
        Kind::Sections => json!([]),
        Kind::Identity => json!("ann"),
        Kind::Embedding => json!("openai:small"),
        Kind::Text if key.path == "store.index.url" => json!("https://models.example.com/v1"),
        Kind::KeyHash => json!(hash("0a")),
        Kind::Bool => json!(key.default_value() != Some(json!(true))),
        Kind::Uint { min, .. } => json!(min + 1),
        Kind::Fraction => json!(0.5),
        Kind::Text | Kind::AnyText => json!("text"),
        Kind::Choice(choices) => json!(choices.last()),
        Kind::LogFilter => json!("warn,selvedge_api=debug"),
        Kind::List(item) => json!([match item {
            keys::Item::Domain | keys::Item::Host => json!("*.example.com"),
            keys::Item::Network => json!("10.20.0.0/16"),
            keys::Item::Port => json!(8443),
            keys::Item::Method => json!("GET"),
            keys::Item::Field => json!("run_id"),
            keys::Item::Path => json!("a.b[*].c"),
            keys::Item::Seconds => json!(7),
            keys::Item::Secret => json!("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            keys::Item::Permission => json!("admin"),
            keys::Item::Origin => json!("https://ui.example.com"),
            keys::Item::HostName => json!("agents.example.com"),
        }]),
        Kind::Environment => json!({ "NAME": "value" }),
        Kind::Graph | Kind::Component => json!("./agent.wasm:name"),
        Kind::Any => json!({}),
    }
}

/// Larger than any bound of one.
const LARGE: u64 = 1 << 34;

/// A bound of many, which is larger than that of one, or the start stops.
fn is_of_all(path: &str) -> bool {
    matches!(
        path,
        "sandbox.total_memory_bytes" | "http.max_body_bytes_total"
    )
}

/// What an API key hashes to.
fn hash(byte: &str) -> String {
    format!("sha256:{}", byte.repeat(32))
}

/// A group that is nothing without some of its members.
fn group(path: &str) -> Option<Value> {
    let api_key = json!({ "name": "ann", "hash": hash("0a") });
    let jwt = json!({ "jwks": "./jwks.json", "issuer": "https://issuer.example", "audience": "selvedge" });
    Some(match path {
        "auth" => json!({ "api_keys": [api_key], "jwt": jwt }),
        "auth.api_keys" => json!([api_key]),
        "auth.api_keys.*" => api_key,
        "auth.jwt" => jwt,
        "store.index" => json!({ "dims": 3, "embed": "openai:small" }),
        "http.tls" => json!({ "certificate": "./cert.pem", "key": "./key.pem" }),
        "http.rate_limit" => json!({ "requests_per_second": 5 }),
        _ => return None,
    })
}

/// A file in which one key has a value; parents that need other keys get them.
fn file_with(path: &str, value: Value) -> Value {
    let mut file = json!({ "graphs": { "echo": { "path": "./echo.wasm" } } });
    let names: Vec<&str> = path.split('.').collect();
    let mut at = &mut file;
    for (depth, name) in names.iter().enumerate() {
        let name = match (*name, depth, names[0]) {
            ("*", 1, "graphs") => "echo",
            ("*", ..) if path.contains("headers") => "X-Team",
            ("*", ..) => "NAME",
            (name, ..) => name,
        };
        at = match at.is_array() {
            true => &mut at[0],
            false => &mut at[name],
        };
        if let Some(group) = group(&names[..=depth].join(".")) {
            *at = group;
        }
        let is_secret = names[depth] == "*" && names[depth - 1] == "secrets";
        if is_secret && depth + 1 < names.len() {
            *at = json!({ "value": "v", "hosts": ["a.example"] });
        }
    }
    *at = value;
    file
}

#[test]
fn every_key_that_works_is_accepted_and_every_other_stops_the_start() {
    for key in KEYS {
        let value = match key.path {
            "graphs" => json!({ "a": "./a.wasm" }),
            path if path.ends_with("secrets.*") => json!({ "value": "v", "hosts": ["127.0.0.1"] }),
            path if is_of_all(path) => json!(LARGE),
            path => group(path).unwrap_or_else(|| sample(key)),
        };
        let file = file_with(key.path, value).to_string();
        let result = load_text(&file, &[]);
        match key.status {
            Status::Works => assert_eq!(result.err(), None, "{}", key.path),
            Status::Ignored => assert!(result.unwrap().warnings[0].contains(key.path)),
            Status::Later => assert!(
                result.unwrap_err()[0].ends_with("not supported by this version of Selvedge yet")
            ),
            Status::Refused => assert!(
                result.unwrap_err()[0].ends_with(key.meaning),
                "{}",
                key.path
            ),
        }
    }
}

#[test]
fn every_key_that_works_refuses_another_type() {
    for key in KEYS.iter().filter(|key| key.status == Status::Works) {
        let wrong = Value::Null;
        let problems = load_text(&file_with(key.path, wrong).to_string(), &[]).unwrap_err();
        assert_eq!(problems.len(), 1, "{}: {problems:?}", key.path);
        assert!(
            problems[0].contains("not null"),
            "{}: {problems:?}",
            key.path
        );
    }
}

#[test]
fn every_default_of_the_table_fits_its_kind() {
    for key in KEYS {
        if let Fallback::Json(text) = key.default {
            let value = key.default_value().unwrap_or_else(|| panic!("{text}"));
            assert_eq!(
                load_text(&file_with(key.path, value).to_string(), &[]).err(),
                None,
                "{}",
                key.path
            );
        }
    }
}

#[test]
fn every_scalar_key_has_a_variable_that_beats_the_file() {
    for key in KEYS {
        let Some(name) = key.selvedge_variable() else {
            continue;
        };
        let text = match sample(key) {
            Value::String(text) => text,
            Value::Array(items) => items[0]
                .as_str()
                .map_or_else(|| items[0].to_string(), str::to_owned),
            other => other.to_string(),
        };
        let text = match is_of_all(key.path) {
            true => LARGE.to_string(),
            false => text,
        };
        let file = match key.path.rsplit_once('.').and_then(|(path, _)| group(path)) {
            Some(_) => file_with(key.path, sample(key)).to_string(),
            None => with(&json!({})),
        };
        let result = load_text(&file, &[(&name, &text)]);
        assert_eq!(result.err(), None, "{name}={text}");
        let takes_any_word = matches!(
            key.kind,
            Kind::Text | Kind::Choice(_) | Kind::LogFilter | Kind::List(keys::Item::Path)
        );
        if !takes_any_word {
            let problems = load_text(&with(&json!({})), &[(&name, "?*?")]).unwrap_err();
            assert!(
                problems[0].starts_with(&format!("variable {name}: ")),
                "{problems:?}"
            );
        }
    }
    let file = with(&json!({ "sandbox": { "cpu_ms": 5 }, "runtime": { "max_running_runs": 5 } }));
    let variables = [
        ("SELVEDGE_SANDBOX_CPU_MS", "7"),
        ("N_JOBS_PER_WORKER", "8"),
        ("BG_JOB_MAX_RETRIES", ""),
    ];
    let config = load_text(&file, &variables).unwrap();
    assert_eq!(config.graphs[0].limits.cpu, Duration::from_millis(7));
    assert_eq!(config.runtime.max_running_runs, 8);
    assert_eq!(config.runtime.max_attempts, 3);
    let both = [
        ("N_JOBS_PER_WORKER", "8"),
        ("SELVEDGE_RUNTIME_MAX_RUNNING_RUNS", "9"),
    ];
    assert_eq!(load_text(&file, &both).unwrap().runtime.max_running_runs, 9);
}

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
fn api_keys_are_a_list_in_which_each_has_one_holder() {
    let (old, new) = (hash("0a"), hash("0b"));
    let config = config(&json!({ "auth": { "api_keys": [
        { "name": "ann", "hash": old, "permissions": ["admin"] }, { "name": "ann", "hash": new },
    ] } }));
    let keys = config.auth.expect("it is there").api_keys;
    let read = keys.iter().map(|key| {
        let permissions = key.permissions.join(",");
        (key.name.to_string(), key.hash.to_string(), permissions)
    });
    let ann =
        |hash: &str, permissions: &str| ("ann".to_owned(), hash.to_owned(), permissions.to_owned());
    assert_eq!(
        read.collect::<Vec<_>>(),
        [ann(&old, "admin"), ann(&new, "")]
    );
    let with = |entries: Value| json!({ "auth": { "api_keys": entries } });
    one_problem(
        &with(json!([{ "name": "ann", "hash": "${{ env.NOBODY }}" }])),
        "auth.api_keys[0].hash: the environment variable NOBODY is not set",
    );
    one_problem(
        &with(json!({ "ann": {} })),
        "auth.api_keys: must be a list of objects, not an object",
    );
    one_problem(
        &with(json!([{ "name": "ann", "hash": old }, "ann"])),
        "auth.api_keys[1]: must be an object, not a text",
    );
    one_problem(
        &with(json!([{ "hash": old }])),
        "auth.api_keys[0].name: must be given",
    );
    one_problem(
        &with(json!([{ "name": "ann", "hash": old, "hashes": [] }])),
        "auth.api_keys[0].hashes: unknown key; did you mean `hash`?",
    );
    one_problem(
        &with(json!([{ "name": "a\nb", "hash": old }])),
        "auth.api_keys[0].name: must have 1 to 255 bytes that can be printed",
    );
    one_problem(
        &with(json!([{ "name": "ann", "hash": old }, { "name": "bob", "hash": old }])),
        "auth.api_keys[1].hash: stands twice: a key has one holder, and everybody needs their own",
    );
}

#[test]
fn items_are_found_by_what_an_endpoint_of_openai_s_form_says_that_they_mean() {
    assert!(config(&json!({})).store.index.is_none());
    let with = |name: &str, value: Value| {
        let mut index = json!({ "dims": 3, "embed": "openai:small" });
        index[name] = value;
        json!({ "store": { "index": index } })
    };
    let index = config(&with("dims", json!(3))).store.index.unwrap();
    assert_eq!((index.dims, index.model.as_str()), (3, "small"));
    assert_eq!(index.url, "https://api.openai.com/v1");
    assert_eq!(
        (index.fields_text, index.api_key),
        (vec!["$".to_owned()], None)
    );
    let (text, key) = (
        super::tests::with(&with("api_key", json!("${{ env.EMBEDDINGS_KEY }}"))),
        [("EMBEDDINGS_KEY", "sk-1")],
    );
    let index = load_text(&text, &key).unwrap().store.index.unwrap();
    assert_eq!(index.api_key.as_deref(), Some("sk-1"));
    assert!(!format!("{index:?}").contains("sk-1"));

    one_problem(
        &json!({ "store": { "index": { "embed": "openai:small" } } }),
        "store.index.dims: must be given",
    );
    one_problem(
        &with("fields", json!(["a", "a[x]"])),
        "store.index.fields[1]: \"a[x]\" is no path: write \"$\" for the whole value, or \"a.b[*].c\"",
    );
    for embed in ["./embed.py:fn", "cohere:english", "openai:"] {
        let problems = problems(&with("embed", json!(embed)));
        assert!(
            problems[0].contains("must be \"openai:MODEL\""),
            "{problems:?}"
        );
    }
    for url in [
        "http://models.example.com/v1",
        "ftp://models.example.com",
        "http://169.254.169.254/",
    ] {
        let problems = problems(&with("url", json!(url)));
        assert!(problems[0].contains("store.index.url: "), "{problems:?}");
    }
}

#[test]
fn bodies_of_the_largest_size_fit_into_what_all_may_weigh() {
    let config = config(&json!({ "http": { "max_body_bytes": 1000 } }));
    assert_eq!(config.http.max_body_bytes_total, 8_000);
    one_problem(
        &json!({ "http": { "max_body_bytes_total": 1000 } }),
        "http.max_body_bytes_total: is less than http.max_body_bytes: the largest body could never be taken",
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
fn variables_are_replaced_where_a_key_allows_it() {
    let keys = json!({
        "webhooks": {
            "headers": { "Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}" },
            "signing": { "secrets": ["${{ env.NEW }}", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] },
        },
        "secrets": { "KEY": { "value": "${{ env.TOKEN }}", "hosts": ["api.example.com"] } },
        "env": { "A": "${{ env.TOKEN }}!" },
    });
    let new = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";
    let variables = [("LG_WEBHOOK_TOKEN", "t1"), ("TOKEN", "t2"), ("NEW", new)];
    let config = load_text(&with(&keys), &variables).unwrap();
    assert_eq!(
        config.webhooks.secrets,
        [new, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    );
    assert_eq!(config.webhooks.options().secrets.len(), 2);
    assert_eq!(
        config.webhooks.headers,
        [("Authorization".to_owned(), "Bearer t1".to_owned())]
    );
    assert_eq!(config.graphs[0].secrets[0].value, "t2");
    assert_eq!(config.graphs[0].env["A"], "t2!");
    assert!(
        !format!("{config:?}").contains("t1")
            && !format!("{config:?}").contains("bmV3")
            && !format!("{:?}", config.graphs[0].secrets).contains("t2")
    );
    assert_eq!(
        load_text(&with(&keys), &[("TOKEN", "t2")]).unwrap_err(),
        [
            "langgraph.json: webhooks.headers.Authorization: the environment variable LG_WEBHOOK_TOKEN is not set",
            "langgraph.json: webhooks.signing.secrets[0]: the environment variable NEW is not set",
        ]
    );
}

#[test]
fn variables_are_refused_where_a_key_does_not_allow_them() {
    for (keys, place) in [
        (
            json!({ "storage": { "path": "${{ env.DIR }}" } }),
            "storage.path",
        ),
        (
            json!({ "egress": { "allowed_domains": ["${{ env.D }}"] } }),
            "egress.allowed_domains[0]",
        ),
        (
            json!({ "sandbox": { "cpu_ms": "${{ env.CPU }}" } }),
            "sandbox.cpu_ms",
        ),
        (
            json!({ "graphs": { "a": { "path": "./a.wasm", "context": { "deep": ["${{ env.X }}"] } } } }),
            "graphs.a.context.deep[0]",
        ),
    ] {
        let problems = problems(&keys);
        assert_eq!(
            problems[0],
            format!("langgraph.json: {place}: variables are not replaced in this key")
        );
    }
    let outside =
        json!({ "webhooks": { "env_prefix": "HOOK_", "headers": { "X": "${{ env.OTHER }}" } } });
    let problems = load_text(&with(&outside), &[("OTHER", "x")]).unwrap_err();
    assert_eq!(
        problems,
        [
            "langgraph.json: webhooks.headers.X: OTHER does not begin with webhooks.env_prefix (\"HOOK_\")"
        ]
    );
    let inside =
        json!({ "webhooks": { "env_prefix": "HOOK_", "headers": { "X": "${{ env.HOOK_X }}" } } });
    let config = load_text(&with(&inside), &[("HOOK_X", "x")]).unwrap();
    assert_eq!(config.webhooks.headers, [("X".to_owned(), "x".to_owned())]);
    let malformed = json!({ "webhooks": { "headers": { "X": "${{ LG_WEBHOOK_X }}" } } });
    one_problem(
        &malformed,
        "webhooks.headers.X: \"${{ LG_WEBHOOK_X }}\" is not of the form ${{ env.NAME }}",
    );
}

#[test]
fn commands_that_need_no_values_do_not_ask_for_variables() {
    let keys = json!({
        "secrets": { "KEY": { "value": "${{ env.UNSET }}", "hosts": ["a.example"] } },
        "webhooks": { "signing": { "secrets": ["${{ env.UNSET }}"] } },
    });
    let environment = Environment {
        needs_values: false,
        ..environment(&[])
    };
    assert!(parse(&with(&keys), &Flags::of(Path::new("f")), &environment).is_ok());
}

#[test]
fn a_graph_is_a_path_or_an_object_and_lays_its_own_over_the_global_ones() {
    let text = json!({
        "graphs": {
            "one": "./a.wasm:first",
            "two": {
                "path": "b.wasm", "description": "second", "config": { "tags": ["x"] }, "context": { "k": 1 },
                "env": { "A": "own" }, "sandbox": { "cpu_ms": 5, "sends": 7, "stack_bytes": 65536, "table_elements": 50000 },
                "secrets": { "S": { "value": "own", "hosts": ["b.example"] } },
            },
        },
        "env": { "A": "all", "B": "all" },
        "sandbox": { "cpu_ms": 9, "events": 3 },
        "secrets": { "S": { "value": "all", "hosts": ["a.example"] } },
    });
    let config = load_text(&text.to_string(), &[]).unwrap();
    let [one, two] = &config.graphs[..] else {
        panic!()
    };
    assert_eq!(
        (one.name.as_deref(), one.env["A"].as_str()),
        (Some("first"), "all")
    );
    assert_eq!(two.path, Path::new("/project/b.wasm"));
    assert_eq!(
        (two.name.as_deref(), two.description.as_deref()),
        (None, Some("second"))
    );
    assert_eq!(
        (two.env["A"].as_str(), two.env["B"].as_str()),
        ("own", "all")
    );
    assert_eq!(
        (two.limits.cpu, two.limits.events, two.limits.sends),
        (Duration::from_millis(5), 3, 7)
    );
    assert_eq!(
        (one.limits.cpu, two.secrets[0].value.as_str()),
        (Duration::from_millis(9), "own")
    );
    let sandbox = config.sandbox().unwrap();
    assert_eq!(sandbox.stacks, BTreeSet::from([65_536, 524_288]));
    assert_eq!(sandbox.largest_table_elements, 50_000);
    assert_eq!(two.context["k"], 1);
    for path in ["./agent.py:graph", "agent", ".wasm", "./a.wasm:", ""] {
        let problems = load_text(&json!({ "graphs": { "a": path } }).to_string(), &[]).unwrap_err();
        assert!(
            problems[0].contains("is not a WebAssembly component"),
            "{path}"
        );
    }
}

#[test]
fn an_env_file_is_read_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join(".env"),
        "# comment\nA=1\nexport B=\"two words\"\n",
    )
    .unwrap();
    let environment = Environment {
        directory: folder.path().to_owned(),
        ..environment(&[])
    };
    let flags = Flags::of(Path::new("langgraph.json"));
    let config = parse(&with(&json!({ "env": ".env" })), &flags, &environment).unwrap();
    assert_eq!(
        (
            config.graphs[0].env["A"].as_str(),
            config.graphs[0].env["B"].as_str()
        ),
        ("1", "two words")
    );

    let missing = parse(&with(&json!({ "env": "no.env" })), &flags, &environment).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("langgraph.json: env: cannot read "),
        "{missing}"
    );
    std::fs::write(folder.path().join(".env"), "A=1\nnonsense secret\n").unwrap();
    let broken = parse(&with(&json!({ "env": ".env" })), &flags, &environment)
        .unwrap_err()
        .to_string();
    assert!(
        broken.contains(".env:2 is not of the form NAME=value") && !broken.contains("secret"),
        "{broken}"
    );
}

#[test]
fn an_address_that_others_reach_needs_no_auth_to_be_said() {
    let open = |no_auth| {
        let flags = Flags {
            host: [0, 0, 0, 0].into(),
            no_auth,
            ..Flags::of(Path::new("langgraph.json"))
        };
        parse(&with(&json!({})), &flags, &environment(&[]))
    };
    assert!(
        open(false)
            .unwrap_err()
            .to_string()
            .starts_with("--host 0.0.0.0: ")
    );
    assert!(open(true).is_ok());
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

#[test]
fn table_schema_and_page_agree() {
    let schema = schema();
    for key in KEYS
        .iter()
        .filter(|key| matches!(key.status, Status::Works | Status::Ignored))
    {
        let mut at = &schema;
        for name in key.path.split('.') {
            if let Some(object) = at.get("anyOf").and_then(|forms| forms.get(1)) {
                at = object;
            }
            at = match (name, at.get("items")) {
                ("*", Some(element)) => element,
                ("*", None) => &at["additionalProperties"],
                _ => &at["properties"][name],
            };
        }
        let description = at["description"].as_str().unwrap_or_default();
        assert!(description.starts_with(key.meaning), "{}", key.path);
    }
    let text = schema.to_string();
    assert!(!text.contains("\"database_uri\"") && !text.contains("\"encryption\""));
    jsonschema_is_closed(&schema);
}

/// Every object of the schema says what else may stand in it.
fn jsonschema_is_closed(schema: &Value) {
    match schema {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object) {
                assert!(members.contains_key("additionalProperties"));
            }
            members.values().for_each(jsonschema_is_closed);
        }
        Value::Array(items) => items.iter().for_each(jsonschema_is_closed),
        _ => {}
    }
}

#[test]
fn the_page_is_made_from_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = page::page();
    if std::env::var_os("SELVEDGE_WRITE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "run: SELVEDGE_WRITE_DOCS=1 cargo test -p selvedge page"
    );
}

#[test]
fn items_of_the_store_stay_as_long_as_the_operator_says() {
    let minutes = std::time::Duration::from_mins;
    let ttl = config(&json!({})).store.ttl;
    assert_eq!(
        (ttl.default, ttl.refresh_on_read, ttl.sweep_interval),
        (None, true, minutes(5))
    );
    let given = json!({"default_ttl": 60, "refresh_on_read": false, "sweep_interval_minutes": 1});
    let ttl = config(&json!({"store": {"ttl": given}})).store.ttl;
    assert_eq!(
        (ttl.default, ttl.refresh_on_read, ttl.sweep_interval),
        (Some(minutes(60)), false, minutes(1))
    );
}
