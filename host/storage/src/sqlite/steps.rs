//! What a running run writes: a step, and its end.

use rusqlite::{Connection, params};
use selvedge_model::Timestamp;
use selvedge_model::cancel::CancelAction;
use selvedge_model::event::StoredEvent;
use selvedge_model::run::{Lease, RunError};
use selvedge_model::thread::{ThreadOutcome, ThreadStatus};

use super::checkpoints::save_step;
use super::claims;
use super::codec::{Coded, optional_document, to_document};
use super::writer::Desk;
use super::{cancel, deliveries, events, rollback};
use crate::StorageError;
use crate::types::{Finish, RunEnd, StepCommit};

/// See [`Storage::commit_step`](crate::Storage::commit_step). Of a temporary run only events are stored: after a crash
/// it starts again from its input.
pub(super) fn commit(
    desk: &mut Desk<'_>,
    lease: &Lease,
    step: StepCommit,
) -> Result<(), StorageError> {
    let held = claims::check(desk.conn, lease)?;
    let owner = held.owner.as_deref();
    events::append(desk.conn, lease.thread_id, owner, &step.events)?;
    match held.thread {
        Some(thread) => save_step(desk, thread, Some(held.key), step),
        None => Ok(()),
    }
}

/// See [`Storage::append_events`](crate::Storage::append_events).
pub(super) fn append_events(
    desk: &Desk<'_>,
    lease: &Lease,
    events: &[StoredEvent],
) -> Result<(), StorageError> {
    let held = claims::check(desk.conn, lease)?;
    events::append(desk.conn, lease.thread_id, held.owner.as_deref(), events)
}

/// See [`Storage::finish_run`](crate::Storage::finish_run).
pub(super) fn finish(
    desk: &mut Desk<'_>,
    lease: &Lease,
    end: RunEnd,
) -> Result<Finish, StorageError> {
    if !end.status.is_terminal() {
        return Err(StorageError::Failed(format!(
            "a run cannot end as {}",
            end.status.as_str()
        )));
    }
    let mut held = claims::check(desk.conn, lease)?;
    if let Some(wish) = held.cancel.take()
        && end.cancelled < Some(wish.action)
    {
        return Ok(Finish::CancelRequested(wish));
    }
    let owner = held.owner.as_deref();
    events::append(desk.conn, lease.thread_id, owner, &end.step.events)?;
    match (held.thread, end.cancelled) {
        (None, _) => cancel::remove(desk.conn, held.key)?,
        (Some(thread), Some(CancelAction::Rollback)) => {
            rollback::undo(desk, held.key, thread)?;
            cancel::remove(desk.conn, held.key)?;
            restore_thread(desk.conn, thread, end.outcome.error, end.at)?;
        }
        (Some(thread), _) => {
            save_step(desk, thread, Some(held.key), end.step)?;
            if held.undo {
                rollback::forget(desk.conn, held.key)?;
            }
            desk.conn
                .prepare_cached(
                    "UPDATE run SET status = ?2, updated_at = ?3, undo = 0 WHERE id = ?1",
                )?
                .execute(params![held.key, end.status.code(), end.at.as_micros()])?;
            leave_thread(desk.conn, thread, end.thread_status, &end.outcome, end.at)?;
        }
    }
    if let Some(delivery) = end.delivery {
        deliveries::insert(desk.conn, &delivery, owner)?;
    }
    desk.memory.shift_runs(owner, 0, -1);
    Ok(Finish::Ended)
}

/// The thread's values changed when its newest checkpoint was made, whichever commit brought that.
pub(super) fn leave_thread(
    conn: &Connection,
    thread: i64,
    resting: ThreadStatus,
    outcome: &ThreadOutcome,
    now: Timestamp,
) -> Result<(), StorageError> {
    let status = if claims::make_next_ready(conn, thread)? {
        ThreadStatus::Busy
    } else {
        resting
    };
    conn.prepare_cached(
        "UPDATE thread SET status = ?2, resting = ?5, updated_at = ?3, outcome = ?4, state_updated_at = ifnull(\
         (SELECT created_at FROM checkpoint WHERE thread = ?1 AND namespace = '' \
         ORDER BY uuid DESC LIMIT 1), state_updated_at) WHERE id = ?1",
    )?
    .execute(params![
        thread,
        status.code(),
        now.as_micros(),
        to_document(outcome)?,
        resting.code(),
    ])?;
    Ok(())
}

/// The thread as it was before a run that is undone. Its questions wait for an answer again; only what it says of the
/// last run is new.
fn restore_thread(
    conn: &Connection,
    thread: i64,
    error: Option<RunError>,
    now: Timestamp,
) -> Result<(), StorageError> {
    let before: Option<ThreadOutcome> = conn
        .prepare_cached("SELECT outcome FROM thread WHERE id = ?1")?
        .query_row([thread], |row| optional_document(row, 0))?;
    let outcome = ThreadOutcome {
        error,
        ..before.unwrap_or_default()
    };
    conn.prepare_cached("UPDATE thread SET outcome = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![thread, to_document(&outcome)?, now.as_micros()])?;
    rollback::restore_values_time(conn, thread)?;
    claims::settle(conn, thread, now)
}
