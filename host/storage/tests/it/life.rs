//! Promises about opening, closing and coming back.

use selvedge_model::run::RunStatus;
use selvedge_model::{Scope, ThreadId};
use selvedge_storage::{StorageError, Values};

use crate::given::{
    append, at, claimed, delivered, end, finish, list, new_run, queued, running, step, temporary,
    unclaimed, write,
};
use crate::home::Home;

pub async fn the_runs_of_a_dead_process_are_pending_again(home: &dyn Home) {
    let storage = home.open();
    let first = claimed(&storage, new_run(ThreadId::new(), at(0))).await;
    let behind = queued(&storage, new_run(first.run.thread_id, at(1))).await;
    let alone = running(&storage).await;
    drop(storage);

    let storage = home.open();
    let recovery = storage.recover(at(2), 3).await.unwrap();
    assert_eq!((recovery.requeued, recovery.exhausted.len()), (2, 0));
    let claims = storage.claim_runs(at(3), 10, None).await.unwrap().runs;
    let ids: Vec<_> = claims.iter().map(|claimed| claimed.run.run_id).collect();
    assert_eq!(ids, [first.run.run_id, alone.run_id]);
    assert_eq!((claims[0].attempt, claims[0].started_at), (2, at(0)));
    finish(&storage, claims[0].lease, end(4)).await;
    let next = storage.claim_runs(at(5), 10, None).await.unwrap().runs;
    assert_eq!(next[0].run.run_id, behind.run_id);
}

pub async fn a_run_that_has_had_all_its_attempts_is_handed_over_to_be_ended(home: &dyn Home) {
    let storage = home.open();
    let first = running(&storage).await;
    drop(storage);
    let storage = home.open();
    storage.recover(at(1), 2).await.unwrap();
    let second = storage
        .claim_runs(at(1), 1, None)
        .await
        .unwrap()
        .runs
        .remove(0);
    drop(storage);
    let storage = home.open();
    let recovery = storage.recover(at(2), 2).await.unwrap();
    assert_eq!(recovery.requeued, 0);
    let exhausted = &recovery.exhausted[0];
    assert_eq!((exhausted.run.run_id, exhausted.attempt), (first.run_id, 2));
    let late = storage.finish_run(second.lease, end(3)).await;
    assert!(matches!(late, Err(StorageError::Fenced)));
    finish(&storage, exhausted.lease, end(3)).await;
}

pub async fn a_temporary_run_starts_again_from_its_input(home: &dyn Home) {
    let storage = home.open();
    let first = claimed(&storage, temporary(new_run(ThreadId::new(), at(0)))).await;
    let steps = step([write(1, None, [("log", append(&["1"]))])]);
    storage.commit_step(first.lease, steps).await.unwrap();
    drop(storage);
    let storage = home.open();
    assert_eq!(storage.recover(at(1), 3).await.unwrap().requeued, 1);
    let again = storage
        .claim_runs(at(2), 1, None)
        .await
        .unwrap()
        .runs
        .remove(0);
    assert_eq!((again.run.run_id, again.attempt), (first.run.run_id, 2));
    assert_eq!(again.run.kwargs.input, first.run.kwargs.input);
    assert!(
        storage
            .checkpoint(&Scope::Host, first.run.thread_id, "", None)
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn the_deliveries_of_a_dead_process_are_due_at_once(home: &dyn Home) {
    let storage = home.open();
    let delivery = delivered(&storage, 1).await;
    assert_eq!(
        storage
            .claim_deliveries(at(2), 1)
            .await
            .unwrap()
            .deliveries
            .len(),
        1
    );
    drop(storage);
    let storage = home.open();
    assert_eq!(storage.recover(at(3), 3).await.unwrap().deliveries, 1);
    let due = storage.claim_deliveries(at(3), 1).await.unwrap().deliveries;
    assert_eq!(due[0].id, delivery.id);
}

pub async fn closing_finishes_what_is_queued_and_refuses_the_rest(home: &dyn Home) {
    let storage = home.open();
    let writes: Vec<_> = (0..50)
        .map(|_| {
            let storage = storage.clone();
            tokio::spawn(async move {
                let new = unclaimed(new_run(ThreadId::new(), at(0)));
                let run = new.run.run_id;
                (run, storage.admit_run(&Scope::Host, new).await)
            })
        })
        .collect();
    tokio::task::yield_now().await;
    storage.close().await;
    let late = storage.check().await;
    assert!(matches!(late, Err(StorageError::Unavailable(_))));
    let late = storage.count_pending_runs().await;
    assert!(matches!(late, Err(StorageError::Unavailable(_))));
    drop(storage);
    let storage = home.open();
    for write in writes {
        let (run, answer) = write.await.unwrap();
        let stored = storage.run(&Scope::Host, None, run).await.unwrap();
        match answer {
            Ok(_) => assert!(stored.is_some()),
            Err(error) => {
                assert!(stored.is_none() && matches!(error, StorageError::Unavailable(_)));
            }
        }
    }
}

pub async fn what_was_answered_is_there_after_dropping_without_closing(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let steps = step([write(1, None, [("log", append(&["1"]))])]);
    storage.commit_step(lease, steps).await.unwrap();
    drop(storage);
    let storage = home.open();
    let run = storage
        .run(&Scope::Host, None, lease.run_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(run.status, RunStatus::Running);
    let saved = storage
        .checkpoint(&Scope::Host, lease.thread_id, "", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(saved.checkpoint.values["log"], list(&["1"]));
    let thread = storage
        .thread(&Scope::Host, lease.thread_id, Values::Include)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(thread.values.unwrap().as_str(), r#"{"log":[1]}"#);
}

pub async fn pending_runs_are_counted_over_a_restart(home: &dyn Home) {
    let storage = home.open();
    queued(&storage, unclaimed(new_run(ThreadId::new(), at(0)))).await;
    running(&storage).await;
    drop(storage);
    let storage = home.open();
    assert_eq!(storage.count_pending_runs().await.unwrap(), 1);
    storage.recover(at(1), 3).await.unwrap();
    assert_eq!(storage.count_pending_runs().await.unwrap(), 2);
    storage.claim_runs(at(1), 10, None).await.unwrap();
    assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
}
