//! Where the check of a file stands: the names as the operator wrote them, and as the table writes them.

use std::collections::BTreeMap;
use std::fmt;

use super::keys::{self, Key};

/// The file that is checked, and which of its values came from a variable instead.
pub(super) struct Origin {
    /// The file as messages name it.
    pub(super) file: String,
    /// Path of a key to the variable that set it.
    pub(super) variables: BTreeMap<String, String>,
}

/// A value in the file.
#[derive(Clone)]
pub(super) struct Place<'a> {
    origin: &'a Origin,
    /// `graphs.agent.sandbox`, `egress.allowed_ports[1]`.
    shown: String,
    /// `graphs.*.sandbox`.
    pattern: String,
}

impl<'a> Place<'a> {
    pub(super) fn root(origin: &'a Origin) -> Self {
        Self {
            origin,
            shown: String::new(),
            pattern: String::new(),
        }
    }

    /// The member of that name and its row of the table, if the table knows it.
    pub(super) fn member(&self, name: &str) -> (Self, Option<&'static Key>) {
        let exact = join(&self.pattern, name);
        let chosen = join(&self.pattern, "*");
        // A dot in a name is part of the name: `"http.max_body_bytes"` is not the path of that key.
        let plain = name != "*" && !name.contains('.');
        let known = |pattern: &str| keys::find(pattern).filter(|_| plain);
        let (pattern, key) = match known(&exact) {
            Some(key) => (exact, Some(key)),
            None => match keys::find(&chosen) {
                Some(key) => (chosen, Some(key)),
                None => (exact, None),
            },
        };
        let place = Self {
            origin: self.origin,
            shown: join(&self.shown, name),
            pattern,
        };
        (place, key)
    }

    /// An element of a list.
    pub(super) fn element(&self, index: usize) -> Self {
        Self {
            shown: format!("{}[{index}]", self.shown),
            ..self.clone()
        }
    }

    /// An element of a list of objects, whose members have rows of their own in the table.
    pub(super) fn section(&self, index: usize) -> Self {
        Self {
            pattern: join(&self.pattern, "*"),
            ..self.element(index)
        }
    }

    /// The path as the table writes it.
    pub(super) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The path as the operator wrote it.
    pub(super) fn path(&self) -> &str {
        &self.shown
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let without_index = self.shown.split('[').next().unwrap_or_default();
        match self.origin.variables.get(without_index) {
            Some(variable) => write!(f, "variable {variable}"),
            None if self.shown.is_empty() => f.write_str(&self.origin.file),
            None => write!(f, "{}: {}", self.origin.file, self.shown),
        }
    }
}
