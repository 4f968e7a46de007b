//! `extract`: parts of a thread under names of the caller's choice: `{"last": "values.messages[-1].content"}`.

use std::collections::BTreeMap;

use selvedge_model::Json;
use selvedge_model::thread::Thread;

use super::Fields;
use super::searches::OF_THREADS;
use crate::error::{ApiError, ApiResult};

/// The most parts of one search.
const MOST_PARTS: usize = 10;
/// The longest path; none that leads anywhere is near it.
const LONGEST_PATH_BYTES: usize = 1024;

/// What to extract; nothing when it is empty.
pub(crate) struct Extract(Vec<(String, Path)>);

#[derive(Debug, PartialEq, Eq)]
struct Path {
    root: Root,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    Config,
    Interrupts,
    Metadata,
    Values,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// `.name`
    Member(String),
    /// `[n]`; below 0 counted from the end.
    Item(i64),
}

impl Extract {
    pub(crate) fn read(fields: &Fields) -> ApiResult<Self> {
        let asked: BTreeMap<String, String> = fields
            .typed("extract", "\"object\" of paths")?
            .unwrap_or_default();
        if asked.len() > MOST_PARTS {
            return Err(ApiError::invalid(format!(
                "extract: more than {MOST_PARTS} paths"
            )));
        }
        let part = |(alias, path): (String, String)| {
            check_alias(&alias)?;
            Ok((alias, Path::parse(&path)?))
        };
        asked
            .into_iter()
            .map(part)
            .collect::<ApiResult<_>>()
            .map(Self)
    }

    pub(crate) fn reads_values(&self) -> bool {
        self.0.iter().any(|(_, path)| path.root == Root::Values)
    }

    /// A thread's row with the member `extracted`, when something was asked for.
    pub(crate) fn add_to(&self, row: Json, thread: &Thread) -> Json {
        let Some(mut members) = row.members().filter(|_| !self.0.is_empty()) else {
            return row;
        };
        let parts: Vec<(&str, Json)> = self
            .0
            .iter()
            .map(|(alias, path)| (alias.as_str(), path.of(thread)))
            .collect();
        let extracted = Json::object(parts.iter().map(|(alias, part)| (alias, part)));
        members.insert("extracted".to_owned(), extracted);
        Json::object(&members)
    }
}

fn check_alias(alias: &str) -> ApiResult<()> {
    if OF_THREADS.contains(&alias) || matches!(alias, "error" | "ttl") {
        return Err(ApiError::invalid(format!(
            "Extract keys cannot use reserved field names: ['{alias}']"
        )));
    }
    let mut letters = alias.chars();
    let begins = letters
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_');
    if begins && letters.all(|c| c.is_alphanumeric() || c == '_') {
        Ok(())
    } else {
        Err(ApiError::invalid(format!(
            "Extract key {alias:?} is not an identifier"
        )))
    }
}

impl Path {
    fn parse(text: &str) -> ApiResult<Self> {
        let malformed = || ApiError::invalid(format!("Extract path '{text}' is malformed"));
        if text.len() > LONGEST_PATH_BYTES {
            return Err(ApiError::invalid(format!(
                "extract: a path is longer than {LONGEST_PATH_BYTES} bytes"
            )));
        }
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (root, mut rest) = text.split_at(end);
        let root = match root {
            "config" => Root::Config,
            "interrupts" => Root::Interrupts,
            "metadata" => Root::Metadata,
            "values" => Root::Values,
            _ => {
                return Err(ApiError::invalid(format!(
                    "Extract path '{text}' must start with one of: config, interrupts, metadata, values"
                )));
            }
        };
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, behind) = step(rest).ok_or_else(malformed)?;
            steps.push(step);
            rest = behind;
        }
        Ok(Self { root, steps })
    }

    /// `null` where the path leads nowhere.
    fn of(&self, thread: &Thread) -> Json {
        let root = match self.root {
            Root::Config => Some(thread.config.clone()),
            Root::Metadata => Some(thread.metadata.clone()),
            Root::Values => thread.values.clone(),
            Root::Interrupts => {
                let outcome = thread.outcome.as_ref();
                outcome.map(|outcome| Json::written(&outcome.interrupts))
            }
        };
        let mut at = root.unwrap_or_else(Json::null);
        for step in &self.steps {
            let next = match step {
                Step::Member(name) => at.members().and_then(|mut m| m.swap_remove(name)),
                Step::Item(index) => at.items().and_then(|items| item(items, *index)),
            };
            match next {
                Some(next) => at = next,
                None => return Json::null(),
            }
        }
        at
    }
}

/// The first step of a path, and what is behind it.
fn step(path: &str) -> Option<(Step, &str)> {
    if let Some(inside) = path.strip_prefix('[') {
        let (index, behind) = inside.split_once(']')?;
        return Some((Step::Item(index.parse().ok()?), behind));
    }
    let path = path.strip_prefix('.')?;
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, behind) = path.split_at(end);
    (!name.is_empty()).then(|| (Step::Member(name.to_owned()), behind))
}

fn item(mut items: Vec<Json>, index: i64) -> Option<Json> {
    let from_the_front = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => items
            .len()
            .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    (from_the_front < items.len()).then(|| items.swap_remove(from_the_front))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_step_by_step() {
        let path = Path::parse("values.messages[-1].content").ok().unwrap();
        let member = |name: &str| Step::Member(name.to_owned());
        assert_eq!(path.root, Root::Values);
        assert_eq!(
            path.steps,
            [member("messages"), Step::Item(-1), member("content")]
        );
        assert!(Path::parse("metadata").ok().unwrap().steps.is_empty());
        for malformed in [
            "",
            "nowhere.a",
            "values.",
            "values..a",
            "values[x]",
            "values[1",
            "values[1]a",
        ] {
            assert!(Path::parse(malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn items_are_counted_from_either_end() {
        let items = || Json::parse("[1,2,3]").unwrap().items().unwrap();
        let found = |index| item(items(), index).map(|json| json.as_str().to_owned());
        assert_eq!(found(0).as_deref(), Some("1"));
        assert_eq!(found(-3).as_deref(), Some("1"));
        assert_eq!(found(-1).as_deref(), Some("3"));
        assert_eq!((found(3), found(-4), found(i64::MIN)), (None, None, None));
    }
}
