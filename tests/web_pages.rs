//! A web page from anywhere cannot make its reader's browser use a server that believes this machine.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::Setup;
use crate::support::callers::{ANN, let_in};
use crate::support::server::Server;

/// A request that changes something, as a page could make a browser send it.
async fn sent(server: &Server, headers: &[(&str, &str)]) -> Response {
    let mut request = server
        .client
        .request(Method::POST, format!("{}/threads", server.base));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    // A form may send this without asking first.
    let request = request.header("content-type", "text/plain").body("{}");
    request.send().await.expect("an answer")
}

async fn threads(server: &Server) -> Value {
    server.post_json("/threads/count", &json!({})).await
}

#[tokio::test]
async fn a_request_of_another_origins_page_is_refused() {
    let server = Setup::probes(&["two"]).start().await;
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "https://smith.langchain.com")],
        &[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
        ],
        &[
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ],
    ] {
        let answer = sent(&server, headers).await;
        assert_eq!(answer.status(), 403, "{headers:?}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
        let body: Value = answer.json().await.expect("JSON");
        assert!(
            body["detail"]
                .to_string()
                .contains("http.cors.allow_origins"),
            "{body}"
        );
    }
    assert_eq!(threads(&server).await, 0);
    for origin in [
        "http://localhost:3000",
        "http://127.0.0.1:5173",
        "http://[::1]:1",
    ] {
        let answer = sent(&server, &[("origin", origin)]).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["access-control-allow-origin"], origin);
    }
    assert_eq!(threads(&server).await, 3);
    let metrics = server.get("/metrics").await.text().await.expect("text");
    assert!(
        metrics.contains("selvedge_http_refused_total{reason=\"page\"} 5"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_name_that_was_rebound_to_this_machine_is_refused() {
    let server = Setup::probes(&["two"]).start().await;
    let port = server.base.rsplit(':').next().expect("a port");
    for host in [
        "evil.example",
        &format!("evil.example:{port}"),
        "localhost.evil.example",
    ] {
        let own = format!("http://{host}");
        for headers in [&[("host", host)][..], &[("host", host), ("origin", &own)]] {
            let answer = sent(&server, headers).await;
            assert_eq!(answer.status(), 403, "{headers:?}");
            let body: Value = answer.json().await.expect("JSON");
            assert!(
                body["detail"].to_string().contains("http.allowed_hosts"),
                "{body}"
            );
        }
    }
    assert_eq!(threads(&server).await, 0);
    assert_eq!(
        sent(&server, &[("host", &format!("localhost:{port}"))])
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn what_is_configured_passes() {
    let setup = Setup::probes(&["two"])
        .set("http.cors.allow_origins", json!(["https://ui.example"]))
        .set("http.allowed_hosts", json!(["agents.internal"]));
    let server = setup.start().await;
    for headers in [
        &[("origin", "https://ui.example")][..],
        &[("host", "agents.internal")],
        &[
            ("host", "agents.internal:80"),
            ("origin", "http://agents.internal:80"),
        ],
    ] {
        assert_eq!(sent(&server, headers).await.status(), 200, "{headers:?}");
    }
    assert_eq!(
        sent(&server, &[("origin", "https://other.example")])
            .await
            .status(),
        403
    );
}

#[tokio::test]
async fn with_credentials_a_page_of_any_origin_may_call_and_without_them_it_gets_nothing() {
    let server = let_in(Setup::probes(&["two"])).start().await;
    let page = [("origin", "https://ui.example"), ("host", "agents.example")];
    let refused = sent(&server, &page).await;
    assert_eq!(refused.status(), 401);
    // So that the page can read why.
    assert_eq!(refused.headers()["access-control-allow-origin"], "*");
    let key = ANN.key();
    let with_key = [page[0], page[1], ("x-api-key", key.as_str())];
    assert_eq!(sent(&server, &with_key).await.status(), 200);
}

#[tokio::test]
async fn browsers_are_told_to_take_answers_for_what_they_are() {
    let server = Setup::probes(&["two"]).start().await;
    for (method, path) in [
        (Method::GET, "/ok"),
        (Method::GET, "/docs"),
        (Method::GET, "/threads"),
        (Method::GET, "/nothing"),
        // Before a page's request, browsers ask whether it may be sent.
        (Method::OPTIONS, "/threads"),
    ] {
        let request = server
            .client
            .request(method, format!("{}{path}", server.base));
        let request = request
            .header("origin", "http://localhost:3000")
            .header("access-control-request-method", "POST");
        let answer = request.send().await.expect("an answer");
        assert_eq!(
            answer.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
        assert_eq!(answer.headers()["x-frame-options"], "DENY", "{path}");
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer", "{path}");
    }
}
