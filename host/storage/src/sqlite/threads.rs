//! Threads.

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::run::RunStatus;
use selvedge_model::thread::{Thread, ThreadStatus};
use selvedge_model::{Json, RunId, ThreadId, Timestamp};

use super::codec::{Coded, coded, id, json, optional_document, time};
use super::load::{thread_key, visible_values};
use super::writer::Desk;
use crate::StorageError;
use crate::types::{Insert, NewThread, Values};

/// A thread as a new run finds it.
pub(super) struct KnownThread {
    pub(super) key: i64,
    metadata: Json,
    config: Json,
}

/// See [`Storage::create_thread`](crate::Storage::create_thread).
pub(super) fn create(desk: &Desk<'_>, new: &NewThread) -> Result<Insert<Thread>, StorageError> {
    if let Some(thread) = read(desk.conn, new.thread_id, Values::Skip)? {
        return Ok(Insert::Exists(thread));
    }
    let config = Json::object::<&str>([]);
    let status = ThreadStatus::Idle;
    insert(
        desk.conn,
        new.thread_id,
        status,
        &new.metadata,
        &config,
        new.created_at,
    )?;
    Ok(Insert::Created(Thread {
        thread_id: new.thread_id,
        created_at: new.created_at,
        updated_at: new.created_at,
        state_updated_at: new.created_at,
        metadata: new.metadata.clone(),
        status,
        config,
        values: None,
        outcome: None,
    }))
}

fn insert(
    conn: &Connection,
    thread: ThreadId,
    status: ThreadStatus,
    metadata: &Json,
    config: &Json,
    now: Timestamp,
) -> Result<i64, StorageError> {
    conn.prepare_cached(
        "INSERT INTO thread (uuid, status, created_at, updated_at, state_updated_at, metadata, config) \
         VALUES (?1, ?2, ?3, ?3, ?3, ?4, ?5)",
    )?
    .execute(params![
        thread.0.as_bytes(),
        status.code(),
        now.as_micros(),
        metadata.as_str(),
        config.as_str(),
    ])?;
    Ok(conn.last_insert_rowid())
}

/// Creates a thread for a run.
pub(super) fn insert_busy(
    conn: &Connection,
    thread: ThreadId,
    metadata: &Json,
    config: &Json,
    now: Timestamp,
) -> Result<i64, StorageError> {
    insert(conn, thread, ThreadStatus::Busy, metadata, config, now)
}

/// The thread that a run wants to be on.
pub(super) fn find(
    conn: &Connection,
    thread: ThreadId,
) -> Result<Option<KnownThread>, StorageError> {
    let found = conn
        .prepare_cached("SELECT id, metadata, config FROM thread WHERE uuid = ?1")?
        .query_row([thread.0.as_bytes()], |row| {
            Ok(KnownThread {
                key: row.get(0)?,
                metadata: json(row, 1)?,
                config: json(row, 2)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// Marks a thread busy with a run that brings these.
pub(super) fn occupy(
    conn: &Connection,
    thread: &KnownThread,
    metadata: &Json,
    config: &Json,
    now: Timestamp,
) -> Result<(), StorageError> {
    conn.prepare_cached(
        "UPDATE thread SET status = ?2, updated_at = ?3, metadata = ?4, config = ?5 WHERE id = ?1",
    )?
    .execute(params![
        thread.key,
        ThreadStatus::Busy.code(),
        now.as_micros(),
        merged(&thread.metadata, metadata).as_str(),
        merged(&thread.config, config).as_str(),
    ])?;
    Ok(())
}

/// The members of both, those of `later` winning.
fn merged(earlier: &Json, later: &Json) -> Json {
    let Some(added) = later.members().filter(|members| !members.is_empty()) else {
        return earlier.clone();
    };
    let mut members = earlier.members().unwrap_or_default();
    members.extend(added);
    Json::object(members.iter())
}

/// One thread.
pub(super) fn read(
    conn: &Connection,
    thread: ThreadId,
    values: Values,
) -> Result<Option<Thread>, StorageError> {
    let found = conn
        .prepare_cached(
            "SELECT id, uuid, created_at, updated_at, state_updated_at, metadata, status, config, outcome \
             FROM thread WHERE uuid = ?1",
        )?
        .query_row([thread.0.as_bytes()], |row| Ok((row.get(0)?, from_row(row)?)))
        .optional()?;
    let Some((key, mut thread)) = found else {
        return Ok(None);
    };
    if values == Values::Include {
        thread.values = visible_values(conn, key)?;
    }
    Ok(Some(thread))
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Thread> {
    Ok(Thread {
        thread_id: id(row, 1)?,
        created_at: time(row, 2)?,
        updated_at: time(row, 3)?,
        state_updated_at: time(row, 4)?,
        metadata: json(row, 5)?,
        status: coded(row, 6)?,
        config: json(row, 7)?,
        values: None,
        outcome: optional_document(row, 8)?,
    })
}

/// See [`Storage::delete_thread`](crate::Storage::delete_thread). What hangs on the thread goes by its foreign
/// keys, each a range of one index.
pub(super) fn delete(
    desk: &mut Desk<'_>,
    thread: ThreadId,
) -> Result<Option<Vec<RunId>>, StorageError> {
    let Some(key) = thread_key(desk.conn, thread)? else {
        return Ok(None);
    };
    let pending = runs_with_status(desk.conn, key, RunStatus::Pending)?;
    let running = runs_with_status(desk.conn, key, RunStatus::Running)?;
    desk.conn
        .prepare_cached("DELETE FROM thread WHERE id = ?1")?
        .execute([key])?;
    let no_longer_pending = i64::try_from(pending.len()).unwrap_or(i64::MAX);
    desk.memory.add_pending_runs(-no_longer_pending);
    desk.memory.forget_thread(key);
    Ok(Some([running, pending].concat()))
}

/// The status is part of the statement's text, because only so the planner takes the small index of that status and
/// does not walk over every run that has ended on the thread.
fn runs_with_status(
    conn: &Connection,
    thread: i64,
    status: RunStatus,
) -> Result<Vec<RunId>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT uuid FROM run WHERE thread = ?1 AND status = {} ORDER BY created_at, id",
        status.code()
    ))?;
    let rows = statement.query_map([thread], |row| id(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_members_win_and_others_stay() {
        let json = |text: &str| Json::parse(text).unwrap();
        let both = merged(&json(r#"{"a":1,"b":{"c":2}}"#), &json(r#"{"b":3,"d":4}"#));
        assert_eq!(both.as_str(), r#"{"a":1,"b":3,"d":4}"#);
        assert_eq!(merged(&both, &json("{}")).as_str(), both.as_str());
    }
}
