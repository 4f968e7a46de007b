//! Events that are kept for readers who come back: of resumable runs, and of threads themselves.
//!
//! The events of one run are a *log*, which outlives the run by the time that [`sweep`] is told; so does the log of
//! what happened to a thread outside its runs. Ids rise over all logs of a thread, so that a thread's stream is its
//! logs merged.

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::event::{EventId, EventKind, StoredEvent, StreamEvent};
use selvedge_model::{RunId, Scope, ThreadId, Timestamp};

use super::codec::{document, json, to_document};
use super::scope::{only, within};
use crate::StorageError;
use crate::types::{EventQuery, Page};

/// Events that a log keeps: some minutes of a model's tokens. The oldest give way, but for the first that says that the
/// run began: what follows is not understood without it.
const MAX_EVENTS_PER_LOG: i64 = 10_000;
/// What they weigh together, if the last one alone does not weigh more: as much as a stream holds for slow readers.
const MAX_BYTES_PER_LOG: i64 = 64 << 20;
/// What the events of one read weigh together; one always comes.
const MAX_READ_BYTES: usize = 4 << 20;
/// Logs that one unit deletes, so that nobody waits long behind it.
const MAX_SWEPT_LOGS: u32 = 64;
/// The same in events, unless a single log holds more.
const MAX_SWEPT_EVENTS: i64 = 2_000;
/// In the column `run`: what happened to the thread itself.
const OF_THE_THREAD: [u8; 16] = [0; 16];

fn run_column(run: Option<RunId>) -> [u8; 16] {
    run.map_or(OF_THE_THREAD, |run| run.0.into_bytes())
}

/// What events weigh in the writer's queue.
pub(super) fn weight(events: &[StoredEvent]) -> usize {
    events.iter().map(|stored| stored.event.data.len()).sum()
}

/// Stores events, which belong to one run or to none.
pub(super) fn append(
    conn: &Connection,
    thread: ThreadId,
    owner: Option<&str>,
    events: &[StoredEvent],
) -> Result<(), StorageError> {
    for of_one in events.chunk_by(|a, b| a.run == b.run) {
        append_to_log(conn, thread, owner, of_one)?;
    }
    Ok(())
}

fn append_to_log(
    conn: &Connection,
    thread: ThreadId,
    owner: Option<&str>,
    events: &[StoredEvent],
) -> Result<(), StorageError> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return Ok(());
    };
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let weight = i64::try_from(weight(events)).unwrap_or(i64::MAX);
    let (log, kept, bytes): (i64, i64, i64) = conn
        .prepare_cached(
            "INSERT INTO event_log (thread, run, touched_at, events, owner, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (thread, run) DO UPDATE SET touched_at = ?3, events = events + ?4, bytes = bytes + ?6 \
             RETURNING id, events, bytes",
        )?
        .query_row(
            params![
                thread.0.as_bytes(),
                run_column(first.run),
                last.id.ms.saturating_mul(1_000),
                count,
                owner,
                weight,
            ],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
    let mut insert = conn.prepare_cached(
        "INSERT INTO event (log, ms, n, kind, namespace, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for stored in events {
        insert.execute(params![
            log,
            stored.id.ms,
            stored.id.n,
            to_document(&stored.event.kind)?,
            stored.event.namespace,
            stored.event.data.as_str(),
        ])?;
    }
    if kept > MAX_EVENTS_PER_LOG || bytes > MAX_BYTES_PER_LOG {
        trim(conn, log)?;
    }
    Ok(())
}

/// Leaves a log a tenth below its bounds, so that this is not done at every append.
fn trim(conn: &Connection, log: i64) -> Result<(), StorageError> {
    conn.prepare_cached(
        "WITH newest_first AS (SELECT ms, n, row_number() OVER place AS place, sum(octet_length(data)) OVER place AS weight \
         FROM event WHERE log = ?1 WINDOW place AS (ORDER BY ms DESC, n DESC ROWS UNBOUNDED PRECEDING)) \
         DELETE FROM event WHERE log = ?1 AND (ms, n) <= \
         (SELECT ms, n FROM newest_first WHERE place > 1 AND (place > ?2 OR weight > ?3) ORDER BY place LIMIT 1) \
         AND (ms, n) IS NOT (SELECT ms, n FROM event WHERE log = ?1 AND kind = ?4 ORDER BY ms, n LIMIT 1)",
    )?
    .execute(params![
        log,
        MAX_EVENTS_PER_LOG * 9 / 10,
        MAX_BYTES_PER_LOG / 10 * 9,
        to_document(&EventKind::Lifecycle)?,
    ])?;
    conn.prepare_cached(
        "UPDATE event_log SET (events, bytes) = \
         (SELECT count(*), coalesce(sum(octet_length(data)), 0) FROM event WHERE log = ?1) WHERE id = ?1",
    )?
    .execute([log])?;
    Ok(())
}

/// See [`Reads::events`](crate::Reads::events).
pub(super) fn read(
    conn: &Connection,
    scope: &Scope,
    query: &EventQuery,
) -> Result<Page<StoredEvent>, StorageError> {
    let mut found = Page {
        rows: Vec::new(),
        more: false,
    };
    let run = match query.run_id {
        Some(_) => "l.run = ?2",
        None => "?2 IS NOT NULL",
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT e.ms, e.n, l.run, l.id FROM event_log l JOIN event e ON e.log = l.id \
         WHERE l.thread = ?1 AND {run} AND (e.ms, e.n) > (?3, ?4) AND {} ORDER BY e.ms, e.n LIMIT ?5",
        within(scope, "l.owner", 6)
    ))?;
    let after = query.after.unwrap_or(EventId { ms: -1, n: 0 });
    // Keys only, one more than asked for: the texts are read until they weigh enough.
    let mut rows = statement.query(params![
        query.thread_id.0.as_bytes(),
        run_column(query.run_id),
        after.ms,
        after.n,
        i64::from(query.limit) + 1,
        only(scope),
    ])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if found.rows.len() >= query.limit as usize || bytes >= MAX_READ_BYTES {
            found.more = true;
            break;
        }
        let stored = read_one(conn, row)?;
        bytes += stored.event.data.len();
        found.rows.push(stored);
    }
    Ok(found)
}

fn read_one(conn: &Connection, key: &Row<'_>) -> Result<StoredEvent, StorageError> {
    let id = EventId {
        ms: key.get(0)?,
        n: key.get(1)?,
    };
    let run: [u8; 16] = key.get(2)?;
    let log: i64 = key.get(3)?;
    let event = conn
        .prepare_cached(
            "SELECT kind, namespace, data FROM event WHERE log = ?1 AND ms = ?2 AND n = ?3",
        )?
        .query_row(params![log, id.ms, id.n], |row| {
            Ok(StreamEvent {
                kind: document(row, 0)?,
                namespace: row.get(1)?,
                data: json(row, 2)?,
            })
        })?;
    Ok(StoredEvent {
        id,
        run: (run != OF_THE_THREAD).then(|| RunId(uuid::Uuid::from_bytes(run))),
        event,
    })
}

/// See [`Reads::thread_of_events`](crate::Reads::thread_of_events).
pub(super) fn thread_of(
    conn: &Connection,
    scope: &Scope,
    run: RunId,
) -> Result<Option<ThreadId>, StorageError> {
    let thread: Option<[u8; 16]> = conn
        .prepare_cached(&format!(
            "SELECT thread FROM event_log WHERE run = ?1 AND {}",
            within(scope, "owner", 2)
        ))?
        .query_row(params![run.0.as_bytes(), only(scope)], |row| row.get(0))
        .optional()?;
    Ok(thread.map(|thread| ThreadId(uuid::Uuid::from_bytes(thread))))
}

/// See [`Reads::last_event_id`](crate::Reads::last_event_id). A look at the end of each of the thread's logs.
pub(super) fn last_id(
    conn: &Connection,
    thread: ThreadId,
) -> Result<Option<EventId>, StorageError> {
    let mut logs = conn.prepare_cached("SELECT id FROM event_log WHERE thread = ?1")?;
    let mut newest = conn.prepare_cached(
        "SELECT ms, n FROM event WHERE log = ?1 ORDER BY ms DESC, n DESC LIMIT 1",
    )?;
    let mut last = None;
    let mut rows = logs.query([thread.0.as_bytes()])?;
    while let Some(row) = rows.next()? {
        let id = newest
            .query_row([row.get::<_, i64>(0)?], |row| {
                Ok(EventId {
                    ms: row.get(0)?,
                    n: row.get(1)?,
                })
            })
            .optional()?;
        last = last.max(id);
    }
    Ok(last)
}

/// Forgets what a run has shown.
pub(super) fn forget(conn: &Connection, run: RunId) -> Result<(), StorageError> {
    conn.prepare_cached("DELETE FROM event_log WHERE run = ?1")?
        .execute([run.0.as_bytes()])?;
    Ok(())
}

/// See [`Storage::sweep_events`](crate::Storage::sweep_events). Walks over the logs of runs that have not ended: no
/// more than may be pending and running.
pub(super) fn sweep(conn: &Connection, untouched_since: Timestamp) -> Result<u64, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT l.id, l.events FROM event_log l INDEXED BY event_log_touched WHERE l.touched_at < ?1 AND NOT EXISTS \
         (SELECT 1 FROM run r WHERE r.uuid = l.run AND r.status IN (0, 1)) ORDER BY l.touched_at LIMIT ?2",
    )?;
    let logs: Vec<(i64, i64)> = statement
        .query_map(
            params![untouched_since.as_micros(), MAX_SWEPT_LOGS],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<Result<_, _>>()?;
    let (mut swept, mut events) = (0, 0);
    for (log, held) in logs {
        events += held;
        if swept > 0 && events > MAX_SWEPT_EVENTS {
            break;
        }
        conn.prepare_cached("DELETE FROM event_log WHERE id = ?1")?
            .execute([log])?;
        swept += 1;
    }
    Ok(swept)
}
