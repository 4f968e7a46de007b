//! Webhook deliveries: stored with the end of their run, claimed, tried, recorded, and delivered again when asked for.
//!
//! Claims are kept in the writer's memory only. Only one process opens a directory, so a claim needs no row, and a
//! process that dies takes its claims with it.

use rusqlite::{Connection, OptionalExtension, params};
use selvedge_model::delivery::{
    Attempt, DeliveryStatus, DueDelivery, NewDelivery, PutOff, Verdict,
};
use selvedge_model::{DeliveryId, Scope, Timestamp};

use super::codec::{Coded, id, time};
use super::scope::{only, within};
use super::writer::Desk;
use crate::StorageError;
use crate::types::{DueDeliveries, Redeliver};

/// Deliveries that are deleted in one unit, so that nobody waits long behind it: about ten milliseconds.
const MAX_PRUNED_ROWS: u32 = 256;
/// What their bodies weigh together, since the pages of each are read once more to be freed; one always goes.
const MAX_PRUNED_BYTES: i64 = 8 << 20;
/// Deliveries that are made due again, or ended as disabled, in one unit, for the same reason.
const MAX_CHANGED_ROWS: u32 = 256;
/// What is due in the first row of the index `delivery_due`, and what in the second: `delivery.retry`.
const FIRST_ATTEMPTS: i64 = 0;
const BEHIND_THEM: i64 = 1;
/// While both are due, this part of a claim is for the second.
const SHARE_BEHIND: usize = 4;

/// Stores a delivery that is due at once.
pub(super) fn insert(
    conn: &Connection,
    delivery: &NewDelivery,
    owner: Option<&str>,
) -> Result<(), StorageError> {
    conn.prepare_cached(
        "INSERT INTO delivery (uuid, run, thread, url, sent_at_offset, status, created_at, due_at, attempts, retry, \
         owner) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?6, 0, 0, ?7)",
    )?
    .execute(params![
        delivery.id.0.as_bytes(),
        delivery.run_id.0.as_bytes(),
        delivery.thread_id.0.as_bytes(),
        delivery.url,
        delivery.sent_at_offset,
        delivery.created_at.as_micros(),
        owner,
    ])?;
    conn.prepare_cached("INSERT INTO delivery_body (delivery, body) VALUES (?1, ?2)")?
        .execute(params![conn.last_insert_rowid(), delivery.body])?;
    Ok(())
}

/// See [`Storage::claim_deliveries`](crate::Storage::claim_deliveries).
pub(super) fn claim(
    desk: &mut Desk<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<DueDeliveries, StorageError> {
    let mut due = Vec::new();
    for (rank, up_to) in [
        (FIRST_ATTEMPTS, limit - limit / SHARE_BEHIND),
        (BEHIND_THEM, limit),
        (FIRST_ATTEMPTS, limit),
    ] {
        claim_some(desk, now, rank, up_to, &mut due)?;
    }
    Ok(DueDeliveries {
        more: due.len() >= limit,
        deliveries: due,
        next_due: next_due(desk.conn, now)?,
    })
}

/// Walks over those that are claimed already, which are no more than the worker lets wait.
fn claim_some(
    desk: &mut Desk<'_>,
    now: Timestamp,
    rank: i64,
    up_to: usize,
    due: &mut Vec<DueDelivery>,
) -> Result<(), StorageError> {
    let mut statement = desk.conn.prepare_cached(
        "SELECT d.id FROM delivery d WHERE d.status = 0 AND d.retry = ?1 AND d.due_at <= ?2 \
         ORDER BY d.due_at, d.id",
    )?;
    let mut rows = statement.query(params![rank, now.as_micros()])?;
    while due.len() < up_to {
        let Some(row) = rows.next()? else {
            break;
        };
        let key: i64 = row.get(0)?;
        if desk.memory.is_claimed(key) {
            continue;
        }
        desk.memory.claim(key);
        match read_due(desk.conn, key) {
            Ok(delivery) => due.push(delivery),
            // It stays claimed, so that it stands in the way of no other.
            Err(error @ StorageError::Incompatible(_)) => tracing::error!(
                row = key,
                %error,
                "a webhook delivery cannot be read and is left alone until the next start"
            ),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_due(conn: &Connection, key: i64) -> Result<DueDelivery, StorageError> {
    let due = conn
        .prepare_cached(
            "SELECT uuid, url, created_at, ifnull(began_at, created_at), attempts, attempts - attempts_before \
             FROM delivery WHERE id = ?1",
        )?
        .query_row([key], |row| {
            Ok(DueDelivery {
                id: id(row, 0)?,
                url: row.get(1)?,
                created_at: time(row, 2)?,
                began_at: time(row, 3)?,
                attempts: row.get(4)?,
                tries: row.get(5)?,
            })
        })?;
    Ok(due)
}

/// See [`Reads::delivery_to_send`](crate::Reads::delivery_to_send).
pub(super) fn to_send(
    conn: &Connection,
    delivery: DeliveryId,
) -> Result<Option<NewDelivery>, StorageError> {
    let found = conn
        .prepare_cached(
            "SELECT d.uuid, d.run, d.thread, d.url, d.sent_at_offset, d.created_at, b.body \
             FROM delivery d JOIN delivery_body b ON b.delivery = d.id WHERE d.uuid = ?1",
        )?
        .query_row([delivery.0.as_bytes()], |row| {
            Ok(NewDelivery {
                id: id(row, 0)?,
                run_id: id(row, 1)?,
                thread_id: id(row, 2)?,
                url: row.get(3)?,
                sent_at_offset: row.get(4)?,
                created_at: time(row, 5)?,
                body: row.get(6)?,
            })
        })
        .optional()?;
    Ok(found)
}

fn next_due(conn: &Connection, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
    let due: Option<i64> = conn
        .prepare_cached(
            "SELECT min(due) FROM (\
             SELECT min(due_at) AS due FROM delivery WHERE status = 0 AND retry = 0 AND due_at > ?1 UNION ALL \
             SELECT min(due_at) FROM delivery WHERE status = 0 AND retry = 1 AND due_at > ?1)",
        )?
        .query_row([now.as_micros()], |row| row.get(0))?;
    Ok(due.map(Timestamp::from_micros))
}

/// How many are due.
pub(super) fn count_due(conn: &Connection, now: Timestamp) -> Result<u64, StorageError> {
    let count: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM delivery WHERE status = 0 AND retry IN (0, 1) AND due_at <= ?1",
        )?
        .query_row([now.as_micros()], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// See [`Storage::record_attempt`](crate::Storage::record_attempt).
pub(super) fn record(
    desk: &mut Desk<'_>,
    delivery: DeliveryId,
    attempt: &Attempt,
    verdict: Verdict,
    now: Timestamp,
) -> Result<(), StorageError> {
    let key = key_of(desk.conn, &Scope::Host, delivery)?
        .ok_or_else(|| StorageError::Failed(format!("there is no delivery {delivery}")))?;
    insert_attempt(desk.conn, key, attempt)?;
    let (status, due_at, ended_at) = match verdict {
        Verdict::End(status) => (status, None, Some(now.as_micros())),
        Verdict::RetryAt(at) => (DeliveryStatus::Pending, Some(at.as_micros()), None),
    };
    desk.conn
        .prepare_cached(
            "UPDATE delivery SET status = ?2, due_at = ?3, attempts = max(attempts, ?4), retry = ?5, ended_at = ?6 \
             WHERE id = ?1",
        )?
        .execute(params![
            key,
            status.code(),
            due_at,
            attempt.number,
            BEHIND_THEM,
            ended_at,
        ])?;
    desk.memory.unclaim(key);
    Ok(())
}

fn key_of(
    conn: &Connection,
    scope: &Scope,
    delivery: DeliveryId,
) -> Result<Option<i64>, StorageError> {
    let key = conn
        .prepare_cached(&format!(
            "SELECT id FROM delivery WHERE uuid = ?1 AND {}",
            within(scope, "owner", 2)
        ))?
        .query_row(params![delivery.0.as_bytes(), only(scope)], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(key)
}

/// One that is there already was stored by a write that was reported as failed: it is this one.
fn insert_attempt(conn: &Connection, key: i64, attempt: &Attempt) -> Result<(), StorageError> {
    let micros = i64::try_from(attempt.duration.as_micros()).unwrap_or(i64::MAX);
    conn.prepare_cached(
        "INSERT INTO attempt (delivery, number, at, url, address, status, duration, response, error) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
    )?
    .execute(params![
        key,
        attempt.number,
        attempt.at.as_micros(),
        attempt.url,
        attempt.address.map(|address| address.to_string()),
        attempt.status,
        micros,
        attempt.response,
        attempt.error,
    ])?;
    Ok(())
}

/// See [`Storage::put_off`](crate::Storage::put_off).
pub(super) fn put_off(desk: &mut Desk<'_>, deliveries: &[PutOff]) -> Result<(), StorageError> {
    for PutOff { id, until, behind } in deliveries {
        let Some(key) = key_of(desk.conn, &Scope::Host, *id)? else {
            continue;
        };
        desk.conn
            .prepare_cached(
                "UPDATE delivery SET due_at = ?2, retry = max(retry, ?3) WHERE id = ?1 AND status = 0",
            )?
            .execute(params![key, until.as_micros(), behind])?;
        desk.memory.unclaim(key);
    }
    Ok(())
}

/// See [`Storage::disable_deliveries`](crate::Storage::disable_deliveries).
pub(super) fn disable(conn: &Connection, now: Timestamp) -> Result<u64, StorageError> {
    let count = conn
        .prepare_cached(
            "UPDATE delivery SET status = ?1, due_at = NULL, ended_at = ?2 \
             WHERE id IN (SELECT id FROM delivery WHERE status = 0 LIMIT ?3)",
        )?
        .execute(params![
            DeliveryStatus::Disabled.code(),
            now.as_micros(),
            MAX_CHANGED_ROWS
        ])?;
    Ok(count as u64)
}

/// See [`Storage::prune_deliveries`](crate::Storage::prune_deliveries). Body and attempts go by their foreign keys.
pub(super) fn prune(conn: &Connection, ended_before: Timestamp) -> Result<u64, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, (SELECT length(body) FROM delivery_body WHERE delivery = d.id) \
         FROM delivery d INDEXED BY delivery_ended WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2",
    )?;
    let mut rows = statement.query(params![ended_before.as_micros(), MAX_PRUNED_ROWS])?;
    let (mut ended, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        bytes += row.get::<_, i64>(1)?;
        if bytes > MAX_PRUNED_BYTES && !ended.is_empty() {
            break;
        }
        ended.push(row.get::<_, i64>(0)?);
    }
    for key in &ended {
        conn.prepare_cached("DELETE FROM delivery WHERE id = ?1")?
            .execute([key])?;
    }
    Ok(ended.len() as u64)
}

/// See [`Storage::redeliver`](crate::Storage::redeliver).
pub(super) fn redeliver(
    desk: &mut Desk<'_>,
    scope: &Scope,
    delivery: DeliveryId,
    now: Timestamp,
) -> Result<bool, StorageError> {
    let Some(key) = key_of(desk.conn, scope, delivery)? else {
        return Ok(false);
    };
    // One that is claimed is about to be tried, or is being tried right now.
    if !desk.memory.is_claimed(key) {
        begin_anew(desk.conn, key, now)?;
    }
    Ok(true)
}

/// See [`Storage::redeliver_ended`](crate::Storage::redeliver_ended).
pub(super) fn redeliver_ended(
    conn: &Connection,
    scope: &Scope,
    which: &Redeliver,
    now: Timestamp,
) -> Result<u64, StorageError> {
    let mut count = 0;
    for status in &which.statuses {
        let mut statement = conn.prepare_cached(&format!(
            "SELECT id FROM delivery WHERE status = ?1 AND ended_at >= ?2 AND ended_at < ?3 AND {} \
             ORDER BY ended_at LIMIT ?4",
            within(scope, "owner", 5)
        ))?;
        let window = (which.since.as_micros(), which.before.as_micros());
        let room = MAX_CHANGED_ROWS - count;
        let keys = statement
            .query_map(
                params![status.code(), window.0, window.1, room, only(scope)],
                |row| row.get(0),
            )?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        for key in keys {
            begin_anew(conn, key, now)?;
            count += 1;
        }
    }
    Ok(u64::from(count))
}

/// A delivery that is due now. One that had ended has its whole schedule before it again, unless nothing but the
/// operator's switch had ended it: then it goes on where it was.
fn begin_anew(conn: &Connection, key: i64, now: Timestamp) -> Result<(), StorageError> {
    conn.prepare_cached(
        "UPDATE delivery SET attempts_before = iif(status IN (?2, ?3), attempts_before, attempts), \
         began_at = iif(status = ?2, began_at, ?4), status = ?2, due_at = ?4, ended_at = NULL WHERE id = ?1",
    )?
    .execute(params![
        key,
        DeliveryStatus::Pending.code(),
        DeliveryStatus::Disabled.code(),
        now.as_micros()
    ])?;
    Ok(())
}
