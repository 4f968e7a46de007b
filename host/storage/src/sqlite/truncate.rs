//! Emptying tables, for development: test suites of others begin so.

use rusqlite::params;
use selvedge_model::{RunId, Timestamp};

use super::codec::id;
use super::writer::Desk;
use crate::StorageError;
use crate::types::Truncate;

/// See [`Storage::truncate`](crate::Storage::truncate).
pub(super) fn truncate(
    desk: &mut Desk<'_>,
    what: Truncate,
    now: Timestamp,
) -> Result<Vec<RunId>, StorageError> {
    let mut gone = Vec::new();
    if what.runs || what.threads {
        let which = if what.runs {
            "true"
        } else {
            "thread IS NOT NULL"
        };
        gone = desk
            .conn
            .prepare_cached(&format!("SELECT uuid FROM run WHERE {which}"))?
            .query_map([], |row| id(row, 0))?
            .collect::<Result<_, _>>()?;
    }
    if what.checkpoints || what.threads {
        for table in [
            "pending_write",
            "checkpoint",
            "channel_value",
            "pending_before",
        ] {
            desk.statement(&format!("DELETE FROM {table}"))?;
        }
        desk.conn
            .prepare_cached(
                "UPDATE thread SET outcome = NULL, resting = 0, status = iif(status = 1, 1, 0), \
                 state_updated_at = created_at, updated_at = ?1",
            )?
            .execute(params![now.as_micros()])?;
    }
    if what.runs {
        desk.statement("DELETE FROM run")?;
        desk.statement("UPDATE thread SET status = resting")?;
    }
    if what.threads {
        desk.statement("DELETE FROM thread")?;
    }
    if what.runs || what.threads {
        desk.statement("DELETE FROM event_log")?;
    }
    if what.assistants {
        desk.statement("DELETE FROM assistant")?;
    }
    if what.store {
        desk.statement("DELETE FROM store_item")?;
    }
    let population = super::runs::population(desk.conn)?;
    desk.memory.set_population(population);
    desk.memory.forget_all_threads();
    Ok(gone)
}
