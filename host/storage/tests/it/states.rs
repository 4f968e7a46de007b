//! Promises about a thread's state: its history, changes from outside, copies.

use std::sync::Arc;

use selvedge_model::checkpoint::{CheckpointWrite, PendingWrite, Source};
use selvedge_model::thread::{ThreadOutcome, ThreadStatus};
use selvedge_model::{Scope, TaskId, ThreadId};
use selvedge_storage::{
    HistoryQuery, Insert, NewThread, PendingCommit, RunEnd, StepCommit, Storage, StorageError,
    ThreadUpdate, Updated, Usage, Values,
};
use uuid::Uuid;

use crate::given::{
    append, at, checkpoint_id, claimed, end, finish, json, list, new_run, queued, running, step,
    thread, unclaimed, whole, write,
};
use crate::home::Home;

fn grow(n: u64, parent: Option<u64>, metadata: &str) -> CheckpointWrite {
    let item = n.to_string();
    CheckpointWrite {
        metadata: json(metadata),
        ..write(n, parent, [("log", append(&[item.as_str()]))])
    }
}

fn update(step: StepCommit, expected_newest: Option<u64>) -> ThreadUpdate {
    ThreadUpdate {
        step,
        status: ThreadStatus::Interrupted,
        outcome: ThreadOutcome::default(),
        namespace: String::new(),
        expected_newest: expected_newest.map(checkpoint_id),
        metadata: Some(json(r#"{"graph_id":"agent"}"#)),
        now: at(20),
    }
}

/// A thread whose run has ended at the third checkpoint, with a write on it.
async fn with_history(storage: &Arc<dyn Storage>) -> ThreadId {
    let lease = running(storage).await;
    let first = step([
        grow(1, None, r#"{"by":"x"}"#),
        grow(2, Some(1), r#"{"by":"y","more":{"n":1}}"#),
    ]);
    storage.commit_step(lease, first).await.unwrap();
    let write = PendingWrite {
        task: TaskId(Uuid::from_u128(1)),
        index: 0,
        channel: "log".to_owned(),
        value: json("[\"p\"]"),
    };
    let last = StepCommit {
        pending: vec![PendingCommit {
            checkpoint: checkpoint_id(3),
            namespace: String::new(),
            writes: vec![write],
        }],
        ..step([grow(3, Some(2), r#"{"by":"x"}"#)])
    };
    let last = RunEnd {
        step: last,
        ..end(5)
    };
    finish(storage, lease, last).await;
    lease.thread_id
}

async fn history(storage: &Arc<dyn Storage>, query: HistoryQuery) -> (Vec<i64>, bool) {
    let page = storage.history(&Scope::Host, query).await.unwrap();
    let steps = page.rows.iter().map(|saved| saved.checkpoint.step + 1);
    (steps.collect(), page.more)
}

pub async fn history_is_listed_newest_first(home: &dyn Home) {
    let storage = home.open();
    let thread_id = with_history(&storage).await;
    let all = HistoryQuery {
        thread_id,
        namespace: String::new(),
        before: None,
        metadata: None,
        limit: 10,
    };
    assert_eq!(history(&storage, all.clone()).await, (vec![3, 2, 1], false));
    let some = |change: &dyn Fn(&mut HistoryQuery)| {
        let mut query = all.clone();
        change(&mut query);
        history(&storage, query)
    };
    assert_eq!(some(&|q| q.limit = 2).await, (vec![3, 2], true));
    let before = some(&|q| q.before = Some(checkpoint_id(3)));
    assert_eq!(before.await, (vec![2, 1], false));
    let by_x = some(&|q| q.metadata = Some(json(r#"{"by":"x"}"#)));
    assert_eq!(by_x.await, (vec![3, 1], false));
    let nested = some(&|q| q.metadata = Some(json(r#"{"more":{"n":1}}"#)));
    assert_eq!(nested.await, (vec![2], false));
    let by_step = some(&|q| q.metadata = Some(json(r#"{"step":1,"source":"loop","parents":{}}"#)));
    assert_eq!(by_step.await, (vec![2], false));
    assert_eq!(some(&|q| q.namespace = "sub".into()).await, (vec![], false));
    let unknown = some(&|q| q.thread_id = ThreadId::new());
    assert_eq!(unknown.await, (vec![], false));

    let newest = storage
        .history(&Scope::Host, all)
        .await
        .unwrap()
        .rows
        .remove(0);
    assert_eq!(newest.checkpoint.values["log"], list(&["1", "2", "3"]));
    assert_eq!(newest.pending.len(), 1);
}

pub async fn a_page_of_history_is_bounded_in_bytes(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let large = format!("\"{}\"", "x".repeat(9 << 20));
    for n in 1..=3 {
        let steps = step([write(n, None, [("a", whole(&large))])]);
        storage.commit_step(lease, steps).await.unwrap();
    }
    let query = HistoryQuery {
        thread_id: lease.thread_id,
        namespace: String::new(),
        before: None,
        metadata: None,
        limit: 10,
    };
    assert_eq!(history(&storage, query).await, (vec![3, 2], true));
}

pub async fn a_state_is_changed_when_it_is_the_one_that_was_seen(home: &dyn Home) {
    let storage = home.open();
    let thread_id = with_history(&storage).await;
    let change = |n, parent| {
        step([CheckpointWrite {
            source: Source::Update,
            ..grow(n, Some(parent), "{}")
        }])
    };
    let stale = storage.update_thread(&Scope::Host, thread_id, update(change(4, 2), Some(2)));
    assert_eq!(stale.await.unwrap(), Updated::Stale);
    let stale = storage.update_thread(&Scope::Host, thread_id, update(change(4, 2), None));
    assert_eq!(stale.await.unwrap(), Updated::Stale);
    // A branch from an earlier checkpoint, by someone who has seen the newest.
    let done = storage.update_thread(&Scope::Host, thread_id, update(change(4, 2), Some(3)));
    assert_eq!(done.await.unwrap(), Updated::Done);
    let lost = storage.update_thread(&Scope::Host, thread_id, update(change(5, 3), Some(3)));
    assert_eq!(lost.await.unwrap(), Updated::Stale);

    let found = storage
        .thread(&Scope::Host, thread_id, Values::Include)
        .await
        .unwrap();
    let found = found.unwrap();
    assert_eq!(found.values, Some(json(r#"{"log":[1,2,4]}"#)));
    assert_eq!(
        (found.status, found.updated_at, found.state_updated_at),
        (ThreadStatus::Interrupted, at(20), at(4))
    );
    assert_eq!(found.metadata, json(r#"{"graph_id":"agent"}"#));
    let missing = storage.update_thread(&Scope::Host, ThreadId::new(), update(change(1, 1), None));
    assert_eq!(missing.await.unwrap(), Updated::NoThread);
}

pub async fn the_state_of_a_nested_graph_is_changed_and_its_thread_stays_as_it_was(
    home: &dyn Home,
) {
    let storage = home.open();
    let thread_id = with_history(&storage).await;
    let before = storage.thread(&Scope::Host, thread_id, Values::Include);
    let before = before.await.unwrap().unwrap();
    let inside = |n, parent, expected_newest| ThreadUpdate {
        namespace: "node:task".to_owned(),
        metadata: None,
        ..update(
            step([CheckpointWrite {
                namespace: "node:task".to_owned(),
                ..grow(n, parent, "{}")
            }]),
            expected_newest,
        )
    };
    // What the thread's own graph has as its newest says nothing of it.
    let stale = storage.update_thread(&Scope::Host, thread_id, inside(4, None, Some(3)));
    assert_eq!(stale.await.unwrap(), Updated::Stale);
    for (n, parent) in [(4, None), (5, Some(4))] {
        let done = storage.update_thread(&Scope::Host, thread_id, inside(n, parent, parent));
        assert_eq!(done.await.unwrap(), Updated::Done);
    }
    let newest = storage.checkpoint(&Scope::Host, thread_id, "node:task", None);
    let newest = newest.await.unwrap().unwrap();
    assert_eq!(newest.checkpoint.id, checkpoint_id(5));
    let after = storage.thread(&Scope::Host, thread_id, Values::Include);
    let after = after.await.unwrap().unwrap();
    assert_eq!((after.status, after.values), (before.status, before.values));
    assert_eq!(
        (after.state_updated_at, after.updated_at),
        (before.state_updated_at, at(20))
    );
}

pub async fn a_thread_is_created_with_its_state_or_not_at_all(home: &dyn Home) {
    let storage = home.open();
    let new = NewThread {
        thread_id: ThreadId::new(),
        metadata: json("{}"),
        created_at: at(0),
        ttl: None,
    };
    let state = |checkpoints: [CheckpointWrite; 2]| update(step(checkpoints), None);
    // Its second checkpoint stands on one that there is not.
    let torn = state([grow(1, None, "{}"), grow(3, Some(2), "{}")]);
    let refused = storage
        .create_thread(&Scope::Host, new.clone(), Some(torn))
        .await;
    assert!(matches!(refused, Err(StorageError::Failed(_))));
    let found = storage
        .thread(&Scope::Host, new.thread_id, Values::Skip)
        .await
        .unwrap();
    assert!(found.is_none());

    let whole = state([grow(1, None, "{}"), grow(2, Some(1), "{}")]);
    let created = storage.create_thread(&Scope::Host, new.clone(), Some(whole.clone()));
    let Insert::Created(thread) = created.await.unwrap() else {
        panic!("it is new");
    };
    assert_eq!(thread.values, Some(json(r#"{"log":[1,2]}"#)));
    assert_eq!(
        (thread.status, thread.created_at, thread.updated_at),
        (ThreadStatus::Interrupted, at(0), at(20))
    );
    let again = storage
        .create_thread(&Scope::Host, new, Some(whole))
        .await
        .unwrap();
    assert!(matches!(again, Insert::Exists(_)));
}

pub async fn a_thread_that_never_ran_can_be_given_a_state(home: &dyn Home) {
    let storage = home.open();
    let thread_id = thread(&storage).await;
    let first = update(step([grow(1, None, "{}")]), None);
    let done = storage
        .update_thread(&Scope::Host, thread_id, first)
        .await
        .unwrap();
    assert_eq!(done, Updated::Done);
    // It is nobody's run's, so no rollback takes it.
    let lease = claimed(&storage, new_run(thread_id, at(30))).await.lease;
    storage
        .delete_run(&Scope::Host, None, lease.run_id, at(31))
        .await
        .unwrap();
    let saved = storage
        .checkpoint(&Scope::Host, thread_id, "", None)
        .await
        .unwrap();
    assert_eq!(saved.unwrap().checkpoint.id, checkpoint_id(1));
}

pub async fn a_thread_with_runs_under_way_is_not_changed_from_outside(home: &dyn Home) {
    let storage = home.open();
    let running = claimed(&storage, new_run(ThreadId::new(), at(0))).await.run;
    let pending = queued(&storage, unclaimed(new_run(ThreadId::new(), at(0)))).await;
    for run in [running, pending] {
        let change = update(step([grow(1, None, "{}")]), None);
        let busy = storage
            .update_thread(&Scope::Host, run.thread_id, change)
            .await
            .unwrap();
        assert_eq!(busy, Updated::Busy(vec![run.run_id]));
        let saved = storage
            .checkpoint(&Scope::Host, run.thread_id, "", None)
            .await
            .unwrap();
        assert!(saved.is_none());
    }
}

pub async fn a_copy_has_the_history_and_a_life_of_its_own(home: &dyn Home) {
    let storage = home.open();
    let original = with_history(&storage).await;
    let copy = ThreadId::new();
    let copied = storage
        .copy_thread(&Scope::Host, original, copy, at(9))
        .await
        .unwrap();
    let copied = copied.unwrap();
    assert_eq!(
        (copied.thread_id, copied.status, copied.created_at),
        (copy, ThreadStatus::Idle, at(9))
    );
    let contents = async |thread| {
        let saved = storage
            .checkpoint(&Scope::Host, thread, "", None)
            .await
            .unwrap()
            .unwrap();
        let taken = storage
            .thread_storage(&Scope::Host, thread)
            .await
            .unwrap()
            .unwrap();
        (format!("{saved:?}"), taken)
    };
    assert_eq!(contents(copy).await, contents(original).await);
    let lease = claimed(&storage, new_run(copy, at(10))).await.lease;
    let on = |thread: ThreadId| format!(r#"{{"by":"x","thread_id":"{thread}"}}"#);
    let more = step([grow(4, Some(3), &on(copy))]);
    storage.commit_step(lease, more).await.unwrap();
    storage.delete_thread(&Scope::Host, original).await.unwrap();
    let saved = storage
        .checkpoint(&Scope::Host, copy, "", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(saved.checkpoint.values["log"], list(&["1", "2", "3", "4"]));

    // A run under way stays behind.
    let second = ThreadId::new();
    let copied = storage
        .copy_thread(&Scope::Host, copy, second, at(11))
        .await
        .unwrap();
    assert_eq!(copied.unwrap().status, ThreadStatus::Idle);
    storage
        .delete_run(&Scope::Host, None, lease.run_id, at(12))
        .await
        .unwrap();
    let saved = storage
        .checkpoint(&Scope::Host, second, "", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(saved.checkpoint.id, checkpoint_id(4));
    assert_eq!(saved.checkpoint.metadata, json(&on(second)));

    let missing = storage
        .copy_thread(&Scope::Host, original, ThreadId::new(), at(12))
        .await;
    assert!(missing.unwrap().is_none());
    let taken = storage
        .copy_thread(&Scope::Host, copy, second, at(12))
        .await;
    assert!(matches!(taken, Err(StorageError::Failed(_))), "{taken:?}");
}

pub async fn what_a_thread_takes_is_told_by_channel(home: &dyn Home) {
    let storage = home.open();
    let thread = with_history(&storage).await;
    let taken = storage
        .thread_storage(&Scope::Host, thread)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken.checkpoints.count, 3);
    assert!(taken.checkpoints.bytes > 0);
    // `[1]`, `[2]` and `[3]`.
    let values = Usage { count: 3, bytes: 9 };
    assert_eq!(taken.channel_values, values);
    assert_eq!(taken.by_channel["log"], values);
    assert_eq!(taken.pending_writes, Usage { count: 1, bytes: 5 });
    let missing = storage
        .thread_storage(&Scope::Host, ThreadId::new())
        .await
        .unwrap();
    assert!(missing.is_none());
}
