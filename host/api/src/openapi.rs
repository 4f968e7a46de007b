//! The OpenAPI document of what is served, and a page that shows it.
//!
//! `openapi.json` is kept by hand. The paths come from the router, so that the document never promises one that is not
//! there; a test compares the two.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Map, Value};

const DOCUMENT: &str = include_str!("../openapi.json");
const PAGE: &str = include_str!("../docs.html");

/// The page needs nothing from elsewhere and may load nothing from there.
const CONTENT_POLICY: &str =
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'";

/// The document for these paths. One that `openapi.json` does not know is there without operations.
pub(crate) fn document(paths: &[String]) -> Bytes {
    // A part of the program, which a test reads: what is not JSON gets no further than there.
    let mut document: Map<String, Value> = serde_json::from_str(DOCUMENT).unwrap_or_default();
    let known = document.get("paths").and_then(Value::as_object);
    let operations = |path: &String| known.and_then(|known| known.get(path)).cloned();
    let served: Map<String, Value> = paths
        .iter()
        .map(|path| {
            (
                path.clone(),
                operations(path).unwrap_or_else(|| Map::new().into()),
            )
        })
        .collect();
    document.insert("paths".to_owned(), served.into());
    Bytes::from(Value::Object(document).to_string())
}

pub(crate) fn json(document: Bytes) -> Response {
    with_type(document, "application/json")
}

pub(crate) async fn page() -> Response {
    let mut response = with_type(
        Bytes::from_static(PAGE.as_bytes()),
        "text/html; charset=utf-8",
    );
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_POLICY),
    );
    response
}

fn with_type(body: Bytes, content_type: &'static str) -> Response {
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
