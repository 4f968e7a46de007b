//! Undoing what a run left on its thread.
//!
//! While a run has not ended nobody else writes to its thread, so what it left is: its checkpoints; the segments that
//! they began and the rows that they added to older ones; and writes on checkpoints that were there before, of which
//! `pending_before` has the earlier state.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::places::{self, Place};
use super::writer::Desk;
use crate::StorageError;

/// The last index that is used of each segment.
pub(super) type Extent = BTreeMap<i64, i64>;

/// Takes back everything that a run that has not ended left on its thread; the run's row stays.
pub(super) fn undo(desk: &mut Desk<'_>, run: i64, thread: i64) -> Result<(), StorageError> {
    restore_pending(desk.conn, run, thread)?;
    let made = checkpoints_of(desk.conn, run)?;
    if made.is_empty() {
        return Ok(());
    }
    let mut used = Extent::new();
    let mut before = Extent::new();
    let ids: BTreeSet<_> = made.iter().map(Made::name).collect();
    for checkpoint in &made {
        add_extent(&mut used, &checkpoint.channels)?;
        let parent = checkpoint
            .parent
            .map(|id| (checkpoint.namespace.as_str(), id));
        if let Some(parent) = parent.filter(|parent| !ids.contains(parent))
            && let Some(channels) = channels_of(desk.conn, thread, parent)?
        {
            add_extent(&mut before, &channels)?;
        }
    }
    for checkpoint in &made {
        delete_checkpoint(desk.conn, thread, checkpoint.key)?;
    }
    for (segment, last) in used {
        // What the run inherited belongs to older checkpoints, up to where they go.
        let kept = before.get(&segment).copied().unwrap_or(-1);
        desk.conn
            .prepare_cached(
                "DELETE FROM channel_value WHERE thread = ?1 AND segment = ?2 AND idx > ?3 AND idx <= ?4",
            )?
            .execute([thread, segment, kept, last])?;
    }
    desk.memory.forget_thread(thread);
    Ok(())
}

/// A checkpoint that the run made.
struct Made {
    key: i64,
    namespace: String,
    id: [u8; 16],
    parent: Option<[u8; 16]>,
    channels: String,
}

impl Made {
    fn name(&self) -> (&str, [u8; 16]) {
        (&self.namespace, self.id)
    }
}

fn checkpoints_of(conn: &Connection, run: i64) -> Result<Vec<Made>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, namespace, uuid, parent, channels FROM checkpoint WHERE run = ?1",
    )?;
    let rows = statement.query_map([run], |row| {
        Ok(Made {
            key: row.get(0)?,
            namespace: row.get(1)?,
            id: row.get(2)?,
            parent: row.get(3)?,
            channels: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn channels_of(
    conn: &Connection,
    thread: i64,
    (namespace, id): (&str, [u8; 16]),
) -> Result<Option<String>, StorageError> {
    let channels = conn
        .prepare_cached(
            "SELECT channels FROM checkpoint WHERE thread = ?1 AND namespace = ?2 AND uuid = ?3",
        )?
        .query_row(params![thread, namespace, id], |row| row.get(0))
        .optional()?;
    Ok(channels)
}

/// Adds what a checkpoint uses, given its column `channels`.
pub(super) fn add_extent(extent: &mut Extent, channels: &str) -> Result<(), StorageError> {
    for place in places::decode(channels)?.1.into_values() {
        let (segment, index) = match place {
            Place::Whole { segment } => (segment, 0),
            Place::List(list) => (list.segment, list.index),
        };
        let last = extent.entry(segment).or_insert(index);
        *last = (*last).max(index);
    }
    Ok(())
}

/// Takes a checkpoint away with the writes on it.
pub(super) fn delete_checkpoint(
    conn: &Connection,
    thread: i64,
    key: i64,
) -> Result<(), StorageError> {
    conn.prepare_cached("DELETE FROM pending_write WHERE thread = ?1 AND checkpoint = ?2")?
        .execute([thread, key])?;
    conn.prepare_cached("DELETE FROM checkpoint WHERE id = ?1")?
        .execute([key])?;
    Ok(())
}

/// Keeps the writes on a checkpoint as they are before a run that did not make it adds to them for the first time.
pub(super) fn keep_pending(
    conn: &Connection,
    run: i64,
    thread: i64,
    checkpoint: i64,
) -> Result<(), StorageError> {
    let kept = conn
        .prepare_cached("SELECT 1 FROM pending_before WHERE run = ?1 AND checkpoint = ?2")?
        .exists([run, checkpoint])?;
    if kept {
        return Ok(());
    }
    conn.prepare_cached(
        "INSERT INTO pending_before (run, checkpoint, writes) \
         SELECT ?1, ?2, json_group_array(json_array(hex(task), idx, channel, value)) \
         FROM pending_write WHERE thread = ?3 AND checkpoint = ?2",
    )?
    .execute([run, checkpoint, thread])?;
    conn.prepare_cached("UPDATE run SET undo = 1 WHERE id = ?1")?
        .execute([run])?;
    Ok(())
}

fn restore_pending(conn: &Connection, run: i64, thread: i64) -> Result<(), StorageError> {
    conn.prepare_cached(
        "DELETE FROM pending_write WHERE thread = ?2 AND checkpoint IN \
         (SELECT checkpoint FROM pending_before WHERE run = ?1)",
    )?
    .execute([run, thread])?;
    conn.prepare_cached(
        "INSERT INTO pending_write (thread, checkpoint, task, idx, channel, value) \
         SELECT ?2, b.checkpoint, unhex(w.value ->> 0), w.value ->> 1, w.value ->> 2, w.value ->> 3 \
         FROM pending_before b JOIN json_each(b.writes) w WHERE b.run = ?1",
    )?
    .execute([run, thread])?;
    Ok(())
}

/// After a run has ended otherwise: there is nothing to undo any more.
pub(super) fn forget(conn: &Connection, run: i64) -> Result<(), StorageError> {
    conn.prepare_cached("DELETE FROM pending_before WHERE run = ?1")?
        .execute([run])?;
    Ok(())
}

/// A thread's values are of the time of its newest checkpoint, or of its own when there is none left.
pub(super) fn restore_values_time(conn: &Connection, thread: i64) -> Result<(), StorageError> {
    conn.prepare_cached(
        "UPDATE thread SET state_updated_at = ifnull((SELECT created_at FROM checkpoint \
         WHERE thread = ?1 AND namespace = '' ORDER BY uuid DESC LIMIT 1), created_at) WHERE id = ?1",
    )?
    .execute([thread])?;
    Ok(())
}
