//! Reading checkpoints, and the values that callers see.

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::checkpoint::{Checkpoint, PendingWrite, SavedCheckpoint};
use selvedge_model::graph::is_internal_channel;
use selvedge_model::{CheckpointId, Json, Scope, ThreadId};

use super::codec::{coded, document, id, json, optional_id, time};
use super::error::unreadable;
use super::places::{self, Places};
use super::scope::{only, within};
use super::segments;
use crate::StorageError;

/// The checkpoint that is named, or the newest of the namespace.
pub(super) fn checkpoint(
    conn: &Connection,
    scope: &Scope,
    thread: ThreadId,
    namespace: &str,
    at: Option<CheckpointId>,
) -> Result<Option<SavedCheckpoint>, StorageError> {
    let Some(thread) = thread_key(conn, scope, thread)? else {
        return Ok(None);
    };
    let which = match at {
        Some(_) => "uuid = ?3",
        None => "?3 IS NULL ORDER BY uuid DESC LIMIT 1",
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {CHECKPOINT_COLUMNS} FROM checkpoint WHERE thread = ?1 AND namespace = ?2 AND {which}"
    ))?;
    let at = at.as_ref().map(|id| id.0.as_bytes());
    let found = statement
        .query_row(params![thread, namespace, at], snapshot)
        .optional()?;
    found
        .map(|snapshot| fill(conn, thread, snapshot))
        .transpose()
}

/// What [`snapshot`] reads.
pub(super) const CHECKPOINT_COLUMNS: &str =
    "id, uuid, parent, namespace, created_at, step, source, metadata, seen, updated, channels";

/// A row of the table: a checkpoint without its values.
pub(super) struct Snapshot {
    key: i64,
    pub(super) checkpoint: Checkpoint,
    channels: String,
}

/// Puts a checkpoint together with its values and the writes on it.
pub(super) fn fill(
    conn: &Connection,
    thread: i64,
    snapshot: Snapshot,
) -> Result<SavedCheckpoint, StorageError> {
    let mut checkpoint = snapshot.checkpoint;
    let (versions, places) = places::decode(&snapshot.channels)?;
    checkpoint.versions = versions;
    for (channel, place) in &places {
        let value = segments::load(conn, thread, place)?;
        checkpoint.values.insert(channel.clone(), value);
    }
    let pending = pending_writes(conn, thread, snapshot.key)?;
    Ok(SavedCheckpoint {
        checkpoint,
        pending,
    })
}

/// A row that has [`CHECKPOINT_COLUMNS`].
pub(super) fn snapshot(row: &Row<'_>) -> rusqlite::Result<Snapshot> {
    let checkpoint = Checkpoint {
        id: id(row, 1)?,
        parent: optional_id(row, 2)?,
        namespace: row.get(3)?,
        created_at: time(row, 4)?,
        step: row.get(5)?,
        source: coded(row, 6)?,
        metadata: json(row, 7)?,
        versions: Default::default(),
        versions_seen: document(row, 8)?,
        updated_channels: document(row, 9)?,
        values: Default::default(),
    };
    Ok(Snapshot {
        key: row.get(0)?,
        checkpoint,
        channels: row.get(10)?,
    })
}

fn pending_writes(
    conn: &Connection,
    thread: i64,
    checkpoint: i64,
) -> Result<Vec<PendingWrite>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT task, idx, channel, value FROM pending_write WHERE thread = ?1 AND checkpoint = ?2 \
         ORDER BY task, idx",
    )?;
    let writes = statement.query_map([thread, checkpoint], |row| {
        Ok(PendingWrite {
            task: id(row, 0)?,
            index: row.get(1)?,
            channel: row.get(2)?,
            value: json(row, 3)?,
        })
    })?;
    Ok(writes.collect::<Result<_, _>>()?)
}

/// The newest checkpoint of a namespace.
pub(super) fn newest_id(
    conn: &Connection,
    thread: i64,
    namespace: &str,
) -> Result<Option<CheckpointId>, StorageError> {
    let newest = conn
        .prepare_cached(
            "SELECT uuid FROM checkpoint WHERE thread = ?1 AND namespace = ?2 ORDER BY uuid DESC LIMIT 1",
        )?
        .query_row(params![thread, namespace], |row| id(row, 0))
        .optional()?;
    Ok(newest)
}

/// What callers see of a thread's newest checkpoint: the author's channels, as one object.
pub(super) fn visible_values(conn: &Connection, thread: i64) -> Result<Option<Json>, StorageError> {
    let channels: Option<String> = conn
        .prepare_cached(
            "SELECT channels FROM checkpoint WHERE thread = ?1 AND namespace = '' ORDER BY uuid DESC LIMIT 1",
        )?
        .query_row([thread], |row| row.get(0))
        .optional()?;
    let Some(channels) = channels else {
        return Ok(None);
    };
    let (_, places) = places::decode(&channels)?;
    visible_object(conn, thread, &places).map(Some)
}

/// Joined as texts: a long list is neither split nor printed again.
fn visible_object(conn: &Connection, thread: i64, places: &Places) -> Result<Json, StorageError> {
    let mut text = String::from("{");
    for (channel, place) in places {
        if is_internal_channel(channel) {
            continue;
        }
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(channel.as_str()).to_string());
        text.push(':');
        text.push_str(&segments::load_text(conn, thread, place)?);
    }
    text.push('}');
    Json::stored(text).map_err(|e| unreadable("value", e))
}

/// The integer that stands for a thread.
pub(super) fn thread_key(
    conn: &Connection,
    scope: &Scope,
    thread: ThreadId,
) -> Result<Option<i64>, StorageError> {
    let key = conn
        .prepare_cached(&format!(
            "SELECT id FROM thread WHERE uuid = ?1 AND {}",
            within(scope, "owner", 2)
        ))?
        .query_row(params![thread.0.as_bytes(), only(scope)], |row| row.get(0))
        .optional()?;
    Ok(key)
}
