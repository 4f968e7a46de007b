//! Why a node did not do its work: the structured error that the host, its retry policies and callers see.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Debug, Display};

use crate::http::HttpError;
use crate::update::Update;

/// What a node returns.
pub type NodeResult<S> = Result<Update<S>, NodeError>;

/// A node's failure: a kind that callers can compare, a message for people, and whether trying again may help.
///
/// Every [`std::error::Error`] becomes one through `?`. Its kind is then `ValueError` for the parse errors of std,
/// `JsonError` for serde_json's, the kinds of [`HttpError`], and the type's own name for anything else. Use
/// [`NodeError::new`] to say it yourself.
///
/// It also carries an interrupt up through `?`, see [`Context::interrupt`](crate::Context::interrupt): such an error
/// is not a failure and only the SDK can make one. Hand it on; do not turn it into something else.
pub struct NodeError {
    kind: Cow<'static, str>,
    message: String,
    retryable: bool,
    interrupted: bool,
}

impl NodeError {
    /// A failure that trying again does not mend.
    pub fn new(kind: impl Into<Cow<'static, str>>, message: impl Display) -> Self {
        Self {
            kind: kind.into(),
            message: message.to_string(),
            retryable: false,
            interrupted: false,
        }
    }

    /// A failure of kind `ValueError`: what the node was given cannot be worked with.
    pub fn value(message: impl Display) -> Self {
        Self::new("ValueError", message)
    }

    /// The same failure, marked as one that trying again may mend. Whether it is tried again is up to the node's
    /// retry policies, see [`Retry`](crate::Retry).
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    pub(crate) fn interrupted() -> Self {
        Self {
            interrupted: true,
            ..Self::new("GraphInterrupt", "waits for an answer")
        }
    }

    /// The short name that callers see as `error`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What happened, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Whether this is an interrupt on its way to the host and not a failure. Code that handles errors by itself
    /// (a loop over tools, a fallback) must hand such an error on.
    #[must_use]
    pub fn is_interrupt(&self) -> bool {
        self.interrupted
    }
}

impl Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl Debug for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("retryable", &self.retryable)
            .finish_non_exhaustive()
    }
}

// `NodeError` is no `std::error::Error` itself, so that this can hold for all others.
impl<E: Error + 'static> From<E> for NodeError {
    fn from(error: E) -> Self {
        let any: &dyn Any = &error;
        if let Some(http) = any.downcast_ref::<HttpError>() {
            return Self {
                retryable: http.is_retryable(),
                ..Self::new(http.kind(), http)
            };
        }
        Self::new(kind_of::<E>(any), with_sources(&error))
    }
}

fn kind_of<E>(error: &dyn Any) -> &'static str {
    use std::num::{ParseFloatError, ParseIntError, TryFromIntError};
    if error.is::<serde_json::Error>() {
        "JsonError"
    } else if error.is::<ParseIntError>()
        || error.is::<ParseFloatError>()
        || error.is::<TryFromIntError>()
    {
        "ValueError"
    } else {
        let name = std::any::type_name::<E>();
        let name = name.split('<').next().unwrap_or(name);
        name.rsplit("::").next().unwrap_or(name)
    }
}

/// `error: its cause: the cause's cause`.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<i32, NodeError> {
        Ok(text.parse::<i32>()?)
    }

    #[test]
    fn an_error_of_std_gets_a_kind_by_the_question_mark() {
        let error = parse("x").unwrap_err();
        assert_eq!(error.kind(), "ValueError");
        assert_eq!(error.message(), "invalid digit found in string");
        assert!(!error.is_retryable());
    }

    #[test]
    fn an_error_of_the_author_has_its_types_name_as_kind() {
        #[derive(Debug)]
        struct OutOfStock;
        impl Display for OutOfStock {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nothing left")
            }
        }
        impl Error for OutOfStock {}
        let error = NodeError::from(OutOfStock);
        assert_eq!(
            (error.kind(), error.message()),
            ("OutOfStock", "nothing left")
        );
    }
}
