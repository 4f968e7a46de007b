//! What a running run writes: a step, and its end.

use rusqlite::params;
use selvedge_model::Timestamp;
use selvedge_model::run::Lease;
use selvedge_model::thread::{ThreadOutcome, ThreadStatus};

use super::checkpoints::save_step;
use super::claims::{self, Held};
use super::codec::{Coded, to_document};
use super::deliveries;
use super::writer::Desk;
use crate::StorageError;
use crate::types::{RunEnd, StepCommit};

/// See [`Storage::commit_step`](crate::Storage::commit_step). A temporary run stores nothing: after a crash it
/// starts again from its input.
pub(super) fn commit(
    desk: &mut Desk<'_>,
    lease: &Lease,
    step: StepCommit,
) -> Result<(), StorageError> {
    match claims::check(desk.conn, lease)?.thread {
        Some(thread) => save_step(desk, thread, step),
        None => Ok(()),
    }
}

/// See [`Storage::finish_run`](crate::Storage::finish_run).
pub(super) fn finish(desk: &mut Desk<'_>, lease: &Lease, end: RunEnd) -> Result<(), StorageError> {
    if !end.status.is_terminal() {
        return Err(StorageError::Failed(format!(
            "a run cannot end as {}",
            end.status.as_str()
        )));
    }
    let held = claims::check(desk.conn, lease)?;
    match held.thread {
        None => delete_run(desk, &held)?,
        Some(thread) => {
            save_step(desk, thread, end.step)?;
            desk.conn
                .prepare_cached("UPDATE run SET status = ?2, updated_at = ?3 WHERE id = ?1")?
                .execute(params![held.key, end.status.code(), end.at.as_micros()])?;
            leave_thread(desk, thread, end.thread_status, &end.outcome, end.at)?;
        }
    }
    match end.delivery {
        Some(delivery) => deliveries::insert(desk.conn, &delivery),
        None => Ok(()),
    }
}

fn delete_run(desk: &Desk<'_>, held: &Held) -> Result<(), StorageError> {
    desk.conn
        .prepare_cached("DELETE FROM run WHERE id = ?1")?
        .execute([held.key])?;
    Ok(())
}

/// The thread's values changed when its newest checkpoint was made, whichever commit brought that.
fn leave_thread(
    desk: &Desk<'_>,
    thread: i64,
    status: ThreadStatus,
    outcome: &ThreadOutcome,
    now: Timestamp,
) -> Result<(), StorageError> {
    let status = if claims::make_next_ready(desk.conn, thread)? {
        ThreadStatus::Busy
    } else {
        status
    };
    desk.conn
        .prepare_cached(
            "UPDATE thread SET status = ?2, updated_at = ?3, outcome = ?4, state_updated_at = ifnull(\
             (SELECT created_at FROM checkpoint WHERE thread = ?1 AND namespace = '' \
             ORDER BY uuid DESC LIMIT 1), state_updated_at) WHERE id = ?1",
        )?
        .execute(params![
            thread,
            status.code(),
            now.as_micros(),
            to_document(outcome)?,
        ])?;
    Ok(())
}
