//! Runs a graph without any component: its guests say what a fuzzer wants.

use std::sync::Arc;

use selvedge_model::run::StreamMode;
use selvedge_model::{CheckpointId, Json, Timestamp};
use selvedge_pregel::{Entry, Execution, Failure, Graph, Mint, Options, Outcome, Step, Work};
use serde_json::json;
use uuid::Uuid;

/// Guest calls of one run: `Send`s may multiply from step to step.
const MOST_CALLS: usize = 500;

pub struct Walker {
    graph: Arc<Graph>,
    calls: usize,
}

#[derive(Default)]
struct Counter(u128);

impl Mint for Counter {
    fn now(&mut self) -> Timestamp {
        Timestamp::from_micros(0)
    }

    fn checkpoint_id(&mut self, _: i64) -> CheckpointId {
        self.0 += 1;
        CheckpointId(Uuid::from_u128(self.0))
    }
}

impl Walker {
    pub fn new(graph: Arc<Graph>) -> Self {
        Self { graph, calls: 0 }
    }

    /// A run to its end, its guests giving these answers in turn.
    pub fn walk(mut self, answers: &[&str]) {
        let mut mint = Counter::default();
        let options = Options {
            namespace: String::new(),
            recursion_limit: 8,
            interrupt_before: None,
            interrupt_after: None,
            metadata: Json::from(json!({})),
            facts: Json::from(json!({})),
            modes: vec![StreamMode::Values, StreamMode::Updates, StreamMode::Debug],
            parents: Arc::default(),
        };
        let input = Entry::Input(Json::from(
            json!({"log": ["in"], "chat": "hello", "last": 1}),
        ));
        let graph = Arc::clone(&self.graph);
        let mut execution = Execution::start(graph, None, false, input, options, &mut mint);
        loop {
            match execution.step(&mut mint) {
                Step::Work(work) => {
                    for work in work {
                        let outcome = self.outcome(&work, answers);
                        execution.complete(work.id, outcome, &mut mint);
                    }
                }
                Step::Waiting => panic!("all work is answered"),
                Step::Ended(_) => break,
            }
            drop(execution.take_output());
        }
    }

    fn outcome(&mut self, work: &Work, answers: &[&str]) -> Outcome {
        let mut program = work.program(1);
        while program.next().is_some() {
            self.calls += 1;
            let answer = Json::parse(answers[self.calls % answers.len()]);
            let answer = answer.map_err(|error| failure(error.to_string()));
            program.answer(match self.calls {
                ..MOST_CALLS => answer,
                _ => Err(failure("enough".to_owned())),
            });
        }
        program.finish().map_or_else(Outcome::Failed, Outcome::Done)
    }
}

fn failure(message: String) -> Failure {
    Failure {
        kind: "RuntimeError".to_owned(),
        message,
        retryable: false,
    }
}
