//! What groups of keys become.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Flags, Synchronous, parse};
use super::{config, environment, hash, load_text, one_problem, problems, with};

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
        super::with(&with("api_key", json!("${{ env.EMBEDDINGS_KEY }}"))),
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
