//! An issuer that changes its keys, and one that cannot be reached, by a clock that the test turns.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use selvedge_auth::{Authenticator, Denied, KeySource};
use selvedge_model::Caller;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::given::{self, Key, host};

/// Between two attempts to read keys; keys that are older are read again, and not used any more.
const MIN_INTERVAL: Duration = Duration::from_secs(10);
const FRESH: Duration = Duration::from_secs(300);
const USABLE: Duration = Duration::from_secs(3_600);

/// Where an issuer shows its keys, over HTTP.
#[derive(Clone)]
struct Issuer {
    address: SocketAddr,
    /// `None`: it fails.
    shown: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
    /// One for each answer that it may give.
    turns: Arc<Semaphore>,
}

impl Issuer {
    async fn start(set: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let issuer = Self {
            address: listener.local_addr().expect("an address"),
            shown: Arc::new(Mutex::new(Some(set))),
            asked: Arc::default(),
            turns: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        };
        let answering = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                answering.answer(stream).await;
            }
        });
        issuer
    }

    async fn answer(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await.expect("a request") == 0 {
                return;
            }
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.turns
            .acquire()
            .await
            .expect("it is not closed")
            .forget();
        let (status, body) = match &*self.shown.lock() {
            Some(set) => ("200 OK", set.to_string()),
            None => ("500 Internal Server Error", String::new()),
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(answer.as_bytes()).await.expect("a reader");
    }

    /// Answers nobody until it [`goes_on`](Self::goes_on).
    fn pauses(&self) {
        self.turns.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn goes_on(&self) {
        self.turns.add_permits(Semaphore::MAX_PERMITS);
    }

    /// Until it has been asked so many times.
    async fn was_asked(&self, times: usize) {
        while self.asked() < times {
            tokio::task::yield_now().await;
        }
    }

    fn shows(&self, set: Option<Value>) {
        *self.shown.lock() = set;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    async fn believed(&self) -> Authenticator {
        let keys = KeySource::Url(format!("http://{}/keys", self.address));
        host(keys).await.expect("a URL")
    }
}

async fn identify(authenticator: &Authenticator, key: &Key) -> Result<Caller, Denied> {
    given::identify(authenticator, &key.token()).await
}

fn is_unavailable(answer: &Result<Caller, Denied>) -> bool {
    matches!(answer, Err(Denied::Unavailable { .. }))
}

/// Stands still only while it is turned, since connections need it to go on.
async fn turn(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

#[tokio::test]
async fn changed_keys_are_read_when_a_token_names_one_and_old_ones_verify_nothing_from_then_on() {
    let (first, second) = (Key::new("first"), Key::new("second"));
    let issuer = Issuer::start(first.set()).await;
    let authenticator = issuer.believed().await;
    for _ in 0..10 {
        assert!(identify(&authenticator, &first).await.is_ok());
    }
    assert_eq!(issuer.asked(), 1);
    issuer.shows(Some(second.set()));
    // Whoever sends names of keys that there are not has the issuer asked once in a while, not each time.
    // Meanwhile nobody is told that a token is wrong which may be right by now.
    for _ in 0..10 {
        let denied = identify(&authenticator, &second).await;
        let Err(Denied::Unavailable { retry_after }) = denied else {
            panic!("{denied:?}");
        };
        assert!(!retry_after.is_zero() && retry_after <= MIN_INTERVAL);
    }
    assert_eq!(issuer.asked(), 1);
    turn(MIN_INTERVAL).await;
    assert!(identify(&authenticator, &second).await.is_ok());
    assert_eq!(issuer.asked(), 2);
    let denied = identify(&authenticator, &first).await;
    assert!(
        matches!(denied, Err(Denied::Unavailable { .. })),
        "{denied:?}"
    );
    turn(MIN_INTERVAL).await;
    assert_eq!(identify(&authenticator, &first).await, Err(Denied::Invalid));
}

#[tokio::test]
async fn a_key_that_was_taken_away_verifies_nothing_once_the_keys_are_old() {
    let (first, second) = (Key::new("first"), Key::new("second"));
    let issuer = Issuer::start(first.set()).await;
    let authenticator = issuer.believed().await;
    assert!(identify(&authenticator, &first).await.is_ok());
    issuer.shows(Some(second.set()));
    turn(FRESH).await;
    assert_eq!(identify(&authenticator, &first).await, Err(Denied::Invalid));
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn while_the_issuer_fails_known_keys_hold_for_an_hour() {
    let key = Key::new("only");
    let issuer = Issuer::start(key.set()).await;
    let authenticator = issuer.believed().await;
    assert!(identify(&authenticator, &key).await.is_ok());
    issuer.shows(None);
    turn(FRESH).await;
    assert!(identify(&authenticator, &key).await.is_ok());
    assert_eq!(issuer.asked(), 2);
    turn(USABLE - FRESH).await;
    assert!(is_unavailable(&identify(&authenticator, &key).await));
    issuer.shows(Some(key.set()));
    turn(MIN_INTERVAL).await;
    assert!(identify(&authenticator, &key).await.is_ok());
}

#[tokio::test]
async fn whoever_goes_away_while_keys_are_read_keeps_nobody_from_them() {
    let key = Key::new("only");
    let issuer = Issuer::start(key.set()).await;
    let authenticator = issuer.believed().await;
    let nobodys = Key::new("of nobody");
    issuer.pauses();
    tokio::select! {
        answer = identify(&authenticator, &nobodys) => panic!("{answer:?}"),
        () = issuer.was_asked(1) => {}
    }
    issuer.goes_on();
    assert!(identify(&authenticator, &key).await.is_ok());
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn while_keys_are_read_again_those_that_are_known_hold() {
    let key = Key::new("only");
    let issuer = Issuer::start(key.set()).await;
    let authenticator = issuer.believed().await;
    assert!(identify(&authenticator, &key).await.is_ok());
    issuer.pauses();
    turn(FRESH).await;
    let first = identify(&authenticator, &key);
    tokio::pin!(first);
    tokio::select! {
        answer = &mut first => panic!("{answer:?}"),
        () = issuer.was_asked(2) => {}
    }
    assert!(identify(&authenticator, &key).await.is_ok());
    issuer.goes_on();
    assert!(first.await.is_ok());
    assert_eq!(issuer.asked(), 2);
}
