//! Graphs that a task calls: each call is counted and bounded here, and carried out by the runtime.

use std::sync::Arc;

use async_trait::async_trait;
use selvedge_model::Json;
use selvedge_model::thread::Interrupt;
use selvedge_pregel::Failure;

use crate::bound::{Bound, Exceeded};
use crate::guest::{GuestFailure, TaskState};
use crate::memory::Callers;
use crate::patience::Progress;
use crate::spawned::Spawned;

/// Calls of one task. Each is a whole graph, and the host keeps a namespace for it.
const MOST_CALLS: usize = 1_000;

/// What a graph inside a task came to.
pub enum Called {
    /// To an end, with these values.
    To(Json),
    /// To a command for the graph around it, in the form of a node's answer.
    Back(Json),
    /// To questions, or to a breakpoint.
    Stopped(Vec<Interrupt>),
    /// To nothing.
    Failed(Failure),
}

/// Runs the graphs that a task calls. A call whose task has ended is dropped.
#[async_trait]
pub trait GraphCalls: Send + Sync {
    /// The n-th call of the task; the first is number 0. What gets on inside it is the task's progress, too; the callers are
    /// those of the graph's tasks.
    async fn call(
        &self,
        number: usize,
        name: String,
        input: Json,
        progress: Arc<Progress>,
        callers: Callers,
    ) -> Called;
}

/// For work inside which no graph can run.
pub struct NoCalls;

#[async_trait]
impl GraphCalls for NoCalls {
    async fn call(&self, _: usize, _: String, _: Json, _: Arc<Progress>, _: Callers) -> Called {
        Called::Failed(Failure {
            kind: "GraphNotFound".into(),
            message: "no graph can be called here: only a node's task contains graphs".into(),
            retryable: false,
        })
    }
}

/// The graphs inside a task, and what of them ended its node although that went on.
#[derive(Default)]
pub(crate) struct Inside {
    /// How many graphs it called.
    called: usize,
    /// One of them waits.
    pub(crate) stopped: Option<Vec<Interrupt>>,
    /// One of them was left with this for the task's own graph.
    pub(crate) commanded: Option<Json>,
}

impl Inside {
    /// Whether one of them has ended the node: what it does now is of no effect.
    pub(crate) fn is_over(&self) -> bool {
        self.stopped.is_some() || self.commanded.is_some()
    }
}

impl TaskState {
    pub(crate) async fn call(
        &mut self,
        name: String,
        input: String,
    ) -> wasmtime::Result<Result<String, GuestFailure>> {
        self.progress.made();
        let (bytes, limit) = (name.len(), self.limits.output_bytes);
        if bytes > limit {
            let what = format_args!("the name of a graph has {bytes} bytes, more than {limit}");
            return Err(Exceeded::new(Bound::Output, what).into());
        }
        let input = self.take_json("the input of call-graph", input)?;
        if self.asked.is_some() || self.inside.is_over() {
            return Ok(Err(over("GraphInterrupt", "the node has been stopped")));
        }
        let number = self.inside.called;
        self.inside.called += 1;
        if number >= MOST_CALLS {
            let what = format!("the task called more than {MOST_CALLS} graphs");
            return Ok(Err(over("GraphCallLimitExceeded", &what)));
        }
        let callers = self.memory.waits_for_others();
        let calls = self.calls.clone();
        // On the host's runtime: what the graph holds while it waits must not depend on when a guest's thread is free.
        let progress = self.progress.clone();
        let call = async move { calls.call(number, name, input, progress, callers).await };
        let called = Spawned(self.host.spawn(call)).await;
        self.memory.goes_on();
        self.progress.made();
        Ok(match called {
            Ok(Called::To(values)) => Ok(values.as_str().to_owned()),
            Ok(Called::Failed(failure)) => Err(failure.into()),
            Ok(Called::Stopped(questions)) => {
                self.inside.stopped = Some(questions);
                Err(over("GraphInterrupt", "the graph waits for an answer"))
            }
            Ok(Called::Back(command)) => {
                self.inside.commanded = Some(command);
                Err(over("ParentCommand", "the graph was left for this one"))
            }
            Err(error) => Err(over("SandboxFailed", &format!("the call failed: {error}"))),
        })
    }
}

fn over(kind: &str, message: &str) -> GuestFailure {
    GuestFailure {
        kind: kind.to_owned(),
        message: message.to_owned(),
        retryable: false,
    }
}

impl From<Failure> for GuestFailure {
    fn from(failure: Failure) -> Self {
        Self {
            kind: failure.kind,
            message: failure.message,
            retryable: failure.retryable,
        }
    }
}
