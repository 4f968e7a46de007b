//! Invariant 7: a worker that lost its lease cannot write.

use std::sync::Arc;

use selvedge_model::run::{Lease, RunStatus};
use selvedge_model::{Scope, ThreadId};
use selvedge_storage::{RunEnd, Storage, StorageError};

use crate::given::{at, claimed, delivery, end, finish, new_run, running, step, whole, write};
use crate::home::Home;

/// Everything that a lease allows is refused, and nothing of it happens.
async fn assert_fenced(storage: &Arc<dyn Storage>, lease: Lease) {
    let late = || step([write(77, None, [("late", whole("1"))])]);
    let finish = RunEnd {
        step: late(),
        delivery: Some(delivery(&lease, 8)),
        ..end(8)
    };
    assert!(matches!(
        storage.commit_step(lease, late()).await,
        Err(StorageError::Fenced)
    ));
    assert!(matches!(
        storage.finish_run(lease, finish).await,
        Err(StorageError::Fenced)
    ));
    assert!(matches!(
        storage.release_run(lease, at(8)).await,
        Err(StorageError::Fenced)
    ));
    let named = storage
        .checkpoint(
            &Scope::Host,
            lease.thread_id,
            "",
            Some(crate::given::checkpoint_id(77)),
        )
        .await;
    assert!(named.unwrap().is_none());
    assert!(
        storage
            .claim_deliveries(at(9), 10)
            .await
            .unwrap()
            .deliveries
            .is_empty()
    );
}

pub async fn a_worker_that_lost_its_lease_cannot_write(home: &dyn Home) {
    let storage = home.open();
    let first = claimed(&storage, new_run(ThreadId::new(), at(0)))
        .await
        .lease;
    storage.release_run(first, at(1)).await.unwrap();
    assert_fenced(&storage, first).await;

    let second = storage.claim_runs(at(2), 1, None).await.unwrap().runs[0].lease;
    assert_fenced(&storage, first).await;
    let forged = Lease {
        fence: second.fence + 1,
        ..second
    };
    assert_fenced(&storage, forged).await;
    storage
        .commit_step(second, step([write(1, None, [("a", whole("1"))])]))
        .await
        .unwrap();

    // The same over the death of a process.
    storage.close().await;
    drop(storage);
    let storage = home.open();
    storage.recover(at(3), 9).await.unwrap();
    assert_fenced(&storage, second).await;
    let third = storage.claim_runs(at(4), 1, None).await.unwrap().runs[0].lease;
    assert_fenced(&storage, second).await;
    finish(&storage, third, end(5)).await;
    let run = storage
        .run(&Scope::Host, None, third.run_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(run.status, RunStatus::Success);
}

pub async fn a_lease_ends_with_its_run(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    finish(&storage, lease, end(1)).await;
    assert_fenced(&storage, lease).await;
}

pub async fn a_lease_ends_when_its_thread_is_deleted(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    storage
        .delete_thread(&Scope::Host, lease.thread_id)
        .await
        .unwrap();
    assert_fenced(&storage, lease).await;
}
