//! From a request for a WebSocket to the WebSocket (RFC 6455, 4.2). The edge does this itself because what comes in is
//! to be counted below it.

use std::future::Future;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::incoming::{Incoming, READ_AHEAD};
use crate::bodies::Weight;
use crate::error::ApiError;
use crate::options::Options;

pub(super) type Socket = WebSocketStream<Incoming<TokioIo<Upgraded>>>;

/// A request that wants to become a WebSocket.
pub(crate) struct Upgrade {
    accept: HeaderValue,
    connection: OnUpgrade,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let headers = &parts.headers;
        let required = [
            (header::CONNECTION, "upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
        ];
        if let Some((name, word)) = required
            .into_iter()
            .find(|(name, word)| !says(headers, name, word))
        {
            let detail = format!("The request is for no WebSocket: {name} does not say {word}");
            return Err(ApiError::bad_request(detail));
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY);
        let key =
            key.ok_or_else(|| ApiError::bad_request("The request has no sec-websocket-key"))?;
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
        let accept = accept.map_err(|_| ApiError::bad_request("Invalid sec-websocket-key"))?;
        let connection = parts.extensions.remove().ok_or_else(|| {
            let detail = "A WebSocket needs a connection of HTTP/1.1 of its own";
            ApiError::new(StatusCode::UPGRADE_REQUIRED, detail)
        })?;
        Ok(Self { accept, connection })
    }
}

impl Upgrade {
    /// Answers, and serves the WebSocket once the answer is sent.
    pub(super) fn serve<F>(
        self,
        options: &Options,
        weight: Weight,
        serve: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send,
    {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_AHEAD)
            .max_message_size(Some(options.max_body_bytes))
            .max_frame_size(Some(options.max_body_bytes));
        let patience = options.request_timeout;
        let connection = self.connection;
        tokio::spawn(async move {
            match connection.await {
                Ok(connection) => {
                    let incoming = Incoming::new(TokioIo::new(connection), weight, patience);
                    let socket =
                        WebSocketStream::from_raw_socket(incoming, Role::Server, Some(config));
                    serve(socket.await).await;
                }
                Err(error) => tracing::debug!(%error, "no WebSocket came of a connection"),
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept);
        response
    }
}

/// Whether a word is in a header that is a list of them.
fn says(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let mut words = texts.flat_map(|text| text.split(','));
    words.any(|said| said.trim().eq_ignore_ascii_case(word))
}
