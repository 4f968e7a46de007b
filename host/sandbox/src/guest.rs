//! What a task's guest may call: the imports of `wit/graph.wit`, each under its bound.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use selvedge_model::json::JsonError;
use selvedge_model::{Json, RunId};
use tokio::runtime::Handle;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Result};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::Limits;
use crate::bound::{Bound, Exceeded, Rate};
use crate::calls::{GraphCalls, Inside};
use crate::memory::MemoryMeter;
use crate::meter::CpuMeter;
use crate::outbound::Outbound;
use crate::patience::Progress;
use crate::stdio::Lines;
use crate::store::ItemStore;
use crate::task::TaskEvents;
use crate::tool::ToolEvent;

#[allow(missing_docs)]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "graph",
        imports: {
            "selvedge:graph/context.call-graph": async | trappable,
            "selvedge:graph/store": async | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}

pub(crate) use generated::exports::selvedge::graph::guest::Failure as GuestFailure;
use generated::selvedge::graph::context::{self, Interruption};
use generated::selvedge::graph::log;
use generated::selvedge::graph::store;
pub(crate) use generated::{Graph as GuestInstance, GraphIndices as GuestIndices};
pub(crate) use log::Level;
pub(crate) use store::Host as StoreImport;

/// The prefix by which an SDK's panic hook marks the line that says why the trap after it happened.
const PANIC_PREFIX: &str = "panicked at";

/// The headers of one request or answer, with what the host needs to keep them. A guest may hold as many of them as it may
/// hold handles, so this times `sandbox.handles` bounds what they cost the host: 128 MiB by default.
const HEADER_BYTES: usize = 64 << 10;

/// Random bytes of one call; wasmtime's default of 64 MiB would be the host's memory, for the asking.
const MOST_RANDOM_BYTES: u64 = 1 << 20;

/// The id of a message. Longer ones are made by nobody, and are no ids.
const LONGEST_MESSAGE_ID_BYTES: usize = 256;

/// What is longer is cut.
const LONGEST_LINE_BYTES: usize = 8 << 10;

/// Everything that a component may import: the contract, WASI without files and sockets to speak of, and HTTP.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<TaskState>> {
    let mut linker = Linker::new(engine);
    context::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut TaskState| state)?;
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut TaskState| state)?;
    store::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut TaskState| state)?;
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}

/// The data of one task's store.
pub(crate) struct TaskState {
    pub(crate) memory: MemoryMeter,
    pub(crate) cpu: Arc<CpuMeter>,
    pub(crate) limits: Arc<Limits>,
    /// The question that the guest asked and nobody has answered.
    pub(crate) asked: Option<Json>,
    pub(crate) book: Arc<LogBook>,
    answers: std::vec::IntoIter<Json>,
    events: Arc<dyn TaskEvents>,
    event_count: u32,
    event_rate: Rate,
    event_bytes: usize,
    /// The messages that the task has shown pieces of.
    messages: HashSet<Arc<str>>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) items: Arc<dyn ItemStore>,
    pub(crate) calls: Arc<dyn GraphCalls>,
    pub(crate) inside: Inside,
    /// Where the host's own I/O runs.
    pub(crate) host: Handle,
    pub(crate) store_calls: u32,
    pub(crate) stored_bytes: usize,
    ends_at: Instant,
    environment: Arc<[(String, String)]>,
    pub(crate) outbound: Outbound,
    table: ResourceTable,
    http: WasiHttpCtx,
    /// Made when the guest first asks for it: pure guests never do, and it costs as much as their whole call.
    wasi: Option<WasiCtx>,
}

/// What a task's state is made from.
pub(crate) struct TaskSetup {
    pub(crate) memory: MemoryMeter,
    pub(crate) cpu: Arc<CpuMeter>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) answers: Vec<Json>,
    pub(crate) events: Arc<dyn TaskEvents>,
    pub(crate) items: Arc<dyn ItemStore>,
    pub(crate) calls: Arc<dyn GraphCalls>,
    pub(crate) host: Handle,
    pub(crate) progress: Arc<Progress>,
    pub(crate) environment: Arc<[(String, String)]>,
    pub(crate) outbound: Outbound,
    pub(crate) book: LogBook,
}

impl TaskState {
    pub(crate) fn new(setup: TaskSetup) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(setup.limits.handles);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HEADER_BYTES);
        Self {
            memory: setup.memory,
            cpu: setup.cpu,
            asked: None,
            book: Arc::new(setup.book),
            answers: setup.answers.into_iter(),
            events: setup.events,
            event_count: 0,
            event_rate: Rate::new(setup.limits.events_per_sec),
            event_bytes: 0,
            messages: HashSet::new(),
            progress: setup.progress,
            items: setup.items,
            calls: setup.calls,
            inside: Inside::default(),
            host: setup.host,
            store_calls: 0,
            stored_bytes: 0,
            ends_at: Instant::now() + setup.limits.wall,
            limits: setup.limits,
            environment: setup.environment,
            outbound: setup.outbound,
            table,
            http,
            wasi: None,
        }
    }

    /// Checks a text that the guest gives out.
    pub(crate) fn take_json(&self, what: &str, text: String) -> Result<Json> {
        let limit = self.limits.output_bytes;
        if text.len() > limit {
            return Err(Exceeded::new(
                Bound::Output,
                format_args!("{what} has {} bytes, more than {limit}", text.len()),
            )
            .into());
        }
        Json::parse_within(text, self.limits.json_depth).map_err(|error| match error {
            JsonError::TooDeep { limit } => Exceeded::new(
                Bound::Depth,
                format_args!("{what} nests more than {limit} levels deep"),
            )
            .into(),
            error => InvalidOutput(format!("{what} is refused: {error}")).into(),
        })
    }

    fn count_event(&mut self, bytes: usize) -> Result<()> {
        self.progress.made();
        self.event_count += 1;
        if self.event_count > self.limits.events {
            return Err(Exceeded::new(
                Bound::Events,
                format_args!("the task emitted more than {} events", self.limits.events),
            )
            .into());
        }
        self.event_bytes = self.event_bytes.saturating_add(bytes);
        let most = self.limits.event_bytes;
        if self.event_bytes > most {
            let what = format_args!("the events of the task have more than {most} bytes");
            return Err(Exceeded::new(Bound::EventBytes, what).into());
        }
        if !self.event_rate.allows() {
            return Err(Exceeded::new(
                Bound::EventRate,
                format_args!(
                    "the task emitted more than {} events in a second",
                    self.limits.events_per_sec
                ),
            )
            .into());
        }
        Ok(())
    }

    /// The message that a chunk belongs to. Whoever shows messages remembers them until the task ends, so their number is
    /// bounded, whether anybody is shown them or not.
    fn message_of(&mut self, chunk: &Json) -> Result<Option<Arc<str>>> {
        let Some(id) = message_id(chunk) else {
            return Ok(None);
        };
        if let Some(known) = self.messages.get(id.as_str()) {
            return Ok(Some(known.clone()));
        }
        let most = self.limits.messages;
        if self.messages.len() >= most {
            return Err(Exceeded::new(
                Bound::Messages,
                format_args!("the task showed chunks of more than {most} messages"),
            )
            .into());
        }
        let id: Arc<str> = id.into();
        self.messages.insert(id.clone());
        Ok(Some(id))
    }
}

impl context::Host for TaskState {
    fn emit_custom(&mut self, value: String) -> Result<()> {
        self.count_event(value.len())?;
        let value = self.take_json("a custom event", value)?;
        self.events.custom(value);
        Ok(())
    }

    fn emit_message(&mut self, chunk: String, metadata: String) -> Result<()> {
        self.count_event(chunk.len().saturating_add(metadata.len()))?;
        let chunk = self.take_json("a message chunk", chunk)?;
        let metadata = self.take_json("the metadata of a message chunk", metadata)?;
        let id = self.message_of(&chunk)?;
        self.events.message(id.as_deref(), chunk, metadata);
        Ok(())
    }

    fn emit_tool(&mut self, event: String) -> Result<()> {
        self.count_event(event.len())?;
        let event = self.take_json("the event of a tool", event)?;
        let event = ToolEvent::read(&event)
            .map_err(|why| InvalidOutput(format!("the event of a tool is refused: {why}")))?;
        self.events.tool(event);
        Ok(())
    }

    fn interrupt(&mut self, value: String) -> Result<Result<String, Interruption>> {
        let value = self.take_json("the value of an interrupt", value)?;
        if self.inside.is_over() {
            return Ok(Err(Interruption::Interrupted));
        }
        if self.asked.is_none()
            && let Some(answer) = self.answers.next()
        {
            return Ok(Ok(answer.as_str().to_owned()));
        }
        self.asked.get_or_insert(value);
        Ok(Err(Interruption::Interrupted))
    }

    async fn call_graph(
        &mut self,
        name: String,
        input: String,
    ) -> Result<Result<String, GuestFailure>> {
        self.call(name, input).await
    }

    fn remaining_ms(&mut self) -> Result<u64> {
        let left = self.ends_at.saturating_duration_since(Instant::now());
        Ok(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }
}

impl log::Host for TaskState {
    fn write(&mut self, level: Level, message: String) -> Result<()> {
        self.book.write(level, &message)?;
        Ok(())
    }
}

impl generated::selvedge::graph::types::Host for TaskState {}

fn message_id(chunk: &Json) -> Option<String> {
    let id: String = chunk.members()?.get("id")?.decode().ok()?;
    (id.len() <= LONGEST_MESSAGE_ID_BYTES).then_some(id)
}

/// A text that a guest gave out and that is no JSON of ours. Travels through wasmtime as the error that ends the guest.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidOutput(pub(crate) String);

impl WasiView for TaskState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| {
            // No preopened directory and no address that may be connected to: both are wasmtime-wasi's defaults.
            WasiCtx::builder()
                .envs(&self.environment)
                .max_random_size(MOST_RANDOM_BYTES)
                .stdout(Lines::new(self.book.clone(), Level::Info))
                .stderr(Lines::new(self.book.clone(), Level::Warn))
                .build()
        });
        WasiCtxView {
            ctx,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for TaskState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outbound,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// Where a task's log lines go: into the host's log, tied to run and node, and counted.
pub(crate) struct LogBook {
    pub(crate) run: RunId,
    pub(crate) graph: Arc<str>,
    pub(crate) node: String,
    limit: u32,
    per_sec: u32,
    written: Mutex<Written>,
    panic: Mutex<Option<String>>,
}

struct Written {
    lines: u32,
    rate: Rate,
}

impl LogBook {
    pub(crate) fn new(run: RunId, graph: Arc<str>, node: String, limits: &Limits) -> Self {
        Self {
            run,
            graph,
            node,
            limit: limits.log_lines,
            per_sec: limits.log_lines_per_sec,
            written: Mutex::new(Written {
                lines: 0,
                rate: Rate::new(limits.log_lines_per_sec),
            }),
            panic: Mutex::new(None),
        }
    }

    /// Writes a message line by line, or refuses it when the task has written its share. A line is a line: what a guest
    /// writes cannot pass for one of the host's.
    pub(crate) fn write(&self, level: Level, message: &str) -> Result<(), Exceeded> {
        message.lines().try_for_each(|line| {
            let end = line.floor_char_boundary(LONGEST_LINE_BYTES);
            self.write_line(level, &line[..end])
        })
    }

    fn write_line(&self, level: Level, line: &str) -> Result<(), Exceeded> {
        self.count()?;
        if level == Level::Error && line.starts_with(PANIC_PREFIX) {
            *self.panic.lock() = Some(line.to_owned());
        }
        let (run, graph, node) = (self.run, &*self.graph, self.node.as_str());
        match level {
            Level::Trace => tracing::trace!(target: "guest", %run, graph, node, "{line}"),
            Level::Debug => tracing::debug!(target: "guest", %run, graph, node, "{line}"),
            Level::Info => tracing::info!(target: "guest", %run, graph, node, "{line}"),
            Level::Warn => tracing::warn!(target: "guest", %run, graph, node, "{line}"),
            Level::Error => tracing::error!(target: "guest", %run, graph, node, "{line}"),
        }
        Ok(())
    }

    fn count(&self) -> Result<(), Exceeded> {
        let mut written = self.written.lock();
        if written.lines >= self.limit {
            return Err(Exceeded::new(
                Bound::LogLines,
                format_args!("the task logged more than {} lines", self.limit),
            ));
        }
        if !written.rate.allows() {
            return Err(Exceeded::new(
                Bound::LogRate,
                format_args!(
                    "the task logged more than {} lines in a second",
                    self.per_sec
                ),
            ));
        }
        written.lines += 1;
        Ok(())
    }

    /// What the guest said when it panicked.
    pub(crate) fn panic(&self) -> Option<String> {
        self.panic.lock().take()
    }
}
