//! One piece of work: in the sandbox, or as a graph of its own, again and again while its retry policy says so, unless
//! what it would write is known.

use std::future::Future;
use std::sync::Arc;

use selvedge_model::Scope;
use selvedge_pregel::{Outcome, Program, Work, WorkId, retry};
use selvedge_sandbox::{GraphCalls, Job, NoCalls};

use super::level::Level;
use super::nested;
use super::node_cache::NodeCache;
use crate::items::graph_store::GraphStore;
use crate::shown::{Place, Shown};

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
        let mut attempt = 1;
        loop {
            let outcome = match task.and_then(|task| task.nested.as_ref()) {
                None => {
                    let program = work.program(attempt);
                    self.in_sandbox(work, program, attempt, &shown).await
                }
                Some(graph) => nested::instead(self, work, graph, attempt, &shown).await,
            };
            match &outcome {
                Outcome::Done(writes) => {
                    shown.finished(writes, work);
                    if let Some(slot) = kept {
                        shared.node_cache.keep(slot, writes);
                    }
                }
                Outcome::Failed(failure) => {
                    let policies = task.map_or(&[][..], |task| &task.retry);
                    let pause = retry::matching(policies, failure).and_then(|policy| {
                        retry::delay_before(policy, attempt + 1, rand::random())
                    });
                    if let Some(pause) = pause {
                        let run = self.common.claimed.run.run_id;
                        tracing::debug!(%run, attempt, ?pause, kind = failure.kind, "a task is tried again");
                        tokio::time::sleep(pause).await;
                        shown.begins_again();
                        attempt += 1;
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
        work: &Work,
        program: Program,
        attempt: u32,
        shown: &Arc<Shown>,
    ) -> Outcome {
        let common = &self.common;
        let scope = Scope::of_owner(common.claimed.owner.clone());
        let task = work.task.as_deref();
        let calls: Arc<dyn GraphCalls> = match task {
            Some(task) if task.nested.is_none() => {
                Arc::new(nested::Calls::new(self, work, attempt, shown))
            }
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
            events: shown.clone(),
            items: GraphStore::new(&common.shared, scope, common.put_into_store.clone()),
            calls,
            around: self.progress.clone(),
            waiting_around: self.waiting_around,
        };
        common.shared.sandbox.run(job).await
    }
}
