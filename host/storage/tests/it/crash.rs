//! The second adversary: a process under load is killed at any moment, many times over one directory; whatever it
//! was answered is there, and nothing is half done.
//!
//! The process is `victim/`, which notes in a journal what it asks for and what it was answered.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use selvedge_model::checkpoint::ChannelValue;
use selvedge_model::run::RunStatus;
use selvedge_model::thread::ThreadStatus;
use selvedge_model::{RunId, Scope, ThreadId};
use selvedge_storage::sqlite::Sqlite;
use selvedge_storage::{Storage, Values};

use crate::given::{STEPS, checkpoint_id};
use crate::home::SqliteHome;

/// The process that is killed: `victim/`.
const VICTIM: &str = env!("CARGO_BIN_EXE_storage-victim");
const ROUNDS: u64 = 16;

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

/// Starts a victim and kills it some time after it has begun to write.
fn live_and_die(directory: &Path, round: u64) {
    let journal = directory.join("journal");
    let length = || std::fs::metadata(&journal).map_or(0, |file| file.len());
    let before = length();
    let mut victim = Command::new(VICTIM)
        .arg("load")
        .arg(directory)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while length() == before {
        assert!(Instant::now() < deadline, "the victim does not work");
        assert!(
            victim.try_wait().unwrap().is_none(),
            "the victim ended by itself"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    // Spread over 0 to 150 ms, with odd microseconds, so that the kill meets every part of a commit.
    std::thread::sleep(Duration::from_micros(round * 7_919 * 13 % 150_000));
    victim.kill().unwrap();
    victim.wait().unwrap();
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
    let run = storage.run(&Scope::Host, None, run_id).await.unwrap();
    let deliveries = storage
        .deliveries_of_run(&Scope::Host, run_id)
        .await
        .unwrap()
        .len();
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
        let thread = storage
            .thread(&Scope::Host, thread, Values::Skip)
            .await
            .unwrap();
        assert!(
            thread.is_none(),
            "{run_id}: no thread without the run that creates it"
        );
        return;
    };
    let status = storage
        .thread(&Scope::Host, thread, Values::Skip)
        .await
        .unwrap()
        .unwrap()
        .status;
    assert_eq!(run.status == RunStatus::Success, is_finished, "{run_id}");
    assert_eq!(status == ThreadStatus::Idle, is_finished, "{run_id}");
    let saved = storage
        .checkpoint(&Scope::Host, thread, "", None)
        .await
        .unwrap();
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
