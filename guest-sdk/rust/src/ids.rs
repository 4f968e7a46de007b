//! Ids for the messages that a node makes, from the id of its task.
//!
//! They come out the same when the task is done again after an interrupt or a crash, so that `add_messages` replaces
//! a message instead of doubling it. No randomness is needed, so a graph imports none.

use std::cell::RefCell;

struct Counter {
    task: String,
    next: u32,
    /// The id under which text was streamed that no message has taken yet.
    open: Option<String>,
}

thread_local! {
    static CURRENT: RefCell<Option<Counter>> = const { RefCell::new(None) };
}

/// While it lives, messages get the ids of this task.
pub(crate) struct Scope(Option<Counter>);

pub(crate) fn enter(task: String) -> Scope {
    Scope(CURRENT.replace(Some(Counter {
        task,
        next: 0,
        open: None,
    })))
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.replace(self.0.take());
    }
}

/// A new id; none outside a node.
pub(crate) fn next() -> Option<String> {
    CURRENT.with_borrow_mut(|c| c.as_mut().map(Counter::make))
}

/// The id of the message that is being streamed: the next message of the model takes it.
pub(crate) fn open() -> Option<String> {
    CURRENT.with_borrow_mut(|c| {
        let counter = c.as_mut()?;
        if counter.open.is_none() {
            counter.open = Some(counter.make());
        }
        counter.open.clone()
    })
}

/// The id for a message of the model: that of the text streamed so far, or a new one.
pub(crate) fn take_open() -> Option<String> {
    CURRENT.with_borrow_mut(|c| {
        let counter = c.as_mut()?;
        Some(counter.open.take().unwrap_or_else(|| counter.make()))
    })
}

impl Counter {
    fn make(&mut self) -> String {
        let id = format!("{}-{}", self.task, self.next);
        self.next += 1;
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_takes_the_id_of_the_streamed_text() {
        assert_eq!(next(), None);
        let _scope = enter("t".into());
        assert_eq!(open().as_deref(), Some("t-0"));
        assert_eq!(next().as_deref(), Some("t-1"));
        assert_eq!(take_open().as_deref(), Some("t-0"));
        assert_eq!(take_open().as_deref(), Some("t-2"));
    }
}
