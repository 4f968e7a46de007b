//! A thread in memory: keeps checkpoints as storage would, and drives executions on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use selvedge_model::checkpoint::{PendingWrite, SavedCheckpoint};
use selvedge_model::run::{Breakpoints, RunError, StreamMode};
use selvedge_model::{CheckpointId, Json, Timestamp};
use selvedge_pregel::update::Update;
use selvedge_pregel::{
    Addressed, End, Entry, Execution, Graph, Mint, Options, Outcome, Output, StateUpdate, Step,
    Work, WorkId,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Counts ids as `record.py` does.
#[derive(Clone, Default)]
pub struct Counter {
    count: u128,
}

impl Mint for Counter {
    fn now(&mut self) -> Timestamp {
        Timestamp::from_micros(0)
    }

    fn checkpoint_id(&mut self, step: i64) -> CheckpointId {
        if step == -2 {
            return CheckpointId(Uuid::nil());
        }
        self.count += 1;
        CheckpointId(Uuid::from_u128(
            0x1ef0_0000_0000_6000_8000_0000_0000_0000 + self.count,
        ))
    }
}

impl Counter {
    /// After so many checkpoints.
    pub fn at(count: usize) -> Self {
        Self {
            count: count as u128,
        }
    }
}

/// Which of the outstanding works to answer next, of so many.
pub type Pick<'a> = &'a mut dyn FnMut(usize) -> usize;

/// A guest: does a piece of work.
pub type Do<'a> = &'a mut dyn FnMut(&Work) -> Outcome;

/// What one run or update left to be compared.
pub struct Ran {
    pub end: Result<End, RunError>,
    /// `(mode, data)`.
    pub events: Vec<(&'static str, Value)>,
    pub made: Vec<CheckpointId>,
}

/// A thread's storage.
#[derive(Clone)]
pub struct Thread {
    pub graph: Arc<Graph>,
    pub saved: BTreeMap<CheckpointId, SavedCheckpoint>,
    pub order: Vec<CheckpointId>,
    pub mint: Counter,
}

impl Thread {
    pub fn new(graph: Arc<Graph>) -> Self {
        Self {
            graph,
            saved: BTreeMap::new(),
            order: Vec::new(),
            mint: Counter::default(),
        }
    }

    pub fn newest(&self) -> Option<&SavedCheckpoint> {
        self.saved.last_key_value().map(|(_, saved)| saved)
    }

    /// The checkpoint to go on from, and how it was chosen.
    pub fn base(&self, at: Option<usize>) -> (Option<SavedCheckpoint>, Addressed) {
        let Some(at) = at else {
            return (self.newest().cloned(), Addressed::No);
        };
        let id = self.order[at];
        let newest = self.newest().is_some_and(|s| s.checkpoint.id == id);
        let addressed = if newest {
            Addressed::Newest
        } else {
            Addressed::Earlier
        };
        (Some(self.saved[&id].clone()), addressed)
    }

    pub fn run(
        &mut self,
        at: Option<usize>,
        entry: Entry,
        options: Options,
        work: Do,
        pick: Pick,
    ) -> Ran {
        let (base, addressed) = self.base(at);
        let graph = Arc::clone(&self.graph);
        let mut mint = self.mint.clone();
        let mut execution = Execution::start(graph, base, addressed, entry, options, &mut mint);
        let mut ran = Ran::new();
        let mut waiting = Vec::new();
        let end = loop {
            let step = execution.step(&mut mint);
            self.keep(execution.take_output(), &mut ran);
            if let Some(end) = next(step, &mut waiting) {
                break end;
            }
            let (id, outcome) = answer(&mut waiting, work, pick);
            execution.complete(id, outcome, &mut mint);
            self.keep(execution.take_output(), &mut ran);
        };
        self.mint = mint;
        ran.end = Ok(end);
        ran
    }

    pub fn update(&mut self, at: Option<usize>, updates: Vec<Update>, work: Do, pick: Pick) -> Ran {
        let (base, addressed) = self.base(at);
        let graph = Arc::clone(&self.graph);
        let mut mint = self.mint.clone();
        let mut ran = Ran::new();
        let started = StateUpdate::start_at(graph, base, addressed, updates, options(), &mut mint);
        let mut update = match started {
            Ok(update) => update,
            Err(error) => {
                ran.end = Err(error);
                return ran;
            }
        };
        let mut waiting = Vec::new();
        let end = loop {
            let step = update.step(&mut mint);
            self.keep(update.take_output(), &mut ran);
            if let Some(end) = next(step, &mut waiting) {
                break end;
            }
            let (id, outcome) = answer(&mut waiting, work, pick);
            update.complete(id, outcome, &mut mint);
            self.keep(update.take_output(), &mut ran);
        };
        self.mint = mint;
        ran.end = Ok(end);
        ran
    }

    pub fn keep(&mut self, outputs: Vec<Output>, ran: &mut Ran) {
        for output in outputs {
            match output {
                Output::Checkpoint(write) => {
                    ran.made.push(write.id);
                    self.order.push(write.id);
                    let parent = write.parent.and_then(|p| self.saved.get(&p));
                    let checkpoint = write.onto(parent.map(|p| &p.checkpoint));
                    let saved = SavedCheckpoint {
                        checkpoint,
                        pending: Vec::new(),
                    };
                    self.saved.insert(saved.checkpoint.id, saved);
                }
                Output::Pending {
                    checkpoint, writes, ..
                } => {
                    let saved = self
                        .saved
                        .get_mut(&checkpoint)
                        .expect("pending writes follow their checkpoint");
                    upsert(&mut saved.pending, writes);
                }
                Output::Event(event) => ran.events.push((event.name(), event.data.to_value())),
            }
        }
    }
}

impl Ran {
    pub fn new() -> Self {
        Self {
            end: Err(RunError::new("", "")),
            events: Vec::new(),
            made: Vec::new(),
        }
    }
}

/// A write takes the place of one of the same task and index; they are read back by task and index.
pub fn upsert(pending: &mut Vec<PendingWrite>, writes: Vec<PendingWrite>) {
    for write in writes {
        pending.retain(|w| (w.task, w.index) != (write.task, write.index));
        pending.push(write);
    }
    pending.sort_by_key(|w| (w.task, w.index));
}

/// Options that show nothing and stop nowhere.
pub fn options() -> Options {
    Options {
        namespace: String::new(),
        recursion_limit: 25,
        interrupt_before: None,
        interrupt_after: None,
        metadata: Json::from(json!({})),
        facts: Json::from(json!({})),
        modes: vec![StreamMode::Values, StreamMode::Updates, StreamMode::Tasks],
        parents: Default::default(),
    }
}

pub fn breakpoints(value: &Value) -> Option<Breakpoints> {
    serde_json::from_value(value.clone()).ok()
}

pub fn graph(description: &Value) -> Arc<Graph> {
    let description = serde_json::from_value(description.clone()).expect("a description");
    Graph::new(description).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// How an execution ended.
pub fn shown(end: &End) -> String {
    format!(
        "{:?} {} {:?} {:?}",
        end.kind, end.values, end.next, end.interrupts
    )
}

/// Everything that is stored.
pub fn stored(thread: &Thread) -> String {
    let checkpoints = thread.saved.values().map(|s| {
        let checkpoint = &s.checkpoint;
        let pending: Vec<_> = s.pending.iter().map(|w| format!("{w:?}")).collect();
        format!("{checkpoint:?} {pending:?}\n")
    });
    checkpoints.collect()
}

fn next(step: Step, waiting: &mut Vec<Work>) -> Option<End> {
    match step {
        Step::Ended(end) => return Some(end),
        Step::Work(work) => waiting.extend(work),
        Step::Waiting => assert!(!waiting.is_empty(), "waits for nothing"),
    }
    None
}

fn answer(waiting: &mut Vec<Work>, work: Do, pick: Pick) -> (WorkId, Outcome) {
    let next = waiting.remove(pick(waiting.len()));
    (next.id, work(&next))
}
