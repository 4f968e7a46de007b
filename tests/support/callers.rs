//! Callers with API keys, and the requests that they send.

use reqwest::{Method, RequestBuilder, StatusCode};
use selvedge_auth::keys;
use serde_json::{Value, json};

use super::{Server, Setup};

/// Somebody who calls; their key is made of their name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct As(pub &'static str);

pub const ANN: As = As("ann");
pub const BOB: As = As("bob");
pub const OPERATOR: As = As("olga");

/// What came back.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl As {
    pub fn key(self) -> String {
        format!("key-of-{}", self.0)
    }

    pub fn request(self, server: &Server, method: Method, path: &str) -> RequestBuilder {
        let request = server
            .client
            .request(method, format!("{}{path}", server.base));
        request.header("x-api-key", self.key())
    }

    /// A body that is no JSON comes back as text.
    pub async fn send(
        self,
        server: &Server,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = self.request(server, method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, body }
    }

    pub async fn get(self, server: &Server, path: &str) -> Answer {
        self.send(server, Method::GET, path, None).await
    }

    pub async fn post(self, server: &Server, path: &str, body: &Value) -> Answer {
        self.send(server, Method::POST, path, Some(body)).await
    }

    /// The body of an answer that has to be good.
    pub async fn made(self, server: &Server, path: &str, body: &Value) -> Value {
        let answer = self.post(server, path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }
}

/// What `auth.api_keys` says of them all.
pub fn api_keys() -> Value {
    let entry = |caller: As, permissions: &[&str]| {
        let hash = keys::hash(caller.key().as_bytes()).to_string();
        json!({"name": caller.0, "hash": hash, "permissions": permissions})
    };
    json!([
        entry(ANN, &["painting"]),
        entry(BOB, &[]),
        entry(OPERATOR, &["admin"]),
    ])
}

/// Lets these callers in, and nobody else.
pub fn let_in(setup: Setup) -> Setup {
    setup.set("auth.api_keys", api_keys())
}
