//! Who is next: deliveries that were claimed and not begun, in a queue for each host.
//!
//! A host is the address that was connected to, and its name before that is known, so that a thousand names of one
//! slow machine are one slow host. Each host has a few slots; slots go round the hosts, first attempts before
//! retries. Each queue is short: what a host cannot take soon goes back to storage with the time at which it should
//! have got there, so that a host with a hundred thousand deliveries takes no room from the others.
//!
//! Pure: no clock, no I/O.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use selvedge_model::Timestamp;
use selvedge_model::delivery::DueDelivery;

/// Deliveries that wait for one host.
const MAX_PER_HOST: usize = 64;
/// What those may weigh together, bodies counted; a single delivery always fits.
const MAX_BYTES_PER_HOST: usize = 8 << 20;
/// Deliveries that wait in all.
const MAX_WAITING: usize = 1024;
/// What those may weigh together before nothing more is claimed.
const MAX_BYTES: usize = 64 << 20;
/// Names whose address is remembered; all are forgotten when there would be more.
const MAX_NAMES: usize = 4096;
/// What an attempt is thought to take at a host that has not answered yet.
const UNKNOWN_PACE: Duration = Duration::from_millis(100);

/// What the operator limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Attempts under way at one host.
    pub per_host: usize,
    /// How long after the end of a run the first attempt is made.
    pub first_delay: Duration,
}

/// Whom the limits of a host apply to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// Host and port of the URL, as long as nothing was connected.
    Named(String),
    /// Where its connections go.
    At(SocketAddr),
}

/// What became of an offer.
#[derive(Debug, PartialEq)]
pub(crate) enum Offer {
    /// It waits here.
    Taken,
    /// It has to come again then.
    Later(Timestamp),
}

pub(crate) struct Queue {
    limits: Limits,
    hosts: HashMap<Host, Lane>,
    /// Hosts with something waiting, the one whose turn it is first.
    turns: VecDeque<Host>,
    addresses: HashMap<String, SocketAddr>,
    waiting: usize,
    bytes: usize,
}

/// What waits for one host.
struct Lane {
    first: VecDeque<DueDelivery>,
    again: VecDeque<DueDelivery>,
    bytes: usize,
    running: usize,
    /// How long its last attempt took.
    pace: Duration,
    /// When the last of those that were sent back should come.
    booked: Timestamp,
}

impl Queue {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            hosts: HashMap::new(),
            turns: VecDeque::new(),
            addresses: HashMap::new(),
            waiting: 0,
            bytes: 0,
        }
    }

    /// How many more may be claimed.
    pub fn room(&self) -> usize {
        if self.bytes >= MAX_BYTES {
            return 0;
        }
        MAX_WAITING.saturating_sub(self.waiting)
    }

    /// Takes a claimed delivery, or says when it should come again.
    pub fn offer(&mut self, due: &DueDelivery, now: Timestamp) -> Offer {
        let start = due.delivery.created_at.after(self.limits.first_delay);
        if due.attempts == 0 && now < start {
            return Offer::Later(start);
        }
        let host = self.host_of(&due.delivery.url);
        let lane = self
            .hosts
            .entry(host.clone())
            .or_insert_with(|| Lane::new(now));
        let size = due.delivery.body.len();
        let is_full = lane.len() >= MAX_PER_HOST || lane.bytes + size > MAX_BYTES_PER_HOST;
        if is_full && lane.len() > 0 {
            return Offer::Later(lane.book(now, self.limits.per_host));
        }
        if lane.len() == 0 {
            self.turns.push_back(host);
        }
        lane.push(due.clone());
        self.waiting += 1;
        self.bytes += size;
        Offer::Taken
    }

    /// The next delivery to try, its host's slot taken.
    pub fn next(&mut self) -> Option<(Host, DueDelivery)> {
        let free = |lane: &Lane| lane.running < self.limits.per_host;
        let fresh = |host: &Host| {
            self.hosts
                .get(host)
                .is_some_and(|lane| free(lane) && !lane.first.is_empty())
        };
        let any = |host: &Host| self.hosts.get(host).is_some_and(free);
        let turn = self
            .turns
            .iter()
            .position(fresh)
            .or_else(|| self.turns.iter().position(any))?;
        let host = self.turns.remove(turn)?;
        let lane = self.hosts.get_mut(&host)?;
        let due = lane.pop()?;
        lane.running += 1;
        if lane.len() > 0 {
            self.turns.push_back(host.clone());
        }
        self.waiting -= 1;
        self.bytes -= due.delivery.body.len();
        Some((host, due))
    }

    /// Gives the slot back. `reached` is the URL and the address that it led to.
    pub fn done(
        &mut self,
        host: &Host,
        took: Option<Duration>,
        reached: Option<(&str, SocketAddr)>,
        now: Timestamp,
    ) {
        if let Some(lane) = self.hosts.get_mut(host) {
            lane.running = lane.running.saturating_sub(1);
            lane.pace = took.unwrap_or(lane.pace);
        }
        if let Some((url, address)) = reached {
            if self.addresses.len() >= MAX_NAMES {
                self.addresses.clear();
            }
            self.addresses.insert(authority(url), address);
        }
        // Kept while what was sent back is on its way, so that the next of them queues behind it.
        self.hosts
            .retain(|_, lane| lane.len() > 0 || lane.running > 0 || lane.booked > now);
    }

    fn host_of(&self, url: &str) -> Host {
        let name = authority(url);
        match self.addresses.get(&name) {
            Some(address) => Host::At(*address),
            None => Host::Named(name),
        }
    }
}

impl Lane {
    fn new(now: Timestamp) -> Self {
        Self {
            first: VecDeque::new(),
            again: VecDeque::new(),
            bytes: 0,
            running: 0,
            pace: UNKNOWN_PACE,
            booked: now,
        }
    }

    fn len(&self) -> usize {
        self.first.len() + self.again.len()
    }

    fn push(&mut self, due: DueDelivery) {
        self.bytes += due.delivery.body.len();
        if due.attempts == 0 {
            self.first.push_back(due);
        } else {
            self.again.push_back(due);
        }
    }

    fn pop(&mut self) -> Option<DueDelivery> {
        let due = self.first.pop_front().or_else(|| self.again.pop_front())?;
        self.bytes -= due.delivery.body.len();
        Some(due)
    }

    /// The time at which one more could be begun, at the pace of the last attempt: behind all that wait here and all
    /// that were sent back before.
    fn book(&mut self, now: Timestamp, slots: usize) -> Timestamp {
        let each = self.pace.div_f64(slots as f64);
        let free = now.after(each.saturating_mul(u32::try_from(self.len()).unwrap_or(u32::MAX)));
        self.booked = self.booked.max(free).after(each);
        self.booked
    }
}

/// Host and port of a URL that storage holds, admitted once and not judged here.
fn authority(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use selvedge_model::delivery::NewDelivery;
    use selvedge_model::{DeliveryId, RunId, ThreadId};

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000);

    fn queue(per_host: usize) -> Queue {
        Queue::new(Limits {
            per_host,
            first_delay: Duration::ZERO,
        })
    }

    fn due(url: &str, attempts: u32) -> DueDelivery {
        let delivery = NewDelivery {
            id: DeliveryId::new(),
            run_id: RunId::new(),
            thread_id: ThreadId::new(),
            url: url.to_owned(),
            body: vec![0; 100],
            sent_at_offset: None,
            created_at: NOW,
        };
        DueDelivery {
            delivery,
            attempts,
            tries: attempts,
        }
    }

    fn next_url(queue: &mut Queue) -> Option<String> {
        queue.next().map(|(_, due)| due.delivery.url)
    }

    #[test]
    fn slots_go_round_the_hosts_and_each_host_has_its_own_number() {
        let mut queue = queue(2);
        for url in ["http://a/1", "http://a/2", "http://a/3", "http://b/1"] {
            assert_eq!(queue.offer(&due(url, 0), NOW), Offer::Taken);
        }
        let order: Vec<_> = std::iter::from_fn(|| next_url(&mut queue)).collect();
        assert_eq!(order, ["http://a/1", "http://b/1", "http://a/2"]);
        queue.done(&Host::Named("a".to_owned()), None, None, NOW);
        assert_eq!(next_url(&mut queue).unwrap(), "http://a/3");
        assert_eq!(queue.room(), MAX_WAITING);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn first_attempts_go_before_retries_of_any_host() {
        let mut queue = queue(4);
        for (url, attempts) in [
            ("http://a/again", 1),
            ("http://b/again", 3),
            ("http://b/first", 0),
        ] {
            queue.offer(&due(url, attempts), NOW);
        }
        let order: Vec<_> = std::iter::from_fn(|| next_url(&mut queue)).collect();
        assert_eq!(
            order,
            ["http://b/first", "http://a/again", "http://b/again"]
        );
    }

    #[test]
    fn two_names_of_one_address_are_one_host_once_it_is_known() {
        let mut queue = queue(1);
        let address: SocketAddr = "192.0.2.1:80".parse().unwrap();
        for name in ["a", "b"] {
            queue.done(
                &Host::Named(name.to_owned()),
                None,
                Some((&format!("http://{name}/x"), address)),
                NOW,
            );
        }
        queue.offer(&due("http://a/1", 0), NOW);
        queue.offer(&due("http://B/1?q", 0), NOW);
        assert_eq!(queue.next().unwrap().0, Host::At(address));
        assert!(queue.next().is_none());
    }

    #[test]
    fn what_a_host_cannot_take_soon_is_sent_back_each_a_little_later() {
        let mut queue = queue(4);
        for _ in 0..MAX_PER_HOST {
            assert_eq!(queue.offer(&due("http://slow/", 0), NOW), Offer::Taken);
        }
        let (slow, _) = queue.next().unwrap();
        queue.offer(&due("http://slow/", 0), NOW);
        queue.done(&slow, Some(Duration::from_secs(16)), None, NOW);
        // 64 wait; at 16 s each on 4 slots the next is due 4 s after 256 s.
        let after = |secs| Offer::Later(NOW.after(Duration::from_secs(secs)));
        assert_eq!(queue.offer(&due("http://slow/", 0), NOW), after(260));
        assert_eq!(queue.offer(&due("http://slow/", 0), NOW), after(264));
        assert_eq!(queue.offer(&due("http://quick/", 0), NOW), Offer::Taken);
    }

    #[test]
    fn a_large_body_fits_alone_and_others_wait_behind_it() {
        let mut queue = queue(1);
        let mut large = due("http://a/", 0);
        large.delivery.body = vec![0; MAX_BYTES_PER_HOST + 1];
        assert_eq!(queue.offer(&large, NOW), Offer::Taken);
        assert!(matches!(
            queue.offer(&due("http://a/", 0), NOW),
            Offer::Later(_)
        ));
    }

    #[test]
    fn the_first_attempt_waits_for_the_schedules_first_entry() {
        let mut queue = Queue::new(Limits {
            per_host: 1,
            first_delay: Duration::from_secs(30),
        });
        let start = NOW.after(Duration::from_secs(30));
        assert_eq!(queue.offer(&due("http://a/", 0), NOW), Offer::Later(start));
        assert_eq!(queue.offer(&due("http://a/", 0), start), Offer::Taken);
        assert_eq!(queue.offer(&due("http://a/", 1), NOW), Offer::Taken);
    }
}
