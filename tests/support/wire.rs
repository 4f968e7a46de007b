//! A server below HTTP: it reads a request and then writes onto the connection what a test wants, right or wrong.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::eventually;
use super::wait::PATIENCE;

/// One thing that is done with a connection. After the last it is closed.
#[derive(Clone, Debug)]
pub enum Say {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes again and again, for as long as the client takes them.
    Endlessly(Vec<u8>),
    /// The same, with a pause before each time.
    Slowly(&'static str),
    /// Nothing, until the client closes.
    Nothing,
}

impl Say {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Bytes(text.into().into_bytes())
    }

    /// A whole answer, after which the connection is closed: status line without the version, headers without the last
    /// line's end, body.
    pub fn answer(status: &str, headers: &str, body: &str) -> Vec<Self> {
        let length = body.len();
        vec![Self::text(format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))]
    }
}

/// Between two pieces of what is said slowly: shorter than any deadline that a piece alone could run into.
const SLOWLY: Duration = Duration::from_millis(50);

type Script = dyn Fn(&str, usize) -> Vec<Say> + Send + Sync;

/// A running server; it stops with the test.
pub struct Wire {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    written: Arc<AtomicU64>,
}

impl Wire {
    /// One that decides by the head of the request and by how many came before it.
    pub async fn saying(script: impl Fn(&str, usize) -> Vec<Say> + Send + Sync + 'static) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, script).await
    }

    /// The same on a loopback address of the test's choice.
    pub async fn at(
        address: Ipv4Addr,
        script: impl Fn(&str, usize) -> Vec<Say> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).await;
        Self::on(listener.expect("a free port"), script)
    }

    /// Two that close after each answer, on the same port of two addresses, so that a name can lead to either.
    pub async fn twins(addresses: [Ipv4Addr; 2], status: &'static str) -> [Self; 2] {
        let answer = move |_: &str, _| Say::answer(status, "", "{}");
        eventually("a port that is free on both addresses", async || {
            let [one, other] = addresses;
            let one = TcpListener::bind((one, 0)).await.ok()?;
            let port = one.local_addr().ok()?.port();
            let other = TcpListener::bind((other, port)).await.ok()?;
            Some([Self::on(one, answer), Self::on(other, answer)])
        })
        .await
    }

    fn on(
        listener: TcpListener,
        script: impl Fn(&str, usize) -> Vec<Say> + Send + Sync + 'static,
    ) -> Self {
        let wire = Self {
            address: listener.local_addr().expect("an address"),
            requests: Arc::default(),
            written: Arc::default(),
        };
        let script: Arc<Script> = Arc::new(script);
        let (requests, written) = (wire.requests.clone(), wire.written.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, requests) = (script.clone(), requests.clone());
                tokio::spawn(serve(stream, script, requests, written.clone()));
            }
        });
        wire
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of the requests that came. A connection on which nothing was asked has an empty one.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }

    /// How many bytes could be written in all, those included that lie in the system's buffers.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Arc<Script>,
    requests: Arc<Mutex<Vec<String>>>,
    written: Arc<AtomicU64>,
) {
    let head = head_of_request(&mut stream).await;
    let parts = {
        let mut requests = requests.lock().expect("not poisoned");
        requests.push(head.clone());
        script(&head, requests.len() - 1)
    };
    for part in parts {
        if say(&mut stream, part, &written).await.is_err() {
            return;
        }
    }
    // Closing while something is unread would reset the connection, and take with it what was just written.
    let _ = stream.shutdown().await;
    let _ = tokio::time::timeout(PATIENCE, until_closed(&mut stream)).await;
}

/// Reads the head and the body that it announces.
async fn head_of_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = |line: &str| line.strip_prefix("content-length: ")?.parse::<usize>().ok();
            let length = head.lines().find_map(length).unwrap_or(0);
            if bytes.len() >= head.len() + 4 + length {
                return head.to_owned();
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return String::new();
        }
    }
}

async fn say(stream: &mut TcpStream, part: Say, written: &AtomicU64) -> std::io::Result<()> {
    let mut write = async |bytes: &[u8]| {
        stream.write_all(bytes).await?;
        let count = u64::try_from(bytes.len()).expect("a length");
        written.fetch_add(count, Ordering::SeqCst);
        Ok(())
    };
    match part {
        Say::Bytes(bytes) => write(&bytes).await,
        Say::Endlessly(bytes) => loop {
            write(&bytes).await?;
        },
        Say::Slowly(text) => loop {
            tokio::time::sleep(SLOWLY).await;
            write(text.as_bytes()).await?;
        },
        Say::Nothing => {
            until_closed(stream).await;
            Ok(())
        }
    }
}

async fn until_closed(stream: &mut TcpStream) {
    let mut bytes = [0; 1024];
    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}
