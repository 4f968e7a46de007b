//! Names to addresses. The answers are not trusted: gate 4 judges every one of them.

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, oneshot};

/// Look-ups under way at once, those included that nobody waits for any more.
///
/// The system gives one up after some 10 s for each of its name servers, a request after
/// [`connect_timeout`](crate::ClientOptions::connect_timeout). So this is several times what can wait at once, and names
/// whose servers never answer use up no more threads than this.
const MAX_LOOKUPS: usize = 256;

/// Asks for the addresses of a name. Tests bring their own.
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `name`, in the order in which they should be tried.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver, `/etc/hosts` included. A clone has the same share of threads.
///
/// The system's call cannot be broken off. Hence each has a thread of its own and not one of the async runtime's, which
/// would wait for it when the process ends.
#[derive(Clone)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemResolver")
    }
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let permit = Arc::clone(&self.lookups).acquire_owned().await;
            let permit = permit.map_err(io::Error::other)?;
            let (answer, answered) = oneshot::channel();
            let name = name.to_owned();
            thread::Builder::new()
                .name("resolve".to_owned())
                .spawn(move || {
                    // Whoever asked may have given up.
                    let _ = answer.send(look_up(&name));
                    drop(permit);
                })?;
            answered.await.map_err(io::Error::other)?
        })
    }
}

fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    let answers = (name, 0).to_socket_addrs()?;
    Ok(answers.map(|address| address.ip()).collect())
}
