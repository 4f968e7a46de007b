//! One job: a slot, a store, an instance, its calls, its outcome.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use selvedge_model::graph::TimeoutPolicy;
use selvedge_model::{Json, RunId};
use selvedge_pregel::{Failure, GuestCall, Outcome, Program, Writes};
use wasmtime::component::ResourceTableError;
use wasmtime::{Store, Trap, UpdateDeadline};

use crate::Shared;
use crate::bound::{Bound, Counts, Exceeded};
use crate::calls::GraphCalls;
use crate::component::{Component, Loaded};
use crate::guest::{GuestFailure, GuestInstance, InvalidOutput, LogBook, TaskSetup, TaskState};
use crate::memory::{Callers, MemoryMeter};
use crate::meter::CpuMeter;
use crate::outbound::Outbound;
use crate::patience::{self, Progress};
use crate::slots::Slot;
use crate::store::ItemStore;
use crate::tool::ToolEvent;

/// What to run, for whom.
pub struct Job {
    /// The component.
    pub component: Component,
    /// The graph of the component.
    pub graph: Arc<str>,
    /// For which setting the graph is built, when it depends on one.
    pub setting: Option<Json>,
    /// The calls.
    pub program: Program,
    /// What the task's interrupts are answered with, in order.
    pub answers: Vec<Json>,
    /// The run, for fairness and for log lines.
    pub run: RunId,
    /// The node, for log lines and failures.
    pub node: String,
    /// How long the node may take: `NodeTimeoutError`. The graph's own bound, below the operator's.
    pub timeout: TimeoutPolicy,
    /// Where events go.
    pub events: Arc<dyn TaskEvents>,
    /// The long-term store.
    pub items: Arc<dyn ItemStore>,
    /// The graphs that it calls.
    pub calls: Arc<dyn GraphCalls>,
    /// The progress of the task that this one is inside.
    pub around: Option<Arc<Progress>>,
    /// Who waits for the graphs that this task is in.
    pub callers: Callers,
}

/// Takes what a task shows while it runs. Called on a guest thread: never block in it.
pub trait TaskEvents: Send + Sync {
    /// `emit-custom`.
    fn custom(&self, value: Json);
    /// `emit-message`, with the message's id where it has one: as many of them as `sandbox.messages`, at most.
    fn message(&self, id: Option<&str>, chunk: Json, metadata: Json);
    /// `emit-tool`.
    fn tool(&self, event: ToolEvent);
}

pub(crate) async fn run(shared: &Arc<Shared>, job: Job) -> Outcome {
    let place = match place(shared, job.component.loaded(), job.run, job.callers.count()).await {
        Ok(place) => place,
        Err(failure) => return Outcome::Failed(failure),
    };
    let owned = shared.clone();
    let cpu = Arc::new(shared.meters.meter(job.run));
    on_guest_thread(shared, cpu.clone(), async move {
        let _place = place;
        execute(&owned, cpu, job).await
    })
    .await
    .unwrap_or_else(Outcome::Failed)
}

/// The right to an instance: one of the graph's, and one of the host's.
pub(crate) struct Place {
    _of_graph: Slot,
    _of_host: Slot,
}

/// Waits for a place below so many tasks that wait for a graph.
pub(crate) async fn place(
    shared: &Shared,
    loaded: &Loaded,
    run: RunId,
    waiting_around: usize,
) -> Result<Place, Failure> {
    let _waiting = Waiting::new(&shared.waiting);
    let both = async {
        Place {
            _of_graph: loaded.slots.below(waiting_around).take(run).await,
            _of_host: shared.slots.below(waiting_around).take(run).await,
        }
    };
    let patience = loaded.limits.instance_wait;
    tokio::time::timeout(patience, both).await.map_err(|_| {
        let what = format_args!(
            "the task waited {} s for one of sandbox.max_instances",
            patience.as_secs_f64()
        );
        counted(&shared.counts, &Exceeded::new(Bound::InstanceWait, what))
    })
}

/// Counts a task for as long as it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs a future among the guests. Dropping this one ends that one.
pub(crate) async fn on_guest_thread<T: Send + 'static>(
    shared: &Shared,
    cpu: Arc<CpuMeter>,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    let done = shared.lanes.run(cpu, work).await;
    done.map_err(|error| Failure {
        kind: "SandboxFailed".into(),
        message: format!("the task's own thread failed: {error}"),
        retryable: true,
    })
}

async fn execute(shared: &Arc<Shared>, cpu: Arc<CpuMeter>, job: Job) -> Outcome {
    let loaded = job.component.loaded();
    let book = LogBook::new(job.run, job.graph.clone(), job.node.clone(), &loaded.limits);
    let progress = Progress::inside(job.around);
    let mut store = store(
        shared,
        loaded,
        book,
        Around {
            cpu,
            answers: job.answers,
            events: job.events,
            items: job.items,
            calls: job.calls,
            callers: job.callers,
            progress: progress.clone(),
        },
    );
    let mut program = job.program;
    let work = within_limits(shared, &mut store, async |store| {
        let guest = loaded.guest.start(&mut *store).await?;
        if let Some(setting) = &job.setting {
            let configured = guest.configure(&mut *store, &job.graph, setting).await?;
            if let Err(failure) = configured {
                return Ok(Err(named(failure)));
            }
        }
        drive(store, &guest.guest, &job.graph, &mut program).await?;
        Ok(Ok(()))
    });
    let result = patience::within(job.timeout, &job.node, &progress, work).await;
    if let Some(question) = store.data_mut().asked.take() {
        return Outcome::Interrupted(question);
    }
    if let Some(questions) = store.data_mut().inside.stopped.take() {
        return Outcome::Stopped(questions);
    }
    let writes = result
        .flatten()
        .and_then(|()| program.finish())
        .and_then(|writes| within_sends(&shared.counts, writes, loaded.limits.sends));
    match writes {
        Ok(writes) => Outcome::Done(writes),
        Err(failure) => Outcome::Failed(failure),
    }
}

/// Each `Send` becomes a task of the next step, so their number is bounded before anyone makes tasks of them.
fn within_sends(counts: &Counts, writes: Writes, limit: usize) -> Result<Writes, Failure> {
    let sends = writes.sends();
    if sends <= limit {
        return Ok(writes);
    }
    let what = format_args!("the task made {sends} Sends, more than {limit}");
    Err(counted(counts, &Exceeded::new(Bound::Sends, what)))
}

/// Makes the guest calls of a program, one after the other, on one instance.
async fn drive(
    store: &mut Store<TaskState>,
    instance: &GuestInstance,
    graph: &str,
    program: &mut Program,
) -> wasmtime::Result<()> {
    let guest = instance.selvedge_graph_guest();
    while let Some(call) = program.next() {
        let (what, answer) = match call {
            GuestCall::RunNode { node, task } => (
                "the answer of run-node",
                guest
                    .call_run_node(&mut *store, graph, &node, &text(&task))
                    .await?,
            ),
            GuestCall::Route {
                node,
                branch,
                state,
                task,
            } => (
                "the answer of route",
                guest
                    .call_route(
                        &mut *store,
                        graph,
                        &node,
                        &branch,
                        &text(&state),
                        &text(&task),
                    )
                    .await?,
            ),
            GuestCall::Reduce {
                channel,
                current,
                updates,
            } => (
                "the answer of reduce",
                guest
                    .call_reduce(
                        &mut *store,
                        graph,
                        &channel,
                        &text(&current),
                        &text(&updates),
                    )
                    .await?,
            ),
        };
        let state = store.data_mut();
        if state.asked.is_some() || state.inside.stopped.is_some() {
            return Ok(());
        }
        if let Some(command) = state.inside.commanded.take() {
            // It takes the place of what the node gave.
            program.answer(Ok(command));
            continue;
        }
        program.answer(match answer {
            Ok(text) => Ok(store.data().take_json(what, text)?),
            Err(failure) => Err(named(failure)),
        });
    }
    Ok(())
}

/// The bindings want a `String` behind the reference; the copy is small beside the one into the guest's memory.
fn text(json: &Json) -> String {
    json.as_str().to_owned()
}

/// What a task may reach beyond its instance.
pub(crate) struct Around {
    pub(crate) cpu: Arc<CpuMeter>,
    pub(crate) answers: Vec<Json>,
    pub(crate) events: Arc<dyn TaskEvents>,
    pub(crate) items: Arc<dyn ItemStore>,
    pub(crate) calls: Arc<dyn GraphCalls>,
    pub(crate) callers: Callers,
    pub(crate) progress: Arc<Progress>,
}

pub(crate) fn store(
    shared: &Arc<Shared>,
    loaded: &Loaded,
    book: LogBook,
    around: Around,
) -> Store<TaskState> {
    let state = TaskState::new(TaskSetup {
        memory: MemoryMeter::new(&loaded.limits, shared.memory.clone(), around.callers),
        cpu: around.cpu,
        limits: loaded.limits.clone(),
        answers: around.answers,
        events: around.events,
        items: around.items,
        calls: around.calls,
        host: shared.host.clone(),
        progress: around.progress.clone(),
        environment: loaded.environment.clone(),
        outbound: Outbound::new(
            loaded.network.clone(),
            shared.host.clone(),
            (book.run, shared.shares.clone()),
            &loaded.limits,
            around.progress,
        ),
        book,
    });
    let mut store = Store::new(loaded.guest.engine(), state);
    store.set_hostcall_fuel(loaded.limits.hostcall_bytes);
    store.set_max_component_handles(loaded.limits.handles);
    store.limiter_async(|state| &mut state.memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        if let Some(exceeded) = store.data().outbound.exceeded() {
            return Err(exceeded.into());
        }
        let (used, limit) = (store.data().cpu.used(), store.data().limits.cpu);
        if used > limit {
            let what = format_args!(
                "the task used more than {} ms of CPU time",
                limit.as_millis()
            );
            return Err(Exceeded::new(Bound::Cpu, what).into());
        }
        Ok(UpdateDeadline::Yield(1))
    });
    store
}

/// Runs guest code under the wall clock and the CPU meter, and says in our words why it ended.
pub(crate) async fn within_limits<T>(
    shared: &Shared,
    store: &mut Store<TaskState>,
    work: impl AsyncFnOnce(&mut Store<TaskState>) -> wasmtime::Result<T>,
) -> Result<T, Failure> {
    let (cpu, wall) = (store.data().cpu.clone(), store.data().limits.wall);
    let book = store.data().book.clone();
    let (counts, work) = (&shared.counts, metered(shared, &cpu, work(store)));
    match tokio::time::timeout(wall, work).await {
        // A guest may make nothing of a request that was refused it, and end before anybody looked.
        Ok(Ok(value)) => match store.data().outbound.exceeded() {
            None => Ok(value),
            Some(exceeded) => Err(counted(counts, &exceeded)),
        },
        Ok(Err(error)) => Err(match exceeded(&error, store.data()) {
            Some(exceeded) => counted(counts, &exceeded),
            None => explained(&error, &book),
        }),
        Err(_) => Err(counted(
            counts,
            &too_long(wall, store.data().memory.is_waiting()),
        )),
    }
}

fn too_long(wall: Duration, waiting_for_memory: bool) -> Exceeded {
    let at_the_end = if waiting_for_memory {
        ", and was waiting at its end for memory that other tasks use (sandbox.total_memory_bytes)"
    } else {
        ""
    };
    Exceeded::new(
        Bound::Wall,
        format_args!(
            "the task took longer than {} s{at_the_end}",
            wall.as_secs_f64()
        ),
    )
}

/// A bound's own failure, which the operator's metrics count.
fn counted(counts: &Counts, exceeded: &Exceeded) -> Failure {
    counts.count(exceeded.bound);
    Failure {
        kind: exceeded.bound.kind().into(),
        message: exceeded.message.clone(),
        retryable: false,
    }
}

/// The bound that wasmtime's error tells of: one that we keep, or one that it keeps for us.
fn exceeded(error: &wasmtime::Error, state: &TaskState) -> Option<Exceeded> {
    // wasmtime has no types for these that others could name.
    const OF_THE_HOSTCALLS: &str = "fuel allocated for hostcalls has been exhausted";
    const OF_THE_HANDLES: &str = "store handle limit exceeded";
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return Some(exceeded.clone());
    }
    let limits = &state.limits;
    if let Some(Trap::StackOverflow) = error.downcast_ref() {
        let what = "the task called too deeply for its stack";
        return Some(Exceeded::new(Bound::Stack, what));
    }
    let cause = error.root_cause().to_string();
    let table_is_full = matches!(error.downcast_ref(), Some(ResourceTableError::Full));
    if table_is_full || cause.contains(OF_THE_HANDLES) {
        let what = format_args!("the task holds more than {} handles", limits.handles);
        return Some(Exceeded::new(Bound::Handles, what));
    }
    if cause.contains(OF_THE_HOSTCALLS) {
        let most = limits.hostcall_bytes;
        let what = format_args!("one call of the task handed more than {most} bytes to the host");
        return Some(Exceeded::new(Bound::HostCall, what));
    }
    None
}

async fn metered<T>(shared: &Shared, cpu: &CpuMeter, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        let _at_work = shared.ticker.guest_at_work();
        cpu.enter();
        let polled = work.as_mut().poll(context);
        cpu.leave();
        polled
    })
    .await
}

/// What a guest says of its failure goes into runs, threads, events and webhooks: enough to read, and no more.
pub(crate) fn named(failure: GuestFailure) -> Failure {
    const LONGEST_KIND: usize = 256;
    const LONGEST_MESSAGE: usize = 64 << 10;
    Failure {
        kind: shortened(failure.kind, LONGEST_KIND),
        message: shortened(failure.message, LONGEST_MESSAGE),
        retryable: failure.retryable,
    }
}

fn shortened(mut text: String, longest: usize) -> String {
    text.truncate(text.floor_char_boundary(longest));
    text
}

/// Finds the reason in what wasmtime reports where it is no bound: an answer that is none, a panic that the SDK
/// announced, or a plain trap.
fn explained(error: &wasmtime::Error, book: &LogBook) -> Failure {
    let (kind, message) = if let Some(InvalidOutput(what)) = error.downcast_ref() {
        ("InvalidGuestOutput", what.clone())
    } else if let Some(not_utf8) = error.downcast_ref::<std::str::Utf8Error>() {
        (
            "InvalidGuestOutput",
            format!("a text of the task is refused: {not_utf8}"),
        )
    } else if let Some(panic) = book.panic() {
        ("GuestPanicked", panic)
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        ("GuestTrapped", trap.to_string())
    } else {
        ("GuestTrapped", format!("{error:#}"))
    };
    Failure {
        kind: kind.into(),
        message,
        retryable: false,
    }
}
