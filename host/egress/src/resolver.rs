//! Names to addresses. The answers are not trusted: gate 4 judges every one of them.

use std::io;
use std::net::IpAddr;

use futures_util::future::BoxFuture;

/// Asks for the addresses of a name. Tests bring their own.
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `name`, in the order in which they should be tried.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver, `/etc/hosts` included.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let answers = tokio::net::lookup_host((name, 0)).await?;
            Ok(answers.map(|address| address.ip()).collect())
        })
    }
}
