//! What single events tell, from the words of the stream modes to those of the protocol. What it takes to know of the run
//! besides is the translator's.

use selvedge_model::Json;
use serde::Deserialize;
use serde_json::json;

use crate::event::{Address, Method, Namespace};
use crate::out::Out;
use crate::tree::Status;

/// The end of a task.
pub(crate) struct EndedTask {
    pub(crate) id: String,
    pub(crate) status: Status,
    /// Questions, if it stopped to ask.
    pub(crate) asks: Option<Json>,
}

impl EndedTask {
    /// `None`: the task begins.
    pub(crate) fn read(data: &Json) -> Option<Self> {
        #[derive(Deserialize)]
        struct Ended {
            id: String,
            result: Option<Json>,
            error: Option<Json>,
            #[serde(default)]
            interrupts: Json,
        }
        let ended: Ended = data.decode().ok()?;
        ended.result?;
        let asks =
            Some(ended.interrupts).filter(|asked| asked.is_array() && asked.as_str() != "[]");
        let status = match ended.error {
            _ if asks.is_some() => Status::Interrupted,
            Some(error) if !error.is_null() => Status::Failed,
            _ => Status::Completed,
        };
        Some(Self {
            id: ended.id,
            status,
            asks,
        })
    }
}

/// A checkpoint, by its id.
pub(crate) struct Checkpoint {
    pub(crate) id: String,
    parent: Option<String>,
    step: i64,
    source: String,
}

impl Checkpoint {
    pub(crate) fn read(data: &Json) -> Option<Self> {
        #[derive(Deserialize)]
        struct Shown {
            config: Config,
            parent_config: Option<Config>,
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Config {
            configurable: Configurable,
        }
        #[derive(Deserialize)]
        struct Configurable {
            checkpoint_id: Option<String>,
        }
        #[derive(Deserialize)]
        struct Metadata {
            step: i64,
            source: String,
        }
        let shown: Shown = data.decode().ok()?;
        Some(Self {
            id: shown.config.configurable.checkpoint_id?,
            parent: shown
                .parent_config
                .and_then(|parent| parent.configurable.checkpoint_id),
            step: shown.metadata.step,
            source: shown.metadata.source,
        })
    }

    pub(crate) fn to_json(&self) -> Json {
        let mut envelope = json!({"id": self.id, "step": self.step, "source": self.source});
        if let Some(parent) = &self.parent {
            envelope["parent_id"] = json!(parent);
        }
        Json::from(envelope)
    }
}

/// One with a name is found by it; then its payload is what is in the member `payload`, or all of it.
pub(crate) fn custom(place: &Namespace, data: &Json, out: &mut Out<'_>) {
    let members = data.members();
    let member = |name: &str| members.as_ref().and_then(|members| members.get(name));
    let name: Option<String> = member("name").and_then(|name| name.decode().ok());
    let payload = match &name {
        Some(_) => member("payload").unwrap_or(data),
        None => data,
    };
    let address = Address {
        name: name.clone(),
        ..Address::new(Method::Custom, place)
    };
    out.put(address, None, || match &name {
        Some(name) => Json::object([("name", &Json::string(name)), ("payload", payload)]),
        None => Json::object([("payload", payload)]),
    });
}

/// From the words of the stream mode `tools`.
pub(crate) fn tool(place: &Namespace, data: &Json, out: &mut Out<'_>) {
    let members = data.members().unwrap_or_default();
    let word = |name: &str| {
        members
            .get(name)
            .and_then(|word| word.decode::<String>().ok())
    };
    let part = |name: &str| members.get(name).cloned().unwrap_or_default();
    let told = match word("event").as_deref() {
        Some("on_tool_start") => vec![
            ("event", Json::string("tool-started")),
            ("tool_call_id", part("toolCallId")),
            ("tool_name", part("name")),
            ("input", part("input")),
        ],
        Some("on_tool_event") => vec![
            ("event", Json::string("tool-output-delta")),
            ("tool_call_id", part("toolCallId")),
            ("delta", part("data")),
        ],
        Some("on_tool_end") => vec![
            ("event", Json::string("tool-finished")),
            ("tool_call_id", part("toolCallId")),
            ("output", part("output")),
        ],
        Some("on_tool_error") => vec![
            ("event", Json::string("tool-error")),
            ("tool_call_id", part("toolCallId")),
            ("message", part("error")),
        ],
        _ => return,
    };
    out.put(Address::new(Method::Tools, place), None, || {
        Json::object(told.iter().map(|(name, value)| (name, value)))
    });
}
