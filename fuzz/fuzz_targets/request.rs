//! Requests to the server, from their paths to what storage says: each is answered, and never by a mistake of ours.
//!
//! An input is a request as it is written on the wire: a line `POST /threads?a=b`, header lines, an empty line, the body.
//! The routes are the server's own, over a database in a directory of its own; no graph is served, so that nothing runs.
//! What a request wrote is gone before the next one.
#![no_main]

use std::cell::LazyCell;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use libfuzzer_sys::fuzz_target;
use selvedge_model::assistant::Assistant;
use selvedge_model::time::SystemClock;
use selvedge_model::{Json, Timestamp};
use selvedge_runtime::{Graphs, Rooms, Runtime};
use selvedge_sandbox::Sandbox;
use selvedge_storage::sqlite::{self, Sqlite, Synchronous};
use selvedge_storage::{Storage, Truncate};
use selvedge_webhook::Webhooks;
use serde_json::json;
use tempfile::TempDir;

/// The assistant, the thread and the key of the store's item that are there before each request.
const ID: &str = "11111111-1111-4111-8111-111111111111";
/// Far beyond what an answer takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// A stream may have nothing to say until its next heartbeat. What is short is there at once.
const FIRST_PART: Duration = Duration::from_millis(5);
/// A `POST` to a path that ends so changes nothing.
const READING: [&str; 5] = [
    "/search",
    "/count",
    "/history",
    "/checkpoint",
    "/namespaces",
];

type Answer = Response<Bytes>;
type Server = Box<dyn Fn(Request<Full<Bytes>>) -> Pin<Box<dyn Future<Output = Answer>>>>;

thread_local! {
    static HOUSE: LazyCell<House> = LazyCell::new(House::open);
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(request) = request(bytes) {
        HOUSE.with(|house| house.try_out(request));
    }
});

/// What the library for HTTP makes of these bytes; what it refuses never comes to our code.
fn request(bytes: &[u8]) -> Option<Request<Full<Bytes>>> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 2..]),
        None => (bytes, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::builder()
        .method(first.next()?)
        .uri(first.next()?)
        .header("host", "localhost");
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    let body = Full::new(Bytes::copy_from_slice(body));
    request
        .body(body)
        .ok()
        .filter(|request| request.uri().path().starts_with('/'))
}

/// The server's rooms, and the one thread that they have their turns on.
struct House {
    turns: tokio::runtime::Runtime,
    storage: Arc<Sqlite>,
    server: Server,
    _directory: TempDir,
}

impl House {
    fn open() -> Self {
        let turns = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a thread");
        let directory = TempDir::new().expect("a directory");
        let storage = Sqlite::open(sqlite::Options {
            synchronous: Synchronous::Normal,
            ..sqlite::Options::new(directory.path())
        })
        .expect("a database");
        let house = Self {
            server: turns.block_on(server(storage.clone())),
            turns,
            storage,
            _directory: directory,
        };
        house.furnish();
        house
    }

    fn try_out(&self, request: Request<Full<Bytes>>) {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let answer = self.ask(request);
        let (status, body) = (answer.status(), answer.body());
        let is_mistake = status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE;
        assert!(!is_mistake, "{method} {uri}: {status}");
        if status.is_client_error() && method != Method::HEAD {
            assert!(!body.is_empty(), "{method} {uri}: {status} and no reason");
        }
        let reads = method == Method::GET || READING.iter().any(|end| uri.path().ends_with(end));
        if status.is_success() && !reads {
            self.clear();
            self.furnish();
        }
    }

    fn ask(&self, request: Request<Full<Bytes>>) -> Answer {
        let answer = async { tokio::time::timeout(PATIENCE, (self.server)(request)).await };
        self.turns.block_on(answer).expect("an answer in time")
    }

    fn clear(&self) {
        let everything = Truncate {
            runs: true,
            threads: true,
            assistants: true,
            store: true,
            checkpoints: true,
        };
        let cleared = self.storage.truncate(everything, Timestamp::now());
        self.turns.block_on(cleared).expect("an empty database");
    }

    fn furnish(&self) {
        let empty = || Json::object::<&str>([]);
        let assistant = Assistant {
            assistant_id: ID.parse().expect("an id"),
            graph_id: "gone".to_owned(),
            config: empty(),
            context: empty(),
            metadata: empty(),
            name: "Ann".to_owned(),
            created_at: Timestamp::now(),
            updated_at: Timestamp::now(),
            version: 1,
            description: None,
        };
        let made = self.storage.ensure_assistants(vec![assistant]);
        self.turns.block_on(made).expect("an assistant");
        let thread = json!({"thread_id": ID, "metadata": {"a": 1}, "ttl": 5});
        self.put("POST", "/threads", &thread);
        let item = json!({"namespace": ["a", "b"], "key": ID, "value": {"a": 1, "b": ["x"]}});
        self.put("PUT", "/store/items", &item);
    }

    fn put(&self, method: &str, path: &str, body: &serde_json::Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .body(Full::from(body.to_string()))
            .expect("a request");
        assert!(self.ask(request).status().is_success(), "{method} {path}");
    }
}

async fn server(storage: Arc<Sqlite>) -> Server {
    let sandbox = Sandbox::start(selvedge_sandbox::Options {
        max_instances: 1,
        threads: 1,
        ..selvedge_sandbox::Options::default()
    })
    .expect("a sandbox");
    let clock = Arc::new(SystemClock);
    let webhooks = selvedge_webhook::Options::default();
    let webhooks = Webhooks::start(webhooks, storage.clone(), clock.clone()).expect("webhooks");
    let options = selvedge_runtime::Options::default();
    let recovery = storage.recover(Timestamp::now(), options.max_attempts);
    let recovery = recovery.await.expect("an empty database");
    let runtime = Runtime::start(
        options,
        Rooms {
            storage: storage.clone(),
            sandbox,
            webhooks: Arc::new(webhooks),
            index: None,
        },
        Graphs::new(Vec::new(), Timestamp::now()).expect("no graphs"),
        recovery,
        clock,
    )
    .await
    .expect("a runtime");
    let options = selvedge_api::Options {
        development: true,
        ..selvedge_api::Options::default()
    };
    let service = Arc::new(selvedge_api::service(options, runtime, storage, None));
    Box::new(move |request| {
        let service = Arc::clone(&service);
        Box::pin(async move {
            let Ok(answer) = service.call(request).await;
            let (head, mut body) = answer.into_parts();
            // The first part of what may go on for ever, all of what is short.
            let first = match tokio::time::timeout(FIRST_PART, body.frame()).await {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                _ => Bytes::new(),
            };
            Response::from_parts(head, first)
        })
    })
}
