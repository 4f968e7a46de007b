//! Asking a component what its graphs are made of, under the same bounds as a task.

use std::sync::Arc;

use selvedge_model::{Json, RunId};
use selvedge_pregel::Failure;
use wasmtime::Store;

use crate::Shared;
use crate::calls::NoCalls;
use crate::component::{Component, Loaded};
use crate::exports::Started;
use crate::guest::{LogBook, TaskState};
use crate::memory::Callers;
use crate::patience::Progress;
use crate::store::NoStore;
use crate::task::{Around, TaskEvents, named, on_guest_thread, place, store, within_limits};
use crate::tool::ToolEvent;

/// A question about a graph that depends on how a run is configured.
pub struct Asked<'a> {
    /// The component.
    pub component: &'a Component,
    /// The graph of the component.
    pub graph: &'a str,
    /// `{"configurable": {}, "context": {}}`.
    pub setting: &'a Json,
    /// For which run, for fairness and for log lines.
    pub run: RunId,
    /// Who waits for the graph that this is about.
    pub callers: Callers,
}

/// What all graphs of a component are made of.
pub(crate) async fn describe(shared: &Arc<Shared>, loaded: &Loaded) -> Result<Json, Failure> {
    ask(
        shared,
        loaded,
        Question::Describe,
        RunId::new(),
        Callers::default(),
    )
    .await
}

/// What one graph is made of under a setting.
pub(crate) async fn describe_for(shared: &Arc<Shared>, asked: Asked<'_>) -> Result<Json, Failure> {
    let question = Question::DescribeFor {
        graph: asked.graph.into(),
        setting: asked.setting.clone(),
    };
    let loaded = asked.component.loaded();
    ask(shared, loaded, question, asked.run, asked.callers).await
}

enum Question {
    Describe,
    DescribeFor { graph: Arc<str>, setting: Json },
}

impl Question {
    /// For log lines.
    fn graph(&self) -> Arc<str> {
        match self {
            Self::Describe => "describe".into(),
            Self::DescribeFor { graph, .. } => graph.clone(),
        }
    }

    async fn put(
        &self,
        store: &mut Store<TaskState>,
        guest: &Started,
    ) -> wasmtime::Result<Result<Json, Failure>> {
        let answer = match self {
            Self::Describe => {
                let guest = guest.guest.selvedge_graph_guest();
                Ok(guest.call_describe(&mut *store).await?)
            }
            Self::DescribeFor { graph, setting } => {
                guest.describe_for(&mut *store, graph, setting).await?
            }
        };
        Ok(match answer {
            Ok(text) => Ok(store.data().take_json("the description", text)?),
            Err(failure) => Err(named(failure)),
        })
    }
}

async fn ask(
    shared: &Arc<Shared>,
    loaded: &Loaded,
    question: Question,
    run: RunId,
    callers: Callers,
) -> Result<Json, Failure> {
    let place = place(shared, loaded, run, callers.count()).await?;
    let book = LogBook::new(run, question.graph(), String::new(), &loaded.limits);
    let cpu = Arc::new(shared.meters.meter(run));
    let around = Around {
        cpu: cpu.clone(),
        answers: Vec::new(),
        events: Arc::new(Nowhere),
        items: Arc::new(NoStore),
        calls: Arc::new(NoCalls),
        callers,
        progress: Progress::inside(None),
    };
    let store = store(shared, loaded, book, around);
    let guest = loaded.guest.clone();
    let owned = shared.clone();
    on_guest_thread(shared, cpu, async move {
        // In this order: the place is free when the instance is gone, and not before.
        let _place = place;
        let mut store = store;
        within_limits(&owned, &mut store, async |store| {
            let started = guest.start(&mut *store).await?;
            question.put(store, &started).await
        })
        .await
        .flatten()
    })
    .await?
}

/// Nobody is shown anything.
struct Nowhere;

impl TaskEvents for Nowhere {
    fn custom(&self, _: Json) {}
    fn message(&self, _: Option<&str>, _: Json, _: Json) {}
    fn tool(&self, _: ToolEvent) {}
}
