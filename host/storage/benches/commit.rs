//! What a commit costs, and what a group of them costs together. On a real disk, `synchronous = FULL`:
//! `cargo bench -p selvedge-storage`; set `TMPDIR` to choose the disk.
//!
//! | benchmark | one iteration |
//! |---|---|
//! | `one_step_run/temporary/n` | n callers at once, each admits a temporary run (claimed) and finishes it |
//! | `one_step_run/thread/n` | the same on n new threads, the end with a checkpoint of two channels and a delivery |
//! | `commit_step/n` | n running runs each commit one checkpoint that appends a message |
//! | `checkpoint/n` | one caller loads a checkpoint with a list of n messages |
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

#[path = "../tests/it/given.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod given;

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use selvedge_model::run::Lease;
use selvedge_model::{Scope, ThreadId};
use selvedge_storage::sqlite::{Options, Sqlite};
use selvedge_storage::{RunEnd, Storage};
use tokio::runtime::Runtime;

use given::{
    append, at, claimed, delivery, end, finish, new_run, running, step, temporary, whole, write,
};

const MESSAGE: &str = r#"{"type":"ai","content":"I looked it up: the answer is forty-two, as it was yesterday, and as it will be tomorrow unless somebody asks a better question.","id":"0198c1a2-5b6c-7d8e-9f00-112233445566"}"#;

fn storage() -> (tempfile::TempDir, Arc<dyn Storage>) {
    let directory = tempfile::tempdir().unwrap();
    let storage = Sqlite::open(Options::new(directory.path().join("data"))).unwrap();
    (directory, storage)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap()
}

/// Time of `rounds` rounds in which `callers` callers work at once.
async fn at_once<F, W>(rounds: u64, callers: usize, work: F) -> Duration
where
    F: Fn(usize, u64) -> W,
    W: Future<Output = ()> + Send + 'static,
{
    let begun = Instant::now();
    for round in 0..rounds {
        let tasks: Vec<_> = (0..callers)
            .map(|caller| tokio::spawn(work(caller, round)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    begun.elapsed()
}

async fn temporary_run(storage: Arc<dyn Storage>) {
    let lease = claimed(&storage, temporary(new_run(ThreadId::new(), at(0))))
        .await
        .lease;
    finish(&storage, lease, end(1)).await;
}

async fn thread_run(storage: Arc<dyn Storage>) {
    let lease = claimed(&storage, new_run(ThreadId::new(), at(0)))
        .await
        .lease;
    let last = RunEnd {
        step: step([write(
            1,
            None,
            [
                ("messages", append(&[MESSAGE])),
                ("summary", whole(MESSAGE)),
            ],
        )]),
        delivery: Some(delivery(&lease, 1)),
        ..end(1)
    };
    finish(&storage, lease, last).await;
}

async fn commit(storage: Arc<dyn Storage>, lease: Lease, n: u64) {
    let steps = step([write(
        n,
        n.checked_sub(1),
        [("messages", append(&[MESSAGE]))],
    )]);
    storage.commit_step(lease, steps).await.unwrap();
}

fn one_step_run(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("one_step_run");
    for callers in [1_usize, 32] {
        group.throughput(Throughput::Elements(callers as u64));
        let (_directory, storage) = storage();
        group.bench_function(BenchmarkId::new("temporary", callers), |b| {
            b.iter_custom(|n| {
                runtime.block_on(at_once(n, callers, |_, _| {
                    temporary_run(Arc::clone(&storage))
                }))
            });
        });
        group.bench_function(BenchmarkId::new("thread", callers), |b| {
            b.iter_custom(|n| {
                runtime.block_on(at_once(n, callers, |_, _| thread_run(Arc::clone(&storage))))
            });
        });
    }
}

fn commit_step(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("commit_step");
    for callers in [1_usize, 32] {
        group.throughput(Throughput::Elements(callers as u64));
        let (_directory, storage) = storage();
        group.bench_function(BenchmarkId::from_parameter(callers), |b| {
            b.iter_custom(|n| {
                runtime.block_on(async {
                    let mut leases = Vec::new();
                    for _ in 0..callers {
                        leases.push(running(&storage).await);
                    }
                    at_once(n, callers, |caller, n| {
                        commit(Arc::clone(&storage), leases[caller], n)
                    })
                    .await
                })
            });
        });
    }
}

fn checkpoint(c: &mut Criterion) {
    let runtime = runtime();
    let (_directory, storage) = storage();
    let mut group = c.benchmark_group("checkpoint");
    for messages in [10_u64, 10_000] {
        let lease = runtime.block_on(async {
            let lease = running(&storage).await;
            for n in 0..messages / 10 {
                let steps = step([write(
                    n,
                    n.checked_sub(1),
                    [("messages", append(&[MESSAGE; 10]))],
                )]);
                storage.commit_step(lease, steps).await.unwrap();
            }
            lease
        });
        group.bench_function(BenchmarkId::from_parameter(messages), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    storage
                        .checkpoint(&Scope::Host, lease.thread_id, "", None)
                        .await
                        .unwrap()
                        .unwrap()
                })
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = one_step_run, commit_step, checkpoint
}
criterion_main!(benches);
