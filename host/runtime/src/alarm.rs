//! When a task that sleeps until something is due looks next, so that only what is due before then wakes it.

use std::sync::atomic::{AtomicI64, Ordering};

use selvedge_model::Timestamp;
use tokio::sync::Notify;

pub(crate) struct Alarm {
    next_look_micros: AtomicI64,
    wake: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self {
            next_look_micros: AtomicI64::new(i64::MAX),
            wake: Notify::new(),
        }
    }
}

impl Alarm {
    /// Something is due at a time, and storage knows.
    pub(crate) fn set(&self, due: Timestamp) {
        if due.as_micros() < self.next_look_micros.load(Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }

    /// While the task looks, whatever is due counts as early: it may have looked before that was there.
    pub(crate) fn looking(&self) {
        self.next_look_micros.store(i64::MAX, Ordering::SeqCst);
    }

    /// The task looks at this time.
    pub(crate) fn planned(&self, look: Timestamp) {
        self.next_look_micros
            .store(look.as_micros(), Ordering::SeqCst);
    }

    /// Waits until something is due earlier than the task had planned to look.
    pub(crate) async fn rings(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rings(alarm: &Alarm) -> bool {
        let mut waiting = Box::pin(alarm.rings());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        waiting.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn only_what_is_due_before_the_next_look_wakes_the_task() {
        let alarm = Alarm::default();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        alarm.planned(at(15));
        alarm.set(at(15));
        assert!(!rings(&alarm));
        alarm.set(at(14));
        assert!(rings(&alarm));
        // While it looks it may have looked already.
        alarm.looking();
        alarm.set(at(1_000));
        assert!(rings(&alarm));
    }
}
