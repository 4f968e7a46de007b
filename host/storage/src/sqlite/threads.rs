//! Threads.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::thread::{Thread, ThreadStatus, Ttl};
use selvedge_model::{Json, Scope, ThreadId, Timestamp};

use super::codec::{Coded, coded, id, identity, json, micros, optional_document, time};
use super::load::{thread_key, visible_values};
use super::prune;
use super::scope::{only, owner, within};
use super::writer::Desk;
use crate::StorageError;
use crate::types::{GoneThread, Insert, NewThread, Values};

/// What [`from_row`] reads.
pub(super) const THREAD_COLUMNS: &str = "id, uuid, created_at, updated_at, state_updated_at, metadata, status, config, \
     outcome, ttl, ttl_strategy, owner";

/// A thread as a new run finds it.
pub(super) struct KnownThread {
    pub(super) key: i64,
    pub(super) metadata: Json,
    config: Json,
    pub(super) owner: Option<String>,
}

/// Creates a thread without a state unless the id is taken.
pub(super) fn create(
    desk: &Desk<'_>,
    scope: &Scope,
    new: &NewThread,
) -> Result<Insert<Thread>, StorageError> {
    if let Some(thread) = read(desk.conn, scope, new.thread_id, Values::Skip)? {
        return Ok(Insert::Exists(thread));
    }
    if is_taken(desk.conn, new.thread_id)? {
        return Ok(Insert::Taken);
    }
    let config = Json::object::<&str>([]);
    let status = ThreadStatus::Idle;
    insert(desk.conn, scope, new, status, &config)?;
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
        ttl: new.ttl,
        owner: scope.owner().cloned(),
    }))
}

/// Whether there is a thread with this id, whosever it is.
pub(super) fn is_taken(conn: &Connection, thread: ThreadId) -> Result<bool, StorageError> {
    let taken = conn
        .prepare_cached("SELECT 1 FROM thread WHERE uuid = ?1")?
        .exists([thread.0.as_bytes()])?;
    Ok(taken)
}

/// Creates a thread. Where a run creates it, it rests idle once that has gone.
pub(super) fn insert(
    conn: &Connection,
    scope: &Scope,
    new: &NewThread,
    status: ThreadStatus,
    config: &Json,
) -> Result<i64, StorageError> {
    conn.prepare_cached(
        "INSERT INTO thread (uuid, status, created_at, updated_at, state_updated_at, metadata, config, ttl, \
         ttl_strategy, owner) VALUES (?1, ?2, ?3, ?3, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        new.thread_id.0.as_bytes(),
        status.code(),
        new.created_at.as_micros(),
        new.metadata.as_str(),
        config.as_str(),
        new.ttl.map(|ttl| micros(ttl.after)),
        new.ttl.map_or(0, |ttl| ttl.strategy.code()),
        owner(scope),
    ])?;
    Ok(conn.last_insert_rowid())
}

/// The thread that a run wants to be on.
pub(super) fn find(
    conn: &Connection,
    scope: &Scope,
    thread: ThreadId,
) -> Result<Option<KnownThread>, StorageError> {
    let found = conn
        .prepare_cached(&format!(
            "SELECT id, metadata, config, owner FROM thread WHERE uuid = ?1 AND {}",
            within(scope, "owner", 2)
        ))?
        .query_row(params![thread.0.as_bytes(), only(scope)], |row| {
            Ok(KnownThread {
                key: row.get(0)?,
                metadata: json(row, 1)?,
                config: json(row, 2)?,
                owner: row.get(3)?,
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
pub(super) fn merged(earlier: &Json, later: &Json) -> Json {
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
    scope: &Scope,
    thread: ThreadId,
    values: Values,
) -> Result<Option<Thread>, StorageError> {
    let found = conn
        .prepare_cached(&format!(
            "SELECT {THREAD_COLUMNS} FROM thread WHERE uuid = ?1 AND {}",
            within(scope, "owner", 2)
        ))?
        .query_row(params![thread.0.as_bytes(), only(scope)], |row| {
            Ok((row.get(0)?, from_row(row)?))
        })
        .optional()?;
    let Some((key, mut thread)) = found else {
        return Ok(None);
    };
    if values == Values::Include {
        thread.values = visible_values(conn, key)?;
    }
    Ok(Some(thread))
}

/// A thread without its values.
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Thread> {
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
        ttl: ttl(row, 9)?,
        owner: identity(row, 11)?,
    })
}

/// The columns `ttl` and `ttl_strategy`.
fn ttl(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Ttl>> {
    let after: Option<i64> = row.get(column)?;
    let strategy = coded(row, column + 1)?;
    Ok(after.map(|micros| Ttl {
        strategy,
        after: Duration::from_micros(micros.unsigned_abs()),
    }))
}

/// See [`Storage::delete_thread`](crate::Storage::delete_thread).
pub(super) fn delete(
    desk: &mut Desk<'_>,
    scope: &Scope,
    thread: ThreadId,
) -> Result<Option<GoneThread>, StorageError> {
    let Some(key) = thread_key(desk.conn, scope, thread)? else {
        return Ok(None);
    };
    prune::delete(desk, key).map(Some)
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
