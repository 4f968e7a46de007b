//! A receiver of webhooks that keeps what it got and answers as told.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::host::eventually;

/// What it answers.
#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16),
    /// A status, one header and a body.
    Full(u16, (&'static str, String), String),
    /// Never.
    Nothing,
    /// The connection closes.
    Close,
    /// 200 once the gate is opened.
    Behind(watch::Receiver<bool>),
}

/// What it got.
#[derive(Clone, Debug)]
pub struct Post {
    pub method: String,
    pub uri: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Post {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub struct Receiver {
    pub address: SocketAddr,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl Receiver {
    /// Answers the first request with the first answer and so on, and with the last from then on.
    pub async fn start(answers: impl Into<Vec<Answer>>) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), answers).await
    }

    /// The same at an address of the test's choice.
    pub async fn start_at(address: SocketAddr, answers: impl Into<Vec<Answer>>) -> Self {
        let answers: Arc<[Answer]> = answers.into().into();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let posts = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&posts);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answers, kept) = (Arc::clone(&answers), Arc::clone(&kept));
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&answers), Arc::clone(&kept))
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, posts }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub async fn received(&self, count: usize) -> Vec<Post> {
        eventually("requests at the receiver", async || {
            Some(self.posts()).filter(|posts| posts.len() >= count)
        })
        .await
    }
}

async fn answer(
    request: http::Request<Incoming>,
    answers: Arc<[Answer]>,
    kept: Arc<Mutex<Vec<Post>>>,
) -> io::Result<http::Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let count = {
        let mut kept = kept.lock().unwrap();
        kept.push(Post {
            method: head.method.to_string(),
            uri: head.uri.to_string(),
            headers: head.headers,
            body,
        });
        kept.len()
    };
    let mut response = http::Response::new(Full::default());
    match answers[count.min(answers.len()) - 1].clone() {
        Answer::Status(status) => *response.status_mut() = status.try_into().unwrap(),
        Answer::Full(status, (name, value), body) => {
            *response.status_mut() = status.try_into().unwrap();
            response.headers_mut().insert(name, value.parse().unwrap());
            *response.body_mut() = Full::from(body);
        }
        Answer::Nothing => tokio::time::sleep(Duration::MAX).await,
        Answer::Close => return Err(io::Error::other("closed on purpose")),
        Answer::Behind(mut gate) => {
            gate.wait_for(|open| *open).await.unwrap();
        }
    }
    Ok(response)
}
