//! The history of a thread, and what it takes.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use selvedge_model::checkpoint::{Checkpoint, SavedCheckpoint};
use selvedge_model::{Scope, ThreadId};
use serde_json::{Value, json};

use super::contains::contains;
use super::load::{self, CHECKPOINT_COLUMNS, thread_key};
use super::places::{self, Place};
use crate::StorageError;
use crate::types::{HistoryQuery, Page, ThreadStorage, Usage};

/// What the checkpoints of one read weigh together; one always comes.
const MAX_READ_BYTES: usize = 16 << 20;

/// See [`Reads::history`](crate::Reads::history). The walk along the index ends when enough was found; a filter that
/// nothing matches makes it as long as the thread's history, of which only the metadata is looked at.
pub(super) fn read(
    conn: &Connection,
    scope: &Scope,
    query: &HistoryQuery,
) -> Result<Page<SavedCheckpoint>, StorageError> {
    let mut found = Page {
        rows: Vec::new(),
        more: false,
    };
    let Some(thread) = thread_key(conn, scope, query.thread_id)? else {
        return Ok(found);
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {CHECKPOINT_COLUMNS} FROM checkpoint WHERE thread = ?1 AND namespace = ?2 AND uuid < ?3 \
         ORDER BY uuid DESC"
    ))?;
    let newest = [u8::MAX; 17];
    let before: &[u8] = query.before.as_ref().map_or(&newest, |id| id.0.as_bytes());
    let wanted = query.metadata.as_ref().map(|wanted| wanted.to_value());
    let mut rows = statement.query(params![thread, query.namespace, before])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let snapshot = load::snapshot(row)?;
        if let Some(wanted) = &wanted
            && !contains(&shown(&snapshot.checkpoint), wanted)
        {
            continue;
        }
        if found.rows.len() >= query.limit as usize || bytes >= MAX_READ_BYTES {
            found.more = true;
            break;
        }
        let saved = load::fill(conn, thread, snapshot)?;
        bytes += saved.weight();
        found.rows.push(saved);
    }
    Ok(found)
}

/// The metadata as callers see it, with `source` and `step`, which are kept beside it.
fn shown(checkpoint: &Checkpoint) -> Value {
    let mut metadata = checkpoint.metadata.to_value();
    if let Value::Object(members) = &mut metadata {
        members.insert("source".to_owned(), json!(checkpoint.source));
        members.insert("step".to_owned(), json!(checkpoint.step));
        members.entry("parents").or_insert_with(|| json!({}));
    }
    metadata
}

/// See [`Reads::thread_storage`](crate::Reads::thread_storage). Reads everything that the thread has but its texts.
pub(super) fn storage(
    conn: &Connection,
    scope: &Scope,
    thread: ThreadId,
) -> Result<Option<ThreadStorage>, StorageError> {
    let Some(thread) = thread_key(conn, scope, thread)? else {
        return Ok(None);
    };
    let mut storage = ThreadStorage {
        checkpoints: usage(
            conn,
            "SELECT count(*), sum(octet_length(metadata) + octet_length(channels) + octet_length(seen) \
             + octet_length(updated)) FROM checkpoint WHERE thread = ?1",
            thread,
        )?,
        pending_writes: usage(
            conn,
            "SELECT count(*), sum(octet_length(value)) FROM pending_write WHERE thread = ?1",
            thread,
        )?,
        ..ThreadStorage::default()
    };
    let names = channel_of_segments(conn, thread)?;
    let mut statement = conn.prepare_cached(
        "SELECT segment, count(*), sum(octet_length(data)) FROM channel_value WHERE thread = ?1 GROUP BY segment",
    )?;
    let mut rows = statement.query([thread])?;
    while let Some(row) = rows.next()? {
        let segment: i64 = row.get(0)?;
        let rows_of_segment = Usage {
            count: row.get::<_, i64>(1)?.unsigned_abs(),
            bytes: row.get::<_, i64>(2)?.unsigned_abs(),
        };
        add(&mut storage.channel_values, rows_of_segment);
        if let Some(name) = names.get(&segment) {
            add(
                storage.by_channel.entry(name.clone()).or_default(),
                rows_of_segment,
            );
        }
    }
    Ok(Some(storage))
}

fn add(total: &mut Usage, part: Usage) {
    total.count += part.count;
    total.bytes += part.bytes;
}

fn usage(conn: &Connection, sql: &str, thread: i64) -> Result<Usage, StorageError> {
    let usage = conn.prepare_cached(sql)?.query_row([thread], |row| {
        Ok(Usage {
            count: row.get::<_, i64>(0)?.unsigned_abs(),
            bytes: row.get::<_, Option<i64>>(1)?.map_or(0, i64::unsigned_abs),
        })
    })?;
    Ok(usage)
}

/// A segment holds the values of one channel; the checkpoints know of which.
fn channel_of_segments(
    conn: &Connection,
    thread: i64,
) -> Result<BTreeMap<i64, String>, StorageError> {
    let mut statement = conn.prepare_cached("SELECT channels FROM checkpoint WHERE thread = ?1")?;
    let mut rows = statement.query([thread])?;
    let mut names = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let channels: String = row.get(0)?;
        for (name, place) in places::decode(&channels)?.1 {
            let segment = match place {
                Place::Whole { segment } => segment,
                Place::List(list) => list.segment,
            };
            names.entry(segment).or_insert(name);
        }
    }
    Ok(names)
}
