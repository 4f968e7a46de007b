//! Which slots are taken, and whether one is left for a name.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use selvedge_model::Timestamp;

use super::lane::{Class, Lane};
use super::{Limits, Running, SLOW_AFTER, Ticket};

/// Failing names share this part of all slots, and unknown ones that.
const FAILING_SHARE: usize = 4;
pub(super) const UNKNOWN_SHARE: usize = 2;

/// Slots that are taken.
pub(super) struct Taken<'a> {
    limits: &'a Limits,
    /// Of all, slow attempts at names that used to answer not counted.
    in_all: usize,
    unknown: usize,
    failing: usize,
    /// By names that do not answer, of each domain.
    families: HashMap<&'a str, usize>,
    addresses: HashMap<SocketAddr, usize>,
}

impl<'a> Taken<'a> {
    pub(super) fn of(
        running: &HashMap<Ticket, Running>,
        lanes: &'a HashMap<Arc<str>, Lane>,
        limits: &'a Limits,
        now: Timestamp,
    ) -> Self {
        let mut taken = Self {
            limits,
            in_all: 0,
            unknown: 0,
            failing: 0,
            families: HashMap::new(),
            addresses: HashMap::new(),
        };
        let mut slow = 0;
        for Running { name, began } in running.values() {
            let Some(lane) = lanes.get(name) else {
                continue;
            };
            let class = lane.class(now);
            match class {
                Class::Proven => slow += usize::from(began.until(now) >= SLOW_AFTER),
                Class::Unknown => taken.unknown += 1,
                Class::Failing => taken.failing += 1,
            }
            if class != Class::Proven {
                *taken.families.entry(lane.family()).or_default() += 1;
            }
            if let Some(address) = lane.address() {
                *taken.addresses.entry(address).or_default() += 1;
            }
        }
        taken.in_all = running.len() - slow.min(limits.in_all);
        taken
    }

    /// Whether no name at all may begin one more attempt.
    pub(super) fn is_all(&self) -> bool {
        self.in_all >= self.limits.in_all
    }

    /// Whether a name may begin one more attempt.
    pub(super) fn leave_one_for(&self, lane: &Lane, now: Timestamp) -> bool {
        let Limits {
            in_all, per_host, ..
        } = *self.limits;
        let at_address = lane.address().and_then(|at| self.addresses.get(&at));
        let is_free = |taken: Option<&usize>| taken.is_none_or(|taken| *taken < per_host);
        if !lane.may_begin(per_host, now) || !is_free(at_address) {
            return false;
        }
        let (share, taken) = match lane.class(now) {
            Class::Proven => return true,
            Class::Unknown => (in_all / UNKNOWN_SHARE, self.unknown),
            Class::Failing => (in_all / FAILING_SHARE, self.failing),
        };
        taken < share.max(1) && is_free(self.families.get(&**lane.family()))
    }
}
