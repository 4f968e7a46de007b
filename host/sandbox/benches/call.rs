//! What a task costs, with the component of the echo graph: `selvedge build`, then `cargo bench -p selvedge-sandbox`.
//!
//! | bench | from … to |
//! |---|---|
//! | `load/compile` | the `.wasm` file → described, nothing kept from before |
//! | `load/cached` | the same, with its `.cwasm` kept |
//! | `task/cold` | the first task of a sandbox, in which nothing but `describe` has run before |
//! | `task/pooled` | a task in a fresh instance of a slot that was used before: slot, store, instantiate, call, drop |
//! | `task/pooled, 64 at once` | the same, as many at once as a run may have |
#![allow(missing_docs, reason = "criterion's macros make items of their own")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use selvedge_egress::{Client, ClientOptions, Policy, PolicyOptions};
use selvedge_model::graph::TimeoutPolicy;
use selvedge_model::{CheckpointId, Json, RunId, Timestamp};
use selvedge_pregel::{Entry, Execution, Graph, Mint, Options as RunOptions, Outcome, Step, Work};
use selvedge_sandbox::{
    Callers, Component, ComponentSource, Job, Limits, Network, NoCalls, NoStore, Options, Sandbox,
    TaskEvents, ToolEvent,
};
use tokio::runtime::Runtime;

struct Nowhere;

impl TaskEvents for Nowhere {
    fn custom(&self, _: Json) {}
    fn message(&self, _: Option<&str>, _: Json, _: Json) {}
    fn tool(&self, _: ToolEvent) {}
}

struct FixedMint;

impl Mint for FixedMint {
    fn now(&mut self) -> Timestamp {
        Timestamp::from_micros(0)
    }

    fn checkpoint_id(&mut self, _: i64) -> CheckpointId {
        CheckpointId(uuid::Uuid::nil())
    }
}

/// A sandbox of its own, its compiled components in `cache`.
fn start(cache: Option<&Path>) -> Sandbox {
    let options = Options {
        cache_dir: cache.map(Path::to_owned),
        ..Options::default()
    };
    Sandbox::start(options).expect("a sandbox")
}

async fn load(sandbox: &Sandbox) -> Component {
    let policy = Policy::new(&PolicyOptions::graphs()).expect("a policy");
    let client = Client::new(Arc::new(policy), &ClientOptions::default()).expect("a client");
    let source = ComponentSource {
        path: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../graphs/echo.wasm"),
        environment: Vec::new(),
        limits: Limits::default(),
        network: Network {
            client: Arc::new(client),
            timeout: Duration::from_secs(300),
            max_concurrent_per_run: 64,
        },
    };
    let component = sandbox.load(source).await;
    component.expect("graphs/echo.wasm: run `selvedge build`")
}

/// The first task of a run with one message.
fn first_task(component: &Component) -> Work {
    let graph = Graph::new(component.description().graphs[0].clone()).expect("a graph");
    let input = Json::parse(r#"{"messages":[{"role":"user","content":"hello"}]}"#).expect("JSON");
    let empty = Json::object::<&str>([]);
    let options = RunOptions {
        namespace: String::new(),
        recursion_limit: 25,
        interrupt_before: None,
        interrupt_after: None,
        metadata: empty.clone(),
        facts: empty,
        modes: Vec::new(),
        parents: Arc::default(),
    };
    let mut execution = Execution::start(
        graph,
        None,
        false,
        Entry::Input(input),
        options,
        &mut FixedMint,
    );
    match execution.step(&mut FixedMint) {
        Step::Work(mut work) => work.remove(0),
        other => panic!("{other:?}"),
    }
}

async fn run(sandbox: &Sandbox, component: &Component, work: &Work) {
    let outcome = sandbox
        .run(Job {
            component: component.clone(),
            graph: "echo".into(),
            setting: None,
            program: work.program(1),
            answers: Vec::new(),
            run: RunId::new(),
            node: "echo".into(),
            timeout: TimeoutPolicy::default(),
            events: Arc::new(Nowhere),
            items: Arc::new(NoStore),
            calls: Arc::new(NoCalls),
            around: None,
            callers: Callers::default(),
        })
        .await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

fn loading(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let cache = tempfile::tempdir().expect("a temporary directory");
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    for (name, cache) in [("compile", None), ("cached", Some(cache.path()))] {
        let _guard = runtime.enter();
        let sandbox = start(cache);
        runtime.block_on(load(&sandbox));
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(load(&sandbox)));
        });
    }
}

fn tasks(criterion: &mut Criterion) {
    const AT_ONCE: usize = 64;
    let runtime = Runtime::new().expect("a runtime");
    let _guard = runtime.enter();
    let cache = tempfile::tempdir().expect("a temporary directory");
    let sandbox = start(Some(cache.path()));
    let component = runtime.block_on(load(&sandbox));
    let work = first_task(&component);

    let mut group = criterion.benchmark_group("task");
    group.bench_function("cold", |bencher| {
        bencher.iter_batched(
            || {
                let sandbox = start(Some(cache.path()));
                let component = runtime.block_on(load(&sandbox));
                (sandbox, component)
            },
            |(sandbox, component)| {
                runtime.block_on(run(&sandbox, &component, &work));
                (sandbox, component)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("pooled", |bencher| {
        bencher.iter(|| runtime.block_on(run(&sandbox, &component, &work)));
    });
    group.throughput(Throughput::Elements(AT_ONCE as u64));
    group.bench_function(format!("pooled, {AT_ONCE} at once"), |bencher| {
        let once = || join_all((0..AT_ONCE).map(|_| run(&sandbox, &component, &work)));
        bencher.iter(|| runtime.block_on(once()));
    });
}

criterion_group!(benches, loading, tasks);
criterion_main!(benches);
