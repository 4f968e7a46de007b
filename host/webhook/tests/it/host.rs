//! The host around webhooks: a data directory, a clock that a test turns, and runs that end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use selvedge_egress::{ClientOptions, PolicyOptions};
use selvedge_model::delivery::DeliveryStatus;
use selvedge_model::run::{Durability, MultitaskStrategy, Run, RunKwargs, RunStatus, StreamMode};
use selvedge_model::thread::{ThreadOutcome, ThreadStatus};
use selvedge_model::time::Clock;
use selvedge_model::{AssistantId, Json, RunId, Scope, ThreadId, Timestamp};
use selvedge_storage::sqlite::{self, Sqlite};
use selvedge_storage::{
    Admission, DeliveryRecord, Finish, LastWords, NewRun, RunEnd, StepCommit, Storage, ThreadNeed,
};
use selvedge_webhook::{Ended, Options, Schedule, Webhooks};
use tempfile::TempDir;

/// Stands still until it is turned.
pub struct HandClock(AtomicI64);

impl HandClock {
    pub fn turn(&self, by: Duration) {
        self.0
            .fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

pub struct Host {
    directory: TempDir,
    pub storage: Arc<dyn Storage>,
    pub clock: Arc<HandClock>,
    pub webhooks: Webhooks,
}

/// Loopback is open, and the schedule is known to the second.
pub fn options() -> Options {
    Options {
        policy: PolicyOptions {
            require_https: false,
            disable_loopback: false,
            ..PolicyOptions::webhooks()
        },
        retry: Schedule {
            secs: vec![0, 10, 100],
            jitter: 0.0,
        },
        client: ClientOptions::default(),
        ..Options::default()
    }
}

fn open(directory: &TempDir) -> Arc<dyn Storage> {
    Sqlite::open(sqlite::Options::new(directory.path())).unwrap()
}

impl Host {
    pub fn start(options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = open(&directory);
        let clock = Arc::new(HandClock(AtomicI64::new(1_795_315_794_870_523)));
        let webhooks = Webhooks::start(
            options,
            Arc::clone(&storage),
            Arc::clone(&clock) as Arc<dyn Clock>,
        )
        .unwrap();
        Self {
            directory,
            storage,
            clock,
            webhooks,
        }
    }

    /// Ends the process, as it were, and starts it again over the same data.
    pub async fn restart(self, options: Options) -> Self {
        self.webhooks.shutdown(Duration::from_secs(10)).await;
        self.storage.close().await;
        drop((self.webhooks, self.storage));
        let storage = open(&self.directory);
        storage.recover(self.clock.now(), 3).await.unwrap();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Self {
            webhooks: Webhooks::start(options, Arc::clone(&storage), clock).unwrap(),
            storage,
            ..self
        }
    }

    /// Turns the clock and lets the worker see it.
    pub fn turn(&self, secs: u64) {
        self.clock.turn(Duration::from_secs(secs));
        self.webhooks.wake();
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The database behind the back of storage.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.directory.path().join("selvedge.db")).unwrap()
    }

    /// A run with this webhook begins and ends.
    pub async fn run_ends(&self, url: &str) -> RunId {
        let new = new_run(url, self.clock.now());
        let run_id = new.run.run_id;
        let Admission::Claimed(claimed, _) =
            self.storage.admit_run(&Scope::Host, new).await.unwrap()
        else {
            panic!("the run was not claimed");
        };
        let values = Json::parse(r#"{"log":["a","b"]}"#).unwrap();
        let delivery = self.webhooks.delivery(&Ended {
            run: &claimed.run,
            status: RunStatus::Success.into(),
            started_at: Some(claimed.started_at),
            ended_at: self.clock.now(),
            values: &values,
            error: None,
            interrupts: &[],
        });
        let end = RunEnd {
            status: RunStatus::Success,
            at: self.clock.now(),
            step: StepCommit::default(),
            thread_status: ThreadStatus::Idle,
            outcome: ThreadOutcome::default(),
            delivery,
            cancelled: None,
        };
        let finish = self.storage.finish_run(claimed.lease, end).await;
        assert_eq!(finish.unwrap(), Finish::Ended);
        self.webhooks.wake();
        run_id
    }

    pub async fn delivery(&self, run: RunId) -> DeliveryRecord {
        self.storage
            .deliveries_of_run(&Scope::Host, run)
            .await
            .unwrap()
            .remove(0)
    }

    pub async fn ended_as(&self, run: RunId, status: DeliveryStatus) -> DeliveryRecord {
        eventually(status.as_str(), async || {
            Some(self.delivery(run).await).filter(|delivery| delivery.status == status)
        })
        .await
    }

    /// Waits until so many attempts are recorded.
    pub async fn tried(&self, run: RunId, attempts: usize) -> DeliveryRecord {
        eventually("attempts", async || {
            Some(self.delivery(run).await).filter(|delivery| delivery.attempts.len() >= attempts)
        })
        .await
    }
}

fn new_run(url: &str, now: Timestamp) -> NewRun {
    let empty = || Json::parse("{}").unwrap();
    let run = Run {
        run_id: RunId::new(),
        thread_id: ThreadId::new(),
        assistant_id: AssistantId::default_of("agent"),
        metadata: empty(),
        status: RunStatus::Pending,
        kwargs: RunKwargs {
            input: empty(),
            command: None,
            config: empty(),
            context: empty(),
            stream_mode: vec![StreamMode::Values],
            interrupt_before: None,
            interrupt_after: None,
            webhook: Some(url.to_owned()),
            feedback_keys: None,
            temporary: false,
            subgraphs: false,
            resumable: false,
            event_protocol: false,
            checkpoint_during: true,
            durability: Durability::Async,
        },
        multitask_strategy: MultitaskStrategy::Enqueue,
        created_at: now,
        updated_at: now,
    };
    NewRun {
        run,
        thread: ThreadNeed::Create {
            metadata: empty(),
            config: empty(),
            ttl: None,
        },
        answers: Vec::new(),
        claim_by: Some(now),
        max_pending_runs: 10_000,
        share: None,
        last_words: LastWords::default(),
    }
}

/// Asks again and again until there is an answer, for ten seconds.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
