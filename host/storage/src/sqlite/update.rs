//! Changing a thread from outside its runs: its state (also the one that it begins with), its metadata, its lifetime.

use rusqlite::{Connection, OptionalExtension, params};
use selvedge_model::thread::Thread;
use selvedge_model::{Scope, ThreadId, Timestamp};

use super::checkpoints::save_step;
use super::codec::{Coded, micros};
use super::load::newest_id;
use super::scope::{only, owner, within};
use super::writer::Desk;
use super::{cancel, events, steps, threads};
use crate::StorageError;
use crate::types::{Insert, NewThread, ThreadPatch, ThreadUpdate, Updated, Values};

/// See [`Storage::create_thread`](crate::Storage::create_thread).
pub(super) fn create(
    desk: &mut Desk<'_>,
    scope: &Scope,
    new: &NewThread,
    given: Option<ThreadUpdate>,
) -> Result<Insert<Thread>, StorageError> {
    let created = threads::create(desk, scope, new)?;
    let (Insert::Created(_), Some(given)) = (&created, given) else {
        return Ok(created);
    };
    // An error takes the thread back as well.
    match state(desk, scope, new.thread_id, given)? {
        Updated::Done => {}
        other => {
            return Err(StorageError::Failed(format!(
                "a state that does not begin a thread: {other:?}"
            )));
        }
    }
    let read = threads::read(desk.conn, scope, new.thread_id, Values::Include)?;
    read.map(Insert::Created)
        .ok_or_else(|| StorageError::Failed("a thread that was just created is gone".to_owned()))
}

/// See [`Storage::update_thread`](crate::Storage::update_thread).
pub(super) fn state(
    desk: &mut Desk<'_>,
    scope: &Scope,
    thread: ThreadId,
    update: ThreadUpdate,
) -> Result<Updated, StorageError> {
    let Some(known) = threads::find(desk.conn, scope, thread)? else {
        return Ok(Updated::NoThread);
    };
    let unended = cancel::unended_of(desk.conn, known.key)?;
    if !unended.is_empty() {
        let ids = unended.into_iter().map(|run| run.id).collect();
        return Ok(Updated::Busy(ids));
    }
    if newest_id(desk.conn, known.key, &update.namespace)? != update.expected_newest {
        return Ok(Updated::Stale);
    }
    let owner = known.owner.as_deref();
    events::append(desk.conn, thread, owner, &update.step.events)?;
    save_step(desk, known.key, None, update.step)?;
    if let Some(metadata) = &update.metadata {
        set_metadata(desk.conn, &known, metadata)?;
    }
    if update.namespace.is_empty() {
        steps::leave_thread(
            desk.conn,
            known.key,
            update.status,
            &update.outcome,
            update.now,
        )?;
    } else {
        touch(desk.conn, known.key, update.now)?;
    }
    Ok(Updated::Done)
}

fn set_metadata(
    conn: &Connection,
    known: &threads::KnownThread,
    added: &selvedge_model::Json,
) -> Result<(), StorageError> {
    conn.prepare_cached("UPDATE thread SET metadata = ?2 WHERE id = ?1")?
        .execute(params![
            known.key,
            threads::merged(&known.metadata, added).as_str()
        ])?;
    Ok(())
}

fn touch(conn: &Connection, thread: i64, now: Timestamp) -> Result<(), StorageError> {
    conn.prepare_cached("UPDATE thread SET updated_at = ?2 WHERE id = ?1")?
        .execute([thread, now.as_micros()])?;
    Ok(())
}

/// See [`Storage::patch_thread`](crate::Storage::patch_thread).
pub(super) fn patch(
    desk: &Desk<'_>,
    scope: &Scope,
    thread: ThreadId,
    patch: &ThreadPatch,
) -> Result<Option<Thread>, StorageError> {
    let Some(known) = threads::find(desk.conn, scope, thread)? else {
        return Ok(None);
    };
    if let Some(metadata) = &patch.metadata {
        set_metadata(desk.conn, &known, metadata)?;
    }
    if let Some(ttl) = patch.ttl {
        desk.conn
            .prepare_cached("UPDATE thread SET ttl = ?2, ttl_strategy = ?3 WHERE id = ?1")?
            .execute(params![known.key, micros(ttl.after), ttl.strategy.code()])?;
    }
    touch(desk.conn, known.key, patch.now)?;
    threads::read(desk.conn, scope, thread, Values::Skip)
}

/// See [`Storage::copy_thread`](crate::Storage::copy_thread). One unit, as long as the thread is large: a copy of
/// half a thread is of no use to anyone.
pub(super) fn copy(
    desk: &Desk<'_>,
    scope: &Scope,
    from: ThreadId,
    to: ThreadId,
    now: Timestamp,
) -> Result<Option<Thread>, StorageError> {
    let conn = desk.conn;
    // Of a thread with a run under way the copy has what is stored, and nothing that the run will say of it.
    let keys = conn
        .prepare_cached(&format!(
            "INSERT INTO thread (uuid, status, resting, created_at, updated_at, state_updated_at, metadata, config, \
             outcome, ttl, ttl_strategy, owner) \
             SELECT ?2, iif(status = 1, 0, status), iif(status = 1, 0, status), ?3, ?3, state_updated_at, metadata, \
             config, iif(status = 1, NULL, outcome), ttl, ttl_strategy, ?4 FROM thread \
             WHERE uuid = ?1 AND {} RETURNING id, (SELECT id FROM thread WHERE uuid = ?1)",
            within(scope, "owner", 5)
        ))?
        .query_row(
            params![
                from.0.as_bytes(),
                to.0.as_bytes(),
                now.as_micros(),
                owner(scope),
                only(scope)
            ],
            |row| Ok::<(i64, i64), _>((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((copy, original)) = keys else {
        return Ok(None);
    };
    // Their metadata names the thread that they are on.
    conn.prepare_cached(
        "INSERT INTO checkpoint (thread, namespace, uuid, parent, created_at, step, source, metadata, channels, \
         seen, updated) SELECT ?1, namespace, uuid, parent, created_at, step, source, \
         json_replace(metadata, '$.thread_id', ?3), channels, seen, updated \
         FROM checkpoint WHERE thread = ?2 ORDER BY id",
    )?
    .execute(params![copy, original, to.to_string()])?;
    for sql in [
        "INSERT INTO channel_value (thread, segment, idx, data) \
         SELECT ?1, segment, idx, data FROM channel_value WHERE thread = ?2",
        "INSERT INTO pending_write (thread, checkpoint, task, idx, channel, value) \
         SELECT ?1, n.id, p.task, p.idx, p.channel, p.value FROM pending_write p \
         JOIN checkpoint o ON o.id = p.checkpoint \
         JOIN checkpoint n ON n.thread = ?1 AND n.namespace = o.namespace AND n.uuid = o.uuid WHERE p.thread = ?2",
    ] {
        conn.prepare_cached(sql)?.execute([copy, original])?;
    }
    threads::read(conn, scope, to, Values::Skip)
}
