//! A process that the tests start in order to kill it.
//!
//! `hold <data directory>` has the directory open until its input ends; it says so in a line. `load <directory>` runs
//! one run after the other on the data directory in it, as fast as it can, and notes in the file `journal` beside that
//! what it asks for and what it was answered; a write to a file survives the death of its process.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stdout, reason = "the line is what the test waits for")]

#[path = "../tests/it/given.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod given;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use selvedge_model::run::Lease;
use selvedge_model::{RunId, ThreadId};
use selvedge_storage::sqlite::{Options, Sqlite};
use selvedge_storage::{RunEnd, Storage};

use given::{STEPS, append, at, claimed, delivery, end, finish, new_run, step, temporary, write};

/// Callers at once, so that groups hold several.
const CALLERS: usize = 6;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["hold", directory] => hold(directory),
        ["load", directory] => load(Path::new(directory)).await,
        _ => panic!("hold <data directory> | load <directory>"),
    }
}

fn hold(directory: &str) {
    let _held = Sqlite::open(Options::new(directory)).unwrap();
    println!("held");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

async fn load(directory: &Path) {
    let storage: Arc<dyn Storage> = Sqlite::open(Options::new(directory.join("data"))).unwrap();
    storage.recover(at(0), u32::MAX).await.unwrap();
    let journal = Arc::new(Journal::open(&directory.join("journal")));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(run_after_run(storage.clone(), journal.clone(), caller == 0)))
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

async fn run_after_run(storage: Arc<dyn Storage>, journal: Arc<Journal>, is_temporary: bool) {
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
        finish(&storage, lease, last(&lease)).await;
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

struct Journal(File);

impl Journal {
    fn open(path: &Path) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Self(file.unwrap())
    }

    /// One write call: a line is there as a whole or not at all.
    fn note(&self, kind: &str, ids: (ThreadId, RunId)) {
        let line = format!("{kind} {} {}\n", ids.0, ids.1);
        (&self.0).write_all(line.as_bytes()).unwrap();
    }
}
