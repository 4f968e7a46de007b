//! An execution under way: `pregel` says what to do next, the tasks do it side by side, and what came of it is stored
//! and shown.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use selvedge_model::event::{EventKind, StreamEvent};
use selvedge_model::run::{ClaimedRun, Durability, StreamMode};
use selvedge_pregel::{End, EndKind, Execution, Output, Step, Work, WorkId};
use selvedge_sandbox::Callers;
use selvedge_storage::PendingCommit;
use tokio::sync::{Semaphore, mpsc};

use super::Cut;
use super::commit::{Committer, Unstored};
use super::facts::{checkpoint_metadata, facts, recursion_limit};
use super::level::{Common, Level, Told};
use super::standing::{NoStanding, Standing, standing};
use super::together::{Sums, Together};
use crate::Shared;
use crate::graphs::setting::Setting;
use crate::graphs::{Part, ServedGraph};
use crate::hub::RunStream;
use crate::mint::SystemMint;
use crate::shown::chain::Chain;
use crate::shown::inspect::Inspection;

/// Steps that executions inside tasks may have left before the run's own takes them. Each waits for its answer anyhow.
const MOST_UNHEARD: usize = 64;

/// An execution under way.
pub(super) struct Walk {
    level: Arc<Level>,
    pub(super) execution: Execution,
    mint: SystemMint,
    together: Together,
    pub(super) committer: Committer,
    pub(super) stream: Arc<RunStream>,
    inspection: Inspection,
    chain: Option<Chain>,
    durability: Durability,
    /// From the executions of graphs inside tasks.
    told: mpsc::Receiver<Told>,
    /// What the last step shows, once the end of the run is durable.
    pub(super) last_events: Vec<StreamEvent>,
}

impl Walk {
    pub(super) async fn start(
        shared: &Arc<Shared>,
        claimed: &ClaimedRun,
        graph: &ServedGraph,
        part: Part,
        setting: Setting,
        stream: Arc<RunStream>,
    ) -> Result<Self, NoStanding> {
        let kwargs = &claimed.run.kwargs;
        let config = graph.context.config(kwargs);
        let metadata = checkpoint_metadata(claimed, &config);
        let Standing {
            base,
            entry,
            addressed,
            newest,
        } = standing(shared, claimed, &metadata).await?;
        let mut mint = SystemMint::after(newest);
        let modes: Arc<[StreamMode]> = kwargs.stream_mode.as_slice().into();
        let chain = Chain::new(claimed, &graph.id);
        let limit = shared.options.default_recursion_limit;
        let (tell, told) = mpsc::channel(MOST_UNHEARD);
        let common = Common {
            shared: shared.clone(),
            claimed: claimed.clone(),
            stream: stream.clone(),
            modes,
            put_into_store: Arc::default(),
            facts: facts(claimed, graph, &config),
            setting,
            metadata,
            recursion_limit: recursion_limit(&kwargs.config, limit),
            told: tell,
            sums: Arc::new(Sums::new(&shared.options)),
            turns: std::array::from_fn(|_| {
                Semaphore::new(shared.options.max_parallel_tasks.max(1))
            }),
        };
        let level = Level {
            common: Arc::new(common),
            part,
            namespace: "".into(),
            lineage: chain.as_ref().map(|chain| chain.lineage().clone()),
            progress: None,
            above: None,
            depth: 0,
            callers: Callers::default(),
        };
        let common = &level.common;
        let together = Together::new(&common.sums);
        let options = selvedge_pregel::Options {
            namespace: String::new(),
            recursion_limit: common.recursion_limit,
            interrupt_before: kwargs.interrupt_before.clone(),
            interrupt_after: kwargs.interrupt_after.clone(),
            metadata: common.metadata.clone(),
            facts: common.facts.clone(),
            modes: level.engine_modes(),
            parents: Arc::default(),
        };
        let execution = Execution::start(
            level.part.graph.clone(),
            base,
            addressed,
            entry,
            options,
            &mut mint,
        );
        Ok(Self {
            committer: Committer::new(
                shared.clone(),
                claimed.lease,
                stream.clone(),
                kwargs.durability,
                kwargs.temporary,
            ),
            level: Arc::new(level),
            execution,
            mint,
            together,
            stream,
            inspection: Inspection::new(claimed),
            chain,
            durability: kwargs.durability,
            told,
            last_events: Vec::new(),
        })
    }

    pub(super) async fn until_the_end(&mut self) -> Result<End, Cut> {
        let limit = self.level.common.shared.options.run_timeout;
        tokio::time::timeout(limit, self.walk())
            .await
            .unwrap_or(Err(Cut::TimedOut))
    }

    async fn walk(&mut self) -> Result<End, Cut> {
        let common = self.level.common.clone();
        let shared = &common.shared;
        let max_parallel = shared.options.max_parallel_tasks.max(1);
        let stream = self.stream.clone();
        let deleted = stream.ended();
        let cancelled = stream.cancelled();
        tokio::pin!(deleted, cancelled);
        let mut waiting: VecDeque<Work> = VecDeque::new();
        let mut running = FuturesUnordered::new();
        let mut outstanding: BTreeSet<WorkId> = BTreeSet::new();
        if let Some(chain) = &self.chain {
            self.stream
                .push(chain.begun(&common.claimed.run.kwargs.input));
        }
        loop {
            if self.execution.is_failing() && !outstanding.is_empty() {
                // The step fails whatever the others do; like LangGraph, do not wait for them.
                running.clear();
                waiting.clear();
                for work in std::mem::take(&mut outstanding) {
                    self.execution.abandon(work);
                }
            }
            let step = self.execution.step(&mut self.mint);
            if let (Some(chain), Step::Work(work)) = (&mut self.chain, &step) {
                chain.begins(self.level.that_run(work));
            }
            let output = self.execution.take_output();
            let mut events = self.gather(output);
            match step {
                Step::Work(work) => {
                    outstanding.extend(work.iter().map(|work| work.id));
                    if let Some(task) = work.iter().find_map(|work| work.task.as_ref()) {
                        self.together.begin(task.step);
                    }
                    waiting.extend(work);
                }
                Step::Waiting => {}
                Step::Ended(end) => {
                    if let (Some(chain), EndKind::Success | EndKind::Interrupted) =
                        (&self.chain, &end.kind)
                    {
                        events.push(chain.ended(&end.values));
                    }
                    // The last checkpoint belongs into the transaction that ends the run.
                    self.last_events = events;
                    return Ok(end);
                }
            }
            self.put_out(events).await?;
            if self.committer.has_too_much() {
                return Err(Cut::TooMuch);
            }
            while running.len() < max_parallel
                && let Some(work) = waiting.pop_front()
            {
                running.push(self.level.perform(work));
            }
            tokio::select! {
                biased;
                wish = &mut cancelled => return Err(Cut::Cancelled(wish)),
                () = shared.released() => return Err(Cut::Stopping),
                // Nobody else ends the stream of a run that is going on.
                _ = &mut deleted => return Err(Cut::Fenced),
                Some(told) = self.told.recv() => self.hear(told).await?,
                Some((work, outcome)) = running.next() => {
                    outstanding.remove(&work);
                    let outcome = self.together.count(outcome);
                    self.execution.complete(work, outcome, &mut self.mint);
                }
                committed = self.committer.progress() => committed.map_err(Cut::from)?,
                () = stream.wants_storing() => self.committer.begin(),
            }
        }
    }

    /// Does for an execution inside a task what it cannot do itself. Whether that is still there to be answered does not
    /// matter.
    async fn hear(&mut self, told: Told) -> Result<(), Cut> {
        let done = match told {
            Told::Left(outputs, done) => {
                let events = self.gather(outputs);
                self.put_out(events).await?;
                done
            }
            Told::Store(done) => {
                self.committer.flush().await?;
                done
            }
            Told::Done(namespace, done) => {
                self.committer.task_is_done(&namespace);
                done
            }
        };
        let _ = done.send(());
        Ok(())
    }

    /// Takes what a step left: its checkpoints and writes for the next commit, its events for the stream.
    fn gather(&mut self, outputs: Vec<Output>) -> Vec<StreamEvent> {
        let mut events = Vec::new();
        for output in outputs {
            match output {
                Output::Checkpoint(checkpoint) => self.committer.add_checkpoint(checkpoint),
                Output::Pending {
                    checkpoint,
                    namespace,
                    writes,
                } => self.committer.add_pending(PendingCommit {
                    checkpoint,
                    namespace,
                    writes,
                }),
                Output::Event(event) => self.add_event(event, &mut events),
            }
        }
        events
    }

    /// Adds an event of the engine's as callers see it, and what it says in the mode `events`.
    fn add_event(&mut self, event: StreamEvent, events: &mut Vec<StreamEvent>) {
        if event.kind == EventKind::Mode(StreamMode::Tasks) {
            if let Some(chain) = &mut self.chain {
                events.extend(chain.of_task(&event.data));
            }
            if !self.level.common.modes.contains(&StreamMode::Tasks) {
                return;
            }
        }
        events.extend(self.inspection.shown(event));
    }

    /// Begins to make the step durable, and shows it. In mode `sync` nothing is shown that a crash could undo.
    async fn put_out(&mut self, events: Vec<StreamEvent>) -> Result<(), Cut> {
        if !self.level.common.claimed.run.kwargs.resumable {
            self.make_durable().await?;
            self.push(events);
        } else if self.durability == Durability::Sync {
            self.stream.hold();
            self.push(events);
            self.make_durable().await?;
            self.stream.release();
        } else {
            self.push(events);
            self.make_durable().await?;
        }
        Ok(())
    }

    async fn make_durable(&mut self) -> Result<(), Unstored> {
        match self.durability {
            Durability::Sync => self.committer.flush().await?,
            Durability::Async if self.committer.is_behind() => self.committer.flush().await?,
            Durability::Async | Durability::Exit => self.committer.begin(),
        }
        Ok(())
    }

    fn push(&self, events: Vec<StreamEvent>) {
        for event in events {
            self.stream.push(event);
        }
    }
}
