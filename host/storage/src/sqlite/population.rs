//! How many runs wait and are executed, altogether and of each owner. Nobody's runs are only counted altogether, as long
//! as they wait.

use std::collections::{BTreeSet, HashMap};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Population {
    pending: u64,
    owners: HashMap<String, Owned>,
    /// Owners of whom pending runs may be parked: ready, but for their owner's share.
    parked: BTreeSet<String>,
}

/// Of one owner who has any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) pending: u64,
    pub(super) running: u64,
}

impl Population {
    /// Nobody's.
    pub(super) fn of_nobody(pending: u64) -> Self {
        Self {
            pending,
            ..Self::default()
        }
    }

    pub(super) fn pending(&self) -> u64 {
        self.pending
    }

    pub(super) fn of(&self, owner: &str) -> Owned {
        self.owners.get(owner).copied().unwrap_or_default()
    }

    /// So many more, or fewer.
    pub(super) fn shift(&mut self, owner: Option<&str>, pending: i64, running: i64) {
        self.pending = self.pending.saturating_add_signed(pending);
        let Some(owner) = owner else {
            return;
        };
        let mut of_owner = self.of(owner);
        of_owner.pending = of_owner.pending.saturating_add_signed(pending);
        of_owner.running = of_owner.running.saturating_add_signed(running);
        if of_owner == Owned::default() {
            self.owners.remove(owner);
        } else {
            self.owners.insert(owner.to_owned(), of_owner);
        }
    }

    /// Notes whether an owner may have parked runs; whether that is new.
    pub(super) fn set_parked(&mut self, owner: &str, parked: bool) -> bool {
        match parked {
            true => self.parked.insert(owner.to_owned()),
            false => self.parked.remove(owner),
        }
    }

    /// Owners with parked runs who have room for more running ones, and for how many.
    pub(super) fn parked_below(&self, max_running: u64) -> Vec<(String, u64)> {
        let rooms = self.parked.iter().map(|owner| {
            let room = max_running.saturating_sub(self.of(owner).running);
            (owner, room)
        });
        rooms
            .filter(|(_, room)| *room > 0)
            .map(|(owner, room)| (owner.clone(), room))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_without_runs_are_forgotten() {
        let mut population = Population::of_nobody(1);
        population.shift(None, 1, 0);
        population.shift(Some("ann"), 2, 0);
        population.shift(Some("ann"), -1, 1);
        let ann = Owned {
            pending: 1,
            running: 1,
        };
        assert_eq!((population.pending(), population.of("ann")), (3, ann));
        population.shift(Some("ann"), -1, 0);
        population.shift(Some("ann"), 0, -1);
        population.shift(None, -2, 0);
        assert_eq!(population, Population::default());
    }

    #[test]
    fn whoever_has_parked_runs_and_room_is_found() {
        let mut population = Population::default();
        population.shift(Some("ann"), 5, 2);
        population.shift(Some("bob"), 5, 3);
        for owner in ["ann", "bob"] {
            assert!(population.set_parked(owner, true));
            assert!(!population.set_parked(owner, true));
        }
        assert_eq!(population.parked_below(3), [("ann".to_owned(), 1)]);
        assert!(population.set_parked("ann", false));
        assert_eq!(population.parked_below(3), []);
    }
}
