//! A data directory that cannot be used: in use, newer, full, read-only, damaged. Each has its own error, nothing
//! is damaged, and it works again once the cause is gone.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use selvedge_model::checkpoint::{Change, ChannelValue};
use selvedge_model::run::RunStatus;
use selvedge_model::thread::ThreadStatus;
use selvedge_model::{Json, RunId, Scope, ThreadId};
use selvedge_storage::sqlite::{Options, Sqlite};
use selvedge_storage::{Reads, Storage, StorageError, VersionQuery};

use crate::given::{
    append, at, claimed, delivered, end, finish, list, new_run, queued, status, step, unclaimed,
    whole, write,
};
use crate::home::{Home as _, SqliteHome};

#[test]
fn a_second_process_is_told_who_has_the_directory_and_kill_frees_it() {
    let home = SqliteHome::new();
    let mut holder = Command::new(env!("CARGO_BIN_EXE_storage-victim"))
        .arg("hold")
        .arg(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let output = holder.stdout.as_mut().unwrap();
    BufReader::new(output).read_line(&mut said).unwrap();
    assert_eq!(said, "held\n");
    let Err(StorageError::Unavailable(message)) = Sqlite::open(home.options()) else {
        panic!("it is in use");
    };
    assert!(
        message.contains(&format!("process {}", holder.id())),
        "{message}"
    );
    assert!(message.contains("--data-dir"), "{message}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    Sqlite::open(home.options()).unwrap();
}

/// A process that is being started has, until it becomes another program, all files of the one that starts it.
#[test]
fn a_closed_directory_is_free_whatever_processes_are_started_meanwhile() {
    let home = SqliteHome::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
        }
        let opened: Result<(), StorageError> =
            (0..200).try_for_each(|_| Sqlite::open(home.options()).map(drop));
        done.store(true, Ordering::Relaxed);
        opened.unwrap();
    });
}

#[test]
fn the_directory_is_created_for_its_owner_only() {
    let home = SqliteHome::new();
    let _storage = Sqlite::open(home.options()).unwrap();
    let mode = std::fs::metadata(home.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_newer_directory_is_refused_and_not_touched() {
    let home = SqliteHome::new();
    drop(Sqlite::open(home.options()).unwrap());
    home.database()
        .execute_batch("PRAGMA user_version = 999")
        .unwrap();
    let before = std::fs::read(home.path().join("selvedge.db")).unwrap();
    let Err(StorageError::Incompatible(message)) = Sqlite::open(home.options()) else {
        panic!("it is newer");
    };
    assert!(
        message.contains("newer") && message.contains("999"),
        "{message}"
    );
    assert_eq!(
        std::fs::read(home.path().join("selvedge.db")).unwrap(),
        before
    );
}

#[tokio::test]
async fn a_directory_of_the_first_version_is_brought_up_to_date() {
    let home = SqliteHome::new();
    std::fs::create_dir(home.path()).unwrap();
    let run = RunId::new();
    let first = home.database();
    first
        .execute_batch(include_str!("../../src/sqlite/schema.sql"))
        .unwrap();
    first.pragma_update(None, "user_version", 1).unwrap();
    let id = run.0.simple();
    let created = at(1).as_micros();
    first
        .execute_batch(&format!(
            "INSERT INTO delivery (uuid, run, thread, url, status, created_at, attempts, retry) \
             VALUES (x'{id}', x'{id}', x'{id}', 'https://hooks.example.com/', 1, {created}, 1, 1); \
             INSERT INTO delivery_body VALUES (1, x'7b7d')"
        ))
        .unwrap();
    drop(first);
    let storage = Sqlite::open(home.options()).unwrap();
    assert_eq!(
        storage
            .deliveries_of_run(&Scope::Host, run)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(storage.prune_deliveries(at(1)).await.unwrap(), 0);
    assert_eq!(storage.prune_deliveries(at(2)).await.unwrap(), 1);
}

/// Threads in every status, a checkpoint, an assistant.
#[tokio::test]
async fn what_the_first_version_could_hold_is_brought_along() {
    let home = SqliteHome::new();
    std::fs::create_dir(home.path()).unwrap();
    let old = home.database();
    old.execute_batch(include_str!("../../src/sqlite/schema.sql"))
        .unwrap();
    let thread = |n: u8| ThreadId(uuid::Uuid::from_bytes([n; 16]));
    for status in 0..4_u8 {
        old.execute(
            "INSERT INTO thread VALUES (?1, ?2, ?3, 1, 1, 1, '{}', '{}', NULL)",
            rusqlite::params![status + 1, thread(status).0.as_bytes(), status],
        )
        .unwrap();
    }
    old.execute_batch(
        "INSERT INTO checkpoint VALUES (1, 1, '', x'1f0c0000000060010000000000000001', NULL, 1, 0, 1, '{}', \
         '{\"log\":[1,0,0,3,0]}', '{}', '[]'); \
         INSERT INTO channel_value VALUES (1, 0, 0, '[1]'); \
         INSERT INTO assistant VALUES (1, x'00000000000000000000000000000001', 'agent', 'agent', NULL, '{}', \
         '{}', '{}', 1, 7, 3); PRAGMA user_version = 1",
    )
    .unwrap();
    drop(old);

    let storage: std::sync::Arc<dyn Storage> = Sqlite::open(home.options()).unwrap();
    let versions = VersionQuery {
        assistant_id: selvedge_model::AssistantId(uuid::Uuid::from_u128(1)),
        metadata: None,
        limit: 9,
        offset: 0,
    };
    let versions = storage
        .assistant_versions(&Scope::Host, versions)
        .await
        .unwrap();
    assert_eq!((versions.len(), versions[0].version), (1, 3));
    // Each rests in the status that it had; one that was busy, idle.
    for n in 0..4 {
        let new = unclaimed(new_run(thread(n), at(0)));
        let run = queued(&storage, new).await.run_id;
        storage
            .delete_run(&Scope::Host, None, run, at(1))
            .await
            .unwrap();
    }
    let mut resting = Vec::new();
    for n in 0..4 {
        resting.push(status(&storage, thread(n)).await);
    }
    assert_eq!(
        resting,
        [
            ThreadStatus::Idle,
            ThreadStatus::Idle,
            ThreadStatus::Interrupted,
            ThreadStatus::Error
        ]
    );
    let lease = claimed(&storage, new_run(thread(0), at(2))).await.lease;
    let more = step([write(2, Some(1), [("log", append(&["2"]))])]);
    storage.commit_step(lease, more).await.unwrap();
    let saved = storage
        .checkpoint(&Scope::Host, thread(0), "", None)
        .await
        .unwrap();
    assert_eq!(saved.unwrap().checkpoint.values["log"], list(&["1", "2"]));
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let home = SqliteHome::new();
    std::fs::create_dir(home.path()).unwrap();
    std::fs::write(home.path().join("selvedge.db"), "x".repeat(8192)).unwrap();
    assert!(matches!(
        Sqlite::open(home.options()),
        Err(StorageError::Incompatible(_))
    ));
}

#[tokio::test]
async fn after_closing_the_database_file_alone_is_the_whole() {
    let home = SqliteHome::new();
    let storage: std::sync::Arc<dyn Storage> = Sqlite::open(home.options()).unwrap();
    let run = claimed(&storage, new_run(ThreadId::new(), at(0))).await;
    finish(&storage, run.lease, end(1)).await;
    let log =
        || std::fs::metadata(home.path().join("selvedge.db-wal")).map_or(0, |file| file.len());
    assert!(log() > 0);
    // Somebody else who looks at the file keeps SQLite from doing it by itself.
    let looking = home.database();
    looking
        .query_row("SELECT count(*) FROM run", [], |_| Ok(()))
        .unwrap();
    storage.close().await;
    assert_eq!(log(), 0);

    let copy = SqliteHome::new();
    std::fs::create_dir(copy.path()).unwrap();
    let file = "selvedge.db";
    std::fs::copy(home.path().join(file), copy.path().join(file)).unwrap();
    let storage = Sqlite::open(copy.options()).unwrap();
    let copied = storage
        .run(&Scope::Host, None, run.run.run_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(copied.status, RunStatus::Success);
}

/// Fills the storage with runs of 20 kB until it is full; the ids of the threads that fitted.
async fn fill(storage: &std::sync::Arc<dyn Storage>) -> Vec<ThreadId> {
    let mut fitted = Vec::new();
    for _ in 0..10_000 {
        let mut new = new_run(ThreadId::new(), at(0));
        new.run.kwargs.input = Json::string(&"x".repeat(20_000));
        let thread = new.run.thread_id;
        match storage.admit_run(&Scope::Host, new).await {
            Ok(_) => fitted.push(thread),
            Err(StorageError::Full) => return fitted,
            Err(other) => panic!("expected Full, got {other:?}"),
        }
    }
    panic!("it never became full");
}

async fn assert_intact(home: &SqliteHome) {
    let verdict: String = home
        .database()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
}

#[tokio::test]
async fn at_the_configured_size_writes_fail_as_full_until_something_is_deleted() {
    let home = SqliteHome::new();
    let options = Options {
        max_database_bytes: Some(1 << 20),
        ..home.options()
    };
    let storage: std::sync::Arc<dyn Storage> = Sqlite::open(options).unwrap();
    let fitted = fill(&storage).await;
    assert!(fitted.len() > 10);
    storage.check().await.unwrap();
    assert_intact(&home).await;
    for thread in &fitted[..5] {
        assert!(
            storage
                .delete_thread(&Scope::Host, *thread)
                .await
                .unwrap()
                .is_some()
        );
    }
    let run = claimed(&storage, new_run(ThreadId::new(), at(1))).await;
    finish(&storage, run.lease, end(2)).await;
}

/// A small file system of the test's own, taken away at its end.
struct Mount(PathBuf);

impl Mount {
    /// `None` where the kernel does not allow it: not root, or a container without the right to mount.
    fn tmpfs(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let options = format!("size={size}");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs", at.to_str().unwrap()])
            .then(|| Self(at.to_owned()))
    }

    /// A process that another test is starting holds our files until it has become its own program, and as long the
    /// disk counts as busy.
    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !mount(&["-o", &options, self.0.to_str().unwrap()]) {
            assert!(Instant::now() < deadline, "cannot {options}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .args(["-l", self.0.to_str().unwrap()])
            .status();
    }
}

fn mount(arguments: &[&str]) -> bool {
    let output = Command::new("mount").args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_damaged_and_room_makes_it_work_again() {
    let home = SqliteHome::new();
    let Some(disk) = Mount::tmpfs(&home.path(), "2m") else {
        println!("SKIPPED: a disk of two megabytes needs the right to mount one");
        return;
    };
    let storage: std::sync::Arc<dyn Storage> = Sqlite::open(home.options()).unwrap();
    let run = claimed(&storage, new_run(ThreadId::new(), at(0))).await;
    storage
        .commit_step(run.lease, step([write(1, None, [("log", append(&["1"]))])]))
        .await
        .unwrap();
    let fitted = fill(&storage).await;
    assert!(fitted.len() > 10);

    let large = Json::string(&"x".repeat(100_000));
    let too_much = write(
        2,
        Some(1),
        [("big", Change::Set(ChannelValue::Whole(large)))],
    );
    let refused = storage
        .commit_step(run.lease, step([too_much.clone()]))
        .await;
    assert!(matches!(refused, Err(StorageError::Full)), "{refused:?}");
    let saved = storage
        .checkpoint(&Scope::Host, run.run.thread_id, "", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(saved.checkpoint.values["log"], list(&["1"]));
    assert_intact(&home).await;

    disk.remount("size=16m");
    storage
        .commit_step(run.lease, step([too_much]))
        .await
        .unwrap();
    finish(&storage, run.lease, end(3)).await;
    storage.close().await;
    assert_intact(&home).await;
}

/// Permissions do not stop root, who may run the tests, so the file system itself is made read-only.
#[tokio::test]
async fn a_read_only_disk_is_said_to_be_one() {
    let home = SqliteHome::new();
    let Some(disk) = Mount::tmpfs(&home.path(), "8m") else {
        println!("SKIPPED: a read-only disk needs the right to mount one");
        return;
    };
    let storage: std::sync::Arc<dyn Storage> = Sqlite::open(home.options()).unwrap();
    let run = claimed(&storage, new_run(ThreadId::new(), at(0))).await;
    storage.close().await;
    drop(storage);

    disk.remount("ro");
    assert!(matches!(
        Sqlite::open(home.options()),
        Err(StorageError::ReadOnly)
    ));

    disk.remount("rw");
    let storage: std::sync::Arc<dyn Storage> = Sqlite::open(home.options()).unwrap();
    let steps = step([write(1, None, [("a", whole("1"))])]);
    storage.commit_step(run.lease, steps).await.unwrap();
}

#[tokio::test]
async fn a_delivery_that_cannot_be_read_stands_in_the_way_of_no_other() {
    let home = SqliteHome::new();
    let storage = home.open();
    delivered(&storage, 1).await;
    home.database()
        .execute("UPDATE delivery SET uuid = x'00'", [])
        .unwrap();
    let readable = delivered(&storage, 2).await;
    for expected in [vec![readable.id], vec![]] {
        let due = storage.claim_deliveries(at(9), 1).await.unwrap();
        let claimed: Vec<_> = due.deliveries.iter().map(|due| due.id).collect();
        assert_eq!(claimed, expected);
    }
}
