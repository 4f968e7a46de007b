//! Every key of `webhooks` and `egress`, given wrongly: one message that names the key, and exit code 2.
//!
//! The keys come from the schema that the binary prints, so that a new one cannot be forgotten.

use serde_json::{Map, Value, json};

use crate::support::server::selvedge;
use crate::support::{Setup, root};

/// A group of keys or a key, by its path.
struct Key {
    path: String,
    schema: Value,
}

impl Key {
    fn is_group(&self) -> bool {
        self.schema["type"] == "object"
    }

    fn members(&self) -> Vec<Self> {
        let none = Map::new();
        let properties = self.schema["properties"].as_object().unwrap_or(&none);
        let named = |(name, schema): (&String, &Value)| Self {
            path: format!("{}.{name}", self.path),
            schema: schema.clone(),
        };
        properties.iter().map(named).collect()
    }
}

/// The two groups, and all that is below them.
fn keys() -> Vec<Key> {
    let (code, text) = selvedge(&root(), &["check", "--schema"]);
    assert_eq!(code, Some(0), "{text}");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    let mut keys: Vec<Key> = ["webhooks", "egress"]
        .map(|name| Key {
            path: name.to_owned(),
            schema: schema["properties"][name].clone(),
        })
        .into();
    let mut at = 0;
    while at < keys.len() {
        keys.extend(keys[at].members());
        at += 1;
    }
    assert!(keys.len() > 30, "{} keys", keys.len());
    keys
}

/// The one message about a file in which this path has this value.
fn message(path: &str, value: &Value) -> String {
    let mut setup = Setup::with_graphs(json!({"two": "./two.wasm"})).set(path, value.clone());
    setup
        .env
        .push(("LG_WEBHOOK_SET".to_owned(), "line\nbreak".to_owned()));
    let (code, log) = (setup.exit_code(), setup.log());
    assert_eq!(code, Some(2), "{path} = {value}: {log}");
    let lines: Vec<&str> = log.lines().collect();
    let [line] = lines.as_slice() else {
        panic!("{path} = {value}: {log}");
    };
    (*line).to_owned()
}

#[track_caller]
fn refused(path: &str, value: &Value, place: &str, says: &str) {
    let message = message(path, value);
    let expected = format!("langgraph.json: {place}: ");
    assert!(message.contains(&expected), "{path} = {value}: {message}");
    assert!(message.contains(says), "{path} = {value}: {message}");
}

#[test]
fn a_value_of_another_type() {
    for key in keys() {
        let wrong = match key.schema["type"].as_str() {
            Some("boolean") => json!("yes"),
            _ => json!(true),
        };
        refused(&key.path, &wrong, &key.path, "must be ");
    }
}

#[test]
fn an_unknown_key_in_each_group() {
    for group in keys().iter().filter(|key| key.is_group()) {
        // Headers are named by the operator.
        if group.path == "webhooks.headers" {
            continue;
        }
        let path = format!("{}.zzz", group.path);
        refused(&path, &json!(1), &path, "unknown key");
    }
    let near = message("webhooks.url.allow_domains", &json!([]));
    assert!(near.contains("did you mean `allowed_domains`?"), "{near}");
}

#[test]
fn a_number_outside_its_bounds() {
    for key in keys() {
        let bound = |name: &str| key.schema[name].as_u64();
        if key.schema["type"] != "integer" {
            continue;
        }
        let (least, most) = (bound("minimum"), bound("maximum"));
        let (least, most) = (least.expect("a bound"), most.expect("a bound"));
        refused(
            &key.path,
            &json!(most + 1),
            &key.path,
            "must be a whole number from",
        );
        if least > 0 {
            refused(
                &key.path,
                &json!(least - 1),
                &key.path,
                "must be a whole number from",
            );
        }
        refused(
            &key.path,
            &json!(-1),
            &key.path,
            "must be a whole number from",
        );
        refused(
            &key.path,
            &json!(1.5),
            &key.path,
            "must be a whole number from",
        );
    }
    for jitter in [json!(-0.1), json!(1.1)] {
        refused(
            "webhooks.retry.jitter",
            &jitter,
            "webhooks.retry.jitter",
            "from 0 to 1",
        );
    }
}

#[test]
fn an_entry_of_a_list() {
    let domains = [
        ("a.*.example.com", "wildcard"),
        ("*", "wildcard"),
        ("**.example.com", "wildcard"),
        ("127.0.0.1", "list of networks"),
        ("[::1]", "host name"),
        ("https://example.com", "host name"),
        ("example.com:443", "host name"),
        ("example.com.", "host name"),
        ("b\u{fc}cher.example", "punycode"),
        ("", "host name"),
        ("${{ env.LG_WEBHOOK_SET }}", "variables are not replaced"),
    ];
    let networks = [
        ("10.0.0.0/99", "10.20.0.0/16"),
        ("10.20.1.0/16", "write \"10.20.0.0/16\""),
        ("10.20", "10.20.0.0/16"),
        ("example.com", "10.20.0.0/16"),
        ("::/129", "10.20.0.0/16"),
    ];
    for group in ["webhooks.url", "egress"] {
        for list in ["allowed_domains", "denied_domains"] {
            for (entry, says) in domains {
                let path = format!("{group}.{list}");
                let place = format!("{path}[1]");
                refused(&path, &json!(["hooks.example.com", entry]), &place, says);
            }
        }
        for list in ["allowed_networks", "denied_networks"] {
            for (entry, says) in networks {
                let path = format!("{group}.{list}");
                refused(&path, &json!([entry]), &format!("{path}[0]"), says);
            }
        }
        for port in [json!(0), json!(65_536), json!("443"), json!(-1), json!(4.5)] {
            let path = format!("{group}.allowed_ports");
            refused(
                &path,
                &json!([port]),
                &format!("{path}[0]"),
                "must be a port",
            );
        }
    }
    for (path, entry, says) in [
        ("egress.methods", json!("get"), "written like \"GET\""),
        ("egress.methods", json!("GET POST"), "written like \"GET\""),
        ("egress.methods", json!("TRACE"), "never allowed"),
        ("egress.methods", json!("CONNECT"), "never allowed"),
        (
            "webhooks.allowed_fields",
            json!("value"),
            "no member of a webhook's body",
        ),
        (
            "webhooks.retry.schedule_secs",
            json!(-5),
            "must be whole seconds",
        ),
        (
            "webhooks.retry.schedule_secs",
            json!("5s"),
            "must be whole seconds",
        ),
    ] {
        refused(path, &json!([entry]), &format!("{path}[0]"), says);
    }
    let schedule = "webhooks.retry.schedule_secs";
    refused(schedule, &json!([]), schedule, "needs at least one entry");
    refused(
        "webhooks.url.mode",
        &json!("log"),
        "webhooks.url.mode",
        "\"enforce\" or \"report\"",
    );
}

#[test]
fn a_header_that_cannot_be_sent() {
    for (name, value, says) in [
        ("X A", "x", "name of a header"),
        ("", "x", "name of a header"),
        ("Host", "x", "set by Selvedge"),
        ("Content-Length", "1", "set by Selvedge"),
        ("Transfer-Encoding", "chunked", "set by Selvedge"),
        ("webhook-id", "x", "set by Selvedge"),
        ("Webhook-Signature", "x", "set by Selvedge"),
        ("X-A", "a\r\nx-b: c", "holds a character"),
        ("X-A", "${{ env.LG_WEBHOOK_SET }}", "holds a character"),
        (
            "X-A",
            "${{ env.LG_WEBHOOK_UNSET }}",
            "LG_WEBHOOK_UNSET is not set",
        ),
        (
            "X-A",
            "${{ env.PATH }}",
            "does not begin with webhooks.env_prefix",
        ),
        ("X-A", "${{ env.LG_WEBHOOK_SET", "not of the form"),
        ("X-A", "${{ LG_WEBHOOK_SET }}", "not of the form"),
        ("X-A", "${{ env. }}", "not of the form"),
    ] {
        let mut headers = Map::new();
        headers.insert(name.to_owned(), json!(value));
        let place = format!("webhooks.headers.{name}");
        refused("webhooks.headers", &Value::Object(headers), &place, says);
    }
}
