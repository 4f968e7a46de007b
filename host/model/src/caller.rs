//! Who asks, and on whose behalf something is looked at or changed.

use std::fmt;
use std::sync::Arc;

use crate::Timestamp;

/// The longest identity, in bytes: it stands in every row that belongs to it.
pub const MAX_IDENTITY_BYTES: usize = 255;

/// The permission of operators, who see and change everything.
pub const OPERATOR: &str = "admin";

/// What an authenticated caller is known by, and what belongs to them is marked with.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(Arc<str>);

impl Identity {
    /// From the name of a key or a claim of a token: 1 to [`MAX_IDENTITY_BYTES`] bytes, no control characters.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=MAX_IDENTITY_BYTES).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.into()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// On whose behalf storage is asked. Every promise of storage that a caller's request can reach takes one, so that
/// nobody can forget to say; what is not within it does not exist for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The host's own, and everybody's where authentication is off: everything is within it, and what is created belongs
    /// to nobody.
    Host,
    /// A caller's: what is theirs, and to read and run the assistants of the configuration.
    Of(Identity),
    /// An operator's: everything is within it, and what they create is theirs.
    Operator(Identity),
}

impl Scope {
    /// Of whoever something belongs to; the host's for what belongs to nobody.
    #[must_use]
    pub fn of_owner(owner: Option<Identity>) -> Self {
        owner.map_or(Self::Host, Self::Of)
    }

    /// Whom that belongs to which is created.
    #[must_use]
    pub fn owner(&self) -> Option<&Identity> {
        match self {
            Self::Host => None,
            Self::Of(identity) | Self::Operator(identity) => Some(identity),
        }
    }

    /// Whose rows alone are within it; `None`: everybody's and nobody's.
    #[must_use]
    pub fn only(&self) -> Option<&Identity> {
        match self {
            Self::Of(identity) => Some(identity),
            Self::Host | Self::Operator(_) => None,
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What there is for them.
    pub scope: Scope,
    /// What else is said of them: graphs are told.
    pub permissions: Arc<[String]>,
    /// When what they have shown is good no longer, where it says so.
    pub until: Option<Timestamp>,
}

impl Caller {
    /// The host itself, or anybody where authentication is off.
    #[must_use]
    pub fn host() -> Self {
        Self {
            scope: Scope::Host,
            permissions: Arc::default(),
            until: None,
        }
    }

    /// Somebody who has shown who they are. With the permission [`OPERATOR`] they are an operator.
    #[must_use]
    pub fn authenticated(identity: Identity, permissions: Arc<[String]>) -> Self {
        let scope = match permissions.iter().any(|permission| permission == OPERATOR) {
            true => Scope::Operator(identity),
            false => Scope::Of(identity),
        };
        Self {
            scope,
            permissions,
            until: None,
        }
    }

    /// Whether they may do what is for operators alone.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.scope.only().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_short_and_printable() {
        assert!(Identity::new("ann@example.com").is_some());
        assert!(Identity::new(&"a".repeat(MAX_IDENTITY_BYTES)).is_some());
        for refused in ["", "a\nb", "a\0b", &"a".repeat(MAX_IDENTITY_BYTES + 1)] {
            assert_eq!(Identity::new(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn the_permission_of_operators_lifts_the_bounds_and_not_the_ownership() {
        let ann = Identity::new("ann").unwrap();
        let permissions = |text: &str| Arc::from([text.to_owned()]);
        let caller = Caller::authenticated(ann.clone(), permissions("read"));
        assert_eq!(caller.scope.only(), Some(&ann));
        let operator = Caller::authenticated(ann.clone(), permissions(OPERATOR));
        assert_eq!(operator.scope.only(), None);
        assert_eq!(operator.scope.owner(), Some(&ann));
        assert_eq!(Caller::host().scope.owner(), None);
    }
}
