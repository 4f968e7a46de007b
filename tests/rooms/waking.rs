//! Between admission and execution nothing polls: a run begins although no clock goes on.

use std::sync::mpsc;

use selvedge_model::run::RunStatus;
use selvedge_model::{Scope, ThreadId};
use selvedge_storage::Reads;
use tokio::time::{Instant, timeout};

use crate::house::{House, PATIENCE, ended};
use crate::watched::Write;

/// No time passes for this thread's timers as long as it lives: tokio turns a paused clock on by itself when nothing is
/// left to do but to wait, though not while a blocking task runs. One that is forgotten ends after [`PATIENCE`], so
/// that deadlines are met at last.
pub struct Frozen {
    _thaw: mpsc::Sender<()>,
    since: Instant,
}

impl Frozen {
    pub fn now() -> Self {
        let (thaw, thawed) = mpsc::channel();
        tokio::task::spawn_blocking(move || {
            let _ = thawed.recv_timeout(PATIENCE);
        });
        tokio::time::pause();
        Self {
            _thaw: thaw,
            since: Instant::now(),
        }
    }
}

#[tokio::test]
async fn a_run_begins_at_once_and_one_that_waits_begins_when_its_turn_comes_without_any_timer() {
    let mut house = House::open(1).await;
    let frozen = Frozen::now();
    let (one, other) = (ThreadId::new(), ThreadId::new());
    let mut first = house.create_run(one, None).await;
    let verdict = loop {
        match timeout(PATIENCE, house.writes.recv()).await {
            Ok(Some(Write::Step)) => {}
            Ok(Some(Write::End(_, verdict))) => break verdict,
            waited => panic!("the run does not begin: {}", waited.is_err()),
        }
    };

    // One waits for the thread and for the place, the other for the place alone.
    let mut second = house.create_run(one, None).await;
    let mut third = house.create_run(other, None).await;
    for waiting in [&second.run, &third.run] {
        let found = house.stored.run(&Scope::Host, None, waiting.run_id).await;
        let found = found.expect("a read").expect("the run");
        assert_eq!(found.status, RunStatus::Pending);
    }

    drop(verdict);
    house.writes.close();
    for run in [&mut first, &mut second, &mut third] {
        let finished = timeout(PATIENCE, ended(&mut run.stream)).await;
        assert_eq!(finished.expect("nobody woke it").status, RunStatus::Success);
    }
    assert_eq!(Instant::now(), frozen.since);
}
