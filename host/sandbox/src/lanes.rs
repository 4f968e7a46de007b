//! Where guest code runs: threads in two lanes, so that whoever computes for long keeps no short task waiting.
//!
//! A task begins in the *first* lane. Once the tasks that its run has under way have used [`ALLOWANCE`] together, those
//! of them that are not done go on in the *second*, whose threads the system lets run where those of the first leave
//! time. So a task that needs little waits for others of its kind, and not for those who compute for long. Within a lane
//! a guest that computes makes room for the next at each tick. The host's own threads, which serve HTTP and storage,
//! come before both.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinError;

use crate::meter::CpuMeter;
use crate::spawned::Spawned;

/// CPU time that the tasks which a run has under way may use in the first lane: ten times what a small task of a Rust
/// guest takes, and little enough that graphs which are started again and again do not fill the lane.
const ALLOWANCE: Duration = Duration::from_millis(2);

/// How much lower than the host's the priority of the lanes' threads is. By Linux' weights the second lane has an
/// eighth of a processor that the first could use alone, so that it goes on, however slowly.
const FIRST_NICE: i32 = 10;
const SECOND_NICE: i32 = 19;

/// How long a thread of the second lane sleeps after each turn: about as long as it takes to flush a commit. With what
/// the system adds it costs a guest that computes seven parts in a hundred. Beside threads that never sleep, others wait for
/// their processor until the scheduler's slice is over, whatever the priorities: whoever woke to finish a commit, the
/// kernel's own thread that hears from the disk among them, waited for 4 to 6 ms, several times in a run.
const REST: Duration = Duration::from_micros(100);

pub(crate) struct Lanes {
    first: Lane,
    second: Lane,
}

impl Lanes {
    /// So many threads in each.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        Ok(Self {
            first: Lane::start("guest", FIRST_NICE, threads)?,
            second: Lane::start("guest-long", SECOND_NICE, threads)?,
        })
    }

    /// Runs a task, whose CPU time `cpu` measures. Dropping this future ends the task at its next yield.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        cpu: Arc<CpuMeter>,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        let second = self.second.handle.clone();
        if is_long(&cpu) {
            return Spawned(second.spawn(in_turns(Box::pin(task)))).await;
        }
        let task = async move {
            let mut task = Box::pin(task);
            match while_short(&cpu, task.as_mut()).await {
                Some(done) => Ok(done),
                None => Spawned(second.spawn(in_turns(task))).await,
            }
        };
        Spawned(self.first.handle.spawn(task)).await.flatten()
    }
}

fn is_long(cpu: &CpuMeter) -> bool {
    cpu.used_by_run() >= ALLOWANCE
}

/// Drives a task until it has ended, or (`None`) yields and belongs into the other lane.
async fn while_short<T>(cpu: &CpuMeter, mut task: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|context| match task.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if is_long(cpu) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Drives a task of the second lane, whose thread rests after each of its turns.
async fn in_turns<T>(mut task: Pin<Box<impl Future<Output = T>>>) -> T {
    poll_fn(|context| {
        let polled = task.as_mut().poll(context);
        if polled.is_pending() {
            thread::sleep(REST);
        }
        polled
    })
    .await
}

struct Lane {
    handle: Handle,
    /// `None` only while it is dropped: a runtime must not be dropped inside another.
    runtime: Option<Runtime>,
}

impl Lane {
    fn start(name: &'static str, nice: i32, threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name(name)
            .enable_all()
            .on_thread_start(move || {
                // Linux applies it to the calling thread alone. Without the right to do so guests run as equals.
                if let Err(error) = rustix::process::nice(nice) {
                    tracing::warn!(%error, "guest threads keep the normal priority");
                }
            })
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use selvedge_model::RunId;
    use tokio::task::yield_now;

    use super::*;
    use crate::meter::Meters;

    const DEADLINE: Duration = Duration::from_secs(60);

    /// Uses what its run is allowed, and yields; says on which threads it was before and after.
    async fn compute(cpu: Arc<CpuMeter>) -> [String; 2] {
        let before = thread_name();
        cpu.enter();
        while cpu.used() < ALLOWANCE {
            std::hint::spin_loop();
        }
        cpu.leave();
        yield_now().await;
        [before, thread_name()]
    }

    fn thread_name() -> String {
        thread::current().name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn a_task_that_computes_for_long_goes_on_in_the_second_lane() {
        let lanes = Lanes::start(1).unwrap();
        let cpu = Arc::new(Meters::default().meter(RunId::new()));
        let threads = lanes.run(cpu.clone(), compute(cpu)).await.unwrap();
        assert_eq!(threads, ["guest", "guest-long"]);
    }

    #[tokio::test]
    async fn what_a_run_begins_beside_a_long_task_of_its_own_is_in_the_second_lane_at_once() {
        let (lanes, meters) = (Lanes::start(1).unwrap(), Meters::default());
        let run = RunId::new();
        let meter = |run| Arc::new(meters.meter(run));
        let long = meter(run);
        lanes
            .run(long.clone(), compute(long.clone()))
            .await
            .unwrap();
        let of_the_same = lanes.run(meter(run), async { thread_name() }).await;
        let of_another = lanes
            .run(meter(RunId::new()), async { thread_name() })
            .await;
        assert_eq!(of_the_same.unwrap(), "guest-long");
        assert_eq!(of_another.unwrap(), "guest");
    }

    #[tokio::test]
    async fn a_task_ends_with_its_owner_in_either_lane() {
        let lanes = Lanes::start(1).unwrap();
        for is_to_be_long in [false, true] {
            let cpu = Arc::new(Meters::default().meter(RunId::new()));
            let ((begun, has_begun), (alive, has_ended)) = (mpsc::channel(), mpsc::channel::<()>());
            let own = cpu.clone();
            let owner = lanes.run(cpu, async move {
                let _alive = alive;
                if is_to_be_long {
                    compute(own).await;
                }
                begun.send(()).unwrap();
                std::future::pending::<()>().await;
            });
            let mut owner = Box::pin(owner);
            assert!(futures_util::poll!(owner.as_mut()).is_pending());
            has_begun.recv_timeout(DEADLINE).unwrap();
            drop(owner);
            let ended = has_ended.recv_timeout(DEADLINE);
            assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected));
        }
    }
}
