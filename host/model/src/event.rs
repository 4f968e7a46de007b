//! What a stream of a run consists of.

use crate::Json;
use crate::run::StreamMode;

/// One event of a run's stream. It is made once and shared by all its readers.
#[derive(Clone, Debug)]
pub struct StreamEvent {
    /// What it shows.
    pub kind: EventKind,
    /// `""` for the root graph, else the path of the subgraph that it comes from, `node:task|…`.
    pub namespace: String,
    /// What happened.
    pub data: Json,
}

/// What an event shows, hence who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The run began: always first, always shown.
    Metadata,
    /// Shown to those who asked for the mode.
    Mode(StreamMode),
    /// The run failed: always shown.
    Error,
}

impl StreamEvent {
    /// The name in `event:` of a server-sent event, without the namespace.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind {
            EventKind::Metadata => "metadata",
            EventKind::Mode(StreamMode::MessagesTuple) => "messages",
            EventKind::Mode(mode) => mode.as_str(),
            EventKind::Error => "error",
        }
    }
}
