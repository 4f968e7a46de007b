//! Finding and counting threads.
//!
//! Rows are read along an index of the asked order and matched here until the page is full, so that a page costs as
//! much as it skips and shows. What is rare under a metadata or values filter costs a walk over all threads, on a
//! reader, where it keeps no run waiting; so does sorting by status or by the time of the values, for which no index
//! is kept because every end of a run would pay for it.

use std::cmp::Ordering;

use rusqlite::{Connection, OptionalExtension, params};
use selvedge_model::thread::{Thread, ThreadStatus};
use selvedge_model::{Json, ThreadId};
use serde_json::Value;

use super::codec::Coded;
use super::contains::contains;
use super::load::visible_values;
use super::threads::{THREAD_COLUMNS, from_row};
use crate::StorageError;
use crate::types::{Page, ThreadFilter, ThreadQuery, ThreadSort, Values};

/// What the threads of one page may weigh together; one may weigh anything. A page that ended early instead would make
/// a caller who counts pages miss threads.
const MAX_READ_BYTES: usize = 32 << 20;

/// See [`Reads::search_threads`](crate::Reads::search_threads).
pub(super) fn search(conn: &Connection, query: &ThreadQuery) -> Result<Page<Thread>, StorageError> {
    let mut page = Pager {
        matcher: Matcher::new(conn, &query.filter, query.values),
        skip: query.offset,
        limit: query.limit as usize,
        bytes: 0,
        found: Page {
            rows: Vec::new(),
            more: false,
        },
    };
    if let Some(ids) = &query.filter.ids {
        let mut named = read_named(conn, ids)?;
        named.sort_by(|a, b| compare(query, a, b));
        for (key, thread) in named {
            if !page.take(key, thread)? {
                break;
            }
        }
        return Ok(page.found);
    }
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {THREAD_COLUMNS} FROM thread WHERE {} ORDER BY {}",
        condition(query.filter.status),
        order(query)
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if !page.take(row.get(0)?, from_row(row)?)? {
            break;
        }
    }
    Ok(page.found)
}

/// See [`Reads::count_threads`](crate::Reads::count_threads).
pub(super) fn count(conn: &Connection, filter: &ThreadFilter) -> Result<u64, StorageError> {
    let matcher = Matcher::new(conn, filter, Values::Skip);
    let mut count = 0;
    if let Some(ids) = &filter.ids {
        for (key, mut thread) in read_named(conn, ids)? {
            count += u64::from(matcher.matches(key, &mut thread)?);
        }
        return Ok(count);
    }
    let condition = condition(filter.status);
    if filter.metadata.is_none() && filter.values.is_none() {
        let count: i64 = conn
            .prepare_cached(&format!("SELECT count(*) FROM thread WHERE {condition}"))?
            .query_row([], |row| row.get(0))?;
        return Ok(count.unsigned_abs());
    }
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {THREAD_COLUMNS} FROM thread WHERE {condition}"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        count += u64::from(matcher.matches(row.get(0)?, &mut from_row(row)?)?);
    }
    Ok(count)
}

/// Spelled out, and for those that wait for someone with the condition of their small index, or the planner does not
/// see that it may take that.
fn condition(status: Option<ThreadStatus>) -> String {
    match status {
        None => "true".to_owned(),
        Some(status @ (ThreadStatus::Interrupted | ThreadStatus::Error)) => {
            format!("status > 1 AND status = {}", status.code())
        }
        Some(status) => format!("status = {}", status.code()),
    }
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

/// The same order for threads in hand, with their keys.
fn compare(
    query: &ThreadQuery,
    (a_key, a): &(i64, Thread),
    (b_key, b): &(i64, Thread),
) -> Ordering {
    let by_column = match query.sort_by {
        ThreadSort::ThreadId => a.thread_id.cmp(&b.thread_id),
        ThreadSort::Status => a.status.as_str().cmp(b.status.as_str()),
        ThreadSort::CreatedAt => a.created_at.cmp(&b.created_at),
        ThreadSort::UpdatedAt => a.updated_at.cmp(&b.updated_at),
        ThreadSort::StateUpdatedAt => a.state_updated_at.cmp(&b.state_updated_at),
    };
    let ascending = by_column.then(a_key.cmp(b_key));
    if query.descending {
        ascending.reverse()
    } else {
        ascending
    }
}

/// Each once.
fn read_named(conn: &Connection, ids: &[ThreadId]) -> Result<Vec<(i64, Thread)>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {THREAD_COLUMNS} FROM thread WHERE uuid = ?1"
    ))?;
    let mut threads = Vec::new();
    for id in ids {
        let found = statement.query_row(params![id.0.as_bytes()], |row| {
            Ok((row.get(0)?, from_row(row)?))
        });
        threads.extend(found.optional()?);
    }
    threads.sort_by_key(|(key, _)| *key);
    threads.dedup_by_key(|(key, _)| *key);
    Ok(threads)
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
    bytes: usize,
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
        self.bytes += values + thread.metadata.len() + thread.config.len();
        if self.bytes > MAX_READ_BYTES && !self.found.rows.is_empty() {
            return Err(StorageError::TooLarge {
                max_bytes: MAX_READ_BYTES,
                fit: self.found.rows.len(),
            });
        }
        self.found.rows.push(thread);
        Ok(true)
    }
}
