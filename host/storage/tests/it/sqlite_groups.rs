//! Group commit under the first adversary: units that share a transaction with one that fails, a commit that
//! fails, a writer that stalls.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::ThreadId;
use selvedge_model::run::Lease;
use selvedge_storage::sqlite::{Options, Sqlite};
use selvedge_storage::{Storage, StorageError};
use tokio::task::JoinHandle;

use crate::given::{
    append, at, checkpoint_id, end, list, new_run, queued, running, step, unclaimed, write,
};
use crate::home::{Home, SqliteHome};

type Answer = JoinHandle<Result<(), StorageError>>;

/// Another connection's write transaction, which the writer has to wait for: what is asked for meanwhile is one
/// group when it ends.
struct Stall(rusqlite::Connection);

impl Stall {
    fn begin(home: &SqliteHome) -> Self {
        let database = home.database();
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(database)
    }

    fn end(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

fn commit(storage: &Arc<dyn Storage>, lease: Lease, n: u64) -> Answer {
    let storage = Arc::clone(storage);
    let steps = step([write(
        n,
        n.checked_sub(2).map(|_| n - 1),
        [("log", append(&["1"]))],
    )]);
    tokio::spawn(async move { storage.commit_step(lease, steps).await })
}

/// Sends one write that the writer stalls on, then the others, which thus share the next transaction.
async fn in_one_group(
    home: &SqliteHome,
    storage: &Arc<dyn Storage>,
    others: impl FnOnce() -> Vec<Answer>,
) -> Vec<Result<(), StorageError>> {
    let stall = Stall::begin(home);
    let plug = running_soon(storage);
    wait_until_taken(storage).await;
    let answers = others();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stall.end();
    plug.await.unwrap();
    let mut results = Vec::new();
    for answer in answers {
        results.push(answer.await.unwrap());
    }
    results
}

fn running_soon(storage: &Arc<dyn Storage>) -> JoinHandle<Lease> {
    let storage = Arc::clone(storage);
    tokio::spawn(async move { running(&storage).await })
}

/// The writer takes what is queued in microseconds; reads go on while it stalls.
async fn wait_until_taken(storage: &Arc<dyn Storage>) {
    tokio::time::sleep(Duration::from_millis(50)).await;
    storage.check().await.unwrap();
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
    let results = in_one_group(&home, &storage, || {
        leases
            .iter()
            .map(|lease| commit(&storage, *lease, 1))
            .collect()
    })
    .await;
    for (position, result) in results.iter().enumerate() {
        let saved = storage
            .checkpoint(leases[position].thread_id, "", None)
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
    commit(&storage, leases[2], 1).await.unwrap().unwrap();
}

/// A reference that is checked at the end of the transaction lets every unit succeed and the commit fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_answers_everyone_with_an_error_and_nothing_happened() {
    let home = SqliteHome::new();
    let storage = home.open();
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(running(&storage).await);
        commit(&storage, *leases.last().unwrap(), 1)
            .await
            .unwrap()
            .unwrap();
    }
    let pending = queued(&storage, unclaimed(new_run(ThreadId::new(), at(0)))).await;
    home.database()
        .execute_batch(
            "CREATE TABLE dangling (thread REFERENCES thread (id) DEFERRABLE INITIALLY DEFERRED); \
             CREATE TRIGGER dangle AFTER INSERT ON checkpoint BEGIN INSERT INTO dangling VALUES (-1); END",
        )
        .unwrap();
    let results = in_one_group(&home, &storage, || {
        let mut answers: Vec<_> = leases
            .iter()
            .map(|lease| commit(&storage, *lease, 2))
            .collect();
        let (claiming, deleting) = (Arc::clone(&storage), Arc::clone(&storage));
        let thread = leases[0].thread_id;
        answers.push(tokio::spawn(async move {
            claiming.claim_runs(at(1), 9).await.map(|_| ())
        }));
        answers.push(tokio::spawn(async move {
            deleting.delete_thread(thread).await.map(|_| ())
        }));
        answers
    })
    .await;
    for result in results {
        assert!(
            matches!(&result, Err(StorageError::Failed(text)) if text.contains("FOREIGN KEY")),
            "{result:?}"
        );
    }
    home.mend();
    assert_eq!(storage.count_pending_runs().await.unwrap(), 1);
    assert_eq!(
        storage.claim_runs(at(1), 9).await.unwrap().runs[0]
            .run
            .run_id,
        pending.run_id
    );
    for lease in leases {
        commit(&storage, lease, 2).await.unwrap().unwrap();
        let saved = storage
            .checkpoint(lease.thread_id, "", None)
            .await
            .unwrap()
            .unwrap()
            .checkpoint;
        assert_eq!(
            (saved.id, &saved.values["log"]),
            (checkpoint_id(2), &list(&["1", "1"]))
        );
        storage.finish_run(lease, end(5)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_stalls_refuses_more_than_it_may_queue_and_then_goes_on() {
    let home = SqliteHome::new();
    let options = Options {
        max_queued_writes: 8,
        ..home.options()
    };
    let storage: Arc<dyn Storage> = Sqlite::open(options).unwrap();
    let stall = Stall::begin(&home);
    let plug = running_soon(&storage);
    wait_until_taken(&storage).await;
    let admissions: Vec<_> = (0..20)
        .map(|_| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                storage
                    .admit_run(unclaimed(new_run(ThreadId::new(), at(0))))
                    .await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stall.end();
    plug.await.unwrap();
    let mut refused = 0;
    for admission in admissions {
        match admission.await.unwrap() {
            Ok(_) => {}
            Err(StorageError::Overloaded) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 12);
    assert_eq!(storage.count_pending_runs().await.unwrap(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_leaves_its_write_to_be_done() {
    let home = SqliteHome::new();
    let storage = home.open();
    let lease = running(&storage).await;
    let stall = Stall::begin(&home);
    let asked = commit(&storage, lease, 1);
    wait_until_taken(&storage).await;
    asked.abort();
    stall.end();
    storage.close().await;
    drop(storage);
    let storage = home.open();
    assert!(
        storage
            .checkpoint(lease.thread_id, "", None)
            .await
            .unwrap()
            .is_some()
    );
}
