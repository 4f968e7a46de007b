//! CPU time and memory of a task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A bound that a task went beyond. Travels through wasmtime as the error that ends the guest.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}: {message}")]
pub(crate) struct Exceeded {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

impl Exceeded {
    pub(crate) fn new(kind: &'static str, message: String) -> Self {
        Self { kind, message }
    }
}

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

/// The memory of all live instances together.
pub(crate) struct TotalMemory {
    used: AtomicUsize,
    limit: usize,
}

impl TotalMemory {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit,
        }
    }

    fn take(&self, bytes: usize) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|total| *total <= self.limit)
            })
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The memory of one task: all memories and tables of its instance.
pub(crate) struct MemoryMeter {
    used: usize,
    limit: usize,
    total: Arc<TotalMemory>,
}

impl MemoryMeter {
    pub(crate) fn new(limit: usize, total: Arc<TotalMemory>) -> Self {
        Self {
            used: 0,
            limit,
            total,
        }
    }

    fn grow(&mut self, bytes: usize) -> wasmtime::Result<bool> {
        if self.used.saturating_add(bytes) > self.limit {
            return Err(Exceeded::new(
                "MemoryLimitExceeded",
                format!(
                    "the task asked for more than {} bytes of memory (sandbox.memory_bytes)",
                    self.limit
                ),
            )
            .into());
        }
        if !self.total.take(bytes) {
            return Err(Exceeded::new(
                "MemoryLimitExceeded",
                format!(
                    "all running tasks together would have used more than {} bytes of memory \
                     (sandbox.total_memory_bytes)",
                    self.total.limit
                ),
            )
            .into());
        }
        self.used += bytes;
        Ok(true)
    }
}

impl Drop for MemoryMeter {
    fn drop(&mut self) {
        self.total.give_back(self.used);
    }
}

impl wasmtime::ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // An element is a pointer.
        self.grow(
            desired
                .saturating_sub(current)
                .saturating_mul(size_of::<usize>()),
        )
    }
}
