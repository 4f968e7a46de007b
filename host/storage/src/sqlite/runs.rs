//! Admitting runs, and reading them.

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::cancel::CancelRequest;
use selvedge_model::run::{ClaimedRun, Lease, MultitaskStrategy, Run, RunStatus};
use selvedge_model::thread::ThreadStatus;
use selvedge_model::{Identity, RunId, Scope, ThreadId};

use super::cancel::{self, Ending};
use super::claims;
use super::codec::{Coded, coded, document, id, json, time, to_document};
use super::population::Population;
use super::questions;
use super::scope::{only, within};
use super::threads::{self, KnownThread};
use super::weight::Weight;
use super::writer::Desk;
use crate::StorageError;
use crate::types::{Admission, Batch, Cancelled, NewRun, NewThread, Refusal, RunQuery, ThreadNeed};

/// The columns that [`run`] reads, of `run r` joined with `run_request q`.
pub(super) const RUN_COLUMNS: &str = "r.uuid, r.thread_uuid, r.assistant, q.metadata, r.status, q.kwargs, \
     r.multitask, r.created_at, r.updated_at";

/// Reads a run from a row that begins with [`RUN_COLUMNS`].
pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        run_id: id(row, 0)?,
        thread_id: id(row, 1)?,
        assistant_id: id(row, 2)?,
        metadata: json(row, 3)?,
        status: coded(row, 4)?,
        kwargs: document(row, 5)?,
        multitask_strategy: coded(row, 6)?,
        created_at: time(row, 7)?,
        updated_at: time(row, 8)?,
    })
}

/// How many runs wait and are executed, counted. The writer knows without counting once it runs.
pub(super) fn population(conn: &Connection) -> Result<Population, StorageError> {
    let nobodys: i64 = conn.query_row(
        "SELECT count(*) FROM run WHERE status = 0 AND owner IS NULL",
        [],
        |row| row.get(0),
    )?;
    let mut population = Population::of_nobody(nobodys.unsigned_abs());
    let mut pending = conn.prepare(
        "SELECT owner, ready, count(*) FROM run INDEXED BY run_pending_of_owner \
         WHERE status = 0 AND owner IS NOT NULL GROUP BY owner, ready",
    )?;
    let mut rows = pending.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, ready, count): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        population.shift(Some(owner.as_str()), count, 0);
        if ready == claims::PARKED {
            population.set_parked(&owner, true);
        }
    }
    let mut running = conn.prepare(
        "SELECT owner, count(*) FROM run INDEXED BY run_running_of_owner \
         WHERE status = 1 AND owner IS NOT NULL GROUP BY owner",
    )?;
    let mut rows = running.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, count): (String, i64) = (row.get(0)?, row.get(1)?);
        population.shift(Some(owner.as_str()), 0, count);
    }
    Ok(population)
}

/// See [`Storage::admit_run`](crate::Storage::admit_run). Nothing is written before the run is sure to be accepted.
pub(super) fn admit(
    desk: &mut Desk<'_>,
    scope: &Scope,
    new: NewRun,
) -> Result<Admission, StorageError> {
    let id = new.run.thread_id;
    let known = match new.thread {
        ThreadNeed::None => None,
        _ => threads::find(desk.conn, scope, id)?,
    };
    let may_begin = match new.thread {
        ThreadNeed::None => true,
        ThreadNeed::Existing { .. } => known.is_some(),
        ThreadNeed::Create { .. } => known.is_some() || !threads::is_taken(desk.conn, id)?,
    };
    if !may_begin {
        return Ok(Admission::Refused(Refusal::NoThread));
    }
    if let Some(question) = first_closed(desk.conn, known.as_ref(), &new)? {
        return Ok(Admission::Refused(Refusal::NoQuestion(question)));
    }
    let mut others = match &known {
        Some(thread) => others_on(desk.conn, thread.key)?,
        None => Others::default(),
    };
    let strategy = new.run.multitask_strategy;
    if strategy == MultitaskStrategy::Reject && others.any() {
        return Ok(Admission::Refused(Refusal::Busy));
    }
    let supersedes = known
        .as_ref()
        .filter(|_| others.any())
        .zip(CancelRequest::superseded_by(new.run.run_id, strategy));
    let given_up = match &supersedes {
        Some((thread, _)) => cancel::count_unbegun(desk.conn, thread.key)?,
        None => 0,
    };
    // What happens on a thread belongs to whoever the thread belongs to, also when an operator makes it happen.
    let owner = match &known {
        Some(thread) => thread.owner.as_deref().and_then(Identity::new),
        None => scope.owner().cloned(),
    };
    let population = desk.memory.population();
    if population.pending().saturating_sub(given_up) >= new.max_pending_runs {
        return Ok(Admission::Refused(Refusal::TooManyPending));
    }
    if let (Some(owner), Some(share)) = (&owner, new.share) {
        let pending = population.of(owner.as_str()).pending;
        if pending.saturating_sub(given_up) >= share.max_pending_runs {
            return Ok(Admission::Refused(Refusal::TooManyPendingOfOwner));
        }
    }
    let mut superseded = Cancelled::default();
    if let Some((thread, request)) = supersedes {
        let ending = Ending {
            request: &request,
            last_words: &new.last_words,
            now: new.run.updated_at,
        };
        superseded = cancel::supersede(desk, thread.key, ending)?;
        others = others_on(desk.conn, thread.key)?;
    }
    let thread = occupy_thread(desk, scope, known.as_ref(), &new)?;
    insert(desk, owner, new, thread, &others, superseded)
}

/// The first question that the run is to answer and cannot.
fn first_closed(
    conn: &Connection,
    thread: Option<&KnownThread>,
    new: &NewRun,
) -> Result<Option<String>, StorageError> {
    match thread {
        _ if new.answers.is_empty() => Ok(None),
        Some(thread) => {
            let begins = new.run.created_at.as_micros();
            questions::first_closed(conn, thread.key, &new.answers, begins)
        }
        None => Ok(new.answers.first().cloned()),
    }
}

/// See [`Storage::admit_runs`](crate::Storage::admit_runs). Each is judged with those before it admitted, so what they
/// wrote is taken back when one is refused.
pub(super) fn admit_all(
    desk: &mut Desk<'_>,
    scope: &Scope,
    new: Vec<NewRun>,
) -> Result<Batch, StorageError> {
    let mark = desk.memory.mark();
    desk.statement("SAVEPOINT batch")?;
    let mut admissions = Vec::with_capacity(new.len());
    for (position, new) in new.into_iter().enumerate() {
        match admit(desk, scope, new)? {
            Admission::Refused(refusal) => {
                desk.statement("ROLLBACK TO batch")?;
                desk.statement("RELEASE batch")?;
                desk.memory.undo_to(mark);
                return Ok(Batch::Refused { position, refusal });
            }
            accepted => admissions.push(accepted),
        }
    }
    desk.statement("RELEASE batch")?;
    Ok(Batch::Accepted(admissions))
}

/// The runs of a thread that have not ended.
#[derive(Default)]
struct Others {
    running: bool,
    /// Key and earliest beginning of the one that is next.
    first_waiting: Option<(i64, i64)>,
}

impl Others {
    fn any(&self) -> bool {
        self.running || self.first_waiting.is_some()
    }
}

fn others_on(conn: &Connection, thread: i64) -> Result<Others, StorageError> {
    let running = conn
        .prepare_cached("SELECT 1 FROM run WHERE thread = ?1 AND status = 1")?
        .exists([thread])?;
    let first_waiting = conn
        .prepare_cached(
            "SELECT id, created_at FROM run WHERE thread = ?1 AND status = 0 ORDER BY created_at, id LIMIT 1",
        )?
        .query_row([thread], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(Others {
        running,
        first_waiting,
    })
}

fn occupy_thread(
    desk: &Desk<'_>,
    scope: &Scope,
    known: Option<&KnownThread>,
    new: &NewRun,
) -> Result<Option<i64>, StorageError> {
    let (metadata, config, ttl) = match &new.thread {
        ThreadNeed::None => return Ok(None),
        ThreadNeed::Existing { metadata, config } => (metadata, config, None),
        ThreadNeed::Create {
            metadata,
            config,
            ttl,
        } => (metadata, config, *ttl),
    };
    let now = new.run.updated_at;
    match known {
        Some(thread) => {
            threads::occupy(desk.conn, thread, metadata, config, now)?;
            Ok(Some(thread.key))
        }
        None => {
            let thread = NewThread {
                thread_id: new.run.thread_id,
                metadata: metadata.clone(),
                created_at: now,
                ttl,
            };
            threads::insert(desk.conn, scope, &thread, ThreadStatus::Busy, config).map(Some)
        }
    }
}

fn insert(
    desk: &mut Desk<'_>,
    owner: Option<Identity>,
    new: NewRun,
    thread: Option<i64>,
    others: &Others,
    superseded: Cancelled,
) -> Result<Admission, StorageError> {
    let mut run = new.run;
    let begins = run.created_at.as_micros();
    let is_next = !others.running && others.first_waiting.is_none_or(|(_, first)| first > begins);
    if let (true, Some((other, _))) = (is_next, others.first_waiting) {
        desk.conn
            .prepare_cached("UPDATE run SET ready = 0 WHERE id = ?1")?
            .execute([other])?;
    }
    let owner_name = owner.as_ref().map(Identity::as_str);
    let has_room = claims::has_room(desk.memory, owner_name, new.share);
    let may_begin = is_next && has_room;
    let claimed_at = new
        .claim_by
        .filter(|now| may_begin && run.created_at <= *now);
    run.status = RunStatus::Pending;
    if let Some(now) = claimed_at {
        run.status = RunStatus::Running;
        run.updated_at = now;
    }
    let fence = i64::from(claimed_at.is_some());
    desk.conn
        .prepare_cached(
            "INSERT INTO run (uuid, thread, thread_uuid, assistant, status, ready, multitask, created_at, \
             updated_at, started_at, fence, attempt, owner) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12)",
        )?
        .execute(params![
            run.run_id.0.as_bytes(),
            thread,
            run.thread_id.0.as_bytes(),
            run.assistant_id.0.as_bytes(),
            run.status.code(),
            is_next && claimed_at.is_none(),
            run.multitask_strategy.code(),
            begins,
            run.updated_at.as_micros(),
            claimed_at.map(|now| now.as_micros()),
            fence,
            owner_name,
        ])?;
    desk.conn
        .prepare_cached("INSERT INTO run_request (run, metadata, kwargs) VALUES (?1, ?2, ?3)")?
        .execute(params![
            desk.conn.last_insert_rowid(),
            run.metadata.as_str(),
            to_document(&run.kwargs)?,
        ])?;
    let Some(started_at) = claimed_at else {
        desk.memory.shift_runs(owner_name, 1, 0);
        return Ok(Admission::Queued(Box::new(run), superseded));
    };
    desk.memory.shift_runs(owner_name, 0, 1);
    let lease = Lease {
        run_id: run.run_id,
        thread_id: run.thread_id,
        fence,
    };
    let claimed = ClaimedRun {
        run,
        lease,
        attempt: 1,
        started_at,
        cancel: None,
        owner,
    };
    Ok(Admission::Claimed(Box::new(claimed), superseded))
}

/// One run, on its thread or on any.
pub(super) fn find(
    conn: &Connection,
    scope: &Scope,
    thread: Option<ThreadId>,
    run_id: RunId,
) -> Result<Option<Run>, StorageError> {
    let found = conn
        .prepare_cached(&format!(
            "SELECT {RUN_COLUMNS} FROM run r JOIN run_request q ON q.run = r.id \
             WHERE r.uuid = ?1 AND {}",
            within(scope, "r.owner", 2)
        ))?
        .query_row(params![run_id.0.as_bytes(), only(scope)], run)
        .optional()?;
    Ok(found.filter(|run| thread.is_none_or(|thread| thread == run.thread_id)))
}

/// The runs of a thread, newest first.
pub(super) fn list(
    conn: &Connection,
    scope: &Scope,
    query: &RunQuery,
) -> Result<Vec<Run>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {RUN_COLUMNS} FROM run r JOIN run_request q ON q.run = r.id \
         WHERE r.thread = (SELECT id FROM thread WHERE uuid = ?1 AND {}) AND (?2 IS NULL OR r.status = ?2) \
         ORDER BY r.created_at DESC, r.id DESC LIMIT ?3 OFFSET ?4",
        within(scope, "owner", 5)
    ))?;
    let rows = statement.query_map(
        params![
            query.thread_id.0.as_bytes(),
            query.status.map(Coded::code),
            query.limit,
            query.offset,
            only(scope),
        ],
        |row| Ok((weight_of_row(row)?, run(row)?)),
    )?;
    let mut runs = Vec::new();
    let mut weight = Weight::default();
    for row in rows {
        let (bytes, run) = row?;
        weight.add(bytes)?;
        runs.push(run);
    }
    Ok(runs)
}

/// What the parts without a bound weigh of a row with [`RUN_COLUMNS`].
fn weight_of_row(row: &Row<'_>) -> rusqlite::Result<usize> {
    let (metadata, kwargs) = (row.get_ref(3)?, row.get_ref(5)?);
    Ok(metadata.as_str()?.len() + kwargs.as_str()?.len())
}
