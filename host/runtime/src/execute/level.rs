//! One execution among those of its run: the run's own, or one inside a task; and what they share.

use std::sync::Arc;

use selvedge_model::Json;
use selvedge_model::run::{ClaimedRun, Durability, StreamMode};
use selvedge_pregel::nested::DEEPEST;
use selvedge_pregel::{Failure, Nested, Output, Work};
use selvedge_sandbox::{Callers, Progress};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::together::Sums;
use crate::Shared;
use crate::graphs::Part;
use crate::graphs::configured::Asker;
use crate::graphs::setting::Setting;
use crate::hub::RunStream;
use crate::items::graph_store::Written;
use crate::shown::Shown;
use crate::shown::chain::Lineage;

/// What all executions of one run share: its own, and those of the graphs inside its tasks.
pub(super) struct Common {
    pub(super) shared: Arc<Shared>,
    pub(super) claimed: ClaimedRun,
    pub(super) stream: Arc<RunStream>,
    pub(super) modes: Arc<[StreamMode]>,
    /// By the run's tasks.
    pub(super) put_into_store: Arc<Written>,
    /// What every guest is told of the run.
    pub(super) facts: Json,
    /// What its graphs are built for that depend on it.
    pub(super) setting: Setting,
    /// Of every checkpoint.
    pub(super) metadata: Json,
    pub(super) recursion_limit: u32,
    /// To the run's own execution, which stores and shows what the others leave.
    pub(super) told: mpsc::Sender<Told>,
    /// What the tasks of all of them leave.
    pub(super) sums: Arc<Sums>,
    /// For the tasks of nested executions, by how many graphs lie around them.
    pub(super) turns: [Semaphore; DEEPEST],
}

/// What an execution of a graph inside a task tells the run's own.
pub(super) enum Told {
    /// What a step left. The answer comes when it is stored and shown as the run's durability says.
    Left(Vec<Output>, oneshot::Sender<()>),
    /// The answer comes when all that was left so far is stored.
    Store(oneshot::Sender<()>),
    /// The task with this namespace is done, so that nobody goes on with the graphs inside it. The answer comes when that is
    /// noted.
    Done(String, oneshot::Sender<()>),
}

/// One execution among those of its run.
pub(super) struct Level {
    pub(super) common: Arc<Common>,
    pub(super) part: Part,
    /// Of the execution.
    pub(super) namespace: Arc<str>,
    /// For the mode `events`: what its nodes are part of. `None` when nobody asked for it.
    pub(super) lineage: Option<Lineage>,
    /// When something inside a task gets on, so does the task.
    pub(super) progress: Option<Arc<Progress>>,
    /// What the task shows that it is inside.
    pub(super) above: Option<Arc<Shown>>,
    /// How many graphs lie around it.
    pub(super) depth: usize,
    /// The tasks around it that wait with an instance: those whose nodes called a graph.
    pub(super) callers: Callers,
}

impl Level {
    /// The graph that a node stands for, or calls.
    pub(super) async fn within(&self, nested: &Nested, callers: &Callers) -> Result<Part, Failure> {
        let common = &self.common;
        let asker = Asker::run(common.claimed.run.run_id, callers.clone());
        let within = common
            .shared
            .within(&self.part, nested, &common.setting, asker);
        within.await?.ok_or_else(|| unknown(nested))
    }

    /// What its tasks show, and what is shown of them: of graphs inside tasks only when the caller wants it. The mode `events`
    /// shows all that goes on, as LangGraph's does.
    pub(super) fn shown_modes(&self) -> Arc<[StreamMode]> {
        if self.depth == 0 || self.common.claimed.run.kwargs.subgraphs {
            return self.common.modes.clone();
        }
        let modes = self.common.modes.iter().copied();
        modes.filter(|mode| *mode == StreamMode::Events).collect()
    }

    /// What `pregel` is to show of it: what the mode `events` says is made of the mode `tasks`.
    pub(super) fn engine_modes(&self) -> Vec<StreamMode> {
        let mut modes = self.shown_modes().to_vec();
        if self.lineage.is_some() && !modes.contains(&StreamMode::Tasks) {
            modes.push(StreamMode::Tasks);
        }
        modes
    }

    /// The tasks among this work that are not just repeated from the cache.
    pub(super) fn that_run<'w>(&self, work: &'w [Work]) -> impl Iterator<Item = &'w Work> {
        let owner = self.common.claimed.owner.as_ref();
        let cache = &self.common.shared.node_cache;
        work.iter()
            .filter(move |work| !cache.knows(&self.part, owner, work))
    }
}

impl Common {
    /// Hands over what a step left, and waits until it is stored and shown.
    pub(super) async fn tell(&self, outputs: Vec<Output>) {
        if !outputs.is_empty() {
            self.ask(|done| Told::Left(outputs, done)).await;
        }
    }

    /// Says that a task is done, where what graphs inside it left is not stored anyway, and waits until that is noted: it may
    /// be the last task of the run.
    pub(super) async fn tell_done(&self, namespace: &str) {
        if self.claimed.run.kwargs.durability == Durability::Exit {
            self.ask(|noted| Told::Done(namespace.to_owned(), noted))
                .await;
        }
    }

    /// Waits until all that was left so far is stored.
    pub(super) async fn store(&self) {
        self.ask(Told::Store).await;
    }

    /// When nobody answers any more, the run is over and so is whoever asks.
    async fn ask(&self, told: impl FnOnce(oneshot::Sender<()>) -> Told) {
        let (done, answer) = oneshot::channel();
        let asked = self.told.send(told(done)).await.is_ok();
        if !asked || answer.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn unknown(nested: &Nested) -> Failure {
    let name = match nested {
        Nested::Named(name) => name,
        Nested::Own(graph) => graph.description().name.as_str(),
    };
    Failure {
        kind: "GraphNotFound".into(),
        message: format!(
            "neither the component holds a graph `{name}` nor does this server serve one"
        ),
        retryable: false,
    }
}
