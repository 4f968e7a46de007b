//! What a struct must say to be a graph's state, and how its keys combine concurrent writes.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::NodeError;
use crate::update::Update;

/// The state of a graph. Implement it with `#[derive(State)]`, beside serde's and schemars' derives.
///
/// A node and a branch get the struct as serde reads it from the channels that have a value. A channel without one
/// (a last value that nobody wrote yet) is absent: make such a field an `Option`, or give it `#[serde(default)]`.
pub trait State: Serialize + DeserializeOwned + JsonSchema + 'static {
    /// The struct's name, for messages.
    const NAME: &'static str;

    /// The keys of the state.
    fn channels() -> &'static [Channel];

    /// An empty update, to be filled by the setters that the derive made: `Chat::update().summary("short")`.
    fn update() -> Update<Self> {
        Update::new()
    }
}

/// A reducer of the author's: from the current value and the writes of one super-step, as JSON texts, to the next value.
pub type Reduce = fn(&str, &str) -> Result<String, NodeError>;

/// A key of the state.
pub struct Channel {
    /// Its name.
    pub name: &'static str,
    /// What becomes of the writes of one super-step.
    pub reducer: Reducer,
    /// Makes the value before the first write.
    pub default: Option<fn() -> Value>,
    /// For [`Reducer::Custom`].
    pub reduce: Option<Reduce>,
}

/// What becomes of the writes of one super-step to a channel. All but `Custom` are done by the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reducer {
    /// The written value replaces the old; two writes in one step are an `InvalidUpdateError`.
    LastValue,
    /// Lists are joined. Starts as `[]`.
    Append,
    /// Chat messages, appended or replaced by id. Starts as `[]`.
    AddMessages,
    /// Objects are merged at their top level. Starts as `{}`.
    Merge,
    /// Numbers are added. Starts as `0`.
    Sum,
    /// The last write wins and several are fine.
    AnyValue,
    /// Holds what was written for exactly one step.
    Ephemeral,
    /// As last value, but never part of a checkpoint.
    Untracked,
    /// A function of the author's.
    Custom,
}

impl Reducer {
    /// As `describe` spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LastValue => "last_value",
            Self::Append => "append",
            Self::AddMessages => "add_messages",
            Self::Merge => "merge",
            Self::Sum => "sum",
            Self::AnyValue => "any_value",
            Self::Ephemeral => "ephemeral",
            Self::Untracked => "untracked",
            Self::Custom => "custom",
        }
    }

    /// Whether the channel has a value before anyone writes to it.
    pub(crate) fn starts_filled(self) -> bool {
        matches!(
            self,
            Self::Append | Self::AddMessages | Self::Merge | Self::Sum
        )
    }
}

/// A value for a channel of type `Option<T>`: anything that is `Into<T>`, or an `Option<T>`.
///
/// `Form` tells the two apart for the compiler; it is never written out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written to a channel of type `Option<{T}>`",
    note = "a value that is `Into<{T}>` can, and so can an `Option<{T}>`"
)]
pub trait IntoOption<T, Form> {
    /// The value to write.
    fn into_option(self) -> Option<T>;
}

/// The value itself, for [`IntoOption`].
pub struct Plain;
/// An option, for [`IntoOption`].
pub struct Whole;

impl<T, U: Into<T>> IntoOption<T, Plain> for U {
    fn into_option(self) -> Option<T> {
        Some(self.into())
    }
}

impl<T> IntoOption<T, Whole> for Option<T> {
    fn into_option(self) -> Option<T> {
        self
    }
}

/// Called by the code that `#[derive(State)]` writes.
#[doc(hidden)]
pub mod private {
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    use crate::error::NodeError;

    /// A default as JSON.
    pub fn value<T: Serialize>(value: &T) -> Value {
        serde_json::to_value(value).expect("the default of a channel can be written as JSON")
    }

    /// Folds the writes of one super-step into the current value with the author's function.
    pub fn fold<T, W>(
        current: &str,
        updates: &str,
        start: impl FnOnce() -> T,
        combine: impl Fn(T, W) -> T,
    ) -> Result<String, NodeError>
    where
        T: Serialize + DeserializeOwned,
        W: DeserializeOwned,
    {
        let refuse = |what: &str, e: serde_json::Error| {
            NodeError::new("InvalidUpdateError", format!("{what}: {e}"))
        };
        let current = match current {
            "null" => start(),
            text => serde_json::from_str(text).map_err(|e| refuse("the current value", e))?,
        };
        let updates: Vec<W> =
            serde_json::from_str(updates).map_err(|e| refuse("a written value", e))?;
        Ok(serde_json::to_string(
            &updates.into_iter().fold(current, combine),
        )?)
    }
}
