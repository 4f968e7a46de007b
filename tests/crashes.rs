//! Nothing that was accepted is lost: the process is killed by SIGKILL again and again, at chosen moments and under
//! load, and what it had accepted comes to an end all the same.

mod commands;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Value, json};

use crate::support::receiver::Answer;
use crate::support::{Receiver, Server, Setup, eventually};

/// Kills at each of the moments.
const ROUNDS: usize = 6;
/// When checkpoints become durable, round by round.
const DURABILITIES: [&str; 3] = ["async", "sync", "exit"];
/// Runs that are asked for at once.
const BURST: usize = 16;

/// What the test has been promised.
#[derive(Default)]
struct Promises {
    /// Runs whose creation was answered with 200.
    accepted: BTreeSet<String>,
    /// Threads on which a run was accepted, with the marker of its side effects.
    threads: BTreeMap<String, String>,
    kills: BTreeMap<&'static str, usize>,
}

struct World {
    server: Server,
    webhooks: Receiver,
    /// Holds the receiver's answers back while deliveries are to be caught in the act.
    hold: Arc<AtomicBool>,
    effects: Receiver,
    /// The side effects that hang the next time they come.
    hang: Arc<Mutex<BTreeSet<String>>>,
    promises: Promises,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_ends_and_its_webhook_arrives_whenever_the_process_is_killed() {
    let mut world = World::start().await;
    for round in 0..ROUNDS {
        world.killed_in_admission().await;
        world.killed_in_a_node(round).await;
        world.killed_in_a_step_with_finished_siblings(round).await;
        world.killed_at_the_finish().await;
        world.killed_during_delivery().await;
        world.killed_in_commands(round).await;
    }
    world.everything_was_kept().await;
}

impl World {
    async fn start() -> Self {
        let hold = Arc::new(AtomicBool::new(false));
        let held = hold.clone();
        let webhooks = Receiver::behaving(move |_, earlier| {
            if held.load(Ordering::SeqCst) || earlier % 11 == 5 {
                Answer::Hang
            } else if earlier % 5 == 1 {
                Answer::Status(500)
            } else {
                Answer::Status(200)
            }
        })
        .await;
        let hang: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let hanging = hang.clone();
        let effects = Receiver::behaving(move |request, _| {
            if hanging.lock().expect("not poisoned").remove(&request.path) {
                Answer::Hang
            } else {
                Answer::Status(200)
            }
        })
        .await;
        let server = Setup::probes(&["two", "effects", "steps"])
            .set("runtime.max_attempts", 1_000)
            .set("webhooks.timeout_secs", 1)
            .set("webhooks.max_concurrent_per_host", 32)
            .set("webhooks.retry", json!({"schedule_secs": vec![0; 1].into_iter().chain(vec![1; 60]).collect::<Vec<i32>>()}))
            .set(
                "egress",
                json!({
                    "allowed_networks": ["127.0.0.0/8"],
                    "require_https": false,
                    "allowed_ports": [effects.address.port()],
                }),
            )
            .start()
            .await;
        Self {
            server,
            webhooks,
            hold,
            effects,
            hang,
            promises: Promises::default(),
        }
    }

    /// Some of the requests have been answered, others are on their way.
    async fn killed_in_admission(&mut self) {
        let body = self.quick_run();
        let mut asked: FuturesUnordered<_> = (0..BURST)
            .map(|_| create(&self.server, "/runs", &body))
            .collect();
        let first = asked.next().await.expect("an answer");
        let pid = self.server.pid();
        crate::support::server::signal(pid, "KILL");
        let mut answers = vec![first];
        answers.extend(asked.by_ref().collect::<Vec<_>>().await);
        drop(asked);
        self.promises.accepted.extend(answers.into_iter().flatten());
        self.killed_and_back("in admission").await;
    }

    /// A node has begun its side effect and waits for the answer.
    async fn killed_in_a_node(&mut self, round: usize) {
        let marker = format!("node-{round}");
        let held = self.hold(&format!("/{marker}?task=one"));
        self.start_effects(&marker, durability(round)).await;
        self.arrives(held).await;
        self.killed_and_back("in a node").await;
    }

    /// Two tasks of a step have ended, and their writes are stored; the third hangs.
    async fn killed_in_a_step_with_finished_siblings(&mut self, round: usize) {
        let marker = format!("sibling-{round}");
        let held = self.hold(&format!("/{marker}?task=three"));
        // With `exit` nothing of a step is stored.
        let thread = self.start_effects(&marker, durability(round % 2)).await;
        let server = &self.server;
        eventually("two finished siblings", async || {
            let state = server.get_json(&format!("/threads/{thread}/state")).await;
            let finished = state["tasks"]
                .as_array()
                .expect("tasks")
                .iter()
                .filter(|task| !task["result"].is_null())
                .count();
            (finished == 2).then_some(())
        })
        .await;
        self.arrives(held).await;
        self.killed_and_back("in a step with finished siblings")
            .await;
    }

    /// Runs are ending, and the first webhook is there.
    async fn killed_at_the_finish(&mut self) {
        let arrived = self.webhooks.received().len();
        let body = self.quick_run();
        let accepted = join_all((0..BURST).map(|_| create(&self.server, "/runs", &body))).await;
        self.promises
            .accepted
            .extend(accepted.into_iter().flatten());
        self.webhooks.wait_for(arrived + 1).await;
        self.killed_and_back("at the finish").await;
    }

    /// Deliveries have reached the receiver, which has not answered.
    async fn killed_during_delivery(&mut self) {
        self.hold.store(true, Ordering::SeqCst);
        let arrived = self.webhooks.received().len();
        let body = self.quick_run();
        let accepted = join_all((0..BURST).map(|_| create(&self.server, "/runs", &body))).await;
        self.promises
            .accepted
            .extend(accepted.into_iter().flatten());
        self.webhooks.wait_for(arrived + 4).await;
        self.killed_and_back("during delivery").await;
        self.hold.store(false, Ordering::SeqCst);
    }

    async fn killed_and_back(&mut self, moment: &'static str) {
        self.server.kill();
        *self.promises.kills.entry(moment).or_default() += 1;
        self.server.restart().await;
    }

    fn quick_run(&self) -> Value {
        json!({
            "assistant_id": "two",
            "input": {"foo": "x"},
            "webhook": self.webhooks.url("/"),
        })
    }

    /// Starts a run with side effects on a thread of its own.
    async fn start_effects(&mut self, marker: &str, durability: &str) -> String {
        let thread = self.server.new_thread().await;
        let body = json!({
            "assistant_id": "effects",
            "input": {"counter": self.effects.url(&format!("/{marker}"))},
            "durability": durability,
            "webhook": self.webhooks.url("/"),
        });
        let run = create(&self.server, &format!("/threads/{thread}/runs"), &body)
            .await
            .expect("the server runs");
        self.promises.accepted.insert(run);
        self.promises
            .threads
            .insert(thread.clone(), marker.to_owned());
        thread
    }

    /// Lets a side effect hang the next time it comes; for [`arrives`](Self::arrives).
    fn hold(&self, path: &str) -> Held {
        self.hang
            .lock()
            .expect("not poisoned")
            .insert(path.to_owned());
        Held {
            path: path.to_owned(),
            before: self.count(path),
        }
    }

    async fn arrives(&self, held: Held) {
        eventually(&format!("the side effect {}", held.path), async || {
            (self.count(&held.path) > held.before).then_some(())
        })
        .await;
    }

    fn count(&self, path: &str) -> usize {
        self.effects
            .received()
            .iter()
            .filter(|r| r.path == path)
            .count()
    }

    async fn everything_was_kept(self) {
        let delivered = eventually("every webhook", async || {
            let delivered = self.delivered();
            let all = self
                .promises
                .accepted
                .iter()
                .all(|run| delivered.contains_key(run));
            all.then_some(delivered)
        })
        .await;
        for (run, ids) in &delivered {
            assert_eq!(
                ids.len(),
                1,
                "run {run} was announced under several ids: {ids:?}"
            );
        }
        for (thread, marker) in &self.promises.threads {
            let runs = self
                .server
                .get_json(&format!("/threads/{thread}/runs"))
                .await;
            assert_eq!(runs[0]["status"], "success", "{marker}: {runs}");
            self.finished_tasks_did_not_run_again(marker);
        }
        let kills: usize = self.promises.kills.values().sum();
        println!(
            "killed {kills} times {:?}; {} runs accepted, all ended; {} webhook requests, every run under one id",
            self.promises.kills,
            self.promises.accepted.len(),
            self.webhooks.received().len(),
        );
        assert!(kills >= 50);
    }

    /// By run: the ids under which a 2xx answered it.
    fn delivered(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut delivered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for received in self.webhooks.received() {
            let run = received.json()["run_id"]
                .as_str()
                .expect("a run id")
                .to_owned();
            if received.answered == Some(200) {
                delivered
                    .entry(run)
                    .or_default()
                    .insert(received.webhook_id());
            }
        }
        delivered
    }

    fn finished_tasks_did_not_run_again(&self, marker: &str) {
        let count = |task: &str| self.count(&format!("/{marker}?task={task}"));
        assert!(count("after") >= 1, "{marker}");
        if marker.starts_with("sibling-") {
            // Only the task that had not finished runs again, once for each kill that it did not outrun.
            assert_eq!((count("one"), count("two")), (1, 1), "{marker}");
            assert!(count("three") >= 2, "{marker}");
        } else {
            assert!(count("one") >= 2, "{marker}");
        }
    }
}

/// A side effect that is waited for.
struct Held {
    path: String,
    /// How often it came before.
    before: usize,
}

fn durability(round: usize) -> &'static str {
    DURABILITIES[round % DURABILITIES.len()]
}

/// The run's id when the server answered that it is accepted.
async fn create(server: &Server, path: &str, body: &Value) -> Option<String> {
    let response = server.try_post(path, body).await.ok()?;
    assert!(response.status().is_success(), "{}", response.status());
    let run: Value = response.json().await.ok()?;
    Some(run["run_id"].as_str().expect("a run id").to_owned())
}
