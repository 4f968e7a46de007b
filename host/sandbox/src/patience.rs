//! How long a node may take by its own policy: in all, and without showing any progress.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use selvedge_model::graph::TimeoutPolicy;
use selvedge_pregel::Failure;
use tokio::time::{Instant, timeout_at};

/// When a task last showed that it gets on: it emitted something, called the store or sent a request, or a task of a graph
/// inside it did.
pub struct Progress {
    last: Mutex<Instant>,
    /// Of the task that this one is inside.
    around: Option<Arc<Progress>>,
}

impl Progress {
    /// That of a task which begins now, inside another.
    #[must_use]
    pub fn inside(around: Option<Arc<Self>>) -> Arc<Self> {
        let progress = Self {
            last: Mutex::new(Instant::now()),
            around,
        };
        progress.made();
        Arc::new(progress)
    }

    /// The task gets on, and with it those around it.
    pub fn made(&self) {
        let now = Instant::now();
        let mut task = Some(self);
        while let Some(progress) = task {
            *progress.last.lock() = now;
            task = progress.around.as_deref();
        }
    }

    fn last(&self) -> Instant {
        *self.last.lock()
    }
}

/// Ends work that takes longer than its node's policy allows. The time of a task begins when its instance does, and
/// begins anew with each attempt.
///
/// # Errors
/// `NodeTimeoutError`, or what the work failed with.
pub async fn within<T>(
    policy: TimeoutPolicy,
    node: &str,
    progress: &Progress,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let begun = Instant::now();
    let mut work = pin!(work);
    loop {
        let run = policy.run_timeout().map(|most| (begun + most, most));
        let idle = policy
            .idle_timeout()
            .map(|most| (progress.last() + most, most));
        let Some(next) = run.into_iter().chain(idle).map(|(end, _)| end).min() else {
            return work.await;
        };
        if let Ok(done) = timeout_at(next, &mut work).await {
            return done;
        }
        let over = |limit: Option<(Instant, Duration)>| {
            limit.filter(|(end, _)| *end <= next).map(|(_, most)| most)
        };
        if let Some(most) = over(run) {
            return Err(too_long(node, "run", most, "", begun));
        }
        // It may have got on while it was waited for.
        let moved = policy
            .idle_timeout()
            .is_some_and(|most| progress.last() + most > next);
        if let Some(most) = over(idle).filter(|_| !moved) {
            return Err(too_long(
                node,
                "idle",
                most,
                " without making progress",
                begun,
            ));
        }
    }
}

/// LangGraph's error, which a retry policy without kinds of its own tries again.
fn too_long(node: &str, which: &str, most: Duration, how: &str, begun: Instant) -> Failure {
    Failure {
        kind: "NodeTimeoutError".into(),
        message: format!(
            "Node '{node}' exceeded its {which} timeout of {:.3}s{how} (elapsed: {:.3}s).",
            most.as_secs_f64(),
            begun.elapsed().as_secs_f64(),
        ),
        retryable: true,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn policy(run: Option<f64>, idle: Option<f64>) -> TimeoutPolicy {
        TimeoutPolicy {
            run_timeout: run,
            idle_timeout: idle,
        }
    }

    async fn end_of(
        policy: TimeoutPolicy,
        work: impl Future<Output = ()>,
        progress: &Progress,
    ) -> String {
        let work = async {
            work.await;
            Ok(())
        };
        match within(policy, "work", progress, work).await {
            Ok(()) => "done".to_owned(),
            Err(failure) => failure.message,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_takes_too_long_ends_and_says_by_which_of_its_policies() {
        for (run, idle, expected) in [
            (
                Some(0.2),
                None,
                "Node 'work' exceeded its run timeout of 0.200s (elapsed: 0.200s).",
            ),
            (
                Some(0.2),
                Some(1.0),
                "Node 'work' exceeded its run timeout of 0.200s (elapsed: 0.200s).",
            ),
            (
                Some(9.0),
                Some(1.0),
                "Node 'work' exceeded its idle timeout of 1.000s without making progress (elapsed: 1.000s).",
            ),
        ] {
            let progress = Progress::inside(None);
            assert_eq!(
                end_of(policy(run, idle), pending(), &progress).await,
                expected
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn progress_puts_off_the_idle_timeout_and_not_the_other() {
        let gets_on = |progress: &'static Progress, times: u32| async move {
            for _ in 0..times {
                tokio::time::sleep(Duration::from_millis(900)).await;
                progress.made();
            }
        };
        let progress = || -> &'static Progress { Box::leak(Box::new(Progress::inside(None))) };
        let at = progress();
        assert_eq!(
            end_of(policy(None, Some(1.0)), gets_on(at, 9), at).await,
            "done"
        );
        let at = progress();
        let end = end_of(policy(Some(2.0), Some(1.0)), gets_on(at, 9), at).await;
        assert!(
            end.contains("run timeout of 2.000s (elapsed: 2.000s)"),
            "{end}"
        );
    }
}
