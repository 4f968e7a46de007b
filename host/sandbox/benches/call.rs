//! One task of the echo graph in a fresh instance: slot, store, instantiate, call, drop. `cargo bench -p
//! selvedge-sandbox`, after `selvedge build`.
#![allow(missing_docs, reason = "criterion's macros make items of their own")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use selvedge_egress::{Client, ClientOptions, Policy, PolicyOptions};
use selvedge_model::{CheckpointId, Json, RunId, Timestamp};
use selvedge_pregel::{Entry, Execution, Graph, Mint, Options as RunOptions, Outcome, Step, Work};
use selvedge_sandbox::{
    Component, ComponentSource, Job, Limits, Network, Options, Sandbox, TaskEvents,
};

struct Nowhere;

impl TaskEvents for Nowhere {
    fn custom(&self, _: Json) {}
    fn message(&self, _: Json, _: Json) {}
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

fn load(runtime: &tokio::runtime::Runtime) -> (Sandbox, Component) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../graphs/echo.wasm");
    let _guard = runtime.enter();
    let sandbox = Sandbox::start(Options::default()).expect("a sandbox");
    let policy = Policy::new(&PolicyOptions::graphs()).expect("a policy");
    let client = Client::new(Arc::new(policy), &ClientOptions::default()).expect("a client");
    let source = ComponentSource {
        path,
        environment: Vec::new(),
        limits: Limits::default(),
        network: Network {
            client: Arc::new(client),
            timeout: Duration::from_secs(300),
            max_concurrent_per_run: 64,
        },
    };
    let component = runtime
        .block_on(sandbox.load(source))
        .expect("graphs/echo.wasm: run `selvedge build`");
    (sandbox, component)
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

fn call(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (sandbox, component) = load(&runtime);
    let work = first_task(&component);
    let run = RunId::new();
    let events: Arc<dyn TaskEvents> = Arc::new(Nowhere);
    let once = async || {
        let outcome = sandbox
            .run(Job {
                component: component.clone(),
                graph: "echo".into(),
                program: work.program(1),
                answers: Vec::new(),
                run,
                node: "echo".into(),
                events: events.clone(),
            })
            .await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    };
    criterion.bench_function("echo: a task in a fresh instance", |bencher| {
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let begun = std::time::Instant::now();
                for _ in 0..rounds {
                    once().await;
                }
                begun.elapsed()
            })
        });
    });
}

criterion_group!(benches, call);
criterion_main!(benches);
