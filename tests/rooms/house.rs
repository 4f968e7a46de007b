//! A runtime with one graph, on a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use selvedge_egress::{Client, ClientOptions, Policy, PolicyOptions};
use selvedge_model::cron::{CatchUp, Cron, OnRunCompleted};
use selvedge_model::event::EventId;
use selvedge_model::run::{Durability, MultitaskStrategy, StreamMode};
use selvedge_model::time::{Clock, SystemClock};
use selvedge_model::{Caller, CronId, Json, RunId, Scope, ThreadId, Timestamp};
use selvedge_runtime::admit::Accepted;
use selvedge_runtime::hub::{Ending, Finished, Next, Subscription};
use selvedge_runtime::{
    AssistantRef, CreateRun, GraphSource, Graphs, NewCron, Options, Place, Rooms, Runtime,
};
use selvedge_sandbox::{Compiling, ComponentSource, Limits, Network, Sandbox};
use selvedge_storage::sqlite::{self, Sqlite};
use selvedge_storage::{RunEnd, Storage};
use selvedge_webhook::Webhooks;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::watched::{Observer, Then, Watched, Write};

/// Far beyond what anything here takes, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct House {
    pub runtime: Runtime,
    /// Without the watcher: what is stored.
    pub stored: Arc<Sqlite>,
    /// What runs write.
    pub writes: UnboundedReceiver<Write>,
    /// Whether storage refuses what runs write before their end.
    pub steps_fail: Arc<AtomicBool>,
    /// The cron whose runs storage fails at.
    pub unstorable: Arc<Mutex<Option<CronId>>>,
    /// Unless it is somebody else's.
    _directory: Option<TempDir>,
}

impl House {
    /// Serves the probe `two`; so many runs at once.
    pub async fn open(max_running_runs: usize) -> Self {
        Self::with(Options {
            max_running_runs,
            ..Options::default()
        })
        .await
    }

    /// Serves the probe `two` within these bounds.
    pub async fn with(options: Options) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let house = Self::at(directory.path(), options, &probe(), Arc::new(|_| {})).await;
        Self {
            _directory: Some(directory),
            ..house
        }
    }

    /// The same on a data directory that may have been somebody's before, with a component that was built before.
    pub async fn at(directory: &Path, options: Options, probe: &Path, observer: Observer) -> Self {
        Self::by(Arc::new(SystemClock), directory, options, probe, observer).await
    }

    /// The same, its crons by this clock.
    pub async fn by(
        clock: Arc<dyn Clock>,
        directory: &Path,
        options: Options,
        probe: &Path,
        observer: Observer,
    ) -> Self {
        let stored: Arc<Sqlite> =
            Sqlite::open(sqlite::Options::new(directory)).expect("a data directory");
        let recovery = stored.recover(Timestamp::now(), options.max_attempts);
        let recovery = recovery.await.expect("a recovery");
        let (watched, writes) = Watched::new(stored.clone(), observer);
        let steps_fail = watched.steps_fail.clone();
        let unstorable = watched.unstorable.clone();
        let storage: Arc<dyn Storage> = Arc::new(watched);
        let sandbox = Sandbox::start(selvedge_sandbox::Options {
            cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("components")),
            max_instances: 16,
            compiling: Compiling {
                program: Some(env!("CARGO_BIN_EXE_selvedge").into()),
                ..Compiling::default()
            },
            ..selvedge_sandbox::Options::default()
        })
        .expect("a sandbox");
        let graphs =
            Graphs::new(vec![two(&sandbox, probe).await], Timestamp::now()).expect("a graph");
        let webhooks = selvedge_webhook::Options {
            policy: PolicyOptions {
                require_https: false,
                disable_loopback: false,
                ..PolicyOptions::webhooks()
            },
            ..selvedge_webhook::Options::default()
        };
        let webhooks = Webhooks::start(webhooks, storage.clone(), Arc::new(SystemClock))
            .expect("webhook options");
        let runtime = Runtime::start(
            Options {
                shutdown_grace: Duration::ZERO,
                ..options
            },
            Rooms {
                storage,
                sandbox,
                webhooks: Arc::new(webhooks),
                index: None,
            },
            graphs,
            recovery,
            clock,
        )
        .await
        .expect("a runtime");
        Self {
            runtime,
            stored,
            writes,
            steps_fail,
            unstorable,
            _directory: None,
        }
    }

    /// Ends; the data directory is somebody else's to open.
    pub async fn close(self) {
        self.runtime.shutdown().await;
        self.stored.close().await;
    }

    /// Creates a cron.
    pub async fn create_cron(&self, new: NewCron) -> Cron {
        self.runtime
            .create_cron(&Caller::host(), new)
            .await
            .expect("a cron")
    }

    /// A run of `two` on a thread, which is created when it does not exist.
    pub async fn create_run(&self, thread: ThreadId, webhook: Option<&str>) -> Accepted {
        self.create_run_with(thread, webhook, Durability::Async)
            .await
    }

    /// The same, with a durability.
    pub async fn create_run_with(
        &self,
        thread: ThreadId,
        webhook: Option<&str>,
        durability: Durability,
    ) -> Accepted {
        self.accepted(CreateRun {
            webhook: webhook.map(str::to_owned),
            durability,
            ..run_of_two(thread)
        })
        .await
    }

    /// The same, whose events are kept.
    pub async fn create_kept_run(&self, thread: ThreadId) -> RunId {
        let run = CreateRun {
            stream_resumable: true,
            ..run_of_two(thread)
        };
        self.accepted(run).await.run.run_id
    }

    async fn accepted(&self, run: CreateRun) -> Accepted {
        let accepted = self.runtime.create_run(&Caller::host(), run).await;
        accepted.expect("an accepted run")
    }

    /// A reader of a thread's events, from the first that is kept.
    pub async fn watch(&self, thread: ThreadId) -> Subscription {
        let beginning = Some(EventId::BEFORE_ALL);
        let watching = self
            .runtime
            .watch_thread(&Scope::Host, thread, beginning)
            .await;
        watching.expect("a read")
    }

    /// Waits until a run is to be ended.
    pub async fn end_of_run(&mut self) -> (Box<RunEnd>, oneshot::Sender<Then>) {
        let next = async {
            loop {
                match self.writes.recv().await.expect("a runtime") {
                    Write::Step => {}
                    Write::End(end, verdict) => return (end, verdict),
                }
            }
        };
        timeout(PATIENCE, next).await.expect("an end in time")
    }
}

fn run_of_two(thread: ThreadId) -> CreateRun {
    let empty = || Json::object::<&str>([]);
    CreateRun {
        assistant: AssistantRef::Graph("two".into()),
        place: Place::Thread {
            id: thread,
            create: true,
        },
        input: Some(Json::from(json!({"foo": "x"}))),
        command: None,
        answers: Vec::new(),
        checkpoint_id: None,
        metadata: empty(),
        config: empty(),
        context: None,
        webhook: None,
        interrupt_before: None,
        interrupt_after: None,
        stream_mode: vec![StreamMode::Values],
        stream_subgraphs: false,
        stream_resumable: false,
        event_protocol: false,
        feedback_keys: None,
        multitask_strategy: MultitaskStrategy::Enqueue,
        after: Duration::ZERO,
        durability: Durability::Async,
        cancel_on_disconnect: false,
        request_id: None,
        cron_id: None,
        tracer: None,
    }
}

/// A cron of `two`, each of whose runs leaves a thread.
pub fn cron(schedule: &str) -> NewCron {
    NewCron {
        assistant: AssistantRef::Graph("two".into()),
        thread: None,
        schedule: schedule.to_owned(),
        timezone: None,
        end_time: None,
        on_run_completed: OnRunCompleted::Keep,
        enabled: true,
        catch_up: CatchUp::One,
        metadata: Json::object::<&str>([]),
        body: Json::from(json!({"input": {"foo": "x"}})),
    }
}

/// Waits until a run has ended.
pub async fn ended(stream: &mut Subscription) -> Arc<Finished> {
    loop {
        match stream.next().await {
            Next::Event(..) => {}
            Next::Ended(Ending::Finished(finished)) => return finished,
            other => panic!("{other:?}"),
        }
    }
}

async fn two(sandbox: &Sandbox, probe: &Path) -> GraphSource {
    let policy = Policy::new(&PolicyOptions::graphs()).expect("a policy");
    let outbound = Client::new(Arc::new(policy), &ClientOptions::default()).expect("a client");
    let source = ComponentSource {
        path: probe.to_owned(),
        environment: Vec::new(),
        limits: Limits::default(),
        network: Network {
            client: Arc::new(outbound),
            timeout: PATIENCE,
            max_concurrent_per_run: 1,
        },
    };
    GraphSource {
        id: "two".into(),
        component: sandbox.load(source).await.expect("the probe"),
        name: Some("two".into()),
        description: None,
        config: Json::object::<&str>([]),
        context: Json::object::<&str>([]),
    }
}

/// The component of the graphs that exist for tests alone.
pub fn probe() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let wasm = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rooms-probe.wasm");
        let output = Command::new(env!("CARGO_BIN_EXE_selvedge"))
            .args(["build", "tests/graphs/probe", "-o"])
            .arg(&wasm)
            .current_dir(root)
            .output()
            .expect("selvedge starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        wasm
    };
    BUILT.get_or_init(build).clone()
}
