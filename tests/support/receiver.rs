//! A webhook receiver that can misbehave: a real HTTP server on loopback that keeps what it was sent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use super::eventually;

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Answers with this status.
    Status(u16),
    /// Accepts and never answers.
    Hang,
}

/// Where a receiver points to in its answers.
type Location = Option<http::HeaderValue>;

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
    /// What it was answered with; `None`: with silence.
    pub answered: Option<u16>,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header {name}"))
            .to_str()
            .expect("text")
    }

    pub fn webhook_id(&self) -> String {
        self.header("webhook-id").to_owned()
    }
}

type Behaviour = dyn Fn(&Received, usize) -> Answer + Send + Sync;

/// A running receiver; it stops with the test.
#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// One that answers 200.
    pub async fn start() -> Self {
        Self::behaving(|_, _| Answer::Status(200)).await
    }

    /// One that decides by the request and by how many came before it.
    pub async fn behaving(
        behaviour: impl Fn(&Received, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listening(behaviour, None).await
    }

    /// One that sends its callers elsewhere.
    pub async fn redirecting(status: u16, location: &str) -> Self {
        let location = location.parse().expect("a header");
        Self::listening(move |_, _| Answer::Status(status), Some(location)).await
    }

    async fn listening(
        behaviour: impl Fn(&Received, usize) -> Answer + Send + Sync + 'static,
        location: Location,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let receiver = Self {
            address: listener.local_addr().expect("an address"),
            received: Arc::default(),
        };
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let keeps = receiver.received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (keeps, behaviour, location) =
                    (keeps.clone(), behaviour.clone(), location.clone());
                let service = service_fn(move |request| {
                    let location = location.clone();
                    let answer = answer(request, keeps.clone(), behaviour.clone());
                    async move {
                        let mut response = answer.await?;
                        response
                            .headers_mut()
                            .extend(location.map(|location| (http::header::LOCATION, location)));
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        receiver
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("not poisoned").clone()
    }

    /// Waits until at least so many requests have come.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} requests to the receiver"), async || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
        .await
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    keeps: Arc<Mutex<Vec<Received>>>,
    behaviour: Arc<Behaviour>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(hyper::Response::new(Full::default()));
    };
    let mut received = Received {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        body: body.to_bytes(),
        answered: None,
    };
    let answer = {
        let mut keeps = keeps.lock().expect("not poisoned");
        let answer = behaviour(&received, keeps.len());
        if let Answer::Status(status) = answer {
            received.answered = Some(status);
        }
        keeps.push(received);
        answer
    };
    match answer {
        Answer::Status(status) => {
            let mut response = hyper::Response::new(Full::from("{}"));
            *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
            Ok(response)
        }
        Answer::Hang => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(hyper::Response::new(Full::default()))
        }
    }
}
