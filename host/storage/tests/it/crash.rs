//! The second adversary: a process under load is killed at any moment, many times over one directory; whatever it
//! was answered is there, and nothing is half done.
//!
//! The process is this test binary, started again as [`worker`]. It notes in a journal what it asks for and what
//! it was answered; a write to that file survives the death of its process.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use selvedge_model::checkpoint::ChannelValue;
use selvedge_model::run::{Lease, RunStatus};
use selvedge_model::thread::ThreadStatus;
use selvedge_model::{RunId, ThreadId};
use selvedge_storage::sqlite::{Options, Sqlite};
use selvedge_storage::{RunEnd, Storage, Values};

use crate::given::{
    append, at, checkpoint_id, claimed, delivery, end, new_run, step, temporary, write,
};
use crate::home::SqliteHome;

const DIRECTORY: &str = "SELVEDGE_TEST_CRASH";
const ROUNDS: u64 = 16;
/// Callers at once, so that groups hold several.
const CALLERS: usize = 6;
const STEPS: u64 = 3;

struct Journal(File);

impl Journal {
    fn open(path: &Path) -> Self {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        Self(file)
    }

    /// One write call: a line is there as a whole or not at all.
    fn note(&self, kind: &str, lease: (ThreadId, RunId)) {
        let line = format!("{kind} {} {}\n", lease.0, lease.1);
        (&self.0).write_all(line.as_bytes()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of another test, which starts and kills it"]
async fn worker() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let directory = PathBuf::from(directory);
    let storage: Arc<dyn Storage> = Sqlite::open(Options::new(directory.join("data"))).unwrap();
    storage.recover(at(0), u32::MAX).await.unwrap();
    let journal = Arc::new(Journal::open(&directory.join("journal")));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            tokio::spawn(load(
                Arc::clone(&storage),
                Arc::clone(&journal),
                caller == 0,
            ))
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

/// Run after run, until the process is killed.
async fn load(storage: Arc<dyn Storage>, journal: Arc<Journal>, is_temporary: bool) {
    loop {
        let mut new = new_run(ThreadId::new(), at(0));
        let ids = (new.run.thread_id, new.run.run_id);
        if is_temporary {
            new = temporary(new);
            journal.note("temporary", ids);
        }
        journal.note("asked", ids);
        let lease = claimed(&storage, new).await.lease;
        journal.note("admitted", ids);
        for n in 1..=STEPS {
            let parent = (n > 1).then_some(n - 1);
            let steps = step([write(n, parent, [("log", append(&["1"]))])]);
            storage.commit_step(lease, steps).await.unwrap();
            journal.note("stepped", ids);
        }
        storage.finish_run(lease, last(&lease)).await.unwrap();
        journal.note("finished", ids);
    }
}

fn last(lease: &Lease) -> RunEnd {
    RunEnd {
        step: step([write(STEPS + 1, Some(STEPS), [("log", append(&["1"]))])]),
        delivery: Some(delivery(lease, 5)),
        ..end(5)
    }
}

/// What the journal knows of a run.
#[derive(Default)]
struct Told {
    temporary: bool,
    admitted: bool,
    steps: u64,
    finished: bool,
}

fn read_journal(path: &Path) -> HashMap<(ThreadId, RunId), Told> {
    let mut runs: HashMap<_, Told> = HashMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let ids = (
            ThreadId::from_str(words[1]).unwrap(),
            RunId::from_str(words[2]).unwrap(),
        );
        let told = runs.entry(ids).or_default();
        match words[0] {
            "temporary" => told.temporary = true,
            "admitted" => told.admitted = true,
            "stepped" => told.steps += 1,
            "finished" => told.finished = true,
            _ => {}
        }
    }
    runs
}

/// Starts a worker and kills it some time after it has begun to write.
fn live_and_die(directory: &Path, round: u64) {
    let journal = directory.join("journal");
    let length = || std::fs::metadata(&journal).map_or(0, |file| file.len());
    let before = length();
    let mut worker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::worker", "--ignored"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while length() == before {
        assert!(Instant::now() < deadline, "the worker does not work");
        assert!(
            worker.try_wait().unwrap().is_none(),
            "the worker ended by itself"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    // Spread over 0 to 150 ms, with odd microseconds, so that the kill meets every part of a commit.
    std::thread::sleep(Duration::from_micros(round * 7_919 * 13 % 150_000));
    worker.kill().unwrap();
    worker.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_kill_at_any_moment_and_nothing_is_half_done() {
    let home = SqliteHome::new();
    let directory = home.path().parent().unwrap().to_owned();
    let mut seen = Seen::default();
    for round in 0..ROUNDS {
        live_and_die(&directory, round);
        let storage: Arc<dyn Storage> = Sqlite::open(home.options()).unwrap();
        let told = read_journal(&directory.join("journal"));
        for (ids, told) in &told {
            check(&storage, *ids, told, &mut seen).await;
        }
        storage.close().await;
    }
    let verdict: String = home
        .database()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
    println!(
        "{ROUNDS} kills: {} runs finished, {} cut off",
        seen.finished, seen.unfinished
    );
    assert!(seen.finished > 0 && seen.unfinished > 0);
}

#[derive(Default)]
struct Seen {
    finished: u64,
    unfinished: u64,
}

async fn check(storage: &Arc<dyn Storage>, ids: (ThreadId, RunId), told: &Told, seen: &mut Seen) {
    let (thread, run_id) = ids;
    let run = storage.run(None, run_id).await.unwrap();
    let deliveries = storage.deliveries_of_run(run_id).await.unwrap().len();
    let is_finished = deliveries == 1;
    assert!(
        is_finished || !told.finished,
        "{run_id}: a finished run has its delivery"
    );
    if is_finished {
        seen.finished += 1;
    } else {
        seen.unfinished += 1;
    }
    if told.temporary {
        assert!(
            run.is_none() || !is_finished,
            "{run_id}: a temporary run is there or delivered"
        );
        assert!(
            run.is_some() || is_finished || !told.admitted,
            "{run_id}: an admitted run is not lost"
        );
        return;
    }
    let Some(run) = run else {
        assert!(!told.admitted, "{run_id}: an admitted run is not lost");
        let thread = storage.thread(thread, Values::Skip).await.unwrap();
        assert!(
            thread.is_none(),
            "{run_id}: no thread without the run that creates it"
        );
        return;
    };
    let status = storage
        .thread(thread, Values::Skip)
        .await
        .unwrap()
        .unwrap()
        .status;
    assert_eq!(run.status == RunStatus::Success, is_finished, "{run_id}");
    assert_eq!(status == ThreadStatus::Idle, is_finished, "{run_id}");
    let saved = storage.checkpoint(thread, "", None).await.unwrap();
    let steps = match saved {
        None => 0,
        Some(saved) => {
            let steps = u64::try_from(saved.checkpoint.step + 1).unwrap();
            assert_eq!(saved.checkpoint.id, checkpoint_id(steps));
            let ChannelValue::List(items) = &saved.checkpoint.values["log"] else {
                panic!("a list");
            };
            assert_eq!(
                items.len() as u64,
                steps,
                "{run_id}: a checkpoint has all its items"
            );
            steps
        }
    };
    assert!(steps >= told.steps, "{run_id}: an answered step is there");
    assert_eq!(
        steps == STEPS + 1,
        is_finished,
        "{run_id}: the last checkpoint comes with the end"
    );
}
