//! Webhook deliveries to look at: where they stand, and what came of their attempts.

use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use selvedge_model::delivery::Attempt;
use selvedge_model::url::without_query;
use selvedge_model::{DeliveryId, RunId, Scope, Timestamp};

use super::codec::{Coded, coded, id, time};
use super::error::unreadable;
use super::scope::{only, within};
use crate::StorageError;
use crate::types::{DeliveryQuery, DeliveryRecord, Outbox, Page};

/// Attempts that are shown of one delivery, the newest: ten on the usual schedule, and more each time that it is
/// delivered again.
const MAX_SHOWN_ATTEMPTS: u32 = 100;
/// What the URLs and answers of one page weigh together; one row always comes.
const MAX_PAGE_BYTES: usize = 4 << 20;

const COLUMNS: &str =
    "id, uuid, run, thread, url, status, created_at, due_at, ended_at, attempts FROM delivery";

/// The deliveries of a run, oldest first.
pub(super) fn of_run(
    conn: &Connection,
    scope: &Scope,
    run: RunId,
) -> Result<Vec<DeliveryRecord>, StorageError> {
    let sql = format!(
        "SELECT {COLUMNS} WHERE run = ?1 AND {} ORDER BY id",
        // The plus keeps the planner from an index by owner, which is in the same order and has many more.
        within(scope, "+owner", 2)
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![run.0.as_bytes(), only(scope)])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(with_attempts(conn, row, MAX_SHOWN_ATTEMPTS)?);
    }
    Ok(records)
}

/// One delivery.
pub(super) fn one(
    conn: &Connection,
    scope: &Scope,
    delivery: DeliveryId,
) -> Result<Option<DeliveryRecord>, StorageError> {
    let sql = format!(
        "SELECT {COLUMNS} WHERE uuid = ?1 AND {}",
        within(scope, "owner", 2)
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![delivery.0.as_bytes(), only(scope)])?;
    let row = rows.next()?;
    row.map(|row| with_attempts(conn, row, MAX_SHOWN_ATTEMPTS))
        .transpose()
}

/// See [`Reads::list_deliveries`](crate::Reads::list_deliveries).
pub(super) fn list(
    conn: &Connection,
    scope: &Scope,
    query: &DeliveryQuery,
) -> Result<Page<DeliveryRecord>, StorageError> {
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    if let Some(run) = query.run_id {
        conditions.push("run = ?");
        values.push(Value::Blob(run.0.as_bytes().to_vec()));
    }
    if let Some(owner) = only(scope) {
        // As above: a run has few.
        conditions.push(match query.run_id {
            Some(_) => "+owner = ?",
            None => "owner = ?",
        });
        values.push(Value::Text(owner.to_owned()));
    }
    if let Some(status) = query.status {
        conditions.push("status = ?");
        values.push(Value::Integer(status.code()));
    }
    let conditions = match conditions.is_empty() {
        true => String::new(),
        false => format!("WHERE {}", conditions.join(" AND ")),
    };
    // Each has an index that is in this order.
    let order = match (query.run_id, query.status) {
        (None, Some(_)) => "ended_at DESC, id DESC",
        _ => "id DESC",
    };
    let sql = format!("SELECT {COLUMNS} {conditions} ORDER BY {order} LIMIT ? OFFSET ?");
    values.push(Value::Integer(i64::from(query.limit) + 1));
    values.push(Value::Integer(i64::from(query.offset)));
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut page = Page {
        rows: Vec::new(),
        more: false,
    };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if page.rows.len() as u64 == u64::from(query.limit) || bytes >= MAX_PAGE_BYTES {
            page.more = true;
            break;
        }
        let record = with_attempts(conn, row, 1)?;
        bytes += weight(&record);
        page.rows.push(record);
    }
    Ok(page)
}

/// See [`Reads::outbox`](crate::Reads::outbox).
pub(super) fn outbox(conn: &Connection) -> Result<Outbox, StorageError> {
    let pending: i64 = conn
        .prepare_cached("SELECT count(*) FROM delivery WHERE status = 0")?
        .query_row([], |row| row.get(0))?;
    let oldest = conn
        .prepare_cached(
            "SELECT created_at FROM delivery WHERE status = 0 ORDER BY ended_at, id LIMIT 1",
        )?
        .query_row([], |row| time(row, 0))
        .optional()?;
    // Each half reads one entry of the index `delivery_due`.
    let due: Option<i64> = conn
        .prepare_cached(
            "SELECT min(due) FROM (\
             SELECT min(due_at) AS due FROM delivery WHERE status = 0 AND retry = 0 UNION ALL \
             SELECT min(due_at) FROM delivery WHERE status = 0 AND retry = 1)",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(Outbox {
        pending: pending.unsigned_abs(),
        oldest,
        due: due.map(Timestamp::from_micros),
    })
}

fn weight(record: &DeliveryRecord) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let attempts = record.attempts.iter();
    record.url.len() + attempts.map(|a| text(&a.response)).sum::<usize>()
}

fn with_attempts(
    conn: &Connection,
    row: &Row<'_>,
    limit: u32,
) -> Result<DeliveryRecord, StorageError> {
    let due_at: Option<i64> = row.get(7)?;
    let ended_at: Option<i64> = row.get(8)?;
    let url: String = row.get(4)?;
    Ok(DeliveryRecord {
        id: id(row, 1)?,
        run_id: id(row, 2)?,
        thread_id: id(row, 3)?,
        url: without_query(&url),
        status: coded(row, 5)?,
        created_at: time(row, 6)?,
        next_attempt_at: due_at.map(Timestamp::from_micros),
        ended_at: ended_at.map(Timestamp::from_micros),
        attempt_count: row.get(9)?,
        attempts: attempts(conn, row.get(0)?, limit)?,
    })
}

fn attempts(conn: &Connection, key: i64, limit: u32) -> Result<Vec<Attempt>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT number, at, url, address, status, duration, response, error FROM attempt \
         WHERE delivery = ?1 ORDER BY number DESC LIMIT ?2",
    )?;
    let mut rows = statement.query(params![key, limit])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        let address: Option<String> = row.get(3)?;
        let micros: i64 = row.get(5)?;
        attempts.push(Attempt {
            number: row.get(0)?,
            at: time(row, 1)?,
            url: row.get(2)?,
            address: address
                .map(|address| address.parse())
                .transpose()
                .map_err(|e| unreadable("address", e))?,
            status: row.get(4)?,
            duration: Duration::from_micros(micros.unsigned_abs()),
            response: row.get(6)?,
            error: row.get(7)?,
        });
    }
    attempts.reverse();
    Ok(attempts)
}
