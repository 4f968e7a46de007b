//! Who is next: deliveries that were claimed and not begun, in a queue for each host.
//!
//! A host is the address that was connected to, and its name before that is known, so that a thousand names of one
//! slow machine are one slow host. Each host has a few slots; slots go round the hosts, first attempts before
//! retries. Each queue is short: what a host cannot take soon goes back to storage with the time at which it should
//! have got there, so that a host with a hundred thousand deliveries takes no room from the others.
//!
//! Hosts that fail share a quarter of all slots, and hosts of which nothing is known half of them, one each; so whatever
//! twenty hosts do that accept and never answer, there are slots left for those that do answer. A host that fails again
//! and again is left alone for a while (`lane`): its deliveries are put off, and none is dropped for it.
//!
//! Pure: no clock, no I/O.

mod lane;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use selvedge_model::Timestamp;
use selvedge_model::delivery::DueDelivery;

use lane::{Lane, Standing};

/// Deliveries that wait in all.
const MAX_WAITING: usize = 1024;
/// What those may weigh together before nothing more is claimed.
const MAX_BYTES: usize = 64 << 20;
/// Names whose address is remembered; all are forgotten when there would be more.
const MAX_NAMES: usize = 4096;
/// Hosts that are remembered; the idle ones are forgotten when there would be more.
const MAX_HOSTS: usize = 4096;
/// Failing hosts share this part of all slots, and unknown ones that.
const FAILING_SHARE: usize = 4;
const UNKNOWN_SHARE: usize = 2;

/// What the operator limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Attempts under way at all hosts together.
    pub in_all: usize,
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

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// What became of an offer.
#[derive(Debug, PartialEq)]
pub(crate) enum Offer {
    /// It waits here.
    Taken,
    /// It has to come again then.
    Later(Timestamp),
}

/// What an attempt has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen<'a> {
    /// Whether the host answers, and how long the attempt took; `None` when it did not get as far.
    pub answers: Option<(bool, Duration)>,
    /// The URL and the address that it led to.
    pub reached: Option<(&'a str, SocketAddr)>,
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
        let lane = self.lane(&host, now);
        let size = due.delivery.body.len();
        if !lane.takes(size, now) {
            let per_host = self.limits.per_host;
            return Offer::Later(self.lane(&host, now).book(now, per_host));
        }
        let is_first = lane.len() == 0;
        lane.push(due.clone());
        if is_first {
            self.turns.push_back(host);
        }
        self.waiting += 1;
        self.bytes += size;
        Offer::Taken
    }

    /// The next delivery to try, its host's slot taken.
    pub fn next(&mut self, now: Timestamp) -> Option<(Host, DueDelivery)> {
        let shares = self.shares();
        let lane = |host: &Host| {
            let lane = self.hosts.get(host)?;
            let is_free = lane.may_begin(self.limits.per_host, now) && shares.allow(lane);
            is_free.then_some(lane)
        };
        let turn = self
            .turns
            .iter()
            .position(|host| lane(host).is_some_and(Lane::has_first))
            .or_else(|| self.turns.iter().position(|host| lane(host).is_some()))?;
        let host = self.turns.remove(turn)?;
        let lane = self.hosts.get_mut(&host)?;
        let due = lane.begin(now)?;
        if lane.len() > 0 {
            self.turns.push_back(host.clone());
        }
        self.waiting -= 1;
        self.bytes -= due.delivery.body.len();
        Some((host, due))
    }

    /// When the next host that something waits for is no longer left alone.
    pub fn next_pause_end(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.turns.iter().filter_map(|host| self.hosts.get(host));
        ends.filter_map(|lane| lane.pause_end(now)).min()
    }

    /// Gives the slot back that was taken then. For how long the host is left alone from now on, when its breaker has
    /// just opened.
    pub fn done(
        &mut self,
        host: &Host,
        began: Timestamp,
        seen: Seen<'_>,
        now: Timestamp,
    ) -> Option<Duration> {
        self.lane(host, now).end(began);
        if let Some((url, address)) = seen.reached {
            if self.addresses.len() >= MAX_NAMES {
                self.addresses.clear();
            }
            self.addresses.insert(authority(url), address);
        }
        let (answers, took) = seen.answers?;
        // What comes next goes to the address, so that is who has to have learnt from it.
        let at = seen.reached.map(|(_, address)| Host::At(address));
        if let Some(at) = at.filter(|at| at != host) {
            self.lane(&at, now).learn(answers, took, now);
        }
        self.lane(host, now).learn(answers, took, now)
    }

    fn lane(&mut self, host: &Host, now: Timestamp) -> &mut Lane {
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(host) {
            self.hosts.retain(|_, lane| !lane.is_idle(now));
        }
        let new = || Lane::new(now);
        self.hosts.entry(host.clone()).or_insert_with(new)
    }

    fn host_of(&self, url: &str) -> Host {
        let name = authority(url);
        match self.addresses.get(&name) {
            Some(address) => Host::At(*address),
            None => Host::Named(name),
        }
    }

    fn shares(&self) -> Shares {
        let mut shares = Shares {
            failing: (self.limits.in_all / FAILING_SHARE).max(1),
            unknown: (self.limits.in_all / UNKNOWN_SHARE).max(1),
        };
        for lane in self.hosts.values() {
            match lane.standing() {
                Standing::Failing(_) => {
                    shares.failing = shares.failing.saturating_sub(lane.running());
                }
                Standing::Unknown => {
                    shares.unknown = shares.unknown.saturating_sub(lane.running());
                }
                Standing::Good => {}
            }
        }
        shares
    }
}

/// Slots that are left for hosts that are not known to answer.
struct Shares {
    failing: usize,
    unknown: usize,
}

impl Shares {
    fn allow(&self, lane: &Lane) -> bool {
        match lane.standing() {
            Standing::Failing(_) => self.failing > 0,
            Standing::Unknown => self.unknown > 0,
            Standing::Good => true,
        }
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
mod tests;
