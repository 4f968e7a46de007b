//! Who has no good credentials gets nothing; API keys, tokens, and the command that makes a key.

use std::process::Command;

use reqwest::{Method, RequestBuilder, StatusCode};
use selvedge_auth::keys;
use serde_json::{Value, json};

use crate::support::callers::{ANN, OPERATOR, api_keys, let_in};
use crate::support::documented::{METHODS, OPEN};
use crate::support::issuer::{Issuer, jwt};
use crate::support::server::{Server, TALKATIVE};
use crate::support::wire::{Say, Wire};
use crate::support::{SELVEDGE, Setup};

fn request(server: &Server, method: &str, path: &str) -> RequestBuilder {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
    server
        .client
        .request(method, format!("{}{path}", server.base))
}

#[tokio::test]
async fn without_good_credentials_every_operation_is_refused_alike() {
    let server = let_in(Setup::probes(&["two"])).start().await;
    let document = server.get_json("/openapi.json").await;
    let paths = document["paths"].as_object().expect("paths");
    let mut tried = 0;
    for (path, item) in paths {
        for method in METHODS
            .into_iter()
            .filter(|method| item.get(method).is_some())
        {
            let path = path.replace(['{', '}'], "");
            let bare = request(&server, method, &path)
                .send()
                .await
                .expect("an answer");
            if OPEN.contains(&path.as_str()) {
                assert_eq!(bare.status(), 200, "{method} {path}");
                continue;
            }
            assert_eq!(bare.status(), 401, "{method} {path}");
            assert_eq!(bare.headers()["www-authenticate"], "Bearer");
            assert_eq!(bare.headers()["cache-control"], "no-store");
            let wrong = request(&server, method, &path).header("x-api-key", "key-of-nobody");
            let wrong = wrong.send().await.expect("an answer");
            assert_eq!(wrong.status(), 401, "{method} {path}");
            let wrong: Value = wrong.json().await.expect("JSON");
            assert_eq!(wrong, json!({"detail": "Invalid credentials"}));
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried}");
    // What is there is nobody's business either.
    for path in ["/nothing", "/threads/", "/internal/truncate"] {
        let answer = request(&server, "get", path)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 401, "{path}");
    }
    let metrics = server.get("/metrics").await.text().await.expect("text");
    let count = format!(
        "selvedge_http_refused_total{{reason=\"credentials\"}} {}",
        2 * tried + 3
    );
    assert!(metrics.contains(&count), "{metrics}");
}

#[tokio::test]
async fn a_key_is_taken_from_either_header_and_authorization_decides() {
    let server = let_in(Setup::probes(&["two"])).start().await;
    let status = async |headers: &[(&str, &str)]| {
        let mut request = request(&server, "post", "/threads/count").json(&json!({}));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer").status().as_u16()
    };
    for (headers, expected) in [
        (&[("x-api-key", "key-of-ann")][..], 200),
        (&[("authorization", "Bearer key-of-ann")], 200),
        (&[("authorization", "bearer  key-of-ann ")], 200),
        (
            &[
                ("authorization", "Bearer key-of-ann"),
                ("x-api-key", "from-the-environment"),
            ],
            200,
        ),
        (
            &[
                ("authorization", "Bearer wrong"),
                ("x-api-key", "key-of-ann"),
            ],
            401,
        ),
        (&[("authorization", "Basic key-of-ann")], 401),
        (&[("authorization", "key-of-ann")], 401),
        (&[("authorization", "Bearer ")], 401),
        (&[("x-api-key", "Bearer key-of-ann")], 401),
        (&[("x-api-key", "")], 401),
        (
            &[("x-auth-scheme", "langsmith"), ("x-api-key", "anything")],
            401,
        ),
        (&[("cookie", "x-api-key=key-of-ann")], 401),
    ] {
        assert_eq!(status(headers).await, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn only_operators_empty_tables() {
    let server = let_in(Setup::probes(&["two"])).dev().start().await;
    let everything = json!({"runs": true, "threads": true});
    ANN.made(&server, "/threads", &json!({})).await;
    let refused = ANN.post(&server, "/internal/truncate", &everything).await;
    assert_eq!(
        (refused.status, refused.body),
        (StatusCode::FORBIDDEN, json!({"detail": "Forbidden"}))
    );
    assert_eq!(ANN.made(&server, "/threads/count", &json!({})).await, 1);
    OPERATOR
        .made(&server, "/internal/truncate", &everything)
        .await;
    assert_eq!(ANN.made(&server, "/threads/count", &json!({})).await, 0);
}

/// How many threads a token's holder sees, or the refusal.
async fn count(server: &Server, token: &str) -> Result<Value, u16> {
    let request = request(server, "post", "/threads/count").json(&json!({}));
    let answer = request.bearer_auth(token).send().await.expect("an answer");
    match answer.status().as_u16() {
        200 => Ok(answer.json().await.expect("JSON")),
        status => Err(status),
    }
}

#[tokio::test]
async fn tokens_name_the_caller_beside_api_keys_and_the_keys_may_be_behind_a_url() {
    let issuer = Issuer::new("first");
    let set = json!({"keys": [issuer.entry()]}).to_string();
    let wire = Wire::saying(move |_, _| Say::answer("200 OK", "", &set)).await;
    let setup = let_in(Setup::probes(&["two"]));
    let server = setup.set("auth.jwt", jwt(&wire.url("/keys"))).start().await;
    let (carl, operator) = (
        issuer.token("carl@example", &[]),
        issuer.token("root@example", &["admin"]),
    );
    assert_eq!(count(&server, &carl).await, Ok(json!(0)));
    ANN.made(&server, "/threads", &json!({})).await;
    assert_eq!(count(&server, &carl).await, Ok(json!(0)));
    assert_eq!(count(&server, &operator).await, Ok(json!(1)));
    // Whatever an issuer says of people, it makes nobody the holder of an API key.
    for permissions in [&[][..], &["admin"]] {
        assert_eq!(
            count(&server, &issuer.token("ann", permissions)).await,
            Err(401)
        );
    }
    let stranger = Issuer::new("first");
    assert_eq!(
        count(&server, &stranger.token("carl@example", &["admin"])).await,
        Err(401)
    );
    // The issuer may have this key by now: it was asked a moment ago, and will be again.
    let new = Issuer::new("new").token("carl@example", &[]);
    let request = request(&server, "post", "/threads/count").json(&json!({}));
    let answer = request.bearer_auth(new).send().await.expect("an answer");
    assert_eq!(answer.status(), 503);
    let wait = answer.headers()["retry-after"].to_str().expect("text");
    assert!(
        wait.parse::<u64>()
            .is_ok_and(|seconds| (1..=10).contains(&seconds)),
        "{wait}"
    );
}

#[tokio::test]
async fn while_the_keys_of_tokens_cannot_be_had_tokens_are_not_judged() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/keys", closed.local_addr().expect("an address"));
    drop(closed);
    let setup = let_in(Setup::probes(&["two"])).set("auth.jwt", jwt(&url));
    let server = setup.start().await;
    assert_eq!(
        count(&server, &Issuer::new("first").token("ann", &[])).await,
        Err(503)
    );
    assert_eq!(ANN.made(&server, "/threads/count", &json!({})).await, 0);
}

#[tokio::test]
async fn no_credential_is_in_the_log_the_metrics_or_the_data() {
    let issuer = Issuer::new("first");
    let setup = let_in(Setup::probes(&["two"])).env("SELVEDGE_TELEMETRY_LOG", TALKATIVE);
    let file = setup.data_dir().join("jwks.json");
    std::fs::write(&file, json!({"keys": [issuer.entry()]}).to_string()).expect("a file");
    let mut server = setup
        .set("auth.jwt", jwt(&file.display().to_string()))
        .start()
        .await;
    let token = issuer.token("tom", &[]);
    assert_eq!(count(&server, &token).await, Ok(json!(0)));
    assert_eq!(count(&server, &format!("{token}x")).await, Err(401));
    let run = json!({"assistant_id": "two", "input": {"foo": "x"}});
    let run = ANN.made(&server, "/runs/wait", &run).await;
    let wrong = request(&server, "get", "/threads").header("x-api-key", "nearly-key-of-ann");
    let wrong = wrong
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    let metrics = server.get("/metrics").await.text().await.expect("text");
    server.terminate().await;
    let database =
        std::fs::read(server.setup.data_dir().join("selvedge.db")).expect("the database");
    let hash = api_keys()[0]["hash"].as_str().expect("a hash").to_owned();
    for secret in [ANN.key().as_str(), &token, "nearly-key", &hash[7..]] {
        for (where_, text) in [
            ("log", server.log().as_bytes()),
            ("metrics", metrics.as_bytes()),
            ("refusal", wrong.as_bytes()),
            ("run", run.to_string().as_bytes()),
            ("database", &database),
        ] {
            let found = text
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in the {where_}");
        }
    }
}

#[tokio::test]
async fn a_key_that_was_made_lets_its_holder_in() {
    let made = Command::new(SELVEDGE)
        .args(["auth", "key", "carl", "--permission", "painting"])
        .output()
        .expect("selvedge runs");
    assert!(made.status.success());
    let key = String::from_utf8(made.stdout).expect("text");
    let said = String::from_utf8(made.stderr).expect("text");
    let entry = &said[said.find('{').expect("an entry")..];
    assert!(!said.contains(key.trim()), "{said}");
    let entry: Value = serde_json::from_str(entry).expect("JSON");
    assert_eq!(
        (&entry["name"], &entry["permissions"]),
        (&json!("carl"), &json!(["painting"]))
    );
    // Beside the old key, until everybody has the new one.
    let old = keys::hash(b"old-key-of-carl").to_string();
    let server = Setup::probes(&["two"])
        .set(
            "auth.api_keys",
            json!([{"name": "carl", "hash": old}, entry]),
        )
        .start()
        .await;
    for (key, path) in [
        (key.trim(), "/threads"),
        ("old-key-of-carl", "/threads/count"),
    ] {
        let request = request(&server, "post", path).json(&json!({}));
        let answer = request.header("x-api-key", key).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        if path == "/threads/count" {
            assert_eq!(answer.json::<Value>().await.expect("JSON"), 1);
        }
    }
}

#[test]
fn a_server_that_others_reach_says_who_may_call() {
    let refused = |setup: &Setup, arguments: &[&str], words: &str| {
        let mut command = setup.command();
        let output = command.args(arguments).output().expect("selvedge runs");
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            setup.log()
        );
        assert!(setup.log().contains(words), "{words}: {}", setup.log());
    };
    let open = Setup::probes(&["two"]);
    refused(&open, &["--host", "0.0.0.0"], "say in `auth` who may call");
    let both = let_in(Setup::probes(&["two"]));
    refused(&both, &["--no-auth"], "contradicts `auth`");
    let nobody = Setup::probes(&["two"]).set("auth", json!({}));
    refused(&nobody, &[], "lets nobody in");
    let key = Setup::probes(&["two"]).set(
        "auth.api_keys",
        json!([{"name": "ann", "hash": "key-of-ann"}]),
    );
    refused(&key, &[], "selvedge auth key");
    assert!(!key.log().contains("key-of-ann"), "{}", key.log());
    let python = Setup::probes(&["two"]).set("auth.path", "./auth.py:auth");
    refused(&python, &[], "use `auth.api_keys` or `auth.jwt`");
    let no_keys = Setup::probes(&["two"]).set("auth.jwt", jwt("./nothing.json"));
    assert_eq!(no_keys.exit_code(), Some(1));
    assert!(no_keys.log().contains("auth.jwt.jwks"), "{}", no_keys.log());
}
