//! Connections: accept, bound, drain.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use selvedge_auth::Authenticator;
use selvedge_runtime::Runtime;
use selvedge_storage::Reads;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::gate::Gate;
use crate::mcp::Mcp;
use crate::neighbourhood::{Neighbourhoods, Place};
use crate::routes::{Edge, router};
use crate::stall::Bounded;
use crate::tls::{Shown, Tls};
use crate::{Options, TlsError};

/// How long answers that are under way may take to be sent when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long to wait when the system has no file descriptor left for a connection.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(50);

/// The server could not listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another process has the port.
    #[error("{address} is in use by another process. Stop it, or choose another port with --port")]
    InUse {
        /// Where.
        address: SocketAddr,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Something else.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A place to serve at, taken before anything else begins: when it is not to be had, nothing has happened yet.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    options: Options,
    tls: Option<Encryption>,
}

/// How connections are encrypted.
struct Encryption {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
}

impl Encryption {
    fn read(files: &Tls) -> Result<Self, TlsError> {
        let shown = Shown::read(files)?;
        Ok(Self {
            acceptor: shown.acceptor()?,
            shown,
        })
    }
}

impl Listener {
    /// Takes the address.
    pub async fn bind(options: Options) -> Result<Self, ServerError> {
        let tls = options.tls.as_ref().map(Encryption::read).transpose()?;
        let wanted = options.address;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ServerError::InUse { address: wanted },
            _ => ServerError::Listen {
                address: wanted,
                source,
            },
        };
        let socket = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self {
            socket,
            address,
            options,
            tls,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves in the background; everybody, where nobody tells who is calling.
    #[must_use]
    pub fn serve(
        self,
        runtime: Runtime,
        reads: Arc<dyn Reads>,
        authenticator: Option<Authenticator>,
    ) -> Server {
        let (stop, stopped) = oneshot::channel();
        let edge = edge(self.options, runtime, reads, authenticator);
        Server {
            address: self.address,
            stop,
            accepting: tokio::spawn(accept(self.socket, self.tls, edge, stopped)),
        }
    }
}

/// What answers the requests of every connection, for whoever has requests and no connection to send them over: a
/// fuzzer.
#[must_use]
pub fn service(
    options: Options,
    runtime: Runtime,
    reads: Arc<dyn Reads>,
    authenticator: Option<Authenticator>,
) -> TowerToHyperService<Router> {
    over(edge(options, runtime, reads, authenticator))
}

fn edge(
    options: Options,
    runtime: Runtime,
    reads: Arc<dyn Reads>,
    authenticator: Option<Authenticator>,
) -> Arc<Edge> {
    Arc::new(Edge {
        runtime,
        reads,
        gate: Arc::new(Gate::new(&options, authenticator)),
        neighbourhoods: Neighbourhoods::new(options.max_connections_per_address),
        mcp: Mcp::new(options.max_body_bytes),
        options,
    })
}

fn over(edge: Arc<Edge>) -> TowerToHyperService<Router> {
    TowerToHyperService::new(router(edge))
}

/// A server that answers.
pub struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets answers that are under way finish for a few seconds, then closes.
    pub async fn shutdown(self) {
        let _ = self.stop.send(());
        // A panic of the accept loop has been reported by then, and there is nothing left to stop.
        let _ = self.accepting.await;
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<Encryption>,
    edge: Arc<Edge>,
    mut stopped: oneshot::Receiver<()>,
) {
    let slots = Arc::new(Semaphore::new(edge.options.max_connections.max(1)));
    let service = over(edge.clone());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(edge.options.request_timeout)
        // hyper refuses less than 8 KiB.
        .max_buf_size(edge.options.max_header_bytes.max(8 << 10))
        .keep_alive(true);
    // Every connection has a receiver until it is over.
    let stopping = watch::Sender::new(false);
    // Ends with this function.
    let mut background = JoinSet::new();
    if let Some(tls) = &tls {
        background.spawn(tls.shown.clone().stay_current());
    }
    loop {
        let connection = tokio::select! {
            connection = next_connection(&listener, &slots) => connection,
            _ = &mut stopped => break,
        };
        let Some((stream, client, slot)) = connection else {
            continue;
        };
        // One that is not let in is closed before anything is read.
        let Ok(place) = edge.neighbourhoods.enter(client.ip()) else {
            tracing::debug!(%client, "enough connections from there (http.max_connections_per_address)");
            continue;
        };
        // It goes with the connection, also where that becomes a WebSocket's.
        let slot = Slot {
            _of_all: slot,
            _of_neighbourhood: place,
        };
        let stream = Bounded::new(stream, edge.options.write_timeout, slot);
        let (http, service, stopping) = (http.clone(), service.clone(), stopping.subscribe());
        let Some(tls) = tls.as_ref().map(|tls| tls.acceptor.clone()) else {
            let served = http.serve_connection(TokioIo::new(stream), service);
            tokio::spawn(until_over(served.with_upgrades(), client, stopping));
            continue;
        };
        let patience = edge.options.request_timeout;
        tokio::spawn(async move {
            match tokio::time::timeout(patience, tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let served = http.serve_connection(TokioIo::new(stream), service);
                    until_over(served.with_upgrades(), client, stopping).await;
                }
                Ok(Err(error)) => tracing::debug!(%client, %error, "no encrypted connection"),
                Err(_) => tracing::debug!(%client, "no encrypted connection in time"),
            }
        });
    }
    drop(listener);
    stopping.send_replace(true);
    if tokio::time::timeout(DRAIN, stopping.closed())
        .await
        .is_err()
    {
        tracing::info!("closing connections that are still busy");
    }
}

/// A connection's place, until it is over.
struct Slot {
    _of_all: OwnedSemaphorePermit,
    _of_neighbourhood: Place,
}

/// Answers the requests of a connection; when the server stops, only the one that is being answered.
async fn until_over<I>(
    served: UpgradeableConnection<TokioIo<I>, TowerToHyperService<Router>>,
    client: SocketAddr,
    mut stopping: watch::Receiver<bool>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut served = pin!(served);
    let stops = async {
        // The sender is there as long as connections are.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let over = tokio::select! {
        over = served.as_mut() => over,
        () = stops => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = over {
        let cause = std::error::Error::source(&error).map(tracing::field::display);
        tracing::debug!(%client, %error, cause, "a connection ended early");
    }
}

async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, client)) => {
            // Small answers must not wait for the acknowledgement of the ones before.
            let _ = stream.set_nodelay(true);
            Some((stream, client, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(PAUSE_WHEN_EXHAUSTED).await;
            None
        }
    }
}
