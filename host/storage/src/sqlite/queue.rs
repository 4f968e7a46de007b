//! The bounded queue before the writer and before the readers.
//!
//! Callers are async and must not block, so a full queue refuses at once; the threads that take from it are plain
//! threads and sleep on a condition variable.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use crate::StorageError;

/// A queue bounded by count and by bytes.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    max_items: usize,
    max_bytes: usize,
}

struct State<T> {
    items: VecDeque<(usize, T)>,
    bytes: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(max_items: usize, max_bytes: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                bytes: 0,
                closed: false,
            }),
            filled: Condvar::new(),
            max_items,
            max_bytes,
        }
    }

    /// Adds an item that weighs so many bytes, unless the queue is full already. The weight of the new item itself
    /// does not count, or a large one would be refused again and again while small ones keep the queue from ever
    /// being empty: what is queued weighs at most the bound and one item.
    pub(super) fn push(&self, bytes: usize, item: T) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        if state.items.len() >= self.max_items || state.bytes >= self.max_bytes {
            return Err(StorageError::Overloaded);
        }
        state.bytes += bytes;
        state.items.push_back((bytes, item));
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for an item and takes what is there at that moment, in order and within the bounds; `None` once the queue
    /// is closed and empty. The first is always taken, alone when it is larger than the bound.
    pub(super) fn take(&self, max_items: usize, max_bytes: usize) -> Option<Vec<T>> {
        let mut state = self.state.lock();
        while state.items.is_empty() {
            if state.closed {
                return None;
            }
            self.filled.wait(&mut state);
        }
        let mut taken = Vec::with_capacity(state.items.len().min(max_items));
        let mut weight = 0;
        while let Some((bytes, item)) = state.items.pop_front() {
            let first = taken.is_empty();
            if !first && (taken.len() == max_items || weight + bytes > max_bytes) {
                state.items.push_front((bytes, item));
                break;
            }
            weight += bytes;
            state.bytes -= bytes;
            taken.push(item);
        }
        Some(taken)
    }

    /// Refuses new items; what is queued is still taken.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Closes and drops what is queued, for a thread that ends without taking it.
    pub(super) fn abandon(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.bytes = 0;
        let left = std::mem::take(&mut state.items);
        drop(state);
        drop(left);
        self.filled.notify_all();
    }
}

/// What a call gets after `close`.
pub(super) fn closed() -> StorageError {
    StorageError::Unavailable("it has been closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_holds_as_much_as_it_may_refuses() {
        let queue = Queue::new(2, 10);
        queue.push(10, 'a').unwrap();
        assert!(matches!(queue.push(1, 'b'), Err(StorageError::Overloaded)));
        assert_eq!(queue.take(9, 9), Some(vec!['a']));
        queue.push(4, 'b').unwrap();
        queue.push(4, 'c').unwrap();
        assert!(matches!(queue.push(0, 'd'), Err(StorageError::Overloaded)));
    }

    #[test]
    fn an_item_above_every_bound_gets_its_turn_among_small_ones_and_is_taken_alone() {
        let queue = Queue::new(10, 100);
        queue.push(1, 'a').unwrap();
        queue.push(1_000, 'B').unwrap();
        assert!(matches!(queue.push(1, 'c'), Err(StorageError::Overloaded)));
        assert_eq!(queue.take(10, 50), Some(vec!['a']));
        assert!(matches!(queue.push(1, 'c'), Err(StorageError::Overloaded)));
        assert_eq!(queue.take(10, 50), Some(vec!['B']));
        queue.push(1, 'c').unwrap();
        queue.push(1_000, 'D').unwrap();
        assert_eq!(queue.take(10, 50), Some(vec!['c']));
        assert_eq!(queue.take(10, 50), Some(vec!['D']));
        queue.push(1, 'e').unwrap();
        assert_eq!(queue.take(10, 50), Some(vec!['e']));
    }

    #[test]
    fn taking_stops_at_either_bound() {
        let queue = Queue::new(10, 100);
        for item in 0..5 {
            queue.push(10, item).unwrap();
        }
        assert_eq!(queue.take(2, 100), Some(vec![0, 1]));
        assert_eq!(queue.take(10, 25), Some(vec![2, 3]));
    }

    #[test]
    fn a_closed_queue_gives_what_it_holds_and_then_nothing() {
        let queue = Queue::new(10, 100);
        queue.push(1, 'a').unwrap();
        queue.close();
        assert!(matches!(
            queue.push(1, 'b'),
            Err(StorageError::Unavailable(_))
        ));
        assert_eq!(queue.take(10, 100), Some(vec!['a']));
        assert_eq!(queue.take(10, 100), None);
    }
}
