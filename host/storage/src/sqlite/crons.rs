//! Crons: creating, reading, finding and changing them. What happens when one is due is in `ticks`.

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::cron::Cron;
use selvedge_model::{Caller, CronId, Identity, Json, Scope, Timestamp};

use super::codec::{
    Coded, coded, document, id, identity, json, optional_document, optional_id, time, to_document,
};
use super::contains::contains;
use super::load::thread_key;
use super::scope::{only, owner, readable, within};
use super::weight::Weight;
use super::writer::Desk;
use crate::StorageError;
use crate::types::{CronFilter, CronInsert, CronQuery, CronReplace, CronSort, Page, Share};

/// The columns that [`from_row`] reads.
pub(super) const COLUMNS: &str = "c.uuid, a.uuid, t.uuid, c.end_time, c.schedule, c.timezone, q.payload, c.next_run_at, \
     q.metadata, c.on_run_completed, c.enabled, c.created_at, c.updated_at, c.catch_up, c.last_error, c.owner, c.permissions";

/// The tables that [`COLUMNS`] are of.
pub(super) const TABLES: &str = "cron c JOIN cron_request q ON q.cron = c.id \
     JOIN assistant a ON a.id = c.assistant LEFT JOIN thread t ON t.id = c.thread";

/// Reads a cron from a row that begins with [`COLUMNS`].
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Cron> {
    let optional_time = |column| -> rusqlite::Result<Option<Timestamp>> {
        let micros: Option<i64> = row.get(column)?;
        Ok(micros.map(Timestamp::from_micros))
    };
    let on_thread = row.get_ref(9)? == rusqlite::types::ValueRef::Null;
    Ok(Cron {
        cron_id: id(row, 0)?,
        assistant_id: id(row, 1)?,
        thread_id: optional_id(row, 2)?,
        user_id: user_id(identity(row, 15)?.as_ref()),
        end_time: optional_time(3)?,
        schedule: row.get(4)?,
        timezone: row.get(5)?,
        payload: json(row, 6)?,
        next_run_date: optional_time(7)?,
        metadata: json(row, 8)?,
        on_run_completed: match on_thread {
            true => None,
            false => Some(coded(row, 9)?),
        },
        enabled: row.get(10)?,
        created_at: time(row, 11)?,
        updated_at: time(row, 12)?,
        catch_up: coded(row, 13)?,
        last_error: optional_document(row, 14)?,
    })
}

/// Who made the cron of such a row, and asks for its runs.
pub(super) fn creator(row: &Row<'_>) -> rusqlite::Result<Caller> {
    let permissions: Vec<String> = document(row, 16)?;
    Ok(match identity(row, 15)? {
        Some(owner) => Caller::authenticated(owner, permissions.into()),
        None => Caller::host(),
    })
}

/// As callers are shown it.
fn user_id(owner: Option<&Identity>) -> String {
    owner.map_or_else(String::new, Identity::to_string)
}

/// What the parts without a bound weigh.
pub(super) fn bytes_of(cron: &Cron) -> usize {
    cron.payload.len() + cron.metadata.len() + cron.schedule.len()
}

/// See [`Storage::create_cron`](crate::Storage::create_cron).
pub(super) fn create(
    desk: &Desk<'_>,
    creator: &Caller,
    cron: &Cron,
    share: Option<Share>,
) -> Result<CronInsert, StorageError> {
    let scope = &creator.scope;
    if let (Some(owner), Some(share)) = (owner(scope), share)
        && count_of(desk.conn, owner)? >= share.max_crons
    {
        return Ok(CronInsert::TooMany);
    }
    let assistant: Option<i64> = desk
        .conn
        .prepare_cached(&format!(
            "SELECT id FROM assistant WHERE uuid = ?1 AND {}",
            readable(scope, "assistant", 2)
        ))?
        .query_row(
            params![cron.assistant_id.0.as_bytes(), only(scope)],
            |row| row.get(0),
        )
        .optional()?;
    let Some(assistant) = assistant else {
        return Ok(CronInsert::NoAssistant);
    };
    let thread = match cron.thread_id {
        None => None,
        Some(thread) => match thread_key(desk.conn, scope, thread)? {
            None => return Ok(CronInsert::NoThread),
            known => known,
        },
    };
    desk.conn
        .prepare_cached(
            "INSERT INTO cron (uuid, assistant, thread, schedule, timezone, end_time, on_run_completed, catch_up, \
             enabled, next_run_at, last_error, created_at, updated_at, owner, permissions) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            cron.cron_id.0.as_bytes(),
            assistant,
            thread,
            cron.schedule,
            cron.timezone,
            cron.end_time.map(Timestamp::as_micros),
            cron.on_run_completed.map(Coded::code),
            cron.catch_up.code(),
            cron.enabled,
            cron.next_run_date.map(Timestamp::as_micros),
            cron.last_error.as_ref().map(to_document).transpose()?,
            cron.created_at.as_micros(),
            cron.updated_at.as_micros(),
            owner(scope),
            to_document(&creator.permissions.as_ref())?,
        ])?;
    desk.conn
        .prepare_cached("INSERT INTO cron_request (cron, metadata, payload) VALUES (?1, ?2, ?3)")?
        .execute(params![
            desk.conn.last_insert_rowid(),
            cron.metadata.as_str(),
            cron.payload.as_str(),
        ])?;
    Ok(CronInsert::Created)
}

/// How many an owner has. They are no more than their share.
fn count_of(conn: &Connection, owner: &str) -> Result<u64, StorageError> {
    let count: i64 = conn
        .prepare_cached("SELECT count(*) FROM cron WHERE owner = ?1")?
        .query_row([owner], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// One cron.
pub(super) fn read(
    conn: &Connection,
    scope: &Scope,
    cron: CronId,
) -> Result<Option<Cron>, StorageError> {
    let found = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM {TABLES} WHERE c.uuid = ?1 AND {}",
            within(scope, "c.owner", 2)
        ))?
        .query_row(params![cron.0.as_bytes(), only(scope)], from_row)
        .optional()?;
    Ok(found)
}

/// See [`Storage::replace_cron`](crate::Storage::replace_cron).
pub(super) fn replace(
    desk: &Desk<'_>,
    scope: &Scope,
    seen: &Cron,
    cron: &Cron,
) -> Result<CronReplace, StorageError> {
    let stored: Option<(i64, i64, Option<i64>)> = desk
        .conn
        .prepare_cached(&format!(
            "SELECT id, updated_at, next_run_at FROM cron WHERE uuid = ?1 AND {}",
            within(scope, "owner", 2)
        ))?
        .query_row(params![cron.cron_id.0.as_bytes(), only(scope)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((key, updated_at, next_run_at)) = stored else {
        return Ok(CronReplace::Gone);
    };
    let seen_next = seen.next_run_date.map(Timestamp::as_micros);
    if (updated_at, next_run_at) != (seen.updated_at.as_micros(), seen_next) {
        return Ok(CronReplace::Stale);
    }
    desk.conn
        .prepare_cached(
            "UPDATE cron SET schedule = ?2, timezone = ?3, end_time = ?4, on_run_completed = ?5, catch_up = ?6, \
             enabled = ?7, next_run_at = ?8, updated_at = ?9 WHERE id = ?1",
        )?
        .execute(params![
            key,
            cron.schedule,
            cron.timezone,
            cron.end_time.map(Timestamp::as_micros),
            cron.on_run_completed.map(Coded::code),
            cron.catch_up.code(),
            cron.enabled,
            cron.next_run_date.map(Timestamp::as_micros),
            cron.updated_at.as_micros(),
        ])?;
    desk.conn
        .prepare_cached("UPDATE cron_request SET metadata = ?2, payload = ?3 WHERE cron = ?1")?
        .execute(params![key, cron.metadata.as_str(), cron.payload.as_str()])?;
    Ok(CronReplace::Done)
}

/// See [`Storage::delete_cron`](crate::Storage::delete_cron).
pub(super) fn delete(conn: &Connection, scope: &Scope, cron: CronId) -> Result<bool, StorageError> {
    let deleted = conn
        .prepare_cached(&format!(
            "DELETE FROM cron WHERE uuid = ?1 AND {}",
            within(scope, "owner", 2)
        ))?
        .execute(params![cron.0.as_bytes(), only(scope)])?;
    Ok(deleted == 1)
}

/// See [`Reads::search_crons`](crate::Reads::search_crons). What is sorted are keys alone; crons are matched and read in
/// that order, until the page is full.
pub(super) fn search(
    conn: &Connection,
    scope: &Scope,
    query: &CronQuery,
) -> Result<Page<Cron>, StorageError> {
    let mut keys = conn.prepare_cached(&format!(
        "SELECT c.id FROM cron c WHERE {} ORDER BY {}",
        condition(scope),
        order(query)
    ))?;
    let mut metadata = conn.prepare_cached("SELECT metadata FROM cron_request WHERE cron = ?1")?;
    let mut cron =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM {TABLES} WHERE c.id = ?1"))?;
    let wanted = query.filter.metadata.as_ref().map(Json::to_value);
    let mut page = Page {
        rows: Vec::new(),
        more: false,
    };
    let (mut skip, mut weight) = (query.offset, Weight::default());
    let mut rows = keys.query(values(scope, &query.filter))?;
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        if let Some(wanted) = &wanted {
            let found = metadata.query_row([key], |row| json(row, 0))?;
            if !contains(&found.to_value(), wanted) {
                continue;
            }
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        if page.rows.len() >= query.limit as usize {
            page.more = true;
            break;
        }
        let found = cron.query_row([key], from_row)?;
        weight.add(bytes_of(&found))?;
        page.rows.push(found);
    }
    Ok(page)
}

/// See [`Reads::count_crons`](crate::Reads::count_crons).
pub(super) fn count(
    conn: &Connection,
    scope: &Scope,
    filter: &CronFilter,
) -> Result<u64, StorageError> {
    let condition = condition(scope);
    let Some(wanted) = filter.metadata.as_ref().map(Json::to_value) else {
        let count: i64 = conn
            .prepare_cached(&format!("SELECT count(*) FROM cron c WHERE {condition}"))?
            .query_row(values(scope, filter), |row| row.get(0))?;
        return Ok(count.unsigned_abs());
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT q.metadata FROM cron c JOIN cron_request q ON q.cron = c.id WHERE {condition}"
    ))?;
    let mut rows = statement.query(values(scope, filter))?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += u64::from(contains(&json(row, 0)?.to_value(), &wanted));
    }
    Ok(count)
}

/// See [`Reads::count_enabled_crons`](crate::Reads::count_enabled_crons).
pub(super) fn count_enabled(conn: &Connection) -> Result<u64, StorageError> {
    let count: i64 = conn
        .prepare_cached("SELECT count(*) FROM cron INDEXED BY cron_enabled WHERE enabled = 1")?
        .query_row([], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn condition(scope: &Scope) -> String {
    format!(
        "(?1 IS NULL OR c.assistant = (SELECT id FROM assistant WHERE uuid = ?1)) \
         AND (?2 IS NULL OR c.thread = (SELECT id FROM thread WHERE uuid = ?2)) \
         AND (?3 IS NULL OR c.enabled = ?3) AND {}",
        within(scope, "c.owner", 4)
    )
}

/// The parameters of the condition.
fn values<'a>(scope: &'a Scope, filter: &'a CronFilter) -> impl rusqlite::Params + use<'a> {
    (
        filter.assistant_id.as_ref().map(|id| id.0.as_bytes()),
        filter.thread_id.as_ref().map(|id| id.0.as_bytes()),
        filter.enabled,
        only(scope),
    )
}

/// Where there is no value, PostgreSQL's order. Ties are broken by age, so that pages do not overlap.
fn order(query: &CronQuery) -> String {
    let (column, may_be_null) = match query.sort_by {
        CronSort::CronId => ("c.uuid", false),
        CronSort::AssistantId => ("(SELECT uuid FROM assistant WHERE id = c.assistant)", false),
        CronSort::ThreadId => ("(SELECT uuid FROM thread WHERE id = c.thread)", true),
        CronSort::NextRunDate => ("c.next_run_at", true),
        CronSort::EndTime => ("c.end_time", true),
        CronSort::CreatedAt => ("c.created_at", false),
        CronSort::UpdatedAt => ("c.updated_at", false),
    };
    // Where there is always a value nothing is said, so that an index can have the order.
    match (query.descending, may_be_null) {
        (true, true) => format!("{column} DESC NULLS FIRST, c.id DESC"),
        (true, false) => format!("{column} DESC, c.id DESC"),
        (false, true) => format!("{column} ASC NULLS LAST, c.id ASC"),
        (false, false) => format!("{column} ASC, c.id ASC"),
    }
}
