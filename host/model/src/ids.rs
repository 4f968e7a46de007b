//! Ids as types of their own, so that no run's id is ever passed where a thread's belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }
    };
}

id!(
    /// A run; UUIDv7.
    RunId
);
id!(
    /// A thread; UUIDv7 when the server makes it, any UUID when a client does.
    ThreadId
);
id!(
    /// An assistant; UUIDv4, or UUIDv5 of the graph's name for a graph's default assistant.
    AssistantId
);
id!(
    /// A checkpoint; UUIDv6 whose clock sequence is the step, so that ids sort by time (LangGraph's form).
    CheckpointId
);
id!(
    /// A task of one super-step; derived from the checkpoint, so that the same step run again has the same id.
    TaskId
);
id!(
    /// A cron; UUIDv7.
    CronId
);
id!(
    /// A webhook delivery; UUIDv7. The receiver sees it as `webhook-id`, the same on every attempt.
    DeliveryId
);

impl RunId {
    /// A new id that sorts after earlier ones.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

impl ThreadId {
    /// A new id that sorts after earlier ones.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for ThreadId {
    fn default() -> Self {
        Self::new()
    }
}

impl CronId {
    /// A new id that sorts after earlier ones.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for CronId {
    fn default() -> Self {
        Self::new()
    }
}

impl DeliveryId {
    /// A new id that sorts after earlier ones.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for DeliveryId {
    fn default() -> Self {
        Self::new()
    }
}

/// The namespace of default assistants' ids. It resembles those of RFC 4122 and is none of them: LangGraph's own.
const DEFAULT_ASSISTANTS: Uuid = Uuid::from_u128(0x6ba7_b821_9dad_11d1_80b4_00c0_4fd4_30c8);

impl AssistantId {
    /// The id of the assistant that every graph has from the start.
    #[must_use]
    pub fn default_of(graph_id: &str) -> Self {
        Self(Uuid::new_v5(&DEFAULT_ASSISTANTS, graph_id.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_assistants_have_langgraphs_ids() {
        for (graph, id) in [
            ("two", "4499204c-8eda-5495-a842-3696dc7527c7"),
            ("trivial", "014e7ba3-a6dc-5ad3-8da5-be77b72b54c9"),
            ("hitl", "d2a02ed8-fb92-5e43-81ea-cb78d82caa2f"),
        ] {
            assert_eq!(AssistantId::default_of(graph).to_string(), id);
        }
    }
}
