//! Cancelling and deleting runs: those that have not begun end here, those that have are marked for whoever executes
//! them. The mark is durable, so that a crash before the run has ended does not bring it back to life.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::run::RunStatus;
use selvedge_model::{Identity, RunId, Scope, ThreadId, Timestamp};

use super::claims;
use super::codec::{Coded, coded, id};
use super::memory::Memory;
use super::scope::{only, within};
use super::writer::Desk;
use super::{deliveries, events, rollback, runs};
use crate::StorageError;
use crate::types::{CancelRuns, Cancelled, LastEvent, LastWords, WhichRuns};

/// Runs that one unit cancels when they are not named one by one, so that nobody waits long behind it: some ten
/// milliseconds.
const MAX_CANCELLED: u32 = 500;

/// How runs are to end.
#[derive(Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) request: &'a CancelRequest,
    pub(super) last_words: &'a LastWords,
    pub(super) now: Timestamp,
}

/// A run that has not ended.
pub(super) struct Target {
    key: i64,
    pub(super) id: RunId,
    /// `None`: temporary.
    thread: Option<i64>,
    status: RunStatus,
    attempt: u32,
    owner: Option<String>,
}

impl Target {
    /// Whether it was ever executed: it may have left something, and someone may be told of its end.
    fn has_begun(&self) -> bool {
        self.attempt > 0
    }

    /// It is no more: it counts no longer among those that wait or are executed.
    pub(super) fn forget(&self, memory: &mut Memory) {
        let owner = self.owner.as_deref();
        match self.status {
            RunStatus::Pending => memory.shift_runs(owner, -1, 0),
            RunStatus::Running => memory.shift_runs(owner, 0, -1),
            _ => {}
        }
    }
}

const TARGET_COLUMNS: &str = "id, uuid, thread, status, attempt, owner";

fn target(row: &Row<'_>) -> rusqlite::Result<Target> {
    Ok(Target {
        key: row.get(0)?,
        id: id(row, 1)?,
        thread: row.get(2)?,
        status: coded(row, 3)?,
        attempt: row.get(4)?,
        owner: row.get(5)?,
    })
}

/// See [`Storage::cancel_runs`](crate::Storage::cancel_runs).
pub(super) fn cancel(
    desk: &mut Desk<'_>,
    scope: &Scope,
    cancel: &CancelRuns,
) -> Result<Cancelled, StorageError> {
    let action = cancel.request.action;
    let ending = Ending {
        request: &cancel.request,
        last_words: &cancel.last_words,
        now: cancel.now,
    };
    let (pending, running) = match &cancel.which {
        WhichRuns::Named { thread, ids } => {
            let targets = named(desk.conn, scope, *thread, ids)?;
            return end_or_mark(desk, targets, ending);
        }
        WhichRuns::Pending => (true, false),
        WhichRuns::Running => (false, true),
        WhichRuns::All => (true, true),
    };
    let mut targets = Vec::new();
    if pending {
        targets = unmarked(desk.conn, scope, RunStatus::Pending, action)?;
    }
    if running && targets.len() < MAX_CANCELLED as usize {
        targets.extend(unmarked(desk.conn, scope, RunStatus::Running, action)?);
    }
    let more = targets.len() >= MAX_CANCELLED as usize;
    let cancelled = end_or_mark(desk, targets, ending)?;
    Ok(Cancelled { more, ..cancelled })
}

fn named(
    conn: &Connection,
    scope: &Scope,
    thread: Option<ThreadId>,
    ids: &[RunId],
) -> Result<Vec<Target>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {TARGET_COLUMNS} FROM run WHERE uuid = ?1 AND status IN (0, 1) \
         AND (?2 IS NULL OR thread_uuid = ?2) AND {}",
        within(scope, "owner", 3)
    ))?;
    let thread = thread.as_ref().map(|thread| thread.0.as_bytes());
    let mut targets = Vec::new();
    for id in ids.iter().collect::<BTreeSet<_>>() {
        let found = statement.query_row(params![id.0.as_bytes(), thread, only(scope)], target);
        targets.extend(found.optional()?);
    }
    Ok(targets)
}

/// Those that are not marked already at least so strongly: who asks again gets others. The indices are named for the
/// planner, which knows nothing of how few have not ended.
fn unmarked(
    conn: &Connection,
    scope: &Scope,
    status: RunStatus,
    action: CancelAction,
) -> Result<Vec<Target>, StorageError> {
    let index = match (only(scope), status) {
        (None, RunStatus::Pending) => "run_pending",
        (None, _) => "run_running",
        (Some(_), RunStatus::Pending) => "run_pending_of_owner",
        (Some(_), _) => "run_running_of_owner",
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {TARGET_COLUMNS} FROM run INDEXED BY {index} \
         WHERE status = {} AND cancel < ?1 AND {} LIMIT ?2",
        status.code(),
        within(scope, "owner", 3)
    ))?;
    let rows = statement.query_map(
        params![Some(action).code(), MAX_CANCELLED, only(scope)],
        target,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Cancels every other run of a thread for one that is about to be admitted.
pub(super) fn supersede(
    desk: &mut Desk<'_>,
    thread: i64,
    ending: Ending<'_>,
) -> Result<Cancelled, StorageError> {
    let targets = unended_of(desk.conn, thread)?;
    end_or_mark(desk, targets, ending)
}

/// How many pending runs [`supersede`] would end.
pub(super) fn count_unbegun(conn: &Connection, thread: i64) -> Result<u64, StorageError> {
    let targets = unended_of(conn, thread)?;
    Ok(targets.iter().filter(|target| !target.has_begun()).count() as u64)
}

/// The running run of a thread and its pending ones in their order. Each status is spelled out, because only so the
/// planner takes its small index and does not walk over every run that has ended on the thread.
pub(super) fn unended_of(conn: &Connection, thread: i64) -> Result<Vec<Target>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {TARGET_COLUMNS}, created_at FROM run WHERE thread = ?1 AND status = 1 UNION ALL \
         SELECT {TARGET_COLUMNS}, created_at FROM run WHERE thread = ?1 AND status = 0 \
         ORDER BY status DESC, created_at, id"
    ))?;
    let rows = statement.query_map([thread], target)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Cancels the runs of an assistant that have not ended. Pending and running runs are few beside those that have
/// ended (both are bounded by the configuration), so they are looked through and no index is kept for this.
pub(super) fn of_assistant(
    desk: &mut Desk<'_>,
    assistant: &[u8; 16],
    ending: Ending<'_>,
) -> Result<Cancelled, StorageError> {
    let mut targets = Vec::new();
    for (index, status) in [("run_pending", 0), ("run_running", 1)] {
        let mut statement = desk.conn.prepare_cached(&format!(
            "SELECT {TARGET_COLUMNS} FROM run INDEXED BY {index} WHERE status = {status} AND assistant = ?1"
        ))?;
        for found in statement.query_map([assistant], target)? {
            targets.push(found?);
        }
    }
    end_or_mark(desk, targets, ending)
}

fn end_or_mark(
    desk: &mut Desk<'_>,
    targets: Vec<Target>,
    ending: Ending<'_>,
) -> Result<Cancelled, StorageError> {
    let Ending { request, now, .. } = ending;
    let mut cancelled = Cancelled::default();
    let mut threads = BTreeSet::new();
    for target in targets {
        if target.has_begun() {
            mark(desk.conn, &target, request)?;
            cancelled.marked.push(target.id);
            continue;
        }
        target.forget(desk.memory);
        threads.extend(target.thread);
        cancelled
            .told
            .extend(take_leave(desk.conn, &target, ending)?);
        match request.action {
            CancelAction::Interrupt => {
                end_unbegun(desk.conn, &target, request, now)?;
                cancelled.ended.push(target.id);
            }
            CancelAction::Rollback => {
                remove(desk.conn, target.key)?;
                cancelled.deleted.push(target.id);
            }
        }
    }
    for thread in threads {
        claims::settle(desk.conn, thread, now)?;
    }
    Ok(cancelled)
}

/// Stores what is to be delivered for a run that ends now and had not begun, and what is told of it, while its row is
/// still there.
fn take_leave(
    conn: &Connection,
    target: &Target,
    ending: Ending<'_>,
) -> Result<Option<LastEvent>, StorageError> {
    let wanted: Option<(bool, bool)> = conn
        .prepare_cached(
            "SELECT kwargs ->> 'webhook' IS NOT NULL, kwargs ->> 'resumable' FROM run_request WHERE run = ?1",
        )?
        .query_row([target.key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (has_webhook, is_kept) = wanted.unwrap_or_default();
    if !has_webhook && !is_kept {
        return Ok(None);
    }
    let Some(run) = runs::find(conn, &Scope::Host, None, target.id)? else {
        return Ok(None);
    };
    let owner = target.owner.as_deref();
    let Ending {
        request,
        last_words,
        now,
    } = ending;
    if has_webhook && let Some(delivery) = last_words.delivery(&run, request, now) {
        deliveries::insert(conn, &delivery, owner)?;
    }
    if !is_kept {
        return Ok(None);
    }
    let last = events::last_id(conn, run.thread_id)?;
    let told = last_words.event(&run, owner.and_then(Identity::new).as_ref(), last);
    if let Some(told) = &told {
        let event = std::slice::from_ref(&told.event);
        events::append(conn, run.thread_id, owner, event)?;
    }
    Ok(told)
}

/// A wish that is there already gives way to a stronger one only.
fn mark(conn: &Connection, target: &Target, request: &CancelRequest) -> Result<(), StorageError> {
    conn.prepare_cached(
        "UPDATE run SET cancel = ?2, cancel_message = ?3 WHERE id = ?1 AND cancel < ?2",
    )?
    .execute(params![
        target.key,
        Some(request.action).code(),
        request.message
    ])?;
    Ok(())
}

fn end_unbegun(
    conn: &Connection,
    target: &Target,
    request: &CancelRequest,
    now: Timestamp,
) -> Result<(), StorageError> {
    if target.thread.is_none() {
        return remove(conn, target.key);
    }
    conn.prepare_cached(
        "UPDATE run SET status = ?2, ready = 0, updated_at = ?3, cancel = ?4, cancel_message = ?5 WHERE id = ?1",
    )?
    .execute(params![
        target.key,
        RunStatus::Interrupted.code(),
        now.as_micros(),
        Some(request.action).code(),
        request.message,
    ])?;
    Ok(())
}

/// Takes a run's row away.
pub(super) fn remove(conn: &Connection, run: i64) -> Result<(), StorageError> {
    conn.prepare_cached("DELETE FROM run WHERE id = ?1")?
        .execute([run])?;
    Ok(())
}

/// See [`Storage::delete_run`](crate::Storage::delete_run).
pub(super) fn delete(
    desk: &mut Desk<'_>,
    scope: &Scope,
    thread: Option<ThreadId>,
    run: RunId,
    now: Timestamp,
) -> Result<Option<RunStatus>, StorageError> {
    let thread = thread.as_ref().map(|thread| thread.0.as_bytes());
    let found = desk
        .conn
        .prepare_cached(&format!(
            "SELECT {TARGET_COLUMNS} FROM run WHERE uuid = ?1 AND (?2 IS NULL OR thread_uuid = ?2) AND {}",
            within(scope, "owner", 3)
        ))?
        .query_row(params![run.0.as_bytes(), thread, only(scope)], target)
        .optional()?;
    let Some(target) = found else {
        return Ok(None);
    };
    let unended_on = target.thread.filter(|_| !target.status.is_terminal());
    target.forget(desk.memory);
    if let Some(thread) = unended_on {
        rollback::undo(desk, target.key, thread)?;
        // What it showed has no end, for which readers would wait.
        events::forget(desk.conn, run)?;
    }
    remove(desk.conn, target.key)?;
    if let Some(thread) = unended_on {
        rollback::restore_values_time(desk.conn, thread)?;
        claims::settle(desk.conn, thread, now)?;
    }
    Ok(Some(target.status))
}
