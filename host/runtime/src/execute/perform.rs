//! One piece of work: in the sandbox, or as a graph of its own, again and again while its retry policy says so, unless
//! what it would write is known.

use std::future::Future;
use std::sync::Arc;

use selvedge_model::Scope;
use selvedge_pregel::nested::GoesOn;
use selvedge_pregel::{Inside, Outcome, Program, Work, WorkId, retry};
use selvedge_sandbox::{GraphCalls, Job, NoCalls};
use tokio::sync::Mutex;

use super::level::Level;
use super::nested;
use super::node_cache::NodeCache;
use crate::items::graph_store::GraphStore;
use crate::shown::{Place, Shown};

/// One of the times that a piece of work is tried.
pub(super) struct Attempt<'a> {
    pub(super) work: &'a Work,
    /// The first is number 1.
    pub(super) number: u32,
    pub(super) shown: &'a Arc<Shown>,
    /// What the graphs inside the task begin with. A task has one of them at a time.
    pub(super) inside: Arc<Mutex<Inside>>,
}

impl Attempt<'_> {
    /// On which checkpoints graphs inside the task go on.
    pub(super) fn goes_on(&self) -> GoesOn {
        let of_task = self.work.inside().goes_on();
        match self.number {
            1 => of_task,
            _ => of_task.max(GoesOn::OwnRun),
        }
    }
}

impl Level {
    /// Needs nothing of the execution while it goes on, so that tasks go on side by side.
    pub(super) fn perform(
        self: &Arc<Self>,
        work: Work,
    ) -> impl Future<Output = (WorkId, Outcome)> + Send + use<> {
        let level = self.clone();
        async move {
            let outcome = level.outcome(&work).await;
            (work.id, outcome)
        }
    }

    /// Tries again and again while the retry policy says so, unless what the task would write is known.
    async fn outcome(self: &Arc<Self>, work: &Work) -> Outcome {
        let shared = &self.common.shared;
        let owner = self.common.claimed.owner.as_ref();
        let kept = NodeCache::slot(&self.part, owner, work);
        if let Some(writes) = kept.and_then(|slot| shared.node_cache.get(slot)) {
            return Outcome::Reused(writes);
        }
        let task = work.task.as_deref();
        let shown = Arc::new(Shown::new(
            Place {
                stream: self.common.stream.clone(),
                modes: self.shown_modes(),
                namespace: self.namespace.clone(),
                lineage: self.lineage.clone(),
                part: self.part.clone(),
                above: self.above.clone(),
            },
            &self.common.claimed,
            task,
        ));
        let mut number = 1;
        loop {
            let attempt = Attempt {
                work,
                number,
                shown: &shown,
                inside: Arc::new(Mutex::new(work.inside())),
            };
            let outcome = match task.and_then(|task| task.nested.as_ref()) {
                None => self.in_sandbox(&attempt, work.program(number)).await,
                Some(graph) => nested::instead(self, &attempt, graph).await,
            };
            match &outcome {
                Outcome::Done(writes) => {
                    shown.finished(writes, work);
                    if let Some(task) = task {
                        self.common.tell_done(&task.namespace).await;
                    }
                    if let Some(slot) = kept
                        && !attempt.inside.lock().await.went_on()
                    {
                        shared.node_cache.keep(slot, writes);
                    }
                }
                Outcome::Failed(failure) => {
                    let policies = task.map_or(&[][..], |task| &task.retry);
                    let pause = retry::matching(policies, failure)
                        .and_then(|policy| retry::delay_before(policy, number + 1, rand::random()));
                    if let Some(pause) = pause {
                        let run = self.common.claimed.run.run_id;
                        tracing::debug!(%run, attempt = number, ?pause, kind = failure.kind, "a task is tried again");
                        tokio::time::sleep(pause).await;
                        shown.begins_again();
                        number += 1;
                        continue;
                    }
                }
                Outcome::Reused(_) | Outcome::Interrupted(_) | Outcome::Stopped(_) => {}
            }
            return outcome;
        }
    }

    /// Makes the calls of a program on a guest instance.
    pub(super) async fn in_sandbox(
        self: &Arc<Self>,
        attempt: &Attempt<'_>,
        program: Program,
    ) -> Outcome {
        let common = &self.common;
        let work = attempt.work;
        let scope = Scope::of_owner(common.claimed.owner.clone());
        let task = work.task.as_deref();
        let calls: Arc<dyn GraphCalls> = match task {
            Some(task) if task.nested.is_none() => Arc::new(nested::Calls::new(self, attempt)),
            // There is no namespace for a graph: this is no task, or what its node stands for has it.
            _ => Arc::new(NoCalls),
        };
        let job = Job {
            component: self.part.component.clone(),
            graph: self.part.name.clone(),
            setting: self.part.setting().cloned(),
            program,
            answers: work.answers().to_vec(),
            run: common.claimed.run.run_id,
            node: task.map(|t| t.name.clone()).unwrap_or_default(),
            timeout: task.map(|t| t.timeout).unwrap_or_default(),
            events: attempt.shown.clone(),
            items: GraphStore::new(&common.shared, scope, common.put_into_store.clone()),
            calls,
            around: self.progress.clone(),
            callers: self.callers.clone(),
        };
        common.shared.sandbox.run(job).await
    }
}
