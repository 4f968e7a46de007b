//! The CPU time of a task, and of the tasks that its run has under way with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use selvedge_model::RunId;

/// The CPU time that a task has used: the time of its thread while the task was being polled.
///
/// Measured and not counted in epoch ticks, so that a task that mostly waits is not charged for the ticks that
/// passed meanwhile.
pub(crate) struct CpuMeter {
    used_nanos: AtomicU64,
    entered_nanos: AtomicU64,
    of_run: OfRun,
}

impl CpuMeter {
    pub(crate) fn enter(&self) {
        self.entered_nanos.store(thread_nanos(), Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        let used = self.used_now();
        let before = self.used_nanos.swap(used, Ordering::Relaxed);
        let added = used.saturating_sub(before);
        self.of_run.nanos.fetch_add(added, Ordering::Relaxed);
    }

    /// Call it on the thread that is polling the task.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.used_now())
    }

    /// What all tasks that the run has under way had used when each was last polled, and those that have ended since
    /// there was none.
    pub(crate) fn used_by_run(&self) -> Duration {
        Duration::from_nanos(self.of_run.nanos.load(Ordering::Relaxed))
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

/// Makes the meters of tasks, and keeps what the tasks of one run have in common while there are any.
#[derive(Clone, Default)]
pub(crate) struct Meters(Arc<Mutex<HashMap<RunId, Common>>>);

#[derive(Default)]
struct Common {
    tasks: usize,
    nanos: Arc<AtomicU64>,
}

/// A task's part in its run.
struct OfRun {
    run: RunId,
    nanos: Arc<AtomicU64>,
    all: Meters,
}

impl Meters {
    pub(crate) fn meter(&self, run: RunId) -> CpuMeter {
        let mut runs = self.0.lock();
        let common = runs.entry(run).or_default();
        common.tasks += 1;
        CpuMeter {
            used_nanos: AtomicU64::new(0),
            entered_nanos: AtomicU64::new(0),
            of_run: OfRun {
                run,
                nanos: common.nanos.clone(),
                all: self.clone(),
            },
        }
    }
}

impl Drop for OfRun {
    fn drop(&mut self) {
        let mut runs = self.all.0.lock();
        if let Some(common) = runs.get_mut(&self.run) {
            common.tasks -= 1;
            if common.tasks == 0 {
                runs.remove(&self.run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Duration = Duration::from_micros(100);

    fn compute(meter: &CpuMeter) {
        let until = meter.used_nanos.load(Ordering::Relaxed) + SOME.as_nanos() as u64;
        meter.enter();
        while meter.used_now() < until {
            std::hint::spin_loop();
        }
        meter.leave();
    }

    #[test]
    fn tasks_of_a_run_are_counted_together_while_there_are_any() {
        let meters = Meters::default();
        let (run, other) = (RunId::new(), RunId::new());
        let (first, second, alone) = (meters.meter(run), meters.meter(run), meters.meter(other));
        compute(&first);
        let by_first = first.used_by_run();
        assert!(by_first >= SOME);
        assert_eq!(second.used_by_run(), by_first);
        assert_eq!(alone.used_by_run(), Duration::ZERO);
        drop(first);
        compute(&second);
        assert!(second.used_by_run() >= by_first + SOME);
        drop((second, alone));
        assert!(meters.0.lock().is_empty());
        assert_eq!(meters.meter(run).used_by_run(), Duration::ZERO);
    }
}
