//! One piece of work: in the sandbox, again and again while its retry policy says so, unless what it would write is
//! known.

use std::future::Future;
use std::sync::Arc;

use selvedge_model::Scope;
use selvedge_pregel::{Outcome, Work, WorkId, retry};
use selvedge_sandbox::Job;

use super::node_cache::NodeCache;
use super::walk::Walk;
use crate::items::graph_store::GraphStore;
use crate::shown::Shown;

impl Walk {
    /// Needs nothing of the walk while it goes on, so that pieces go on side by side.
    pub(super) fn perform(
        &self,
        work: Work,
    ) -> impl Future<Output = (WorkId, Outcome)> + Send + use<> {
        let shared = self.shared.clone();
        let scope = Scope::of_owner(self.claimed.owner.clone());
        let items = GraphStore::new(&shared, scope, self.put_into_store.clone());
        let kept = NodeCache::slot(&self.graph, self.claimed.owner.as_ref(), &work);
        let component = self.graph.component.clone();
        let graph = self.graph.name.clone();
        let run = self.claimed.run.run_id;
        let shown = Arc::new(Shown::new(
            self.stream.clone(),
            self.modes.clone(),
            &self.claimed,
            &self.graph,
            work.task.as_deref(),
        ));
        async move {
            if let Some(writes) = kept.and_then(|slot| shared.node_cache.get(slot)) {
                return (work.id, Outcome::Reused(writes));
            }
            let task = work.task.as_deref();
            let mut attempt = 1;
            loop {
                let outcome = shared
                    .sandbox
                    .run(Job {
                        component: component.clone(),
                        graph: graph.clone(),
                        program: work.program(attempt),
                        answers: work.answers().to_vec(),
                        run,
                        node: task.map(|t| t.name.clone()).unwrap_or_default(),
                        timeout: task.map(|t| t.timeout).unwrap_or_default(),
                        events: shown.clone(),
                        items: items.clone(),
                    })
                    .await;
                match &outcome {
                    Outcome::Done(writes) => {
                        shown.finished(writes, &work);
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
                            tracing::debug!(%run, attempt, ?pause, kind = failure.kind, "a task is tried again");
                            tokio::time::sleep(pause).await;
                            shown.begins_again();
                            attempt += 1;
                            continue;
                        }
                    }
                    Outcome::Reused(_) | Outcome::Interrupted(_) => {}
                }
                return (work.id, outcome);
            }
        }
    }
}
