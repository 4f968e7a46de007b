//! Invariant 2: a run's terminal status, its last checkpoint and its delivery rows become true in one transaction.

use std::net::TcpListener;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use selvedge_model::run::{Durability, RunStatus};
use selvedge_model::thread::ThreadStatus;
use selvedge_model::{CheckpointId, RunId, Scope, ThreadId};
use selvedge_runtime::hub::{Next, Subscription};
use selvedge_storage::{Reads, Values};
use tokio::time::timeout;

use crate::house::{House, PATIENCE, ended};
use crate::watched::{Then, Write};

#[tokio::test]
async fn a_runs_terminal_status_its_last_checkpoint_and_its_delivery_rows_become_true_in_one_transaction()
 {
    let mut house = House::open(1).await;
    let thread = ThreadId::new();
    // Nobody answers there: what matters is that the delivery exists.
    let receiver = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let webhook = format!("http://{}/", receiver.local_addr().expect("an address"));
    let mut accepted = house.create_run(thread, Some(&webhook)).await;
    let run = accepted.run.run_id;

    let (end, verdict) = house.end_of_run().await;
    let last = end.step.checkpoints.last().expect("the last checkpoint").id;
    assert_eq!(end.status, RunStatus::Success);
    assert_eq!(end.thread_status, ThreadStatus::Idle);
    assert!(end.delivery.is_some());
    house.nothing_of_the_end(thread, run, last).await;
    assert!(!has_ended(&mut accepted.stream));

    // Storage that fails has stored nothing of it, and is asked for all of it again.
    assert!(verdict.send(Then::Failed).is_ok());
    let (again, verdict) = house.end_of_run().await;
    assert_eq!(again.step.checkpoints.last().map(|c| c.id), Some(last));
    assert!(again.delivery.is_some());
    house.nothing_of_the_end(thread, run, last).await;
    assert!(!has_ended(&mut accepted.stream));

    assert!(verdict.send(Then::Stored).is_ok());
    let finished = timeout(PATIENCE, ended(&mut accepted.stream))
        .await
        .expect("the end in time");
    assert_eq!(finished.status, RunStatus::Success);
    house.all_of_the_end(thread, run, last).await;
    assert!(
        house.writes.try_recv().is_err(),
        "the run wrote after its end"
    );
}

#[tokio::test]
async fn a_run_that_cannot_be_stored_when_the_process_stops_is_left_to_the_next_one() {
    let mut house = House::open(1).await;
    house.steps_fail.store(true, Ordering::SeqCst);
    let thread = ThreadId::new();
    let accepted = house.create_run_with(thread, None, Durability::Sync).await;
    let asked = timeout(PATIENCE, house.writes.recv()).await;
    assert!(matches!(asked, Ok(Some(Write::Step))));

    let stopping = timeout(PATIENCE, house.runtime.shutdown()).await;
    stopping.expect("nobody waits for what cannot be stored");
    while let Ok(write) = house.writes.try_recv() {
        assert!(matches!(write, Write::Step), "the run was ended");
    }
    let (status, ..) = house.standing(thread, accepted.run.run_id).await;
    assert!(!status.is_terminal(), "{status:?}");
}

impl House {
    async fn nothing_of_the_end(&self, thread: ThreadId, run: RunId, last: CheckpointId) {
        let (run_status, thread_status, checkpoint, deliveries) = self.standing(thread, run).await;
        assert_eq!(run_status, RunStatus::Running);
        assert_eq!(thread_status, ThreadStatus::Busy);
        assert_ne!(checkpoint, Some(last));
        assert_eq!(deliveries, 0);
    }

    async fn all_of_the_end(&self, thread: ThreadId, run: RunId, last: CheckpointId) {
        let (run_status, thread_status, checkpoint, deliveries) = self.standing(thread, run).await;
        assert_eq!(run_status, RunStatus::Success);
        assert_eq!(thread_status, ThreadStatus::Idle);
        assert_eq!(checkpoint, Some(last));
        assert_eq!(deliveries, 1);
    }

    async fn standing(
        &self,
        thread: ThreadId,
        run: RunId,
    ) -> (RunStatus, ThreadStatus, Option<CheckpointId>, usize) {
        let stored = &self.stored;
        let found = stored
            .run(&Scope::Host, Some(thread), run)
            .await
            .expect("a read");
        let status = found.expect("the run").status;
        let found = stored
            .thread(&Scope::Host, thread, Values::Skip)
            .await
            .expect("a read");
        let thread_status = found.expect("the thread").status;
        let newest = stored
            .checkpoint(&Scope::Host, thread, "", None)
            .await
            .expect("a read");
        let deliveries = stored
            .deliveries_of_run(&Scope::Host, run)
            .await
            .expect("a read");
        (
            status,
            thread_status,
            newest.map(|saved| saved.checkpoint.id),
            deliveries.len(),
        )
    }
}

/// Reads what there is: whether the end is among it.
fn has_ended(stream: &mut Subscription) -> bool {
    while let Some(next) = stream.next().now_or_never() {
        if matches!(next, Next::Ended(_)) {
            return true;
        }
    }
    false
}
