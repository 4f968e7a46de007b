//! Who may have an instance: as many at once as the pool holds, granted round-robin over the runs that wait, so
//! that a run with ten thousand tasks stands before nobody.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use selvedge_model::RunId;
use selvedge_pregel::nested::DEEPEST;
use tokio::sync::oneshot;

/// A fair semaphore.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Mutex<State>>);

struct State {
    all: usize,
    free: usize,
    /// Whose turn it is next; each waiting run stands here once.
    turns: VecDeque<RunId>,
    waiting: HashMap<RunId, VecDeque<oneshot::Sender<Slot>>>,
}

/// The right to one instance, given back when dropped.
pub(crate) struct Slot(Option<Slots>);

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        let all = count.max(1);
        Self(Arc::new(Mutex::new(State {
            all,
            free: all,
            turns: VecDeque::new(),
            waiting: HashMap::new(),
        })))
    }

    /// How many are taken now.
    pub(crate) fn taken(&self) -> usize {
        let state = self.0.lock();
        state.all - state.free
    }

    /// Waits for a slot on behalf of a run.
    pub(crate) async fn take(&self, run: RunId) -> Slot {
        loop {
            let waiting = {
                let mut state = self.0.lock();
                if state.free > 0 {
                    state.free -= 1;
                    return Slot(Some(self.clone()));
                }
                let (sender, receiver) = oneshot::channel();
                let queue = state.waiting.entry(run).or_default();
                queue.push_back(sender);
                if queue.len() == 1 {
                    state.turns.push_back(run);
                }
                receiver
            };
            // A sender is only dropped with the whole queue, which lives as long as `self`.
            if let Ok(slot) = waiting.await {
                return slot;
            }
        }
    }

    /// Hands a slot to the next who still wants it. `None` when nobody does.
    fn next_waiter(&self) -> Option<oneshot::Sender<Slot>> {
        let mut state = self.0.lock();
        while let Some(run) = state.turns.pop_front() {
            let Some(queue) = state.waiting.get_mut(&run) else {
                continue;
            };
            let waiter = queue.pop_front();
            if queue.is_empty() {
                state.waiting.remove(&run);
            } else {
                state.turns.push_back(run);
            }
            match waiter {
                Some(waiter) if !waiter.is_closed() => return Some(waiter),
                _ => {}
            }
        }
        state.free += 1;
        None
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(slots) = self.0.take() else {
            return;
        };
        while let Some(waiter) = slots.next_waiter() {
            match waiter.send(Slot(Some(slots.clone()))) {
                Ok(()) => return,
                // It went away between the look and the hand-over: take the slot back without running this drop
                // again, and ask the next.
                Err(mut slot) => slot.0 = None,
            }
        }
    }
}

/// Slots for every depth of graphs that tasks called. Whoever waits for a graph keeps its instance, so the graph's tasks
/// take theirs from a reserve for their depth: nobody waits for somebody who waits for them.
pub(crate) struct Levels([Slots; 1 + DEEPEST]);

impl Levels {
    pub(crate) fn new(count: usize) -> Self {
        Self(Self::of(count).map(Slots::new))
    }

    /// How many each depth has: `count` where no task around waits, and below a thirty-second part of those, so that all
    /// together are a quarter more.
    pub(crate) fn of(count: usize) -> [usize; 1 + DEEPEST] {
        const PART: usize = 32;
        std::array::from_fn(|depth| match depth {
            0 => count,
            _ => (count / PART).max(1),
        })
    }

    /// Those of tasks below so many that wait.
    pub(crate) fn below(&self, waiting: usize) -> &Slots {
        &self.0[waiting.min(DEEPEST)]
    }

    /// How many are taken now.
    pub(crate) fn taken(&self) -> usize {
        self.0.iter().map(Slots::taken).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slots_go_round_robin_over_runs() {
        let slots = Slots::new(1);
        let held = slots.take(RunId::new()).await;
        let (many, one) = (RunId::new(), RunId::new());
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, run) in [
            ("many 1", many),
            ("many 2", many),
            ("many 3", many),
            ("one", one),
        ] {
            let (slots, order) = (slots.clone(), order.clone());
            let mut waits = Box::pin(async move {
                let slot = slots.take(run).await;
                order.lock().push(name);
                drop(slot);
            });
            // The first poll puts it into the queue.
            assert!(futures_util::poll!(waits.as_mut()).is_pending());
            tasks.push(waits);
        }
        drop(held);
        futures_util::future::join_all(tasks).await;
        assert_eq!(*order.lock(), ["many 1", "one", "many 2", "many 3"]);
    }

    #[tokio::test]
    async fn a_waiter_that_went_away_does_not_lose_the_slot() {
        let slots = Slots::new(1);
        let held = slots.take(RunId::new()).await;
        let mut gone = Box::pin(slots.take(RunId::new()));
        assert!(futures_util::poll!(gone.as_mut()).is_pending());
        drop(gone);
        drop(held);
        slots.take(RunId::new()).await;
    }
}
