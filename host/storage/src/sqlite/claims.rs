//! Claims on runs: taking them, checking them, giving them back, and voiding those of a process that died.
//!
//! A claim raises the run's fence. Every write of a run goes through [`check`] first, in the same transaction, so
//! a worker whose claim was voided or taken over writes nothing.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::cancel::CancelRequest;
use selvedge_model::run::{ClaimedRun, Lease, Run, RunStatus};
use selvedge_model::{Identity, Timestamp};

use super::codec::{cancel_request, identity};
use super::memory::Memory;
use super::runs::{self, RUN_COLUMNS};
use super::writer::Desk;
use crate::StorageError;
use crate::types::{Claims, Recovery, Share};

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

/// `run.ready` of a pending run that nothing keeps from being claimed.
const READY: i64 = 1;
/// Of one that only its owner's share keeps from it: it is put aside, so that no claim walks over it again before there
/// is room.
pub(super) const PARKED: i64 = 2;
/// Runs that one claim puts aside, so that nobody waits long behind it: some milliseconds.
const MAX_PARKED: u32 = 1_000;

/// Whether one more run of an owner's may be executed.
pub(super) fn has_room(memory: &Memory, owner: Option<&str>, share: Option<Share>) -> bool {
    owner
        .zip(share)
        .is_none_or(|(owner, share)| memory.population().of(owner).running < share.max_running_runs)
}

/// See [`Storage::claim_runs`](crate::Storage::claim_runs).
pub(super) fn claim(
    desk: &mut Desk<'_>,
    now: Timestamp,
    limit: usize,
    share: Option<Share>,
) -> Result<Claims, StorageError> {
    unpark(desk, limit, share)?;
    let mut claims = Claims::default();
    let mut parked = 0;
    while claims.runs.len() < limit {
        let wanted = limit - claims.runs.len();
        let found = ready(desk.conn, now, wanted)?;
        let were_all = found.len() < wanted;
        let mut full = BTreeSet::new();
        for candidate in found {
            match &candidate.owner {
                Some(owner) if !has_room(desk.memory, Some(owner.as_str()), share) => {
                    // The first one takes the others along.
                    if full.insert(owner.clone()) {
                        parked += park(desk, owner, now)?;
                    }
                }
                _ => claims.runs.push(take(desk, candidate, now)?),
            }
        }
        if were_all && full.is_empty() {
            break;
        }
        if parked >= MAX_PARKED as usize {
            claims.unfinished = true;
            break;
        }
    }
    claims.next_due = next_due(desk.conn, now)?;
    Ok(claims)
}

/// Runs that may be claimed, oldest first.
fn ready(conn: &Connection, now: Timestamp, limit: usize) -> Result<Vec<Candidate>, StorageError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    candidates(
        conn,
        "run_pending",
        "r.status = 0 AND r.ready = 1 AND r.created_at <= ?1 ORDER BY r.created_at, r.id LIMIT ?2",
        params![now.as_micros(), limit],
    )
}

fn take(
    desk: &mut Desk<'_>,
    candidate: Candidate,
    now: Timestamp,
) -> Result<ClaimedRun, StorageError> {
    desk.conn
        .prepare_cached(
            "UPDATE run SET status = 1, ready = 0, updated_at = ?2, started_at = ifnull(started_at, ?2), \
             fence = fence + 1, attempt = attempt + 1 WHERE id = ?1",
        )?
        .execute(params![candidate.key, now.as_micros()])?;
    let attempt = candidate.attempt + 1;
    let claimed = candidate.claimed(now, attempt);
    let owner = claimed.owner.as_ref().map(Identity::as_str);
    desk.memory.shift_runs(owner, -1, 1);
    Ok(claimed)
}

/// Puts runs of an owner's aside who has their share, those that waited longest first, and says how many.
fn park(desk: &mut Desk<'_>, owner: &Identity, now: Timestamp) -> Result<usize, StorageError> {
    let parked = desk
        .conn
        .prepare_cached(
            "UPDATE run SET ready = ?1 WHERE id IN (SELECT id FROM run INDEXED BY run_pending_of_owner \
             WHERE status = 0 AND owner = ?2 AND ready = ?3 AND created_at <= ?4 \
             ORDER BY created_at, id LIMIT ?5)",
        )?
        .execute(params![
            PARKED,
            owner.as_str(),
            READY,
            now.as_micros(),
            MAX_PARKED
        ])?;
    desk.memory.set_parked(owner.as_str(), true);
    Ok(parked)
}

/// Lets those be claimed again that were put aside, as far as their owners have room and they are wanted now.
fn unpark(desk: &mut Desk<'_>, wanted: usize, share: Option<Share>) -> Result<(), StorageError> {
    if wanted == 0 {
        return Ok(());
    }
    let max_running = share.map_or(u64::MAX, |share| share.max_running_runs);
    for (owner, room) in desk.memory.population().parked_below(max_running) {
        let room = room.min(wanted as u64);
        let limit = i64::try_from(room).unwrap_or(i64::MAX);
        let unparked = desk
            .conn
            .prepare_cached(
                "UPDATE run SET ready = ?1 WHERE id IN (SELECT id FROM run INDEXED BY run_pending_of_owner \
                 WHERE status = 0 AND owner = ?2 AND ready = ?3 ORDER BY created_at, id LIMIT ?4)",
            )?
            .execute(params![READY, owner, PARKED, limit])?;
        if (unparked as u64) < room {
            desk.memory.set_parked(&owner, false);
        }
    }
    Ok(())
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
    desk.memory.shift_runs(held.owner.as_deref(), 1, -1);
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
