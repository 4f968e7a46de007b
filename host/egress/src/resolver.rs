//! Names to addresses. The answers are not trusted: gate 4 judges every one of them.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::mem;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout};

/// Look-ups under way at once, those included that nobody waits for any more.
///
/// The system gives one up after some 10 s for each of its name servers, a request after
/// [`connect_timeout`](crate::ClientOptions::connect_timeout). So names whose servers never answer use up no more threads
/// than this.
const MAX_LOOKUPS: usize = 256;
/// So many of them are for names whose last look-up was answered, so that those of which nothing is known, however many,
/// leave these alone.
const KEPT_LOOKUPS: usize = 64;
/// A look-up that is answered takes milliseconds. Whoever waits this long for a place waits for servers that never answer,
/// and whoever gives up sooner says nothing of the servers.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// Names of which it is remembered that they were answered; half of them, the older ones, are forgotten at once.
const MAX_KNOWN: usize = 4096;

/// Asks for the addresses of a name. Tests bring their own.
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `name`, in the order in which they should be tried. An error of the kind
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) says that nobody was asked, for want of a place.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The operating system's resolver, `/etc/hosts` included. A clone has the same share of threads.
///
/// The system's call cannot be broken off. Hence each has a thread of its own and not one of the async runtime's, which
/// would wait for it when the process ends.
#[derive(Clone)]
pub struct SystemResolver {
    look_up: Arc<LookUp>,
    /// Places for any name, and those for names that are known to be answered.
    any: Arc<Semaphore>,
    kept: Arc<Semaphore>,
    known: Arc<Mutex<Known>>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::asking(look_up)
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
            let place = timeout(MAX_WAIT, self.place(name)).await;
            let place = place.ok().flatten().ok_or_else(busy)?;
            let (answer, answered) = oneshot::channel();
            let (look_up, asked) = (Arc::clone(&self.look_up), name.to_owned());
            let mut trial = Trial {
                known: &self.known,
                name,
                began: Instant::now(),
                was_answered: None,
            };
            let known = Arc::clone(&self.known);
            thread::Builder::new()
                .name("resolve".to_owned())
                .spawn(move || {
                    // Whoever asked may have given up.
                    if let Err(Err(_)) = answer.send(look_up(&asked)) {
                        known.lock().remove(&asked);
                    }
                    drop(place);
                })
                .map_err(|_| busy())?;
            let answers = answered.await.map_err(io::Error::other)?;
            trial.was_answered = Some(answers.is_ok());
            answers
        })
    }
}

impl SystemResolver {
    fn asking(look_up: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self {
            look_up: Arc::new(look_up),
            any: Arc::new(Semaphore::new(MAX_LOOKUPS - KEPT_LOOKUPS)),
            kept: Arc::new(Semaphore::new(KEPT_LOOKUPS)),
            known: Arc::default(),
        }
    }

    /// `None` never: the semaphores are not closed.
    async fn place(&self, name: &str) -> Option<OwnedSemaphorePermit> {
        let any = Arc::clone(&self.any).acquire_owned();
        if !self.known.lock().contains(name) {
            return any.await.ok();
        }
        let kept = Arc::clone(&self.kept).acquire_owned();
        tokio::select! {
            biased;
            place = any => place.ok(),
            place = kept => place.ok(),
        }
    }
}

fn busy() -> io::Error {
    io::Error::new(
        io::ErrorKind::ResourceBusy,
        "too many names are being looked up",
    )
}

fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    let answers = (name, 0).to_socket_addrs()?;
    Ok(answers.map(|address| address.ip()).collect())
}

/// A look-up under way. When it ends its name is known or no longer known, and no longer known either when it was waited
/// for in vain. Whoever goes away at once changes nothing.
struct Trial<'a> {
    known: &'a Mutex<Known>,
    name: &'a str,
    began: Instant,
    was_answered: Option<bool>,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        let is_in_vain = self.began.elapsed() >= MAX_WAIT;
        match self.was_answered {
            Some(true) => self.known.lock().insert(self.name),
            None if !is_in_vain => {}
            Some(false) | None => self.known.lock().remove(self.name),
        }
    }
}

/// Names whose last look-up was answered.
#[derive(Default)]
struct Known {
    young: HashSet<String>,
    old: HashSet<String>,
}

impl Known {
    fn contains(&self, name: &str) -> bool {
        self.young.contains(name) || self.old.contains(name)
    }

    fn insert(&mut self, name: &str) {
        if self.young.contains(name) {
            return;
        }
        if self.young.len() >= MAX_KNOWN / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(name.to_owned());
    }

    fn remove(&mut self, name: &str) {
        self.young.remove(name);
        self.old.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc;
    use std::task::Poll;

    use futures_util::poll;
    use tokio::task::unconstrained;
    use tokio::time::advance;

    use super::*;

    /// Answers names that begin with `good` at once, and others when the sender is dropped.
    fn half_deaf() -> (SystemResolver, mpsc::Sender<()>) {
        let (sender, receiver) = mpsc::channel::<()>();
        let receiver = Mutex::new(receiver);
        let resolver = SystemResolver::asking(move |name| {
            if !name.starts_with("good") {
                let _ = receiver.lock().recv();
            }
            Ok(vec![Ipv4Addr::LOCALHOST.into()])
        });
        (resolver, sender)
    }

    async fn kind(resolver: &SystemResolver, name: &str) -> Option<io::ErrorKind> {
        let answer = timeout(Duration::from_secs(10), resolver.resolve(name)).await;
        let answer = answer.expect("an answer or a refusal in time");
        answer.err().map(|error| error.kind())
    }

    #[tokio::test]
    async fn servers_that_never_answer_leave_places_for_names_that_were_answered_before() {
        let (resolver, deaf) = half_deaf();
        assert_eq!(kind(&resolver, "good.example").await, None);
        for n in 0..MAX_LOOKUPS {
            let name = format!("deaf{n}.example");
            // Begun, and given up at once; the runtime's turn for a task would end after half of them.
            let mut look_up = unconstrained(resolver.resolve(&name));
            assert!(matches!(poll!(&mut look_up), Poll::Pending));
        }
        let busy = Some(io::ErrorKind::ResourceBusy);
        assert_eq!(kind(&resolver, "other.example").await, busy);
        assert_eq!(kind(&resolver, "good.example").await, None);
        drop(deaf);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_is_waited_for_in_vain_is_no_longer_known_and_one_that_is_given_up_at_once_is()
     {
        let (resolver, deaf) = half_deaf();
        resolver.known.lock().insert("deaf.example");
        for (waited, stays) in [(MAX_WAIT / 2, true), (MAX_WAIT, false)] {
            let mut look_up = resolver.resolve("deaf.example");
            assert!(matches!(poll!(&mut look_up), Poll::Pending));
            advance(waited).await;
            drop(look_up);
            assert_eq!(resolver.known.lock().contains("deaf.example"), stays);
        }
        drop(deaf);
    }

    #[test]
    fn the_names_that_are_known_are_bounded_and_the_newest_stay() {
        let mut known = Known::default();
        for n in 0..=2 * MAX_KNOWN {
            known.insert(&n.to_string());
            assert!(known.young.len() + known.old.len() <= MAX_KNOWN);
        }
        assert!(known.contains(&(2 * MAX_KNOWN).to_string()));
        assert!(!known.contains("0"));
    }
}
