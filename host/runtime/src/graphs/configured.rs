//! Graphs that depend on how a run is configured: the component is asked what such a graph is made of under a setting,
//! and the answer is kept for the next run, state or drawing with the same one.

use std::sync::Arc;

use moka::sync::Cache;
use selvedge_model::graph::GraphDescription;
use selvedge_model::{Json, RunId};
use selvedge_pregel::{Failure, Graph, Nested};
use selvedge_sandbox::{Asked, Callers};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::setting::Setting;
use super::{Part, list};
use crate::Shared;

/// What a built graph weighs for each byte of its description: the texts, and what is found by them.
const WEIGHT_OF_BYTE: usize = 4;
/// What an entry costs beside what it holds.
const OVERHEAD_BYTES: usize = 512;

/// Graphs by what they were built for, as many as `runtime.graph_cache_bytes` has room for; what is used least goes first.
/// An entry without a graph is one that is being asked for: who wants the same waits for it.
pub(crate) struct BuiltGraphs(Cache<Key, Arc<OnceCell<Built>>>);

/// Of the component, the graph's name and the setting, and of how many tasks wait with an instance: whoever holds one must
/// not wait for the answer to somebody who waits for one. Too wide to be met twice by chance or on purpose.
type Key = [u8; 32];

struct Built {
    graph: Arc<Graph>,
    description_bytes: usize,
}

/// Who asks a component about a graph.
#[derive(Clone)]
pub(crate) struct Asker {
    /// For fairness and log lines.
    run: RunId,
    /// Who waits for the graph.
    callers: Callers,
}

impl Asker {
    pub(crate) fn run(run: RunId, callers: Callers) -> Self {
        Self { run, callers }
    }

    /// A request that is no run's.
    pub(crate) fn nobody() -> Self {
        Self::run(RunId::new(), Callers::default())
    }
}

impl BuiltGraphs {
    pub(crate) fn new(max_bytes: u64) -> Self {
        let weigh = |_: &Key, cell: &Arc<OnceCell<Built>>| {
            let bytes = cell.get().map_or(0, |built| built.description_bytes);
            let bytes = bytes.saturating_mul(WEIGHT_OF_BYTE);
            u32::try_from(bytes.saturating_add(OVERHEAD_BYTES)).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(max_bytes).weigher(weigh);
        Self(cache.build())
    }
}

impl Shared {
    /// A graph as it is under a setting; one that depends on none as it is.
    pub(crate) async fn configured(
        &self,
        part: Part,
        setting: &Setting,
        asker: Asker,
    ) -> Result<Part, Failure> {
        if !part.is_to_be_configured() {
            return Ok(part);
        }
        let key = key(&part, setting, &asker);
        let cell = self.built_graphs.0.get_with(key, Arc::default);
        let mut is_new = false;
        let built = cell.get_or_try_init(|| {
            is_new = true;
            self.build(&part, setting, asker)
        });
        let graph = built.await?.graph.clone();
        if is_new {
            // It weighs something now.
            self.built_graphs.0.insert(key, cell);
        }
        Ok(part.built_as(graph, setting.clone()))
    }

    async fn build(&self, part: &Part, setting: &Setting, asker: Asker) -> Result<Built, Failure> {
        let asked = Asked {
            component: &part.component,
            graph: &part.name,
            setting: setting.as_json(),
            run: asker.run,
            callers: asker.callers,
        };
        let answer = self.sandbox.describe_for(asked).await?;
        let name = part.name.clone();
        // As large as a task's output may be: reading it must keep nobody waiting.
        let reading = tokio::task::spawn_blocking(move || {
            Ok(Built {
                graph: graph(&name, &answer)?,
                description_bytes: answer.as_str().len(),
            })
        });
        let read = reading.await;
        read.unwrap_or_else(|error| Err(invalid(&part.name, error)))
    }

    /// The graph that a node of another stands for, or that it calls, under a setting.
    pub(crate) async fn within(
        &self,
        around: &Part,
        nested: &Nested,
        setting: &Setting,
        asker: Asker,
    ) -> Result<Option<Part>, Failure> {
        match self.graphs.within(around, nested) {
            Some(part) => self.configured(part, setting, asker).await.map(Some),
            None => Ok(None),
        }
    }
}

/// The graph of a description that the host has not seen before.
fn graph(name: &str, answer: &Json) -> Result<Arc<Graph>, Failure> {
    let description: GraphDescription = answer.decode().map_err(|error| invalid(name, error))?;
    if description.name != name {
        return Err(invalid(
            name,
            format_args!("it is the description of a graph `{}`", description.name),
        ));
    }
    Graph::new(description).map_err(|problems| invalid(name, list(&problems)))
}

fn invalid(name: &str, why: impl std::fmt::Display) -> Failure {
    Failure {
        kind: "InvalidGraphError".into(),
        message: format!("what describe-for says of the graph `{name}` is not valid: {why}"),
        retryable: false,
    }
}

fn key(part: &Part, setting: &Setting, asker: &Asker) -> Key {
    let mut hash = Sha256::new();
    hash.update(asker.callers.count().to_le_bytes());
    for text in [
        part.component.digest(),
        &part.name,
        setting.as_json().as_str(),
    ] {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}
