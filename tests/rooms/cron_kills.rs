//! A due time makes exactly one run, wherever between the two the process is killed.
//!
//! The test starts itself as another process, over and over: one that kills itself at a step, then one that lives.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use selvedge_model::run::RunStatus;
use selvedge_model::{Scope, Timestamp};
use selvedge_runtime::Options;
use selvedge_storage::{Reads, RunQuery, ThreadFilter, ThreadQuery, ThreadSort, Values};
use tempfile::TempDir;

use crate::eventually;
use crate::house::{House, PATIENCE, cron, probe};
use crate::kills::ended;
use crate::watched::{Observer, Step};

const TEST: &str = "cron_kills::a_process_that_is_killed_anywhere_between_a_due_time_and_its_run_leaves_exactly_one";
/// The data directory of the other process; without it this is the test itself.
const DIRECTORY: &str = "SELVEDGE_TEST_CRON_DIRECTORY";
/// Its component.
const PROBE: &str = "SELVEDGE_TEST_PROBE";
/// At which step it kills itself; without it there is no new cron.
const STEP: &str = "SELVEDGE_TEST_CRON_STEP";

/// When the cron is due: it has to have been created by then.
const TIME_TO_CREATE: Duration = Duration::from_secs(3);

const KILLS: [Step; 4] = [Step::Looking, Step::Firing, Step::Fired, Step::Ending];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_anywhere_between_a_due_time_and_its_run_leaves_exactly_one() {
    if let Ok(directory) = std::env::var(DIRECTORY) {
        return other_process(Path::new(&directory)).await;
    }
    let probe = probe();
    for step in KILLS {
        let directory = TempDir::new().expect("a temporary directory");
        let process = |step: Option<Step>| -> Child {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command
                .args([TEST, "--exact", "--nocapture"])
                .env(DIRECTORY, directory.path())
                .env(PROBE, &probe)
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            if let Some(step) = step {
                command.env(STEP, format!("{step:?}"));
            }
            command.spawn().expect("another process")
        };
        let end = ended(&mut process(Some(step))).await;
        assert_eq!(end.signal(), Some(9), "{step:?}: {end}");
        // The first ends with the run, the second has nothing more to do.
        for _ in 0..2 {
            let end = ended(&mut process(None)).await;
            assert!(end.success(), "{step:?}: {end}");
        }
    }
}

/// With a step to die at, makes a cron that is due once. Without one, waits for its only run to have ended.
async fn other_process(directory: &Path) {
    let probe = std::env::var(PROBE).expect("a component");
    let step = std::env::var(STEP);
    let (watch, armed) = killer(step.clone().unwrap_or_default());
    let mut house = House::at(directory, Options::default(), Path::new(&probe), watch).await;
    house.writes.close();
    if step.is_ok() {
        let schedule = once(Timestamp::now().after(TIME_TO_CREATE));
        house.create_cron(cron(&schedule)).await;
        // Not before: the first look of all comes when it will.
        armed.store(true, Ordering::SeqCst);
        tokio::time::sleep(2 * PATIENCE).await;
        panic!("nobody killed this process");
    }
    let runs = eventually("the end of the run", async || {
        let runs = runs(&house).await;
        let ended = runs.iter().all(|status| *status == RunStatus::Success);
        (!runs.is_empty() && ended).then_some(runs)
    })
    .await;
    assert_eq!(runs.len(), 1);
    let page = house
        .stored
        .due_crons(Timestamp::from_micros(0)..=Timestamp::now(), 10)
        .await;
    let left = page.expect("a read");
    assert!(left.crons.is_empty() && left.next_due.is_none(), "{left:?}");
    house.close().await;
}

/// The runs of all threads, each of which the cron has made.
async fn runs(house: &House) -> Vec<RunStatus> {
    let query = ThreadQuery {
        filter: ThreadFilter::default(),
        sort_by: ThreadSort::CreatedAt,
        descending: false,
        limit: 100,
        offset: 0,
        values: Values::Skip,
    };
    let mut found = Vec::new();
    for thread in house
        .stored
        .search_threads(&Scope::Host, query)
        .await
        .expect("a read")
        .rows
    {
        let query = RunQuery {
            thread_id: thread.thread_id,
            status: None,
            limit: 100,
            offset: 0,
        };
        let runs = house
            .stored
            .list_runs(&Scope::Host, query)
            .await
            .expect("a read");
        found.extend(runs.iter().map(|run| run.status));
    }
    found
}

/// A schedule that names one second.
fn once(at: Timestamp) -> String {
    // 2026-11-22T10:00:00.123456+00:00
    let text = at.to_string();
    let part = |range: std::ops::Range<usize>| text[range].parse::<u32>().expect("a number");
    let (month, day) = (part(5..7), part(8..10));
    let (hour, minute, second) = (part(11..13), part(14..16), part(17..19));
    format!("{minute} {hour} {day} {month} * {second} {}", part(0..4))
}

/// Kills this process at a step, once it is told that it may.
fn killer(step: String) -> (Observer, Arc<AtomicBool>) {
    let armed = Arc::new(AtomicBool::new(false));
    let may = armed.clone();
    let observer = Arc::new(move |now| {
        if may.load(Ordering::SeqCst) && format!("{now:?}") == step {
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL).expect("SIGKILL");
        }
    });
    (observer, armed)
}
