//! Finding and counting threads.
//!
//! Rows are read along an index of the asked order and matched here until the page is full, so that a page costs as
//! much as it skips and shows. What is rare under a metadata or values filter costs a walk over all threads, on a
//! reader for such walks, where it keeps no run waiting; so does sorting by status or by the time of the values, for
//! which no index is kept because every end of a run would pay for it.

use rusqlite::{CachedStatement, Connection, params};
use selvedge_model::thread::{Thread, ThreadStatus};
use selvedge_model::{Json, Scope, ThreadId};
use serde_json::Value;

use super::codec::Coded;
use super::contains::contains;
use super::load::visible_values;
use super::scope::{only, within};
use super::threads::{THREAD_COLUMNS, from_row};
use super::weight::Weight;
use crate::StorageError;
use crate::types::{Page, ThreadFilter, ThreadQuery, ThreadSort, Values};

/// See [`Reads::search_threads`](crate::Reads::search_threads).
pub(super) fn search(
    conn: &Connection,
    scope: &Scope,
    query: &ThreadQuery,
) -> Result<Page<Thread>, StorageError> {
    let mut page = Pager {
        matcher: Matcher::new(conn, &query.filter, query.values),
        skip: query.offset,
        limit: query.limit as usize,
        weight: Weight::default(),
        found: Page {
            rows: Vec::new(),
            more: false,
        },
    };
    if let Some(ids) = &query.filter.ids {
        let mut statement = by_key(conn)?;
        for key in named(conn, scope, ids, &order(query))? {
            let thread = statement.query_row([key], from_row)?;
            if !page.take(key, thread)? {
                break;
            }
        }
        return Ok(page.found);
    }
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {THREAD_COLUMNS} FROM thread WHERE {} ORDER BY {}",
        condition(scope, query.filter.status),
        order(query)
    ))?;
    let mut rows = statement.query([only(scope)])?;
    while let Some(row) = rows.next()? {
        if !page.take(row.get(0)?, from_row(row)?)? {
            break;
        }
    }
    Ok(page.found)
}

/// See [`Reads::count_threads`](crate::Reads::count_threads).
pub(super) fn count(
    conn: &Connection,
    scope: &Scope,
    filter: &ThreadFilter,
) -> Result<u64, StorageError> {
    let matcher = Matcher::new(conn, filter, Values::Skip);
    let mut count = 0;
    if let Some(ids) = &filter.ids {
        let mut statement = by_key(conn)?;
        for key in named(conn, scope, ids, "id")? {
            let mut thread = statement.query_row([key], from_row)?;
            count += u64::from(matcher.matches(key, &mut thread)?);
        }
        return Ok(count);
    }
    let condition = condition(scope, filter.status);
    if filter.metadata.is_none() && filter.values.is_none() {
        let count: i64 = conn
            .prepare_cached(&format!("SELECT count(*) FROM thread WHERE {condition}"))?
            .query_row([only(scope)], |row| row.get(0))?;
        return Ok(count.unsigned_abs());
    }
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {THREAD_COLUMNS} FROM thread WHERE {condition}"
    ))?;
    let mut rows = statement.query([only(scope)])?;
    while let Some(row) = rows.next()? {
        count += u64::from(matcher.matches(row.get(0)?, &mut from_row(row)?)?);
    }
    Ok(count)
}

/// Spelled out, and for those that wait for someone with the condition of their small index, or the planner does not
/// see that it may take that.
fn condition(scope: &Scope, status: Option<ThreadStatus>) -> String {
    let status = match status {
        None => "true".to_owned(),
        Some(status @ (ThreadStatus::Interrupted | ThreadStatus::Error)) => {
            format!("status > 1 AND status = {}", status.code())
        }
        Some(status) => format!("status = {}", status.code()),
    };
    format!("{} AND {status}", within(scope, "owner", 1))
}

/// Ties are broken by age, so that pages do not overlap.
fn order(query: &ThreadQuery) -> String {
    let column = match query.sort_by {
        ThreadSort::ThreadId => "uuid",
        // In the order of their names: busy, error, idle, interrupted.
        ThreadSort::Status => "CASE status WHEN 1 THEN 0 WHEN 3 THEN 1 WHEN 0 THEN 2 ELSE 3 END",
        ThreadSort::CreatedAt => "created_at",
        ThreadSort::UpdatedAt => "updated_at",
        ThreadSort::StateUpdatedAt => "state_updated_at",
    };
    let direction = if query.descending { "DESC" } else { "ASC" };
    format!("{column} {direction}, id {direction}")
}

/// The keys of threads that are named, each once, in order. Only the keys: whatever is named, a page holds no more
/// threads than it shows.
fn named(
    conn: &Connection,
    scope: &Scope,
    ids: &[ThreadId],
    order: &str,
) -> Result<Vec<i64>, StorageError> {
    let mut hex = String::from("[");
    for id in ids {
        if hex.len() > 1 {
            hex.push(',');
        }
        hex.push('"');
        hex.push_str(&id.0.simple().to_string());
        hex.push('"');
    }
    hex.push(']');
    let mut statement = conn.prepare_cached(&format!(
        "SELECT id FROM thread WHERE uuid IN (SELECT unhex(value) FROM json_each(?1)) \
         AND {} ORDER BY {order}",
        // The plus keeps the planner from an index by owner, along which it would look at each of their threads.
        within(scope, "+owner", 2)
    ))?;
    let keys = statement.query_map(params![hex, only(scope)], |row| row.get(0))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

fn by_key(conn: &Connection) -> Result<CachedStatement<'_>, StorageError> {
    let statement = conn.prepare_cached(&format!(
        "SELECT {THREAD_COLUMNS} FROM thread WHERE id = ?1"
    ))?;
    Ok(statement)
}

struct Matcher<'a> {
    conn: &'a Connection,
    status: Option<ThreadStatus>,
    metadata: Option<Value>,
    values: Option<Value>,
    include: Values,
}

impl<'a> Matcher<'a> {
    fn new(conn: &'a Connection, filter: &ThreadFilter, include: Values) -> Self {
        Self {
            conn,
            status: filter.status,
            metadata: filter.metadata.as_ref().map(Json::to_value),
            values: filter.values.as_ref().map(Json::to_value),
            include,
        }
    }

    /// Whether a thread matches; it has its values then if it is to have them.
    fn matches(&self, key: i64, thread: &mut Thread) -> Result<bool, StorageError> {
        if self.status.is_some_and(|status| status != thread.status) {
            return Ok(false);
        }
        if let Some(wanted) = &self.metadata
            && !contains(&thread.metadata.to_value(), wanted)
        {
            return Ok(false);
        }
        let Some(wanted) = &self.values else {
            return Ok(true);
        };
        let values = visible_values(self.conn, key)?;
        let matches = values
            .as_ref()
            .is_some_and(|values| contains(&values.to_value(), wanted));
        if self.include == Values::Include {
            thread.values = values;
        }
        Ok(matches)
    }
}

struct Pager<'a> {
    matcher: Matcher<'a>,
    skip: u32,
    limit: usize,
    weight: Weight,
    found: Page<Thread>,
}

impl Pager<'_> {
    /// Looks at the next thread; `false` when no more are wanted.
    fn take(&mut self, key: i64, mut thread: Thread) -> Result<bool, StorageError> {
        if !self.matcher.matches(key, &mut thread)? {
            return Ok(true);
        }
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(true);
        }
        if self.found.rows.len() >= self.limit {
            self.found.more = true;
            return Ok(false);
        }
        if self.matcher.include == Values::Include && thread.values.is_none() {
            thread.values = visible_values(self.matcher.conn, key)?;
        }
        let values = thread.values.as_ref().map_or(0, Json::len);
        self.weight
            .add(values + thread.metadata.len() + thread.config.len())?;
        self.found.rows.push(thread);
        Ok(true)
    }
}
