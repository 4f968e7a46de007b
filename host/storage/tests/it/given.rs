//! What tests start from: runs, steps and ends with as little said as possible.

use std::collections::BTreeMap;
use std::sync::Arc;

use selvedge_model::checkpoint::{Change, ChannelValue, CheckpointWrite, Source};
use selvedge_model::delivery::NewDelivery;
use selvedge_model::run::{
    ClaimedRun, Durability, Lease, MultitaskStrategy, Run, RunKwargs, RunStatus, StreamMode,
};
use selvedge_model::thread::{Interrupt, ThreadOutcome, ThreadStatus};
use selvedge_model::{
    AssistantId, CheckpointId, DeliveryId, Json, RunId, Scope, TaskId, ThreadId, Timestamp,
};
use selvedge_storage::{
    Admission, Finish, LastWords, NewRun, NewThread, RunEnd, StepCommit, Storage, ThreadNeed,
    Values,
};
use uuid::Uuid;

/// Checkpoints of a run of `victim/` before its last.
pub const STEPS: u64 = 3;

/// A second of the tests' clock.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_795_000_000_000_000 + seconds * 1_000_000)
}

pub fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

pub fn run(thread_id: ThreadId, begins: Timestamp) -> Run {
    Run {
        run_id: RunId::new(),
        thread_id,
        assistant_id: AssistantId::default_of("agent"),
        metadata: json(r#"{"owner":"test"}"#),
        status: RunStatus::Pending,
        kwargs: RunKwargs {
            input: json(r#"{"messages":[{"role":"human","content":"hello"}]}"#),
            command: None,
            config: json(r#"{"recursion_limit":25}"#),
            context: json("{}"),
            stream_mode: vec![StreamMode::Values],
            interrupt_before: None,
            interrupt_after: None,
            webhook: None,
            feedback_keys: None,
            temporary: false,
            subgraphs: false,
            resumable: false,
            event_protocol: false,
            checkpoint_during: true,
            durability: Durability::Async,
        },
        multitask_strategy: MultitaskStrategy::Enqueue,
        created_at: begins,
        updated_at: begins,
    }
}

/// A run that creates its thread when it must and is claimed when it can be.
pub fn new_run(thread: ThreadId, begins: Timestamp) -> NewRun {
    NewRun {
        run: run(thread, begins),
        thread: ThreadNeed::Create {
            metadata: json("{}"),
            config: json("{}"),
            ttl: None,
        },
        answers: Vec::new(),
        claim_by: Some(begins),
        max_pending_runs: 1_000,
        share: None,
        last_words: LastWords::default(),
    }
}

/// The same, left for whoever claims it.
pub fn unclaimed(new: NewRun) -> NewRun {
    NewRun {
        claim_by: None,
        ..new
    }
}

pub fn temporary(new: NewRun) -> NewRun {
    NewRun {
        thread: ThreadNeed::None,
        ..new
    }
}

/// The same with another idea of what becomes of the others on its thread.
pub fn with_strategy(mut new: NewRun, strategy: MultitaskStrategy) -> NewRun {
    new.run.multitask_strategy = strategy;
    new
}

pub async fn claimed(storage: &Arc<dyn Storage>, new: NewRun) -> ClaimedRun {
    match storage.admit_run(&Scope::Host, new).await.unwrap() {
        Admission::Claimed(claimed, _) => *claimed,
        other => panic!("expected a claim, got {other:?}"),
    }
}

pub async fn queued(storage: &Arc<dyn Storage>, new: NewRun) -> Run {
    match storage.admit_run(&Scope::Host, new).await.unwrap() {
        Admission::Queued(run, _) => *run,
        other => panic!("expected a place in the queue, got {other:?}"),
    }
}

/// A run that runs, on a thread of its own.
pub async fn running(storage: &Arc<dyn Storage>) -> Lease {
    claimed(storage, new_run(ThreadId::new(), at(0)))
        .await
        .lease
}

pub async fn thread(storage: &Arc<dyn Storage>) -> ThreadId {
    let thread_id = ThreadId::new();
    let new = NewThread {
        thread_id,
        metadata: json("{}"),
        created_at: at(0),
        ttl: None,
    };
    storage
        .create_thread(&Scope::Host, new, None)
        .await
        .unwrap();
    thread_id
}

pub async fn status(storage: &Arc<dyn Storage>, thread: ThreadId) -> ThreadStatus {
    let thread = storage
        .thread(&Scope::Host, thread, Values::Skip)
        .await
        .unwrap();
    thread.unwrap().status
}

/// The id of the n-th checkpoint: they sort by n.
pub fn checkpoint_id(n: u64) -> CheckpointId {
    CheckpointId(Uuid::from_u64_pair(0x1f0c_0000_0000_6000 + n, 1))
}

/// The n-th checkpoint, which changes these channels.
pub fn write(
    n: u64,
    parent: Option<u64>,
    changes: impl IntoIterator<Item = (&'static str, Change)>,
) -> CheckpointWrite {
    let changes: BTreeMap<String, Change> = changes
        .into_iter()
        .map(|(channel, change)| (channel.to_owned(), change))
        .collect();
    CheckpointWrite {
        id: checkpoint_id(n),
        parent: parent.map(checkpoint_id),
        namespace: String::new(),
        created_at: at(i64::try_from(n).unwrap()),
        step: i64::try_from(n).unwrap() - 1,
        source: Source::Loop,
        metadata: json("{}"),
        versions: changes.keys().map(|name| (name.clone(), n)).collect(),
        versions_seen: BTreeMap::new(),
        updated_channels: changes.keys().cloned().collect(),
        changes,
    }
}

pub fn step(checkpoints: impl IntoIterator<Item = CheckpointWrite>) -> StepCommit {
    StepCommit {
        checkpoints: checkpoints.into_iter().collect(),
        ..StepCommit::default()
    }
}

pub fn whole(text: &str) -> Change {
    Change::Set(ChannelValue::Whole(json(text)))
}

pub fn list(items: &[&str]) -> ChannelValue {
    ChannelValue::List(Arc::new(items.iter().map(|item| json(item)).collect()))
}

pub fn append(items: &[&str]) -> Change {
    Change::Append(items.iter().map(|item| json(item)).collect())
}

/// Ends a run.
pub async fn finish(storage: &Arc<dyn Storage>, lease: Lease, end: RunEnd) {
    let finish = storage.finish_run(lease, end).await.unwrap();
    assert_eq!(finish, Finish::Ended);
}

/// A good end without checkpoint or delivery.
pub fn end(seconds: i64) -> RunEnd {
    RunEnd {
        status: RunStatus::Success,
        at: at(seconds),
        step: StepCommit::default(),
        thread_status: ThreadStatus::Idle,
        outcome: ThreadOutcome::default(),
        delivery: None,
        cancelled: None,
    }
}

/// What a run leaves that asks, one task each.
pub fn asking(ids: &[&str]) -> ThreadOutcome {
    let question = |id: &str| Interrupt {
        value: json(r#""sure?""#),
        id: id.to_owned(),
    };
    let questions = (1..).zip(ids);
    let by_task = questions.map(|(n, id)| (TaskId(Uuid::from_u128(n)), vec![question(id)]));
    ThreadOutcome {
        error: None,
        interrupts: by_task.collect(),
    }
}

pub fn delivery(lease: &Lease, seconds: i64) -> NewDelivery {
    NewDelivery {
        id: DeliveryId::new(),
        run_id: lease.run_id,
        thread_id: lease.thread_id,
        url: "https://hooks.example.com/in?token=t".to_owned(),
        body: br#"{"status":"success"}"#.to_vec(),
        sent_at_offset: Some(7),
        created_at: at(seconds),
    }
}

/// A run that has ended and left a delivery.
pub async fn delivered(storage: &Arc<dyn Storage>, seconds: i64) -> NewDelivery {
    let lease = running(storage).await;
    let delivery = delivery(&lease, seconds);
    let end = RunEnd {
        delivery: Some(delivery.clone()),
        ..end(seconds)
    };
    finish(storage, lease, end).await;
    delivery
}
