//! Reading and writing the values of channels, segment by segment. See [`places`](super::places).

use rusqlite::{Connection, params};
use selvedge_model::Json;
use selvedge_model::checkpoint::{Change, ChannelValue};

use super::error::unreadable;
use super::places::{ListPlace, Place};
use super::writer::Desk;
use crate::StorageError;

/// A list is written anew in full once what was appended is as large as the list was, so that a list is never
/// read from many more rows than it needs and the segments of a thread stay within three times its content; but
/// not before this much was appended, or short lists would be rewritten at every step.
const MIN_GROWTH_BYTES: i64 = 32 << 10;

/// Applies a change to a channel whose place is `before`; the place that it has then.
pub(super) fn apply(
    desk: &mut Desk<'_>,
    thread: i64,
    before: Option<Place>,
    change: &Change,
) -> Result<Option<Place>, StorageError> {
    match change {
        Change::Clear => Ok(None),
        Change::Set(ChannelValue::Whole(json)) => {
            let segment = begin_segment(desk, thread, json.as_str())?;
            Ok(Some(Place::Whole { segment }))
        }
        Change::Set(ChannelValue::List(items)) => {
            begin_list(desk, thread, Json::array(items.iter()).as_str()).map(Some)
        }
        Change::Append(items) => append(desk, thread, before, items).map(Some),
    }
}

fn append(
    desk: &mut Desk<'_>,
    thread: i64,
    before: Option<Place>,
    items: &[Json],
) -> Result<Place, StorageError> {
    let added = Json::array(items);
    match before {
        None => begin_list(desk, thread, added.as_str()),
        Some(Place::List(list)) if items.is_empty() => Ok(Place::List(list)),
        Some(Place::List(list)) => {
            let grown = list.grown + length(added.as_str());
            if grown <= list.full.max(MIN_GROWTH_BYTES)
                && extend(desk, thread, &list, added.as_str())?
            {
                return Ok(Place::List(ListPlace {
                    index: list.index + 1,
                    grown,
                    ..list
                }));
            }
            let text = list_text(desk.conn, thread, &list, Some(added.as_str()))?;
            begin_list(desk, thread, &text)
        }
        Some(Place::Whole { segment }) => {
            // A list that was stored as a whole value.
            let text = whole_text(desk.conn, thread, segment)?;
            if !text.starts_with('[') {
                return Err(StorageError::Failed(
                    "items were appended to a channel that does not hold a list".to_owned(),
                ));
            }
            let mut joined = JoinedArray::default();
            joined.push(&text);
            joined.push(added.as_str());
            begin_list(desk, thread, &joined.finish())
        }
    }
}

/// Adds a row behind the last one of the place; `false` when someone else has grown the segment from there, which
/// is what a fork finds.
fn extend(
    desk: &Desk<'_>,
    thread: i64,
    list: &ListPlace,
    data: &str,
) -> Result<bool, StorageError> {
    let inserted = desk
        .conn
        .prepare_cached(
            "INSERT INTO channel_value (thread, segment, idx, data) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![thread, list.segment, list.index + 1, data])?;
    Ok(inserted == 1)
}

fn begin_list(desk: &mut Desk<'_>, thread: i64, data: &str) -> Result<Place, StorageError> {
    Ok(Place::List(ListPlace {
        segment: begin_segment(desk, thread, data)?,
        index: 0,
        full: length(data),
        grown: 0,
    }))
}

fn begin_segment(desk: &mut Desk<'_>, thread: i64, data: &str) -> Result<i64, StorageError> {
    let segment = match desk.memory.next_segment(thread) {
        Some(segment) => segment,
        None => desk
            .conn
            .prepare_cached(
                "SELECT ifnull(max(segment), -1) + 1 FROM channel_value WHERE thread = ?1",
            )?
            .query_row([thread], |row| row.get(0))?,
    };
    desk.conn
        .prepare_cached(
            "INSERT INTO channel_value (thread, segment, idx, data) VALUES (?1, ?2, 0, ?3)",
        )?
        .execute(params![thread, segment, data])?;
    desk.memory.set_next_segment(thread, segment + 1);
    Ok(segment)
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

/// Reads a value back.
pub(super) fn load(
    conn: &Connection,
    thread: i64,
    place: &Place,
) -> Result<ChannelValue, StorageError> {
    match place {
        Place::Whole { segment } => {
            let text = whole_text(conn, thread, *segment)?;
            let json = Json::stored(text).map_err(|e| unreadable("value", e))?;
            Ok(ChannelValue::Whole(json))
        }
        Place::List(list) => {
            let mut items = Vec::new();
            for_each_row(conn, thread, list, |data| {
                let more = Json::stored_items(data).map_err(|e| unreadable("list", e))?;
                items.extend(more);
                Ok(())
            })?;
            Ok(ChannelValue::List(items.into()))
        }
    }
}

/// Reads a value back as one text, without looking into it.
pub(super) fn load_text(
    conn: &Connection,
    thread: i64,
    place: &Place,
) -> Result<String, StorageError> {
    match place {
        Place::Whole { segment } => whole_text(conn, thread, *segment),
        Place::List(list) => list_text(conn, thread, list, None),
    }
}

fn whole_text(conn: &Connection, thread: i64, segment: i64) -> Result<String, StorageError> {
    let text = conn
        .prepare_cached(
            "SELECT data FROM channel_value WHERE thread = ?1 AND segment = ?2 AND idx = 0",
        )?
        .query_row([thread, segment], |row| row.get(0))?;
    Ok(text)
}

fn list_text(
    conn: &Connection,
    thread: i64,
    list: &ListPlace,
    added: Option<&str>,
) -> Result<String, StorageError> {
    let mut joined = JoinedArray::default();
    for_each_row(conn, thread, list, |data| {
        joined.push(data);
        Ok(())
    })?;
    joined.push(added.unwrap_or("[]"));
    Ok(joined.finish())
}

fn for_each_row(
    conn: &Connection,
    thread: i64,
    list: &ListPlace,
    mut each: impl FnMut(&str) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT data FROM channel_value WHERE thread = ?1 AND segment = ?2 AND idx <= ?3 ORDER BY idx",
    )?;
    let mut rows = statement.query([thread, list.segment, list.index])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        each(
            row.get_ref(0)?
                .as_str()
                .map_err(|e| unreadable("list", e))?,
        )?;
        count += 1;
    }
    if count != list.index + 1 {
        return Err(unreadable("list", "a part of it is missing"));
    }
    Ok(())
}

/// Joins the texts of arrays into the text of one, without parsing them.
#[derive(Default)]
struct JoinedArray {
    text: String,
}

impl JoinedArray {
    fn push(&mut self, array: &str) {
        let inner = array
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or_default();
        if inner.is_empty() {
            return;
        }
        self.text.push(if self.text.is_empty() { '[' } else { ',' });
        self.text.push_str(inner);
    }

    fn finish(mut self) -> String {
        if self.text.is_empty() {
            self.text.push('[');
        }
        self.text.push(']');
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_joined_as_texts() {
        let join = |parts: &[&str]| {
            let mut joined = JoinedArray::default();
            parts.iter().for_each(|part| joined.push(part));
            joined.finish()
        };
        assert_eq!(join(&[]), "[]");
        assert_eq!(join(&["[]", "[1,2]", "[]", r#"["]"]"#]), r#"[1,2,"]"]"#);
    }
}
