//! The first adversary: the database refuses one write of a promise, each in turn, and nothing of the promise
//! has happened.

use selvedge_model::delivery::PutOff;
use selvedge_model::run::RunStatus;
use selvedge_model::thread::ThreadStatus;
use selvedge_model::{Scope, ThreadId};
use selvedge_storage::{RunEnd, StorageError, Values};

use crate::given::{
    append, at, checkpoint_id, claimed, delivered, delivery, end, finish, list, new_run, running,
    status, step, whole, write,
};
use crate::home::Home;

/// Invariant 2.
pub async fn a_runs_terminal_status_its_last_checkpoint_and_its_delivery_rows_become_true_in_one_transaction(
    home: &dyn Home,
) {
    let storage = home.open();
    let lease = running(&storage).await;
    storage
        .commit_step(lease, step([write(1, None, [("log", append(&["1"]))])]))
        .await
        .unwrap();
    let delivery = delivery(&lease, 5);
    let last = RunEnd {
        step: step([write(
            2,
            Some(1),
            [("log", append(&["2"])), ("a", whole("1"))],
        )]),
        delivery: Some(delivery.clone()),
        ..end(5)
    };
    for table in [
        "channel_value",
        "checkpoint",
        "run",
        "thread",
        "delivery",
        "delivery_body",
    ] {
        home.break_table(table);
        let refused = storage.finish_run(lease, last.clone()).await;
        assert!(
            matches!(refused, Err(StorageError::Failed(_))),
            "{table}: {refused:?}"
        );
        home.mend();
        let run = storage
            .run(&Scope::Host, None, lease.run_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(run.status, RunStatus::Running, "{table}");
        assert_eq!(
            status(&storage, lease.thread_id).await,
            ThreadStatus::Busy,
            "{table}"
        );
        let newest = storage
            .checkpoint(&Scope::Host, lease.thread_id, "", None)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(newest.checkpoint.id, checkpoint_id(1), "{table}");
        // What was rolled back is no parent, in the database or in memory.
        let orphan = step([write(3, Some(2), [])]);
        assert!(storage.commit_step(lease, orphan).await.is_err(), "{table}");
        assert!(
            storage
                .claim_deliveries(at(9), 1)
                .await
                .unwrap()
                .deliveries
                .is_empty(),
            "{table}"
        );
    }
    finish(&storage, lease, last).await;
    let run = storage
        .run(&Scope::Host, None, lease.run_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(run.status, RunStatus::Success);
    assert_eq!(status(&storage, lease.thread_id).await, ThreadStatus::Idle);
    let newest = storage
        .checkpoint(&Scope::Host, lease.thread_id, "", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(newest.checkpoint.values["log"], list(&["1", "2"]));
    let due = storage.claim_deliveries(at(9), 1).await.unwrap().deliveries;
    assert_eq!(due[0].id, delivery.id);
}

pub async fn an_admission_that_fails_leaves_nothing(home: &dyn Home) {
    let storage = home.open();
    for table in ["thread", "run", "run_request"] {
        let thread = ThreadId::new();
        let new = new_run(thread, at(0));
        home.break_table(table);
        assert!(
            storage.admit_run(&Scope::Host, new.clone()).await.is_err(),
            "{table}"
        );
        home.mend();
        assert!(
            storage
                .thread(&Scope::Host, thread, Values::Skip)
                .await
                .unwrap()
                .is_none(),
            "{table}"
        );
        assert!(
            storage
                .run(&Scope::Host, None, new.run.run_id)
                .await
                .unwrap()
                .is_none(),
            "{table}"
        );
        assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
        claimed(&storage, new).await;
    }
}

pub async fn a_step_that_fails_leaves_nothing_and_can_be_tried_again(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let grow = |n: u64, parent| write(n, parent, [("log", append(&["1"])), ("a", whole("1"))]);
    storage
        .commit_step(lease, step([grow(1, None)]))
        .await
        .unwrap();
    for (n, table) in (2..).zip(["checkpoint", "channel_value"]) {
        home.break_table(table);
        let next = || step([grow(n, Some(n - 1))]);
        assert!(storage.commit_step(lease, next()).await.is_err(), "{table}");
        home.mend();
        let newest = storage
            .checkpoint(&Scope::Host, lease.thread_id, "", None)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(newest.checkpoint.id, checkpoint_id(n - 1), "{table}");
        storage.commit_step(lease, next()).await.unwrap();
    }
    let newest = storage
        .checkpoint(&Scope::Host, lease.thread_id, "", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(newest.checkpoint.values["log"], list(&["1", "1", "1"]));
}

pub async fn a_delivery_whose_claim_failed_is_claimed_again(home: &dyn Home) {
    let storage = home.open();
    let delivery = delivered(&storage, 1).await;
    storage.claim_deliveries(at(1), 1).await.unwrap();
    home.break_table("delivery");
    let later = vec![PutOff {
        id: delivery.id,
        until: at(2),
        behind: true,
    }];
    assert!(storage.put_off(later.clone()).await.is_err());
    home.mend();
    // Nothing was written, so the claim holds.
    assert!(
        storage
            .claim_deliveries(at(3), 1)
            .await
            .unwrap()
            .deliveries
            .is_empty()
    );
    storage.put_off(later).await.unwrap();
    assert_eq!(
        storage
            .claim_deliveries(at(3), 1)
            .await
            .unwrap()
            .deliveries
            .len(),
        1
    );
}
