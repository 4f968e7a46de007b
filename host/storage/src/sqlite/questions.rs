//! The questions of a thread that wait for an answer.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use selvedge_model::Json;
use selvedge_model::thread::ThreadOutcome;

use super::codec::optional_document;
use crate::StorageError;

/// The first of these questions that cannot be answered by a run that begins at a time: nobody asks it, an answer to it is
/// on its way, or a run that comes before leads away from it.
pub(super) fn first_closed(
    conn: &Connection,
    thread: i64,
    questions: &[String],
    begins: i64,
) -> Result<Option<String>, StorageError> {
    let outcome: Option<ThreadOutcome> = conn
        .prepare_cached("SELECT outcome FROM thread WHERE id = ?1")?
        .query_row([thread], |row| optional_document(row, 0))?;
    let interrupts = outcome.unwrap_or_default().interrupts;
    let asked = interrupts.into_values().flatten();
    let mut open: HashSet<String> = asked.map(|question| question.id).collect();
    // Runs say when they were asked for, and come here in another order. One that is to begin later than it was asked for
    // has that time behind its last change.
    let mut before = conn.prepare_cached(
        "SELECT q.kwargs -> '$.command.resume' FROM run r JOIN run_request q ON q.run = r.id \
         WHERE r.thread = ?1 AND r.status IN (0, 1) AND r.created_at <= max(?2, r.updated_at)",
    )?;
    let mut rows = before.query(params![thread, begins])?;
    while let Some(row) = rows.next()?
        && !open.is_empty()
    {
        let resume: Option<String> = row.get(0)?;
        let resume = resume.and_then(|text| Json::parse(&text).ok());
        let answers = resume.and_then(|resume| resume.members());
        match answers {
            Some(answers) if answers.keys().all(|id| open.contains(id)) => {
                open.retain(|id| !answers.contains_key(id));
            }
            // An input, or an answer to whatever is asked.
            _ => open.clear(),
        }
    }
    let closed = questions.iter().find(|id| !open.contains(*id));
    Ok(closed.cloned())
}
