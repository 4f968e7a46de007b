//! What the writer keeps in memory beside the database, and how it is taken back when a write is.
//!
//! Only the writer thread touches it, and only this process writes to the directory, so it agrees with the
//! database at every commit: a unit that changes something here notes how to undo it, and the writer undoes what
//! belongs to a unit or a transaction that was rolled back.

use std::collections::{HashMap, HashSet};

use selvedge_model::CheckpointId;

use super::places::Places;
use super::population::Population;

/// Checkpoints, and threads, that are remembered: those of the runs that a process executes at once (1,000 unless
/// configured) with a few subgraphs each, in some megabytes. When there are more, everything is forgotten and read
/// again as it is needed, which costs two look-ups a thread.
const MAX_REMEMBERED: usize = 4_096;

#[derive(Default)]
pub(super) struct Memory {
    population: Population,
    claimed_deliveries: HashSet<i64>,
    threads: HashMap<i64, ThreadMemory>,
    /// Heads of all threads.
    heads: usize,
    undo: Vec<Undo>,
}

#[derive(Default)]
struct ThreadMemory {
    /// The number of the next segment; numbers rise for the life of the thread.
    next_segment: Option<i64>,
    heads: HashMap<String, Head>,
}

/// A checkpoint that was written last in its namespace, the likely parent of the next.
pub(super) struct Head {
    pub(super) id: CheckpointId,
    pub(super) key: i64,
    /// The run that made it.
    pub(super) run: Option<i64>,
    pub(super) places: Places,
}

enum Undo {
    Runs {
        owner: Option<String>,
        pending: i64,
        running: i64,
    },
    Population(Box<Population>),
    Parked(String, bool),
    Claimed(i64),
    Unclaimed(i64),
    Thread(i64),
}

impl Memory {
    pub(super) fn new(population: Population) -> Self {
        Self {
            population,
            ..Self::default()
        }
    }

    /// How many runs there are.
    pub(super) fn population(&self) -> &Population {
        &self.population
    }

    /// So many runs of an owner's more wait, or fewer, and so many more are executed.
    pub(super) fn shift_runs(&mut self, owner: Option<&str>, pending: i64, running: i64) {
        if owner.is_none() && pending == 0 {
            return;
        }
        self.population.shift(owner, pending, running);
        self.undo.push(Undo::Runs {
            owner: owner.map(str::to_owned),
            pending,
            running,
        });
    }

    /// When so many went at once that they had to be counted anew.
    pub(super) fn set_population(&mut self, population: Population) {
        let before = std::mem::replace(&mut self.population, population);
        self.undo.push(Undo::Population(Box::new(before)));
    }

    /// Notes whether an owner may have parked runs.
    pub(super) fn set_parked(&mut self, owner: &str, parked: bool) {
        if self.population.set_parked(owner, parked) {
            self.undo.push(Undo::Parked(owner.to_owned(), !parked));
        }
    }

    pub(super) fn is_claimed(&self, delivery: i64) -> bool {
        self.claimed_deliveries.contains(&delivery)
    }

    pub(super) fn claim(&mut self, delivery: i64) {
        if self.claimed_deliveries.insert(delivery) {
            self.undo.push(Undo::Claimed(delivery));
        }
    }

    pub(super) fn unclaim(&mut self, delivery: i64) {
        if self.claimed_deliveries.remove(&delivery) {
            self.undo.push(Undo::Unclaimed(delivery));
        }
    }

    pub(super) fn unclaim_all(&mut self) {
        for delivery in std::mem::take(&mut self.claimed_deliveries) {
            self.undo.push(Undo::Unclaimed(delivery));
        }
    }

    /// Takes the checkpoint that was written last in a namespace, to become the next one.
    pub(super) fn take_head(&mut self, thread: i64, namespace: &str) -> Option<Head> {
        let head = self.threads.get_mut(&thread)?.heads.remove(namespace)?;
        self.heads -= 1;
        Some(head)
    }

    /// The same to look at.
    pub(super) fn head(&self, thread: i64, namespace: &str) -> Option<&Head> {
        self.threads.get(&thread)?.heads.get(namespace)
    }

    pub(super) fn set_head(&mut self, thread: i64, namespace: String, head: Head) {
        let replaced = self.touch(thread).heads.insert(namespace, head);
        self.heads += usize::from(replaced.is_none());
    }

    pub(super) fn next_segment(&self, thread: i64) -> Option<i64> {
        self.threads.get(&thread)?.next_segment
    }

    pub(super) fn set_next_segment(&mut self, thread: i64, segment: i64) {
        self.touch(thread).next_segment = Some(segment);
    }

    pub(super) fn forget_thread(&mut self, thread: i64) {
        if let Some(forgotten) = self.threads.remove(&thread) {
            self.heads -= forgotten.heads.len();
        }
    }

    pub(super) fn forget_all_threads(&mut self) {
        self.threads.clear();
        self.heads = 0;
    }

    fn touch(&mut self, thread: i64) -> &mut ThreadMemory {
        if self.heads.max(self.threads.len()) >= MAX_REMEMBERED {
            self.forget_all_threads();
        }
        self.undo.push(Undo::Thread(thread));
        self.threads.entry(thread).or_default()
    }

    /// Where a unit begins.
    pub(super) fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Takes back what was done since a mark. What is known of a thread is merely forgotten.
    pub(super) fn undo_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some(Undo::Runs {
                    owner,
                    pending,
                    running,
                }) => self.population.shift(owner.as_deref(), -pending, -running),
                Some(Undo::Population(before)) => self.population = *before,
                Some(Undo::Parked(owner, before)) => {
                    self.population.set_parked(&owner, before);
                }
                Some(Undo::Claimed(delivery)) => {
                    self.claimed_deliveries.remove(&delivery);
                }
                Some(Undo::Unclaimed(delivery)) => {
                    self.claimed_deliveries.insert(delivery);
                }
                Some(Undo::Thread(thread)) => self.forget_thread(thread),
                None => {}
            }
        }
    }

    /// After a commit: nothing is undone any more.
    pub(super) fn keep(&mut self) {
        self.undo.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn head(key: i64) -> Head {
        Head {
            id: CheckpointId(Uuid::from_u128(1)),
            key,
            run: None,
            places: Places::new(),
        }
    }

    #[test]
    fn what_a_failed_unit_changed_is_taken_back_and_the_rest_stays() {
        let mut memory = Memory::new(Population::of_nobody(5));
        memory.shift_runs(Some("ann"), 1, 1);
        let before = memory.population().clone();
        memory.claim(1);
        memory.set_head(7, String::new(), head(1));
        let mark = memory.mark();
        memory.claim(2);
        memory.unclaim(1);
        memory.shift_runs(None, 3, 0);
        memory.shift_runs(Some("ann"), -1, 1);
        memory.set_parked("ann", true);
        memory.set_population(Population::default());
        memory.set_head(8, String::new(), head(2));
        memory.undo_to(mark);
        assert!(memory.is_claimed(1) && !memory.is_claimed(2));
        assert_eq!(*memory.population(), before);
        assert!(memory.head(7, "").is_some() && memory.head(8, "").is_none());
    }

    #[test]
    fn no_more_is_remembered_than_the_bound() {
        let mut memory = Memory::default();
        for n in 0..3 * MAX_REMEMBERED {
            memory.set_head(1, n.to_string(), head(1));
        }
        assert!(memory.heads <= MAX_REMEMBERED);
        assert_eq!(memory.heads, memory.threads[&1].heads.len());
        for thread in 0..3 * MAX_REMEMBERED as i64 {
            memory.set_next_segment(thread, 1);
        }
        assert!(memory.threads.len() <= MAX_REMEMBERED);
        memory.forget_thread(1);
        assert!(memory.take_head(1, "0").is_none());
    }
}
