//! Writing checkpoints and the writes of finished tasks.

use rusqlite::{OptionalExtension, params};
use selvedge_model::CheckpointId;
use selvedge_model::checkpoint::CheckpointWrite;

use super::codec::{Coded, to_document};
use super::memory::Head;
use super::places::{self, Places};
use super::rollback;
use super::segments;
use super::writer::Desk;
use crate::StorageError;
use crate::types::{PendingCommit, StepCommit};

/// Saves the checkpoints and writes of a step on a thread, as made by a run (its key), or by nobody.
pub(super) fn save_step(
    desk: &mut Desk<'_>,
    thread: i64,
    run: Option<i64>,
    step: StepCommit,
) -> Result<(), StorageError> {
    for write in step.checkpoints {
        save_checkpoint(desk, thread, run, write)?;
    }
    for pending in &step.pending {
        save_pending(desk, thread, run, pending)?;
    }
    Ok(())
}

fn save_checkpoint(
    desk: &mut Desk<'_>,
    thread: i64,
    run: Option<i64>,
    write: CheckpointWrite,
) -> Result<(), StorageError> {
    let mut places = parent_places(desk, thread, &write)?;
    for (channel, change) in &write.changes {
        let before = places.get(channel).copied();
        match segments::apply(desk, thread, before, change)? {
            Some(place) if before.is_some() => {
                places.entry(channel.clone()).and_modify(|p| *p = place);
            }
            Some(place) => {
                places.insert(channel.clone(), place);
            }
            None => {
                places.remove(channel);
            }
        }
    }
    desk.conn
        .prepare_cached(
            "INSERT INTO checkpoint (thread, namespace, uuid, parent, created_at, step, source, metadata, \
             channels, seen, updated, run) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            thread,
            write.namespace,
            write.id.0.as_bytes(),
            write.parent.as_ref().map(|id| id.0.as_bytes()),
            write.created_at.as_micros(),
            write.step,
            write.source.code(),
            write.metadata.as_str(),
            places::encode(&write.versions, &places),
            to_document(&write.versions_seen)?,
            to_document(&write.updated_channels)?,
            run,
        ])?;
    let head = Head {
        id: write.id,
        key: desk.conn.last_insert_rowid(),
        run,
        places,
    };
    desk.memory.set_head(thread, write.namespace, head);
    Ok(())
}

/// Where the values are that the step did not change.
fn parent_places(
    desk: &mut Desk<'_>,
    thread: i64,
    write: &CheckpointWrite,
) -> Result<Places, StorageError> {
    let Some(parent) = write.parent else {
        return Ok(Places::new());
    };
    if let Some(head) = desk.memory.take_head(thread, &write.namespace)
        && head.id == parent
    {
        return Ok(head.places);
    }
    let channels: Option<String> = desk
        .conn
        .prepare_cached(
            "SELECT channels FROM checkpoint WHERE thread = ?1 AND namespace = ?2 AND uuid = ?3",
        )?
        .query_row(
            params![thread, write.namespace, parent.0.as_bytes()],
            |row| row.get(0),
        )
        .optional()?;
    let channels = channels.ok_or_else(|| unknown(parent))?;
    Ok(places::decode(&channels)?.1)
}

fn save_pending(
    desk: &mut Desk<'_>,
    thread: i64,
    run: Option<i64>,
    pending: &PendingCommit,
) -> Result<(), StorageError> {
    let (checkpoint, made_by) = checkpoint_key(desk, thread, pending)?;
    if let Some(run) = run.filter(|_| run != made_by) {
        rollback::keep_pending(desk.conn, run, thread, checkpoint)?;
    }
    let mut insert = desk.conn.prepare_cached(
        "INSERT OR REPLACE INTO pending_write (thread, checkpoint, task, idx, channel, value) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for write in &pending.writes {
        insert.execute(params![
            thread,
            checkpoint,
            write.task.0.as_bytes(),
            write.index,
            write.channel,
            write.value.as_str(),
        ])?;
    }
    Ok(())
}

/// The checkpoint that writes belong to, and the run that made it.
fn checkpoint_key(
    desk: &Desk<'_>,
    thread: i64,
    pending: &PendingCommit,
) -> Result<(i64, Option<i64>), StorageError> {
    if let Some(head) = desk.memory.head(thread, &pending.namespace)
        && head.id == pending.checkpoint
    {
        return Ok((head.key, head.run));
    }
    desk.conn
        .prepare_cached(
            "SELECT id, run FROM checkpoint WHERE thread = ?1 AND namespace = ?2 AND uuid = ?3",
        )?
        .query_row(
            params![thread, pending.namespace, pending.checkpoint.0.as_bytes()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?
        .ok_or_else(|| unknown(pending.checkpoint))
}

fn unknown(id: CheckpointId) -> StorageError {
    StorageError::Failed(format!("checkpoint {id} is not stored on this thread"))
}
