//! What a super-step costs without any guest: one node, and 64 `Send`s at once.
//!
//! `cargo bench -p selvedge-pregel`

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use selvedge_model::{CheckpointId, Json, Timestamp};
use selvedge_pregel::{Entry, Execution, Graph, Mint, Options, Outcome, Step};
use uuid::Uuid;

struct Counter(u128);

impl Mint for Counter {
    fn now(&mut self) -> Timestamp {
        Timestamp::from_micros(0)
    }

    fn checkpoint_id(&mut self, _step: i64) -> CheckpointId {
        self.0 += 1;
        CheckpointId(Uuid::from_u128(self.0))
    }
}

/// START → `first` → END, or `first` with a branch to `work`.
fn graph(fan_out: bool) -> Arc<Graph> {
    let branches = if fan_out {
        r#"[{"from": "first", "name": "fan", "destinations": {"work": "work"}}]"#
    } else {
        "[]"
    };
    let nodes = if fan_out {
        r#"[{"name": "first"}, {"name": "work"}]"#
    } else {
        r#"[{"name": "first"}]"#
    };
    let text = format!(
        r#"{{"name": "g", "channels": [{{"name": "log", "reducer": "append"}}, {{"name": "foo"}}], "nodes": {nodes},
            "edges": [{{"from": ["__start__"], "to": "first"}}], "branches": {branches}}}"#
    );
    let description = serde_json::from_str(&text).expect("a description");
    Graph::new(description).expect("a sound graph")
}

fn run(graph: &Arc<Graph>, node: &Json, route: &Json) {
    let mut mint = Counter(0);
    let empty = Json::object::<&str>([]);
    let options = Options {
        namespace: String::new(),
        recursion_limit: 25,
        interrupt_before: None,
        interrupt_after: None,
        metadata: empty.clone(),
        facts: empty,
        modes: Vec::new(),
        parents: Default::default(),
    };
    let input = Json::object([("foo", &Json::string("in"))]);
    let mut execution = Execution::start(
        Arc::clone(graph),
        None,
        false,
        Entry::Input(input),
        options,
        &mut mint,
    );
    loop {
        match execution.step(&mut mint) {
            Step::Work(works) => {
                for work in works {
                    let mut program = work.program(1);
                    while let Some(call) = program.next() {
                        let is_node = matches!(call, selvedge_pregel::GuestCall::RunNode { .. });
                        program.answer(Ok(if is_node { node.clone() } else { route.clone() }));
                    }
                    let outcome = program.finish().map_or_else(Outcome::Failed, Outcome::Done);
                    let id = work.id;
                    drop(work);
                    execution.complete(id, outcome, &mut mint);
                }
            }
            Step::Waiting => unreachable!("all work is answered"),
            Step::Ended(end) => {
                black_box(end);
                break;
            }
        }
        black_box(execution.take_output());
    }
}

fn steps(c: &mut Criterion) {
    let node = Json::parse(r#"{"update": {"log": ["x"], "foo": "out"}}"#).expect("JSON");
    let one = graph(false);
    c.bench_function("a run of one node", |b| b.iter(|| run(&one, &node, &node)));
    let many = graph(true);
    let packet = Json::parse(r#"{"node": "work", "input": {"foo": 1}}"#).expect("JSON");
    let sends = Json::array(std::iter::repeat_n(&packet, 64));
    let log = Json::parse(r#"{"update": {"log": ["x"]}}"#).expect("JSON");
    c.bench_function("a run of one node and 64 sends", |b| {
        b.iter(|| run(&many, &log, &sends));
    });
}

criterion_group!(benches, steps);
criterion_main!(benches);
