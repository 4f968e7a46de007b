//! The two versions of the protocol that agents speak: the names of methods say which, and what is said in each.

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// 0.3: every object says what kind it is.
    V03,
    /// 1.0: the JSON form of Protocol Buffers messages.
    V10,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Send,
    Stream,
    Get,
    List,
    Cancel,
    Subscribe,
    Card,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Submitted,
    Working,
    InputRequired,
    Completed,
    Failed,
    Canceled,
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Agent,
}

impl Method {
    pub(super) fn parse(name: &str) -> Option<(Self, Dialect)> {
        use Dialect::{V03, V10};
        Some(match name {
            "message/send" => (Self::Send, V03),
            "message/stream" => (Self::Stream, V03),
            "tasks/get" => (Self::Get, V03),
            "tasks/cancel" => (Self::Cancel, V03),
            "tasks/resubscribe" => (Self::Subscribe, V03),
            "agent/getAuthenticatedExtendedCard" => (Self::Card, V03),
            "SendMessage" => (Self::Send, V10),
            "SendStreamingMessage" => (Self::Stream, V10),
            "GetTask" => (Self::Get, V10),
            "ListTasks" => (Self::List, V10),
            "CancelTask" => (Self::Cancel, V10),
            "SubscribeToTask" => (Self::Subscribe, V10),
            "GetExtendedAgentCard" => (Self::Card, V10),
            _ => return None,
        })
    }
}

impl Dialect {
    /// What `kind` says, where it is said.
    pub(super) fn kind(self, kind: &'static str) -> Option<&'static str> {
        (self == Self::V03).then_some(kind)
    }

    pub(super) fn state(self, state: State) -> &'static str {
        let (v03, v10) = match state {
            State::Submitted => ("submitted", "TASK_STATE_SUBMITTED"),
            State::Working => ("working", "TASK_STATE_WORKING"),
            State::InputRequired => ("input-required", "TASK_STATE_INPUT_REQUIRED"),
            State::Completed => ("completed", "TASK_STATE_COMPLETED"),
            State::Failed => ("failed", "TASK_STATE_FAILED"),
            State::Canceled => ("canceled", "TASK_STATE_CANCELED"),
        };
        match self {
            Self::V03 => v03,
            Self::V10 => v10,
        }
    }

    pub(super) fn role(self, role: Role) -> &'static str {
        match (self, role) {
            (Self::V03, Role::User) => "user",
            (Self::V03, Role::Agent) => "agent",
            (Self::V10, Role::User) => "ROLE_USER",
            (Self::V10, Role::Agent) => "ROLE_AGENT",
        }
    }
}

impl Role {
    /// In either dialect.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "user" | "ROLE_USER" => Some(Self::User),
            "agent" | "ROLE_AGENT" => Some(Self::Agent),
            _ => None,
        }
    }
}

impl State {
    /// In either dialect.
    pub(super) fn parse(word: &str) -> Option<Self> {
        const ALL: [State; 6] = [
            State::Submitted,
            State::Working,
            State::InputRequired,
            State::Completed,
            State::Failed,
            State::Canceled,
        ];
        let dialects = [Dialect::V03, Dialect::V10];
        let is_called = |state: &State| dialects.iter().any(|said| said.state(*state) == word);
        ALL.into_iter().find(is_called)
    }

    /// Whether nothing more comes of the task.
    pub(super) fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }
}
