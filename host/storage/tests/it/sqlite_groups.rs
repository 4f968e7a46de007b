//! Group commit under the first adversary: units that share a transaction with one that fails, a commit that
//! fails, a writer that stalls.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use selvedge_model::run::Lease;
use selvedge_model::thread::Thread;
use selvedge_model::{Json, Scope, ThreadId};
use selvedge_storage::sqlite::{Options, Sqlite};
use selvedge_storage::{Insert, NewThread, Storage, StorageError};

use crate::given::{
    append, at, checkpoint_id, delivered, end, finish, json, list, new_run, queued, running, step,
    unclaimed, write,
};
use crate::home::{Home, SqliteHome};

/// A write that is in the writer's queue: asking for it puts it there, waiting for it gives the answer.
struct Asked<'a, T>(Pin<Box<dyn Future<Output = Result<T, StorageError>> + 'a>>);

impl<'a, T: 'a> Asked<'a, T> {
    fn new(call: impl Future<Output = Result<T, StorageError>> + 'a) -> Self {
        let mut call = Box::pin(call);
        let mut first_result = None;
        if let Poll::Ready(result) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            first_result = Some(result);
        }
        Self(Box::pin(async move {
            match first_result {
                Some(result) => result,
                None => call.await,
            }
        }))
    }
}

fn commit(storage: &Arc<dyn Storage>, lease: Lease, n: u64) -> Asked<'_, ()> {
    let parent = n.checked_sub(2).map(|_| n - 1);
    let steps = step([write(n, parent, [("log", append(&["1"]))])]);
    Asked::new(storage.commit_step(lease, steps))
}

/// Keeps the writer in a unit for about a second, so that what is asked for now is its next group.
async fn stall<'a>(home: &SqliteHome, storage: &'a Arc<dyn Storage>) -> Asked<'a, Insert<Thread>> {
    let thread = ThreadId::new();
    let id = thread.0.simple();
    home.database()
        .execute_batch(&format!(
            "CREATE TRIGGER slow AFTER INSERT ON thread WHEN new.uuid = x'{id}' BEGIN \
             SELECT max(n) FROM (WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 8000000) \
             SELECT n FROM c); END"
        ))
        .unwrap();
    let new = NewThread {
        thread_id: thread,
        metadata: json("{}"),
        created_at: at(0),
        ttl: None,
    };
    let plug = Asked::new(storage.create_thread(&Scope::Host, new, None));
    // The unit has begun once its transaction keeps others from writing.
    let other = home.database();
    other.busy_timeout(Duration::ZERO).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
        assert!(Instant::now() < deadline, "the writer does not begin");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    plug
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_that_fails_does_not_harm_the_others_of_its_group() {
    let home = SqliteHome::new();
    let storage = home.open();
    let mut leases = Vec::new();
    for _ in 0..5 {
        leases.push(running(&storage).await);
    }
    // The third of them is refused by the database itself.
    let victim: i64 = home
        .database()
        .query_row(
            "SELECT id FROM thread WHERE uuid = ?1",
            [leases[2].thread_id.0.as_bytes()],
            |row| row.get(0),
        )
        .unwrap();
    home.database()
        .execute_batch(&format!(
            "CREATE TRIGGER third BEFORE INSERT ON checkpoint WHEN new.thread = {victim} \
             BEGIN SELECT raise(ABORT, 'broken on purpose'); END"
        ))
        .unwrap();
    let plug = stall(&home, &storage).await;
    let asked: Vec<_> = leases
        .iter()
        .map(|lease| commit(&storage, *lease, 1))
        .collect();
    plug.0.await.unwrap();
    let mut results = Vec::new();
    for asked in asked {
        results.push(asked.0.await);
    }
    for (position, result) in results.iter().enumerate() {
        let saved = storage
            .checkpoint(&Scope::Host, leases[position].thread_id, "", None)
            .await
            .unwrap();
        if position == 2 {
            assert!(
                matches!(result, Err(StorageError::Failed(text)) if text.contains("on purpose")),
                "{result:?}"
            );
            assert!(saved.is_none());
        } else {
            assert!(result.is_ok(), "{result:?}");
            assert_eq!(saved.unwrap().checkpoint.values["log"], list(&["1"]));
        }
    }
    home.mend();
    commit(&storage, leases[2], 1).0.await.unwrap();
}

/// A reference that is checked at the end of the transaction lets every unit succeed and the commit fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_answers_everyone_with_an_error_and_nothing_happened() {
    let home = SqliteHome::new();
    let storage = home.open();
    let delivery = delivered(&storage, 1).await;
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(running(&storage).await);
        commit(&storage, *leases.last().unwrap(), 1)
            .0
            .await
            .unwrap();
    }
    let pending = queued(&storage, unclaimed(new_run(ThreadId::new(), at(0)))).await;
    home.database()
        .execute_batch(
            "CREATE TABLE dangling (thread REFERENCES thread (id) DEFERRABLE INITIALLY DEFERRED); \
             CREATE TRIGGER dangle AFTER INSERT ON checkpoint BEGIN INSERT INTO dangling VALUES (-1); END",
        )
        .unwrap();
    let plug = stall(&home, &storage).await;
    let commits: Vec<_> = leases
        .iter()
        .map(|lease| commit(&storage, *lease, 2))
        .collect();
    let claim = Asked::new(storage.claim_runs(at(1), 9, None));
    let claim_delivery = Asked::new(storage.claim_deliveries(at(9), 9));
    let deletion = Asked::new(storage.delete_thread(&Scope::Host, leases[0].thread_id));
    plug.0.await.unwrap();
    for commit in commits {
        assert_dangling(&commit.0.await);
    }
    assert_dangling(&claim.0.await);
    assert_dangling(&claim_delivery.0.await);
    assert_dangling(&deletion.0.await);
    home.mend();

    let due = storage.claim_deliveries(at(9), 9).await.unwrap().deliveries;
    assert_eq!(due[0].id, delivery.id);
    queued(&storage, unclaimed(new_run(ThreadId::new(), at(1)))).await;
    assert_eq!(storage.count_pending_runs().await.unwrap(), 2);
    let claims = storage.claim_runs(at(1), 1, None).await.unwrap();
    assert_eq!(claims.runs[0].run.run_id, pending.run_id);
    for lease in leases {
        // What was rolled back is no parent.
        assert!(commit(&storage, lease, 3).0.await.is_err());
        commit(&storage, lease, 2).0.await.unwrap();
        let saved = storage
            .checkpoint(&Scope::Host, lease.thread_id, "", None)
            .await
            .unwrap()
            .unwrap()
            .checkpoint;
        assert_eq!(
            (saved.id, &saved.values["log"]),
            (checkpoint_id(2), &list(&["1", "1"]))
        );
        finish(&storage, lease, end(5)).await;
    }
}

fn assert_dangling<T: std::fmt::Debug>(result: &Result<T, StorageError>) {
    assert!(
        matches!(result, Err(StorageError::Failed(text)) if text.contains("FOREIGN KEY")),
        "{result:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_stalls_refuses_more_than_it_may_queue_and_then_goes_on() {
    let home = SqliteHome::new();
    let options = Options {
        max_queued_writes: 8,
        ..home.options()
    };
    let storage: Arc<dyn Storage> = Sqlite::open(options).unwrap();
    let lease = running(&storage).await;
    let plug = stall(&home, &storage).await;
    let admit =
        |_| Asked::new(storage.admit_run(&Scope::Host, unclaimed(new_run(ThreadId::new(), at(0)))));
    let admissions: Vec<_> = (0..20).map(admit).collect();
    // Reads do not wait for the writer.
    assert!(
        storage
            .run(&Scope::Host, None, lease.run_id)
            .await
            .unwrap()
            .is_some()
    );
    let mut accepted = Vec::new();
    for admission in admissions {
        match admission.0.await {
            Ok(_) => accepted.push(true),
            Err(StorageError::Overloaded) => accepted.push(false),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(accepted, [[true; 8].as_slice(), &[false; 12]].concat());
    plug.0.await.unwrap();
    assert_eq!(storage.count_pending_runs().await.unwrap(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_larger_than_the_whole_queue_is_done_among_small_ones() {
    let home = SqliteHome::new();
    let options = Options {
        max_queued_bytes: 1 << 20,
        ..home.options()
    };
    let storage: Arc<dyn Storage> = Sqlite::open(options).unwrap();
    let plug = stall(&home, &storage).await;
    let admit = |input: usize| {
        let mut new = unclaimed(new_run(ThreadId::new(), at(0)));
        new.run.kwargs.input = Json::string(&"x".repeat(input));
        Asked::new(storage.admit_run(&Scope::Host, new))
    };
    let (before, large, after) = (admit(10), admit(12 << 20), admit(10));
    assert!(matches!(after.0.await, Err(StorageError::Overloaded)));
    plug.0.await.unwrap();
    before.0.await.unwrap();
    large.0.await.unwrap();
    assert_eq!(storage.count_pending_runs().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_its_write_to_be_done() {
    let home = SqliteHome::new();
    let storage = home.open();
    let lease = running(&storage).await;
    drop(commit(&storage, lease, 1));
    storage.close().await;
    drop(storage);
    let storage = home.open();
    assert!(
        storage
            .checkpoint(&Scope::Host, lease.thread_id, "", None)
            .await
            .unwrap()
            .is_some()
    );
}
