//! Promises about undoing a run: its thread is as it was before.

use std::sync::Arc;

use selvedge_model::cancel::CancelAction;
use selvedge_model::checkpoint::{CheckpointWrite, PendingWrite, SavedCheckpoint};
use selvedge_model::run::{Lease, RunError, RunStatus};
use selvedge_model::thread::{Interrupt, ThreadOutcome, ThreadStatus};
use selvedge_model::{Scope, TaskId, ThreadId};
use selvedge_storage::{
    HistoryQuery, PendingCommit, RunEnd, StepCommit, Storage, ThreadStorage, Values,
};
use uuid::Uuid;

use crate::given::{
    append, at, checkpoint_id, claimed, end, finish, json, list, new_run, status, step, whole,
    write,
};
use crate::home::Home;

/// Everything that a thread has, as text.
async fn contents(storage: &Arc<dyn Storage>, thread: ThreadId) -> (String, ThreadStorage) {
    let query = HistoryQuery {
        thread_id: thread,
        namespace: String::new(),
        before: None,
        metadata: None,
        limit: 100,
    };
    let history: Vec<SavedCheckpoint> = storage.history(&Scope::Host, query).await.unwrap().rows;
    let taken = storage
        .thread_storage(&Scope::Host, thread)
        .await
        .unwrap()
        .unwrap();
    (format!("{history:#?}"), taken)
}

fn grow(n: u64, parent: Option<u64>) -> CheckpointWrite {
    let item = n.to_string();
    write(
        n,
        parent,
        [("log", append(&[item.as_str()])), ("last", whole(&item))],
    )
}

fn pending(on: u64, task: u128, index: i32, value: &str) -> PendingCommit {
    PendingCommit {
        checkpoint: checkpoint_id(on),
        namespace: String::new(),
        writes: vec![PendingWrite {
            task: TaskId(Uuid::from_u128(task)),
            index,
            channel: "log".to_owned(),
            value: json(value),
        }],
    }
}

async fn commit(storage: &Arc<dyn Storage>, lease: Lease, step: StepCommit) {
    storage.commit_step(lease, step).await.unwrap();
}

fn rolled_back(seconds: i64) -> RunEnd {
    RunEnd {
        status: RunStatus::Interrupted,
        thread_status: ThreadStatus::Error,
        outcome: ThreadOutcome {
            error: Some(RunError::new("UserRollback", "wanted")),
            ..ThreadOutcome::default()
        },
        cancelled: Some(CancelAction::Rollback),
        ..end(seconds)
    }
}

pub async fn a_run_that_is_rolled_back_leaves_its_thread_as_it_was(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let first = claimed(&storage, new_run(thread, at(0))).await.lease;
    let question = Interrupt {
        value: json(r#""sure?""#),
        id: "q".to_owned(),
    };
    commit(&storage, first, step([grow(1, None), grow(2, Some(1))])).await;
    let asked = StepCommit {
        pending: vec![pending(2, 7, -3, r#""sure?""#), pending(2, 8, 0, "[\"8\"]")],
        ..StepCommit::default()
    };
    let asked = RunEnd {
        step: asked,
        thread_status: ThreadStatus::Interrupted,
        outcome: ThreadOutcome {
            error: None,
            interrupts: [(TaskId(Uuid::from_u128(7)), vec![question.clone()])]
                .into_iter()
                .collect(),
        },
        ..end(3)
    };
    finish(&storage, first, asked).await;
    let before = contents(&storage, thread).await;

    // It answers, is asked again, goes on, and forks from an earlier checkpoint.
    let second = claimed(&storage, new_run(thread, at(4))).await.lease;
    let answer = StepCommit {
        pending: vec![
            pending(2, 7, -4, "[\"yes\"]"),
            pending(2, 7, -3, "\"really?\""),
        ],
        ..StepCommit::default()
    };
    commit(&storage, second, answer).await;
    commit(&storage, second, step([grow(3, Some(2)), grow(4, Some(3))])).await;
    let more = StepCommit {
        checkpoints: vec![grow(5, Some(1))],
        pending: vec![pending(4, 9, 0, "1"), pending(1, 9, 0, "1")],
        ..StepCommit::default()
    };
    commit(&storage, second, more).await;
    assert_ne!(contents(&storage, thread).await, before);

    let end = RunEnd {
        // What comes with the end of an undone run is not stored.
        step: step([grow(6, Some(5))]),
        ..rolled_back(9)
    };
    finish(&storage, second, end).await;
    assert_eq!(contents(&storage, thread).await, before);
    assert!(
        storage
            .run(&Scope::Host, None, second.run_id)
            .await
            .unwrap()
            .is_none()
    );
    let after = storage
        .thread(&Scope::Host, thread, Values::Skip)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (after.status, after.state_updated_at, after.updated_at),
        (ThreadStatus::Interrupted, at(2), at(9))
    );
    let outcome = after.outcome.unwrap();
    assert_eq!(outcome.error.unwrap().kind, "UserRollback");
    assert_eq!(
        outcome.interrupts.values().flatten().next(),
        Some(&question)
    );

    // And it goes on from there, in the same segments.
    let third = claimed(&storage, new_run(thread, at(10))).await.lease;
    commit(&storage, third, step([grow(7, Some(2))])).await;
    let saved = storage
        .checkpoint(&Scope::Host, thread, "", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(saved.checkpoint.values["log"], list(&["1", "2", "7"]));
    let rows = storage
        .thread_storage(&Scope::Host, thread)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rows.by_channel["log"].count, 3);
}

pub async fn a_first_run_that_is_rolled_back_leaves_an_empty_thread(home: &dyn Home) {
    let storage = home.open();
    let lease = claimed(&storage, new_run(ThreadId::new(), at(0)))
        .await
        .lease;
    let steps = StepCommit {
        pending: vec![pending(2, 1, 0, "1")],
        ..step([grow(1, None), grow(2, Some(1))])
    };
    commit(&storage, lease, steps).await;
    finish(&storage, lease, rolled_back(5)).await;
    let thread = storage
        .thread(&Scope::Host, lease.thread_id, Values::Include)
        .await;
    let thread = thread.unwrap().unwrap();
    assert_eq!(
        (thread.status, thread.values, thread.state_updated_at),
        (ThreadStatus::Idle, None, at(0))
    );
    let taken = storage
        .thread_storage(&Scope::Host, lease.thread_id)
        .await
        .unwrap();
    assert_eq!(taken.unwrap(), ThreadStorage::default());
}

pub async fn deleting_a_run_under_way_undoes_it_and_one_that_ended_stays(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let first = claimed(&storage, new_run(thread, at(0))).await.lease;
    commit(&storage, first, step([grow(1, None)])).await;
    finish(&storage, first, end(1)).await;
    storage
        .delete_run(&Scope::Host, None, first.run_id, at(2))
        .await
        .unwrap();
    let before = contents(&storage, thread).await;

    // A row of the first run's number may be the second's.
    let second = claimed(&storage, new_run(thread, at(3))).await.lease;
    commit(&storage, second, step([grow(2, Some(1))])).await;
    storage
        .delete_run(&Scope::Host, None, second.run_id, at(4))
        .await
        .unwrap();
    assert_eq!(contents(&storage, thread).await, before);
    assert_eq!(status(&storage, thread).await, ThreadStatus::Idle);
}

pub async fn undoing_survives_a_restart_and_nothing_is_kept_for_it_afterwards(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let first = claimed(&storage, new_run(thread, at(0))).await.lease;
    commit(&storage, first, step([grow(1, None)])).await;
    finish(&storage, first, end(1)).await;
    let before = contents(&storage, thread).await;
    let second = claimed(&storage, new_run(thread, at(2))).await.lease;
    let on_the_first = StepCommit {
        pending: vec![pending(1, 5, 0, "1")],
        ..StepCommit::default()
    };
    commit(&storage, second, on_the_first.clone()).await;
    drop(storage);
    let storage = home.open();
    storage.recover(at(3), 3).await.unwrap();
    let again = storage.claim_runs(at(3), 1, None).await.unwrap().runs[0].lease;
    commit(&storage, again, on_the_first.clone()).await;
    commit(&storage, again, step([grow(2, Some(1))])).await;
    finish(&storage, again, rolled_back(4)).await;
    assert_eq!(contents(&storage, thread).await, before);

    let third = claimed(&storage, new_run(thread, at(5))).await.lease;
    commit(&storage, third, on_the_first).await;
    finish(&storage, third, end(6)).await;
    let after = contents(&storage, thread).await;
    assert_ne!(after, before);
    storage
        .delete_run(&Scope::Host, None, third.run_id, at(7))
        .await
        .unwrap();
    assert_eq!(contents(&storage, thread).await, after);
}
