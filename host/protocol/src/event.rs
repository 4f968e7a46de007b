//! One event of the protocol.

use std::sync::Arc;

use selvedge_model::Json;

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The whole state after a step.
    Values,
    /// What a node wrote.
    Updates,
    /// A checkpoint, by its id.
    Checkpoints,
    /// A message that is being made.
    Messages,
    /// A tool that is called.
    Tools,
    /// Whatever nodes emit.
    Custom,
    /// A run, or a graph within it, begins or ends.
    Lifecycle,
    /// A graph asks.
    Input,
    /// A task begins or ends.
    Tasks,
}

impl Method {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::Values,
        Self::Updates,
        Self::Checkpoints,
        Self::Messages,
        Self::Tools,
        Self::Custom,
        Self::Lifecycle,
        Self::Input,
        Self::Tasks,
    ];

    /// The word in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input.requested",
            other => other.channel(),
        }
    }

    /// The word by which clients ask for it.
    #[must_use]
    pub fn channel(self) -> &'static str {
        match self {
            Self::Values => "values",
            Self::Updates => "updates",
            Self::Checkpoints => "checkpoints",
            Self::Messages => "messages",
            Self::Tools => "tools",
            Self::Custom => "custom",
            Self::Lifecycle => "lifecycle",
            Self::Input => "input",
            Self::Tasks => "tasks",
        }
    }
}

/// A graph's place within its run: `["node:task", …]`, empty for the run's own.
pub type Namespace = Arc<[String]>;

/// Reads a namespace as checkpoints and streams have it: `node:task|…`.
#[must_use]
pub fn namespace(text: &str) -> Namespace {
    match text {
        "" => Arc::default(),
        path => path.split('|').map(str::to_owned).collect(),
    }
}

/// What is known of an event before its data is made: enough to say who wants it.
#[derive(Clone, Debug)]
pub struct Address {
    /// What it tells of.
    pub method: Method,
    /// Of which graph.
    pub namespace: Namespace,
    /// The name that a custom event has.
    pub name: Option<String>,
}

impl Address {
    /// Of an event without a name.
    #[must_use]
    pub fn new(method: Method, namespace: &Namespace) -> Self {
        Self {
            method,
            namespace: namespace.clone(),
            name: None,
        }
    }
}

/// An event as clients see it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its number, which rises over the thread, is the same for everybody, and stays what it is.
    pub seq: u64,
    /// The same for everybody and whenever it is read: clients tell by it what they have seen.
    pub id: String,
    /// What it tells of, and where.
    pub address: Address,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The node that it comes from, where clients are told.
    pub node: Option<String>,
    /// What happened.
    pub data: Json,
}

impl Event {
    /// Whether a run has come to its end.
    #[must_use]
    pub fn ends_a_run(&self) -> bool {
        let of_a_run =
            self.address.method == Method::Lifecycle && self.address.namespace.is_empty();
        of_a_run && !self.id.ends_with("|running")
    }

    /// The whole event as it is sent.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let namespace = Json::written(&self.address.namespace);
        let timestamp = Json::written(&self.timestamp);
        let node = self.node.as_deref().map(Json::string);
        let mut params = vec![
            ("namespace", &namespace),
            ("timestamp", &timestamp),
            ("data", &self.data),
        ];
        params.extend(node.as_ref().map(|node| ("node", node)));
        Json::object([
            ("type", &Json::string("event")),
            ("event_id", &Json::string(&self.id)),
            ("seq", &Json::written(&self.seq)),
            ("method", &Json::string(self.address.method.as_str())),
            ("params", &Json::object(params)),
        ])
    }
}
