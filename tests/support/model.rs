//! A server that speaks OpenAI's chat completions and says what a test tells it to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::HeaderMap;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;

/// What the server was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

/// What it answers: a status, and a body in pieces.
pub struct Reply {
    status: u16,
    pieces: BoxStream<'static, String>,
}

impl Reply {
    /// Server-sent events, each in a piece of its own.
    pub fn events(events: impl IntoIterator<Item = Value>) -> Self {
        let events: Vec<String> = events
            .into_iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        Self::pieces(events.into_iter().chain(["data: [DONE]\n\n".to_owned()]))
    }

    /// The body as it is.
    pub fn pieces(pieces: impl IntoIterator<Item = String>) -> Self {
        let pieces: Vec<String> = pieces.into_iter().collect();
        Self {
            status: 200,
            pieces: stream::iter(pieces).boxed(),
        }
    }

    /// Pieces that the test sends when it likes.
    pub fn live(pieces: UnboundedReceiver<String>) -> Self {
        let pieces = stream::unfold(pieces, async |mut pieces| {
            pieces.recv().await.map(|piece| (piece, pieces))
        });
        Self {
            status: 200,
            pieces: pieces.boxed(),
        }
    }

    /// OpenAI's error body.
    pub fn error(status: u16, message: &str) -> Self {
        let body =
            json!({"error": {"message": message, "type": "test", "param": null, "code": null}});
        Self {
            status,
            ..Self::pieces([body.to_string()])
        }
    }
}

/// A `chat.completion.chunk`.
pub fn chunk(delta: Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "test-model",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}],
    })
}

/// A whole answer in words.
pub fn words(words: &[&str]) -> Reply {
    let first = chunk(json!({"role": "assistant", "content": ""}), None);
    let words = words
        .iter()
        .map(|word| chunk(json!({"content": word}), None));
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}});
    let end = [chunk(json!({}), Some("stop")), usage];
    Reply::events([first].into_iter().chain(words).chain(end))
}

type Behaviour = dyn Fn(&Asked, usize) -> Reply + Send + Sync;

/// A running model server; it stops with the test.
pub struct Model {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Model {
    /// One that decides by the request and by how many came before it.
    pub async fn behaving(
        behaviour: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let model = Self {
            address: listener.local_addr().expect("an address"),
            asked: Arc::default(),
        };
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let asked = model.asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (asked, behaviour) = (asked.clone(), behaviour.clone());
                let service =
                    service_fn(move |request| answer(request, asked.clone(), behaviour.clone()));
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        model
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

async fn answer(
    request: hyper::Request<Incoming>,
    keeps: Arc<Mutex<Vec<Asked>>>,
    behaviour: Arc<Behaviour>,
) -> Result<hyper::Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let asked = Asked {
        path: head.uri.to_string(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let reply = {
        let mut keeps = keeps.lock().expect("not poisoned");
        keeps.push(asked.clone());
        behaviour(&asked, keeps.len() - 1)
    };
    let frames = reply
        .pieces
        .map(|piece| Ok(Frame::data(Bytes::from(piece))))
        .boxed();
    let mut response = hyper::Response::new(StreamBody::new(frames));
    *response.status_mut() = http::StatusCode::from_u16(reply.status).expect("a status");
    Ok(response)
}
