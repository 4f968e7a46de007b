//! How far the worker has come: who put an item waits here until its vectors are there.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use selvedge_storage::IndexTicket;
use tokio::sync::oneshot;

#[derive(Default)]
pub(crate) struct Progress(Mutex<State>);

#[derive(Default)]
struct State {
    /// What is up to here was taken up, or needs nothing any more.
    taken_up: IndexTicket,
    /// Of these the vectors are being made.
    under_way: BTreeSet<IndexTicket>,
    /// Whoever waits. Dropping the sender is the message.
    waiting: BTreeMap<IndexTicket, oneshot::Sender<()>>,
    /// The endpoint fails: there is no knowing when vectors will be there.
    is_down: bool,
}

impl Progress {
    /// Becomes ready when the vectors of a ticket are there, or cannot be expected soon.
    pub(crate) async fn over(&self, ticket: IndexTicket) {
        let over = {
            let mut state = self.0.lock();
            let is_over = ticket <= state.taken_up && !state.under_way.contains(&ticket);
            if state.is_down || is_over {
                return;
            }
            let (sender, over) = oneshot::channel();
            // A ticket is handed out once.
            state.waiting.insert(ticket, sender);
            over
        };
        // Nothing is ever sent.
        let _ = over.await;
    }

    /// Gives a ticket up that nobody waits for any more.
    pub(crate) fn forget(&self, ticket: IndexTicket) {
        self.0.lock().waiting.remove(&ticket);
    }

    /// The last ticket that somebody waits for. When storage is asked afterwards and has nothing behind what was taken
    /// up, then there is nothing to be done for any up to this one: its item is gone, or was put again.
    pub(crate) fn last_awaited(&self) -> IndexTicket {
        let state = self.0.lock();
        let last = state.waiting.last_key_value();
        last.map_or(state.taken_up, |(ticket, _)| *ticket)
    }

    /// These are taken up, and nothing else needs to be up to the last of them.
    pub(crate) fn begin(&self, tickets: impl Iterator<Item = IndexTicket>) {
        let mut state = self.0.lock();
        for ticket in tickets {
            state.under_way.insert(ticket);
            state.taken_up = state.taken_up.max(ticket);
        }
        state.release();
    }

    /// Nothing is to be done up to this one.
    pub(crate) fn nothing_until(&self, ticket: IndexTicket) {
        let mut state = self.0.lock();
        state.taken_up = state.taken_up.max(ticket);
        state.release();
    }

    /// The vectors of these are there, or never will be.
    pub(crate) fn end(&self, tickets: impl Iterator<Item = IndexTicket>) {
        let mut state = self.0.lock();
        for ticket in tickets {
            state.under_way.remove(&ticket);
            state.waiting.remove(&ticket);
        }
    }

    /// The endpoint fails. All is to be taken up again, and nobody waits for it.
    pub(crate) fn down(&self) {
        *self.0.lock() = State {
            is_down: true,
            ..State::default()
        };
    }

    /// It answers again.
    pub(crate) fn up(&self) {
        self.0.lock().is_down = false;
    }

    /// What was taken up last.
    pub(crate) fn taken_up(&self) -> IndexTicket {
        self.0.lock().taken_up
    }
}

impl State {
    fn release(&mut self) {
        let (taken_up, under_way) = (self.taken_up, &self.under_way);
        self.waiting
            .retain(|ticket, _| *ticket > taken_up || under_way.contains(ticket));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn is_over(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        future.poll(&mut context) == Poll::Ready(())
    }

    fn tickets(numbers: &[i64]) -> impl Iterator<Item = IndexTicket> {
        numbers.iter().copied().map(IndexTicket)
    }

    #[test]
    fn whoever_waits_is_released_when_the_vectors_are_there_or_nothing_is_to_be_done() {
        let progress = Progress::default();
        let mut first = pin!(progress.over(IndexTicket(1)));
        let mut second = pin!(progress.over(IndexTicket(2)));
        let mut third = pin!(progress.over(IndexTicket(3)));
        assert!(!is_over(first.as_mut()) && !is_over(second.as_mut()) && !is_over(third.as_mut()));
        // The second one's item was put again.
        progress.begin(tickets(&[1, 4]));
        assert!(is_over(second.as_mut()));
        assert!(is_over(third.as_mut()));
        assert!(!is_over(first.as_mut()));
        progress.end(tickets(&[1, 4]));
        assert!(is_over(first.as_mut()));
        assert!(is_over(pin!(progress.over(IndexTicket(4)))));
        let mut fifth = pin!(progress.over(IndexTicket(5)));
        assert!(!is_over(fifth.as_mut()));
        let last = progress.last_awaited();
        assert_eq!(last, IndexTicket(5));
        progress.nothing_until(last);
        assert!(is_over(fifth.as_mut()));
    }

    #[test]
    fn nobody_waits_while_the_endpoint_fails() {
        let progress = Progress::default();
        let mut first = pin!(progress.over(IndexTicket(1)));
        assert!(!is_over(first.as_mut()));
        progress.begin(tickets(&[1]));
        progress.down();
        assert!(is_over(first.as_mut()));
        assert!(is_over(pin!(progress.over(IndexTicket(2)))));
        progress.up();
        assert_eq!(progress.taken_up(), IndexTicket(0));
        let mut again = pin!(progress.over(IndexTicket(3)));
        assert!(!is_over(again.as_mut()));
        progress.forget(IndexTicket(3));
        assert_eq!(progress.last_awaited(), IndexTicket(0));
    }
}
