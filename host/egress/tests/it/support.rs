//! A real HTTP server on loopback, a resolver with a script, and short ways to make clients and requests.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use selvedge_egress::{
    Body, Client, ClientOptions, EgressError, Policy, PolicyOptions, Request, Resolver, Response,
};
use tokio::net::TcpListener;
use tokio::time::Instant;

pub type ServerBody = UnsyncBoxBody<Bytes, io::Error>;
pub type ServerRequest = http::Request<Incoming>;
pub type ServerResponse = http::Response<ServerBody>;

/// A server that counts its connections.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(ServerRequest) -> A + Clone + Send + 'static,
        A: Future<Output = ServerResponse> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                let service = service_fn(move |request| {
                    let answer = answer(request);
                    async move { Ok::<_, io::Error>(answer.await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self {
            address,
            connections,
        }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The same by a name, for which the resolver has to say loopback.
    pub fn url_as(&self, name: &str, path: &str) -> String {
        format!("http://{name}:{}{path}", self.address.port())
    }
}

pub fn body(bytes: impl Into<Bytes>) -> ServerBody {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

pub fn ok(text: impl Into<Bytes>) -> ServerResponse {
    http::Response::new(body(text))
}

/// Answers from a list, the last one for ever.
pub struct Script(Mutex<VecDeque<Vec<IpAddr>>>);

impl Script {
    pub fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(parse).collect())))
    }
}

impl Resolver for Script {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let mut answers = self.0.lock().unwrap();
        let answer = match answers.len() {
            0 => Err(io::Error::other("no such name")),
            1 => Ok(answers[0].clone()),
            _ => Ok(answers.pop_front().unwrap()),
        };
        Box::pin(async move { answer })
    }
}

/// The closed policy of webhooks, but over plain http and any method, with loopback open.
pub fn open_loopback() -> PolicyOptions {
    PolicyOptions {
        require_https: false,
        disable_loopback: false,
        methods: Vec::new(),
        ..PolicyOptions::webhooks()
    }
}

pub fn client(policy: &PolicyOptions, options: &ClientOptions) -> Client {
    Client::new(Arc::new(Policy::new(policy).unwrap()), options).unwrap()
}

pub fn resolving(script: Arc<Script>) -> ClientOptions {
    ClientOptions {
        resolver: script,
        ..ClientOptions::default()
    }
}

pub fn get(client: &Client, url: &str) -> Request {
    Request {
        method: Method::GET,
        url: client.policy().check_url(url).unwrap(),
        headers: HeaderMap::new(),
        body: Body::empty(),
        deadline: Instant::now() + Duration::from_secs(10),
    }
}

pub async fn send(client: &Client, url: &str) -> Result<Response, EgressError> {
    client.send(get(client, url)).await
}

pub async fn text(mut response: Response) -> String {
    let mut bytes = Vec::new();
    response
        .body
        .read_at_most(1 << 20, &mut bytes)
        .await
        .unwrap();
    String::from_utf8(bytes).unwrap()
}
