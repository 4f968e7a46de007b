//! The CPU time of a task.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The CPU time that a task has used: the time of its thread while the task was being polled.
///
/// Measured and not counted in epoch ticks, so that a task that mostly waits is not charged for the ticks that
/// passed meanwhile.
#[derive(Default)]
pub(crate) struct CpuMeter {
    used_nanos: AtomicU64,
    entered_nanos: AtomicU64,
}

impl CpuMeter {
    pub(crate) fn enter(&self) {
        self.entered_nanos.store(thread_nanos(), Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.used_nanos.store(self.used_now(), Ordering::Relaxed);
    }

    /// Call it on the thread that is polling the task.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.used_now())
    }

    fn used_now(&self) -> u64 {
        let running = thread_nanos().saturating_sub(self.entered_nanos.load(Ordering::Relaxed));
        self.used_nanos.load(Ordering::Relaxed) + running
    }
}

fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = time.tv_sec.saturating_mul(1_000_000_000) + time.tv_nsec;
    u64::try_from(nanos).unwrap_or(0)
}
