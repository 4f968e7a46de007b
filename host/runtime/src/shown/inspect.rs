//! What the modes `tasks`, `checkpoints` and `debug` show, as callers see it: `pregel` knows no thread and no run.

use selvedge_model::event::{EventKind, StreamEvent};
use selvedge_model::run::{ClaimedRun, StreamMode};
use selvedge_model::{Json, ThreadId};
use serde_json::json;

use crate::admit::assemble::{Members, members};

/// A member of `configurable` that LangGraph leaves out of the configurations that it shows.
const UNSHOWN: &str = "__request_start_time_ms__";

/// The members of a checkpoint's metadata that are the algorithm's own; a stream shows these alone.
const OF_THE_ALGORITHM: [&str; 3] = ["source", "step", "parents"];

/// What the events of one run name beside what `pregel` puts into them.
pub(crate) struct Inspection {
    thread: ThreadId,
    /// A run without a thread has no checkpoints, and shows none.
    has_checkpoints: bool,
    /// Nothing is told of a checkpoint but where it is: its values are those of the state that is shown beside it.
    is_for_event_protocol: bool,
    configurable: Members,
    /// The metadata of its tasks.
    metadata: Json,
}

impl Inspection {
    pub(crate) fn new(claimed: &ClaimedRun) -> Self {
        let run = &claimed.run;
        let config = run.kwargs.config.members().unwrap_or_default();
        let configurable = config.get("configurable").and_then(Json::members);
        let mut configurable = configurable.unwrap_or_default();
        configurable.shift_remove(UNSHOWN);
        // Where the run began says nothing of where its checkpoints are.
        for place in ["checkpoint_ns", "checkpoint_map"] {
            configurable.shift_remove(place);
        }
        Self {
            thread: run.thread_id,
            has_checkpoints: !run.kwargs.temporary,
            is_for_event_protocol: run.kwargs.event_protocol,
            configurable,
            metadata: Json::object(&run_metadata(claimed)),
        }
    }

    /// The event as callers see it, unless they do not.
    pub(crate) fn shown(&self, event: StreamEvent) -> Option<StreamEvent> {
        let data = match event.kind {
            EventKind::Mode(StreamMode::Checkpoints) if self.is_for_event_protocol => {
                self.has_checkpoints.then(|| place(&event.data))?
            }
            EventKind::Mode(StreamMode::Checkpoints) => {
                Json::object(&self.checkpoint(&event.data)?)
            }
            EventKind::Mode(StreamMode::Tasks) => self.task(&event.data),
            EventKind::Mode(StreamMode::Debug) => self.wrapped(&event.data)?,
            _ => return Some(event),
        };
        Some(StreamEvent { data, ..event })
    }

    fn wrapped(&self, data: &Json) -> Option<Json> {
        let mut wrapper = members(data);
        let payload = wrapper.get("payload")?;
        let of_checkpoint = wrapper.get("type").map(Json::as_str) == Some("\"checkpoint\"");
        let payload = if of_checkpoint {
            let mut payload = self.checkpoint(payload)?;
            for (name, config) in [
                ("checkpoint", "config"),
                ("parent_checkpoint", "parent_config"),
            ] {
                let address = payload
                    .get(config)
                    .map_or_else(Json::null, |c| self.address(c));
                payload.insert(name.to_owned(), address);
            }
            Json::object(&payload)
        } else {
            self.task(payload)
        };
        wrapper.insert("payload".to_owned(), payload);
        Some(Json::object(&wrapper))
    }

    /// The start of a task names its run; its end does not.
    fn task(&self, payload: &Json) -> Json {
        let mut payload = members(payload);
        if let Some(metadata) = payload.get_mut("metadata") {
            *metadata = self.metadata.clone();
        }
        Json::object(&payload)
    }

    fn checkpoint(&self, payload: &Json) -> Option<Members> {
        if !self.has_checkpoints {
            return None;
        }
        let mut payload = members(payload);
        for name in ["config", "parent_config"] {
            if let Some(config) = payload.get_mut(name).filter(|config| !config.is_null()) {
                *config = self.config(config);
            }
        }
        if let Some(tasks) = payload.get_mut("tasks") {
            *tasks = self.tasks(tasks);
        }
        if let Some(metadata) = payload.get_mut("metadata") {
            let mut own = members(metadata);
            own.retain(|name, _| OF_THE_ALGORITHM.contains(&name.as_str()));
            *metadata = Json::object(&own);
        }
        Some(payload)
    }

    /// Tasks that contain graphs name these graphs' namespaces; with the thread, they can be asked for.
    fn tasks(&self, tasks: &Json) -> Json {
        let with_thread = |task: Json| {
            let mut shown = members(&task);
            let state = shown.get_mut("state").filter(|state| !state.is_null());
            let Some(state) = state else { return task };
            let mut named = configurable(state);
            named.shift_insert(
                0,
                "thread_id".into(),
                Json::string(&self.thread.to_string()),
            );
            *state = Json::object([("configurable", &Json::object(&named))]);
            Json::object(&shown)
        };
        let tasks: Vec<Json> = tasks
            .items()
            .unwrap_or_default()
            .into_iter()
            .map(with_thread)
            .collect();
        Json::array(&tasks)
    }

    fn config(&self, config: &Json) -> Json {
        let mut all = Members::new();
        let mut own = configurable(config);
        let id = own.shift_remove("checkpoint_id");
        all.extend(own);
        all.extend(self.configurable.clone());
        all.extend(id.map(|id| ("checkpoint_id".to_owned(), id)));
        Json::object([("configurable", &Json::object(&all))])
    }

    /// A checkpoint as clients name it to come back to it.
    fn address(&self, config: &Json) -> Json {
        if config.is_null() {
            return Json::null();
        }
        let own = configurable(config);
        let of = |name: &str| own.get(name).cloned().unwrap_or_default();
        Json::object([
            ("checkpoint_id", &of("checkpoint_id")),
            ("thread_id", &Json::string(&self.thread.to_string())),
            ("checkpoint_ns", &of("checkpoint_ns")),
        ])
    }
}

/// Where a checkpoint is, and what it comes from.
fn place(checkpoint: &Json) -> Json {
    let mut place = members(checkpoint);
    place.retain(|name, _| ["config", "parent_config", "metadata"].contains(&name.as_str()));
    if let Some(metadata) = place.get_mut("metadata") {
        let mut own = members(metadata);
        own.retain(|name, _| OF_THE_ALGORITHM.contains(&name.as_str()));
        *metadata = Json::object(&own);
    }
    Json::object(&place)
}

/// The metadata of a run, with which attempt of which run it is about.
pub(crate) fn run_metadata(claimed: &ClaimedRun) -> Members {
    let mut metadata = members(&claimed.run.metadata);
    metadata.insert("run_attempt".into(), Json::from(json!(claimed.attempt)));
    metadata.insert("run_id".into(), Json::from(json!(claimed.run.run_id)));
    metadata
}

/// The same with the run's thread, as messages and the events of the mode `events` say it.
pub(crate) fn origin(claimed: &ClaimedRun) -> Members {
    let mut metadata = run_metadata(claimed);
    let thread = Json::from(json!(claimed.run.thread_id));
    metadata.insert("thread_id".into(), thread);
    metadata
}

fn configurable(config: &Json) -> Members {
    let config = config.members().unwrap_or_default();
    let configurable = config.get("configurable").and_then(Json::members);
    configurable.unwrap_or_default()
}
