//! `select`: which members of a resource the caller wants to see.

use indexmap::IndexMap;
use selvedge_model::Json;
use serde::Serialize;

/// Names of members that the resource has; `None` means all of them.
pub(crate) struct Selection(Option<Vec<String>>);

impl Selection {
    /// Checks what was asked for; the names that the resource does not have when there are such.
    pub(crate) fn new(asked: Option<Vec<String>>, known: &[&str]) -> Result<Self, Vec<String>> {
        let unknown: Vec<String> = asked
            .iter()
            .flatten()
            .filter(|name| !known.contains(&name.as_str()))
            .cloned()
            .collect();
        if unknown.is_empty() {
            // Nothing asked for is nothing left out, as in LangGraph.
            Ok(Self(asked.filter(|names| !names.is_empty())))
        } else {
            Err(unknown)
        }
    }

    /// Exactly these.
    pub(crate) fn all_of(names: &[&str]) -> Self {
        Self(Some(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    /// Whether a member is among what is shown.
    pub(crate) fn shows(&self, name: &str) -> bool {
        let Self(chosen) = self;
        chosen
            .as_ref()
            .is_none_or(|chosen| chosen.iter().any(|known| known == name))
    }

    /// A resource with the chosen members only, in the resource's order.
    pub(crate) fn of<T: Serialize>(&self, resource: &T) -> Json {
        let whole = Json::written(resource);
        let (Some(chosen), Some(members)) = (&self.0, whole.members()) else {
            return whole;
        };
        let shown: IndexMap<String, Json> = members
            .into_iter()
            .filter(|(name, _)| chosen.contains(name))
            .collect();
        Json::object(&shown)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KNOWN: [&str; 2] = ["a", "b"];

    fn selection(names: &[&str]) -> Result<Selection, Vec<String>> {
        Selection::new(
            Some(names.iter().map(|name| (*name).to_owned()).collect()),
            &KNOWN,
        )
    }

    #[test]
    fn only_what_was_chosen_is_shown_and_everything_without_a_choice() {
        let resource = json!({"a": 1, "b": 2});
        let shown = selection(&["b"]).ok().unwrap().of(&resource);
        assert_eq!(shown.as_str(), r#"{"b":2}"#);
        for all in [None, Some(Vec::new())] {
            let shown = Selection::new(all, &KNOWN).ok().unwrap().of(&resource);
            assert_eq!(shown.as_str(), r#"{"a":1,"b":2}"#);
        }
    }

    #[test]
    fn names_that_the_resource_does_not_have_are_told() {
        assert_eq!(selection(&["a", "x", "y"]).err().unwrap(), ["x", "y"]);
    }
}
