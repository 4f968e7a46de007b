//! Where the value of a channel is kept, and how a checkpoint row says so.
//!
//! The values of a thread are kept in numbered *segments*. A segment begins with a value at index 0; when that is
//! a list, what is appended to it follows at indices 1, 2, …. A checkpoint names, for each channel that holds
//! something, the segment and the last index that belongs to it, so that forks share what they have in common and
//! a step stores only what it changed.
//!
//! In the row: `{"messages":[7,3,12,5000,800]}` is version 7, segment 3, up to index 12, where the value at index
//! 0 has 5,000 bytes and the rest 800; `[7,3]` is a value that is not a list; `[7]` is a channel that is empty,
//! and a version of −1 is none. Names are spelled out: a table of names would save their
//! length in each row, and be a table that a graph can grow without end.

use std::collections::BTreeMap;
use std::fmt::Write;

use selvedge_model::checkpoint::Version;

use super::error::unreadable;
use crate::StorageError;

/// The place of each channel that holds something.
pub(super) type Places = BTreeMap<String, Place>;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The value at index 0 of a segment.
    Whole { segment: i64 },
    /// A list.
    List(ListPlace),
}

/// Where a list is: indices 0 to `index` of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListPlace {
    pub(super) segment: i64,
    pub(super) index: i64,
    /// Bytes at index 0.
    pub(super) full: i64,
    /// Bytes at the other indices.
    pub(super) grown: i64,
}

/// Writes the column `channels`.
pub(super) fn encode(versions: &BTreeMap<String, Version>, places: &Places) -> String {
    let mut text = String::with_capacity(32 * (versions.len() + 1));
    text.push('{');
    for (name, version) in versions {
        let version = i64::try_from(*version).unwrap_or(i64::MAX);
        push_entry(&mut text, name, version, places.get(name));
    }
    for (name, place) in places {
        if !versions.contains_key(name) {
            push_entry(&mut text, name, -1, Some(place));
        }
    }
    text.push('}');
    text
}

fn push_entry(text: &mut String, name: &str, version: i64, place: Option<&Place>) {
    if text.len() > 1 {
        text.push(',');
    }
    text.push_str(&serde_json::Value::from(name).to_string());
    // Writing to a String cannot fail.
    let _ = match place {
        None => write!(text, ":[{version}]"),
        Some(Place::Whole { segment }) => write!(text, ":[{version},{segment}]"),
        Some(Place::List(list)) => write!(
            text,
            ":[{version},{},{},{},{}]",
            list.segment, list.index, list.full, list.grown
        ),
    };
}

/// Reads the column `channels`.
pub(super) fn decode(text: &str) -> Result<(BTreeMap<String, Version>, Places), StorageError> {
    let entries: BTreeMap<String, Vec<i64>> =
        serde_json::from_str(text).map_err(|e| unreadable("checkpoint", e))?;
    let mut versions = BTreeMap::new();
    let mut places = Places::new();
    for (name, numbers) in entries {
        let (version, place) = match numbers[..] {
            [version] => (version, None),
            [version, segment] => (version, Some(Place::Whole { segment })),
            [version, segment, index, full, grown] => {
                let list = ListPlace {
                    segment,
                    index,
                    full,
                    grown,
                };
                (version, Some(Place::List(list)))
            }
            _ => return Err(unreadable("checkpoint", "an entry of unknown length")),
        };
        if let Ok(version) = Version::try_from(version) {
            versions.insert(name.clone(), version);
        }
        if let Some(place) = place {
            places.insert(name, place);
        }
    }
    Ok((versions, places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let list = ListPlace {
            segment: 9,
            index: 2,
            full: 100,
            grown: 20,
        };
        let places = Places::from([
            ("a \"b\"".to_owned(), Place::Whole { segment: 4 }),
            ("list".to_owned(), Place::List(list)),
            ("unversioned".to_owned(), Place::Whole { segment: 0 }),
        ]);
        let versions = BTreeMap::from([
            ("a \"b\"".to_owned(), 3),
            ("empty".to_owned(), 5),
            ("list".to_owned(), 8),
        ]);
        let text = encode(&versions, &places);
        assert_eq!(
            text,
            r#"{"a \"b\"":[3,4],"empty":[5],"list":[8,9,2,100,20],"unversioned":[-1,0]}"#
        );
        assert_eq!(decode(&text).unwrap(), (versions, places));
        assert!(decode(r#"{"a":[1,2,3]}"#).is_err());
    }
}
