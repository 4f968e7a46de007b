//! The only place where a connection is opened: resolve, judge every answer, connect to a judged address, look at
//! the peer, encrypt.
//!
//! This sits under hyper-util's client rather than in a layer of reqwest's: such a layer sees neither the
//! destination (literals would pass it unjudged) nor the peer (which reqwest shows only after the request is sent).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::error::{EgressError, Phase};
use crate::gate::connect;
use crate::io::{Connection, Stream};
use crate::policy::Policy;
use crate::refusal::{Gate, Refusal, Rule};
use crate::resolver::Resolver;
use crate::target::Host;

/// How long one address is tried alone before the next joins in: the "connection attempt delay" that RFC 8305
/// section 5 recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// So many addresses of one name are tried; all are judged.
const MAX_ATTEMPTS: usize = 8;

#[derive(Clone)]
pub(crate) struct Connector {
    pub policy: Arc<Policy>,
    pub resolver: Arc<dyn Resolver>,
    pub tls: TlsConnector,
    pub timeout: Duration,
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = EgressError;
    type Future = BoxFuture<'static, Result<Connection, EgressError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        async move {
            let tried = OnceLock::new();
            let late = |_| EgressError::Timeout {
                phase: Phase::Connection,
                address: tried.get().copied(),
            };
            timeout(connector.timeout, connector.connect(&uri, &tried))
                .await
                .map_err(late)?
        }
        .boxed()
    }
}

impl Connector {
    /// Also says which address it tries first.
    async fn connect(
        &self,
        uri: &Uri,
        tried: &OnceLock<SocketAddr>,
    ) -> Result<Connection, EgressError> {
        let host =
            Host::of_uri(uri).ok_or_else(|| self.policy.refuse(Gate::Connect, Rule::EmptyHost))?;
        let https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let addresses = self.judged_addresses(&host, port).await?;
        for address in &addresses {
            let at = SocketAddr::new(*address, port);
            self.policy
                .check_destination(at)
                .map_err(|refusal| refused_at(at, refusal))?;
        }
        if let Some(first) = addresses.first() {
            tried.get_or_init(|| SocketAddr::new(*first, port));
        }
        let (tcp, judged) = race(&addresses, port).await?;
        let peer = tcp
            .peer_addr()
            .map_err(|error| not_connected(judged, &error))?;
        connect::peer(judged, peer)
            .map_err(|rule| refused_at(peer, self.policy.refuse(Gate::Connect, rule)))?;
        let local = tcp
            .local_addr()
            .map_err(|error| not_connected(peer, &error))?;
        self.policy
            .check_ends(local, peer)
            .map_err(|refusal| refused_at(peer, refusal))?;
        // A request is written in one piece; waiting for more would only delay it.
        tcp.set_nodelay(true)
            .map_err(|error| not_connected(peer, &error))?;
        let stream = if https {
            Stream::Tls(Box::new(self.encrypt(tcp, &host, peer).await?))
        } else {
            Stream::Plain(TokioIo::new(tcp))
        };
        Ok(Connection { stream, peer })
    }

    async fn judged_addresses(&self, host: &Host, port: u16) -> Result<Vec<IpAddr>, EgressError> {
        let name = match host {
            Host::Ip(address) => {
                self.policy.check_literal(*address)?;
                return Ok(vec![*address]);
            }
            Host::Name(name) => name,
        };
        let scope = self.policy.check_name(name)?;
        let unresolved = |message: String| EgressError::Dns {
            host: name.clone(),
            message,
        };
        let answers = self.resolver.resolve(name).await;
        let answers = answers.map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => EgressError::Timeout {
                phase: Phase::Lookup,
                address: None,
            },
            _ => unresolved(error.to_string()),
        })?;
        if answers.is_empty() {
            return Err(unresolved("no address".to_owned()));
        }
        // Each on its own, to say which it was.
        for address in &answers {
            let refused = self.policy.check_resolved(&[*address], scope).err();
            if let Some(refusal) = refused {
                return Err(refused_at(SocketAddr::new(*address, port), refusal));
            }
        }
        Ok(answers)
    }

    async fn encrypt(
        &self,
        tcp: TcpStream,
        host: &Host,
        peer: SocketAddr,
    ) -> Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>, EgressError> {
        let failed = |message: String| EgressError::Tls {
            address: peer,
            message,
        };
        let name = match host {
            Host::Name(name) => {
                ServerName::try_from(name.clone()).map_err(|error| failed(error.to_string()))?
            }
            Host::Ip(address) => ServerName::from(*address),
        };
        let stream = self
            .tls
            .connect(name, tcp)
            .await
            .map_err(|error| failed(error.to_string()))?;
        Ok(TokioIo::new(stream))
    }
}

/// Connects to the first address that answers: each gets a head start before the next one, and a failure calls the
/// next at once (RFC 8305 section 5).
async fn race(addresses: &[IpAddr], port: u16) -> Result<(TcpStream, SocketAddr), EgressError> {
    let mut waiting = addresses
        .iter()
        .take(MAX_ATTEMPTS)
        .map(|ip| SocketAddr::new(*ip, port));
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    loop {
        if let Some(address) = waiting.next() {
            attempts.push(async move { (TcpStream::connect(address).await, address) });
        } else if attempts.is_empty() {
            break;
        }
        let more = waiting.len() > 0;
        tokio::select! {
            Some((result, address)) = attempts.next() => match result {
                Ok(stream) => return Ok((stream, address)),
                Err(error) => failure = Some(not_connected(address, &error)),
            },
            () = sleep(ATTEMPT_DELAY), if more => {}
        }
    }
    Err(failure.unwrap_or_else(|| EgressError::Protocol {
        message: "no address to connect to".to_owned(),
        address: None,
    }))
}

fn refused_at(address: SocketAddr, refusal: Refusal) -> EgressError {
    EgressError::Refused(Refusal {
        address: Some(address),
        ..refusal
    })
}

fn not_connected(address: SocketAddr, error: &io::Error) -> EgressError {
    EgressError::Connect {
        address,
        message: error.to_string(),
    }
}
