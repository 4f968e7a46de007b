//! Claims on runs: taking them, checking them, giving them back, and voiding those of a process that died.
//!
//! A claim raises the run's fence. Every write of a run goes through [`check`] first, in the same transaction, so
//! a worker whose claim was voided or taken over writes nothing.

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::cancel::CancelRequest;
use selvedge_model::run::{ClaimedRun, Lease, Run, RunStatus};
use selvedge_model::{Identity, Timestamp};

use super::codec::{cancel_request, identity};
use super::runs::{self, RUN_COLUMNS};
use super::writer::Desk;
use crate::StorageError;
use crate::types::{Claims, Recovery};

/// A run whose lease is good.
pub(super) struct Held {
    pub(super) key: i64,
    /// `None`: temporary.
    pub(super) thread: Option<i64>,
    /// Someone wants it cancelled.
    pub(super) cancel: Option<CancelRequest>,
    /// It has added to checkpoints that it did not make.
    pub(super) undo: bool,
    /// Whom it belongs to.
    pub(super) owner: Option<String>,
}

const HELD_COLUMNS: &str = "id, thread, cancel, cancel_message, undo, owner";

fn held(row: &Row<'_>) -> rusqlite::Result<Held> {
    Ok(Held {
        key: row.get(0)?,
        thread: row.get(1)?,
        cancel: cancel_request(row, 2)?,
        undo: row.get(4)?,
        owner: row.get(5)?,
    })
}

/// Finds the run of a lease, unless someone else has it or it is gone.
pub(super) fn check(conn: &Connection, lease: &Lease) -> Result<Held, StorageError> {
    conn.prepare_cached(&format!(
        "SELECT {HELD_COLUMNS} FROM run WHERE uuid = ?1 AND fence = ?2 AND status = 1"
    ))?
    .query_row(params![lease.run_id.0.as_bytes(), lease.fence], held)
    .optional()?
    .ok_or(StorageError::Fenced)
}

/// See [`Storage::claim_runs`](crate::Storage::claim_runs).
pub(super) fn claim(
    desk: &mut Desk<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<Claims, StorageError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let candidates = candidates(
        desk.conn,
        "run_pending",
        "r.status = 0 AND r.ready = 1 AND r.created_at <= ?1 ORDER BY r.created_at, r.id LIMIT ?2",
        params![now.as_micros(), limit],
    )?;
    let mut runs = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        desk.conn
            .prepare_cached(
                "UPDATE run SET status = 1, ready = 0, updated_at = ?2, started_at = ifnull(started_at, ?2), \
                 fence = fence + 1, attempt = attempt + 1 WHERE id = ?1",
            )?
            .execute(params![candidate.key, now.as_micros()])?;
        let attempt = candidate.attempt + 1;
        runs.push(candidate.claimed(now, attempt));
    }
    let claimed = i64::try_from(runs.len()).unwrap_or(i64::MAX);
    desk.memory.add_pending_runs(-claimed);
    Ok(Claims {
        runs,
        next_due: next_due(desk.conn, now)?,
    })
}

/// The two branches let each be one look-up in the index.
fn next_due(conn: &Connection, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
    let due: Option<i64> = conn
        .prepare_cached(
            "SELECT min(due) FROM (\
             SELECT min(created_at) AS due FROM run WHERE status = 0 AND ready = 1 AND created_at > ?1 UNION ALL \
             SELECT min(created_at) FROM run WHERE status = 0 AND ready = 0 AND created_at > ?1)",
        )?
        .query_row([now.as_micros()], |row| row.get(0))?;
    Ok(due.map(Timestamp::from_micros))
}

/// A run as it is before a claim.
struct Candidate {
    run: Run,
    key: i64,
    fence: i64,
    attempt: u32,
    started_at: Option<i64>,
    cancel: Option<CancelRequest>,
    owner: Option<Identity>,
}

impl Candidate {
    fn claimed(mut self, now: Timestamp, attempt: u32) -> ClaimedRun {
        self.run.status = RunStatus::Running;
        self.run.updated_at = now;
        ClaimedRun {
            lease: Lease {
                run_id: self.run.run_id,
                thread_id: self.run.thread_id,
                fence: self.fence + 1,
            },
            run: self.run,
            attempt,
            started_at: self.started_at.map_or(now, Timestamp::from_micros),
            cancel: self.cancel,
            owner: self.owner,
        }
    }
}

/// The index is named because the planner, which knows nothing of how many runs have ended, would walk over them
/// all to have the order for nothing.
fn candidates(
    conn: &Connection,
    index: &str,
    condition: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<Candidate>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {RUN_COLUMNS}, r.id, r.fence, r.attempt, r.started_at, r.cancel, r.cancel_message, \
         r.owner \
         FROM run r INDEXED BY {index} JOIN run_request q ON q.run = r.id WHERE {condition}"
    ))?;
    let rows = statement.query_map(params, |row: &Row<'_>| {
        Ok(Candidate {
            run: runs::run(row)?,
            key: row.get(9)?,
            fence: row.get(10)?,
            attempt: row.get(11)?,
            started_at: row.get(12)?,
            cancel: cancel_request(row, 13)?,
            owner: identity(row, 15)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`Storage::release_run`](crate::Storage::release_run).
pub(super) fn release(
    desk: &mut Desk<'_>,
    lease: &Lease,
    now: Timestamp,
) -> Result<(), StorageError> {
    let held = check(desk.conn, lease)?;
    requeue(desk, &held, now)
}

fn requeue(desk: &mut Desk<'_>, held: &Held, now: Timestamp) -> Result<(), StorageError> {
    desk.conn
        .prepare_cached(
            "UPDATE run SET status = 0, ready = thread IS NULL, updated_at = ?2 WHERE id = ?1",
        )?
        .execute(params![held.key, now.as_micros()])?;
    desk.memory.add_pending_runs(1);
    if let Some(thread) = held.thread {
        make_next_ready(desk.conn, thread)?;
    }
    Ok(())
}

/// Once nothing runs on a thread: lets the run that is next there be claimed; whether there is one.
pub(super) fn make_next_ready(conn: &Connection, thread: i64) -> Result<bool, StorageError> {
    let changed = conn
        .prepare_cached(
            "UPDATE run SET ready = 1 WHERE id = \
             (SELECT id FROM run WHERE thread = ?1 AND status = 0 ORDER BY created_at, id LIMIT 1)",
        )?
        .execute([thread])?;
    Ok(changed == 1)
}

/// After a run of a thread went that was pending or running: lets the next one be claimed, or the thread rest in the
/// status that the last run which ended left.
pub(super) fn settle(conn: &Connection, thread: i64, now: Timestamp) -> Result<(), StorageError> {
    let running = conn
        .prepare_cached("SELECT 1 FROM run WHERE thread = ?1 AND status = 1")?
        .exists([thread])?;
    if running || make_next_ready(conn, thread)? {
        return Ok(());
    }
    conn.prepare_cached("UPDATE thread SET status = resting, updated_at = ?2 WHERE id = ?1")?
        .execute(params![thread, now.as_micros()])?;
    Ok(())
}

/// See [`Storage::recover`](crate::Storage::recover).
pub(super) fn recover(
    desk: &mut Desk<'_>,
    now: Timestamp,
    max_attempts: u32,
) -> Result<Recovery, StorageError> {
    let (mut exhausted, mut cancelled) = (Vec::new(), Vec::new());
    for candidate in candidates(
        desk.conn,
        "run_running",
        "r.status = 1 AND (r.attempt >= ?1 OR r.cancel > 0) ORDER BY r.id",
        [max_attempts],
    )? {
        // The claim of the dead is void, and this one lets the caller end the run.
        desk.conn
            .prepare_cached("UPDATE run SET fence = fence + 1, updated_at = ?2 WHERE id = ?1")?
            .execute(params![candidate.key, now.as_micros()])?;
        let attempt = candidate.attempt;
        let claimed = candidate.claimed(now, attempt);
        match claimed.cancel {
            Some(_) => cancelled.push(claimed),
            None => exhausted.push(claimed),
        }
    }
    let abandoned = abandoned(desk.conn, max_attempts)?;
    for held in &abandoned {
        requeue(desk, held, now)?;
    }
    desk.memory.unclaim_all();
    Ok(Recovery {
        requeued: abandoned.len() as u64,
        exhausted,
        cancelled,
        deliveries: super::deliveries::count_due(desk.conn, now)?,
    })
}

fn abandoned(conn: &Connection, max_attempts: u32) -> Result<Vec<Held>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {HELD_COLUMNS} FROM run INDEXED BY run_running \
         WHERE status = 1 AND attempt < ?1 AND cancel = 0 ORDER BY id"
    ))?;
    let rows = statement.query_map([max_attempts], held)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
