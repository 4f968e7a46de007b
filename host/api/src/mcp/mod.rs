//! `/mcp`: assistants as the tools of a Model Context Protocol server, over its streamable HTTP transport.
//!
//! `rmcp` speaks the protocol in all its versions; here are the tools, and what the edge promises of every route. There
//! are no sessions: each request says all there is to know, and nothing of it stays. So there is nothing to listen to with
//! `GET` and nothing to end with `DELETE`, which the protocol takes as an answer.

mod tools;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use selvedge_model::Json;

use crate::error::{ApiError, ApiResult};
use crate::options::HEARTBEAT;
use crate::request::{Fields, read_body, request_id};
use crate::routes::Edge;
use crate::sse;
use crate::who::Who;
use tools::{Asked, Tools};

const JSON: &str = "application/json";

/// The protocol.
pub(crate) struct Mcp(StreamableHttpService<Tools, NeverSessionManager>);

impl Mcp {
    pub(crate) fn new(max_body_bytes: usize) -> Self {
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(max_body_bytes)
            // The gate has looked at both by now.
            .disable_allowed_hosts()
            .disable_allowed_origins();
        Self(StreamableHttpService::new(
            || Ok(Tools),
            Arc::default(),
            config,
        ))
    }
}

pub(crate) async fn post(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    request: Request,
) -> ApiResult<Response> {
    let (mut head, body) = request.into_parts();
    let accepted = accepted(&head.headers);
    let takes = |kind: &str| accepted.contains(kind);
    let takes_events = takes("text/event-stream");
    if !takes_events && !takes(JSON) && !takes("*/*") {
        let text = "Accept header must include application/json or text/event-stream";
        return Err(ApiError::bad_request(text).written_as_error());
    }
    let body = read_body(&head, body, &edge).await?;
    let message = read(&body)?;
    // Like LangGraph this takes JSON whatever it is called, from a client that reads either kind of answer.
    let headers = &mut head.headers;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("application/json, text/event-stream"),
    );
    let asked = Asked {
        edge: edge.clone(),
        caller,
        request_id: request_id(&head.headers),
        arguments: message
            .fields("params")
            .unwrap_or_default()
            .json("arguments")
            .cloned(),
    };
    head.extensions.insert(asked);
    // Written anew, so that what the graph gets is what was checked.
    let body = Body::from(message.whole().as_str().to_owned());
    let request = Request::from_parts(head, body);
    Ok(answer(edge, request, takes_events).await)
}

/// The kinds of answers that a client takes: any when it does not say.
fn accepted(headers: &HeaderMap) -> String {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    match accepted.collect::<Vec<_>>().join(",") {
        nothing if nothing.is_empty() => "*/*".to_owned(),
        kinds => kinds.to_ascii_lowercase(),
    }
}

fn read(body: &[u8]) -> ApiResult<Fields> {
    let json = Json::parse_bytes(body)
        .map_err(|_| ApiError::bad_request("Invalid JSON").written_as_error())?;
    Fields::of(&json).ok_or_else(malformed)
}

fn malformed() -> ApiError {
    ApiError::bad_request("Invalid message format.").written_as_error()
}

/// The protocol's answer. When a tool takes long, the answer begins before it: with a sign of life now and then, which
/// proxies want to see.
async fn answer(edge: Arc<Edge>, request: Request, takes_events: bool) -> Response {
    let mut answering = Box::pin(async move {
        let answer = edge.mcp.0.handle(request).await;
        match answer.status() {
            // The type was set here: it is JSON, and not a message of the protocol.
            StatusCode::UNSUPPORTED_MEDIA_TYPE => malformed().into_response(),
            _ => answer.map(Body::new),
        }
    });
    if let Ok(answer) = tokio::time::timeout(HEARTBEAT, &mut answering).await {
        return answer;
    }
    let beat = match takes_events {
        true => Bytes::from_static(sse::HEARTBEAT_FRAME),
        // JSON may have white space before it.
        false => Bytes::from_static(b"\n"),
    };
    let body = stream::unfold(Some(answering), move |answering| {
        let beat = beat.clone();
        async move {
            let mut answering = answering?;
            let (bytes, rest) = match tokio::time::timeout(HEARTBEAT, &mut answering).await {
                Ok(answer) => (late(answer, takes_events).await, None),
                Err(_) => (beat, Some(answering)),
            };
            Some((Ok::<_, Infallible>(bytes), rest))
        }
    });
    let body = Body::from_stream(body);
    match takes_events {
        true => sse::events(body),
        false => ([(header::CONTENT_TYPE, JSON)], body).into_response(),
    }
}

/// An answer in the form that was promised before it was there.
async fn late(answer: Response, as_event: bool) -> Bytes {
    // It is in memory as a whole: nothing but tools with progress stream, and there are none.
    let body = answer.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    match Json::parse_bytes(&body) {
        Ok(json) if as_event => sse::message_frame(&json),
        _ => body,
    }
}
