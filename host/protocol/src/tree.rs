//! The graphs within a run's graph: which there are, and how each stands.

use selvedge_model::Json;
use serde::Serialize;

use crate::event::Namespace;

/// How a graph stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// One within another has begun.
    Started,
    /// A run has begun.
    Running,
    /// It has come to its end.
    Completed,
    /// It has failed.
    Failed,
    /// It waits for an answer, or was cancelled.
    Interrupted,
}

impl Status {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "started" => Self::Started,
            "running" => Self::Running,
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "interrupted" => Self::Interrupted,
            _ => return None,
        })
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Started | Self::Running)
    }
}

/// The most graphs within one run that are told apart: each is remembered while its run is the newest.
const MOST_NESTED: usize = 1_000;

/// One graph, and what is known of those within it.
#[derive(Clone, Debug, Serialize)]
pub struct Branch {
    /// Its place.
    pub namespace: Namespace,
    /// How it stands.
    pub status: Status,
    /// Its name.
    pub graph_name: String,
    /// Those within it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Branch>,
}

/// A graph within a run's.
#[derive(Clone, Debug)]
pub(crate) struct Nested {
    pub(crate) namespace: Namespace,
    pub(crate) status: Status,
}

impl Nested {
    /// The node that it is, for lack of a better name.
    pub(crate) fn graph_name(&self) -> &str {
        let last = self.namespace.last().map_or("", String::as_str);
        last.split(':').next().unwrap_or_default()
    }

    /// The task whose work it is.
    pub(crate) fn task(&self) -> Option<&str> {
        Some(self.namespace.last()?.split_once(':')?.1)
    }

    /// What is said when it begins.
    pub(crate) fn started(&self) -> Json {
        Json::from(serde_json::json!({
            "event": "started",
            "namespace": self.namespace.as_ref(),
            "graph_name": self.graph_name(),
            "trigger_call_id": self.task(),
        }))
    }
}

/// All graphs within a run's, outer ones first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nest(Vec<Nested>);

impl Nest {
    /// Notes where something was heard from; those that are new, outer ones first.
    pub(crate) fn heard_from(&mut self, namespace: &Namespace) -> Vec<Nested> {
        let mut new = Vec::new();
        for length in 1..=namespace.len() {
            let place = &namespace[..length];
            let known = self
                .0
                .iter()
                .any(|nested| nested.namespace.as_ref() == place);
            if !known && self.0.len() < MOST_NESTED {
                let nested = Nested {
                    namespace: place.into(),
                    status: Status::Started,
                };
                self.0.push(nested.clone());
                new.push(nested);
            }
        }
        new
    }

    /// Ends what a task of this graph was at work on, and everything within that; inner ones first.
    pub(crate) fn end_of_task(
        &mut self,
        namespace: &Namespace,
        task: &str,
        status: Status,
    ) -> Vec<Nested> {
        let parent = namespace.len();
        self.end(status, |nested| {
            nested.namespace.starts_with(namespace)
                && nested
                    .namespace
                    .get(parent)
                    .and_then(|s| s.split_once(':'))
                    .map(|s| s.1)
                    == Some(task)
        })
    }

    /// Ends everything; inner ones first.
    pub(crate) fn end_all(&mut self, status: Status) -> Vec<Nested> {
        self.end(status, |_| true)
    }

    fn end(&mut self, status: Status, which: impl Fn(&Nested) -> bool) -> Vec<Nested> {
        let open = self
            .0
            .iter_mut()
            .rev()
            .filter(|nested| !nested.status.is_terminal());
        let mut ended = Vec::new();
        for nested in open.filter(|nested| which(nested)) {
            nested.status = status;
            ended.push(nested.clone());
        }
        ended
    }

    /// As a tree below this root.
    pub(crate) fn below(&self, root: Branch) -> Branch {
        let mut root = root;
        // Outer ones come first, so that each finds its parent.
        for nested in &self.0 {
            let mut at = &mut root;
            while let Some(next) = at
                .children
                .iter()
                .position(|child| nested.namespace.starts_with(&child.namespace))
            {
                at = &mut at.children[next];
            }
            at.children.push(Branch {
                namespace: nested.namespace.clone(),
                status: nested.status,
                graph_name: nested.graph_name().to_owned(),
                children: Vec::new(),
            });
        }
        root
    }
}
