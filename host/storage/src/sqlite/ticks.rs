//! What happens when crons are due. A due time is claimed and its run admitted in one transaction, so that there is no
//! moment at which the one is true and the other is not, however the process ends.

use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, params};
use selvedge_model::{CronId, Timestamp};

use super::codec::to_document;
use super::crons::{COLUMNS, TABLES, bytes_of, creator, from_row};
use super::runs;
use super::writer::Desk;
use crate::StorageError;
use crate::types::{Admission, CronTick, DueCron, DueCrons, Refusal, Ticked};

/// What the crons of one answer weigh together, and one more: there is always one when one is due.
const MAX_DUE_BYTES: usize = 8 << 20;
/// Due times that are remembered of one cron. They rise, and each is asked for once; but where the system's clock was
/// set back and the schedule changed after that, some of the last ones can come again.
const KEPT_TICKS: u32 = 64;

/// Runs that may be pending on the thread of a cron. A thread that is slower than the cron on it would fill the queue of
/// all others; beyond this the cron is told that its thread is busy.
const MOST_PENDING_ON_THREAD: i64 = 1_000;

/// What a tick weighs in the writer's queue.
pub(super) fn weight(tick: &CronTick) -> usize {
    let run = tick.run.as_ref();
    let error = tick.error.as_ref();
    run.map_or(0, |run| run.run.bytes()) + error.map_or(0, |error| error.message.len())
}

/// See [`Reads::due_crons`](crate::Reads::due_crons).
pub(super) fn due(
    conn: &Connection,
    within: &RangeInclusive<Timestamp>,
    limit: u32,
) -> Result<DueCrons, StorageError> {
    // The index is named: the planner knows nothing of how few crons are due.
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM {} WHERE c.enabled = 1 AND c.next_run_at >= ?1 \
         ORDER BY c.next_run_at, c.id",
        TABLES.replacen("cron c", "cron c INDEXED BY cron_due", 1)
    ))?;
    let mut rows = statement.query([within.start().as_micros()])?;
    let mut found = DueCrons::default();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let next_run_at: i64 = row.get(7)?;
        let due = Timestamp::from_micros(next_run_at);
        if due > *within.end() || found.crons.len() >= limit as usize || bytes >= MAX_DUE_BYTES {
            found.next_due = Some(due);
            break;
        }
        let read = from_row(row).and_then(|cron| Ok((cron, creator(row)?)));
        let (cron, creator) = match read.map_err(StorageError::from) {
            Ok(read) => read,
            // It stays due, and stands in the way of no other.
            Err(error @ StorageError::Incompatible(_)) => {
                tracing::error!(due = %due, %error, "a cron cannot be read and does not fire");
                continue;
            }
            Err(error) => return Err(error),
        };
        bytes += bytes_of(&cron);
        found.crons.push(DueCron { cron, creator });
    }
    Ok(found)
}

/// See [`Storage::fire_crons`](crate::Storage::fire_crons).
pub(super) fn fire(desk: &mut Desk<'_>, ticks: Vec<CronTick>) -> Result<Vec<Ticked>, StorageError> {
    ticks.into_iter().map(|tick| one(desk, tick)).collect()
}

/// Admission writes nothing before a run is sure to be accepted, and nothing is written before it.
fn one(desk: &mut Desk<'_>, mut tick: CronTick) -> Result<Ticked, StorageError> {
    let Some((cron, thread)) = still_due(desk.conn, &tick)? else {
        return Ok(Ticked::Stale);
    };
    let mut ticked = Ticked::Passed;
    if let Some(run) = tick.run.take()
        && !has_fired(desk.conn, cron, run.due)?
    {
        if let Some(thread) = thread
            && has_enough(desk.conn, thread)?
        {
            return Ok(Ticked::Refused(Refusal::Busy));
        }
        ticked = match runs::admit(desk, &run.scope, *run.run)? {
            Admission::Refused(refusal) => return Ok(Ticked::Refused(refusal)),
            accepted => Ticked::Fired(accepted),
        };
        remember(desk.conn, cron, run.due)?;
    }
    advance(desk.conn, cron, &tick)?;
    Ok(ticked)
}

/// The row of the cron, and that of its thread.
fn still_due(
    conn: &Connection,
    tick: &CronTick,
) -> Result<Option<(i64, Option<i64>)>, StorageError> {
    let CronId(id) = tick.cron_id;
    let key = conn
        .prepare_cached(
            "SELECT id, thread FROM cron WHERE uuid = ?1 AND enabled = 1 AND next_run_at = ?2 AND updated_at = ?3",
        )?
        .query_row(
            params![
                id.as_bytes(),
                tick.seen_due.as_micros(),
                tick.seen_update.as_micros()
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    Ok(key)
}

/// Whether no more of its runs are to wait for a thread.
fn has_enough(conn: &Connection, thread: i64) -> Result<bool, StorageError> {
    let pending: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM run INDEXED BY run_waiting WHERE thread = ?1 AND status = 0 LIMIT ?2)",
        )?
        .query_row([thread, MOST_PENDING_ON_THREAD], |row| row.get(0))?;
    Ok(pending >= MOST_PENDING_ON_THREAD)
}

fn has_fired(conn: &Connection, cron: i64, due: Timestamp) -> Result<bool, StorageError> {
    let fired = conn
        .prepare_cached("SELECT 1 FROM cron_tick WHERE cron = ?1 AND due = ?2")?
        .exists(params![cron, due.as_micros()])?;
    Ok(fired)
}

fn remember(conn: &Connection, cron: i64, due: Timestamp) -> Result<(), StorageError> {
    conn.prepare_cached("INSERT INTO cron_tick (cron, due) VALUES (?1, ?2)")?
        .execute(params![cron, due.as_micros()])?;
    conn.prepare_cached(
        "DELETE FROM cron_tick WHERE cron = ?1 AND due <= \
         (SELECT due FROM cron_tick WHERE cron = ?1 ORDER BY due DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![cron, KEPT_TICKS])?;
    Ok(())
}

fn advance(conn: &Connection, cron: i64, tick: &CronTick) -> Result<(), StorageError> {
    conn.prepare_cached(
        "UPDATE cron SET next_run_at = ?2, last_error = ifnull(?3, last_error) WHERE id = ?1",
    )?
    .execute(params![
        cron,
        tick.next.map(Timestamp::as_micros),
        tick.error.as_ref().map(to_document).transpose()?,
    ])?;
    Ok(())
}
