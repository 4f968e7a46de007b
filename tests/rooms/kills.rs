//! Invariant 6, step by step: wherever between the end of a run and the record of its delivery the process is killed,
//! the next one delivers, under one id.
//!
//! The test starts itself as another process, over and over: one that kills itself at a step, then one that lives.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use selvedge_model::delivery::DeliveryStatus;
use selvedge_model::run::RunStatus;
use selvedge_model::{Scope, ThreadId};
use selvedge_runtime::Options;
use selvedge_storage::sqlite::{self, Sqlite};
use selvedge_storage::{DeliveryQuery, DeliveryRecord, Reads};
use tempfile::TempDir;

use crate::house::{House, PATIENCE, probe};
use crate::receiver::{Answer, Receiver};
use crate::wait::eventually;
use crate::watched::{Observer, Step};

const TEST: &str =
    "kills::a_process_that_is_killed_anywhere_before_the_record_of_a_delivery_loses_nothing";
/// The data directory of the other process; without it this is the test itself.
const DIRECTORY: &str = "SELVEDGE_TEST_DIRECTORY";
/// Its component.
const PROBE: &str = "SELVEDGE_TEST_PROBE";
/// Where the run's webhook goes; without it there is no new run.
const WEBHOOK: &str = "SELVEDGE_TEST_WEBHOOK";
/// At which step it kills itself.
const STEP: &str = "SELVEDGE_TEST_STEP";

/// When the first process dies, what the first request is answered with (`None`: silence), how often the process sends
/// before it dies, and how often the next one does.
const KILLS: [(Option<Step>, Option<u16>, usize, usize); 9] = [
    (Some(Step::Ending), Some(200), 0, 1),
    (Some(Step::Ended), Some(200), 0, 1),
    (Some(Step::Claiming), Some(200), 0, 1),
    (Some(Step::Claimed), Some(200), 0, 1),
    // While the receiver has the request and does not answer.
    (None, None, 1, 1),
    (Some(Step::Answered), Some(200), 1, 1),
    (Some(Step::Recorded), Some(200), 1, 0),
    // Around the record of an attempt that failed.
    (Some(Step::Answered), Some(500), 1, 1),
    (Some(Step::Recorded), Some(500), 1, 1),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_anywhere_before_the_record_of_a_delivery_loses_nothing() {
    if let Ok(directory) = std::env::var(DIRECTORY) {
        return other_process(Path::new(&directory)).await;
    }
    let probe = probe();
    for (step, answer, before, after) in KILLS {
        let directory = TempDir::new().expect("a temporary directory");
        let receiver = Receiver::behaving(move |_, earlier| match earlier {
            0 => answer.map_or(Answer::Hang, Answer::Status),
            _ => Answer::Status(200),
        })
        .await;
        let process = |webhook: Option<String>| {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command
                .args([TEST, "--exact", "--nocapture"])
                .env(DIRECTORY, directory.path())
                .env(PROBE, &probe)
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            if let Some(webhook) = webhook {
                command.env(WEBHOOK, webhook);
                command.env(STEP, format!("{step:?}"));
            }
            command.spawn().expect("another process")
        };

        let mut first = process(Some(receiver.url("/")));
        if step.is_none() {
            receiver.wait_for(1).await;
            first.kill().expect("it can be killed");
        }
        let end = ended(&mut first).await;
        assert_eq!(end.signal(), Some(9), "{step:?}: {end}");
        assert_eq!(receiver.received().len(), before, "{step:?}");
        let stored = delivery(directory.path()).await.map(|delivery| delivery.id);
        assert_eq!(stored.is_none(), step == Some(Step::Ending), "{step:?}");

        let end = ended(&mut process(None)).await;
        assert!(end.success(), "{step:?}: {end}");
        let received = receiver.received();
        assert_eq!(received.len(), before + after, "{step:?}");
        let delivered = delivery(directory.path()).await.expect("a delivery");
        assert_eq!(delivered.status, DeliveryStatus::Delivered);
        assert!(stored.is_none_or(|id| id == delivered.id), "{step:?}");
        for request in received {
            assert_eq!(request.webhook_id(), delivered.id.to_string(), "{step:?}");
            assert_eq!(request.json()["run_id"], delivered.run_id.to_string());
            assert_eq!(request.json()["status"], "success");
        }
    }
}

/// Waits for the end of a process, and ends it when that does not come.
pub async fn ended(process: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = process.try_wait().expect("the process can be asked") {
            return status;
        }
        if begun.elapsed() > 2 * PATIENCE {
            let _ = process.kill();
            panic!("the other process goes on");
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// The only delivery that a dead process has left.
async fn delivery(directory: &Path) -> Option<DeliveryRecord> {
    let stored: Arc<Sqlite> =
        Sqlite::open(sqlite::Options::new(directory)).expect("a data directory");
    let mut rows = listed(&stored).await;
    assert!(rows.len() <= 1, "{rows:?}");
    rows.pop()
}

async fn listed(stored: &Sqlite) -> Vec<DeliveryRecord> {
    let query = DeliveryQuery {
        run_id: None,
        status: None,
        limit: 9,
        offset: 0,
    };
    let page = stored.list_deliveries(&Scope::Host, query).await;
    page.expect("a read").rows
}

async fn other_process(directory: &Path) {
    let probe = std::env::var(PROBE).expect("a component");
    let step = std::env::var(STEP).unwrap_or_default();
    let mut house = House::at(
        directory,
        Options::default(),
        Path::new(&probe),
        killer(step),
    )
    .await;
    house.writes.close();
    if let Ok(webhook) = std::env::var(WEBHOOK) {
        house.create_run(ThreadId::new(), Some(&webhook)).await;
        tokio::time::sleep(2 * PATIENCE).await;
        panic!("nobody killed this process");
    }
    eventually("the delivery", async || {
        let rows = listed(&house.stored).await;
        let delivered = rows.first()?;
        let run = house.stored.run(&Scope::Host, None, delivered.run_id).await;
        let run = run.expect("a read").expect("the run");
        let all = delivered.status == DeliveryStatus::Delivered && run.status == RunStatus::Success;
        all.then_some(())
    })
    .await;
}

/// Kills this process at a step, once a run has come to its end: before that the worker looks for what is due as well.
fn killer(step: String) -> Observer {
    let has_ended = AtomicBool::new(false);
    Arc::new(move |now| {
        if now == Step::Ended {
            has_ended.store(true, Ordering::SeqCst);
        }
        let counts = now == Step::Ending || has_ended.load(Ordering::SeqCst);
        if counts && format!("{:?}", Some(now)) == step {
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL).expect("SIGKILL");
        }
    })
}
