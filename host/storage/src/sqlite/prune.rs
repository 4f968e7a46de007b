//! What goes of threads: as a whole, or all but their newest checkpoints; on request, or when their time has come.

use rusqlite::{Connection, OptionalExtension, params};
use selvedge_model::thread::TtlStrategy;
use selvedge_model::{Scope, ThreadId, Timestamp};
use serde_json::Value;

use super::cancel::unended_of;
use super::codec::{coded, id, identity, time};
use super::load::{newest_id, thread_key};
use super::rollback::{Extent, add_extent, delete_checkpoint};
use super::writer::Desk;
use crate::StorageError;
use crate::types::{GoneThread, Prune, Pruned, Swept};

/// See [`Storage::prune_threads`](crate::Storage::prune_threads).
pub(super) fn prune(
    desk: &mut Desk<'_>,
    scope: &Scope,
    threads: &[ThreadId],
    how: Prune,
) -> Result<Pruned, StorageError> {
    let mut pruned = Pruned::default();
    for thread in threads {
        let Some(key) = thread_key(desk.conn, scope, *thread)? else {
            continue;
        };
        match how {
            Prune::Delete => pruned.gone.push(delete(desk, key)?),
            Prune::KeepLatest if unended_of(desk.conn, key)?.is_empty() => keep_latest(desk, key)?,
            Prune::KeepLatest => continue,
        }
        pruned.threads += 1;
    }
    Ok(pruned)
}

/// Deletes a thread. What hangs on it goes by its foreign keys, each a range of one index.
pub(super) fn delete(desk: &mut Desk<'_>, thread: i64) -> Result<GoneThread, StorageError> {
    let (thread_id, owner): (ThreadId, _) = desk
        .conn
        .prepare_cached("SELECT uuid, owner FROM thread WHERE id = ?1")?
        .query_row([thread], |row| Ok((id(row, 0)?, identity(row, 1)?)))?;
    let unended = unended_of(desk.conn, thread)?;
    // Whoever takes the id next may be somebody else.
    desk.conn
        .prepare_cached("DELETE FROM event_log WHERE owner IS NOT NULL AND thread = ?1")?
        .execute([thread_id.0.as_bytes()])?;
    // Before the runs, which would be taken out of each of them otherwise.
    desk.conn
        .prepare_cached("DELETE FROM checkpoint WHERE thread = ?1")?
        .execute([thread])?;
    desk.conn
        .prepare_cached("DELETE FROM thread WHERE id = ?1")?
        .execute([thread])?;
    for run in &unended {
        run.forget(desk.memory);
    }
    desk.memory.forget_thread(thread);
    Ok(GoneThread {
        thread_id,
        owner,
        unended: unended.into_iter().map(|run| run.id).collect(),
    })
}

/// Deletes all checkpoints of a thread without unended runs but the newest, with the values that only they had. Of the
/// graphs inside it those are kept, each with its newest, that belong to it: a run may go on there. The others never will.
fn keep_latest(desk: &mut Desk<'_>, thread: i64) -> Result<(), StorageError> {
    let root = newest_id(desk.conn, thread, "")?.map(|id| id.to_string());
    let mut kept = Extent::new();
    let mut newest: Option<String> = None;
    for checkpoint in checkpoints_newest_first(desk.conn, thread)? {
        let is_newest = newest.as_ref() != Some(&checkpoint.namespace);
        let belongs = checkpoint.namespace.is_empty() || checkpoint.root == root;
        if is_newest && belongs {
            add_extent(&mut kept, &checkpoint.channels)?;
        } else {
            delete_checkpoint(desk.conn, thread, checkpoint.key)?;
        }
        newest = Some(checkpoint.namespace);
    }
    delete_values_beyond(desk.conn, thread, &kept)?;
    desk.memory.forget_thread(thread);
    Ok(())
}

/// What pruning looks at.
struct Prunable {
    key: i64,
    namespace: String,
    channels: String,
    /// In a namespace of a graph inside another: the checkpoint of the thread's own graph that it belongs to.
    root: Option<String>,
}

fn checkpoints_newest_first(conn: &Connection, thread: i64) -> Result<Vec<Prunable>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, namespace, channels, iif(namespace = '', NULL, metadata) FROM checkpoint WHERE thread = ?1 \
         ORDER BY namespace DESC, uuid DESC",
    )?;
    let rows = statement.query_map([thread], |row| {
        Ok(Prunable {
            key: row.get(0)?,
            namespace: row.get(1)?,
            channels: row.get(2)?,
            root: row
                .get::<_, Option<String>>(3)?
                .and_then(|metadata| root_in(&metadata)),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn root_in(metadata: &str) -> Option<String> {
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    Some(metadata["parents"][""].as_str()?.to_owned())
}

/// Deletes, in ranges of the index, the segments that are not kept and what lies behind the ends of those that are.
fn delete_values_beyond(conn: &Connection, thread: i64, kept: &Extent) -> Result<(), StorageError> {
    let mut between = conn.prepare_cached(
        "DELETE FROM channel_value WHERE thread = ?1 AND segment > ?2 AND segment < ?3",
    )?;
    let mut behind = conn.prepare_cached(
        "DELETE FROM channel_value WHERE thread = ?1 AND segment = ?2 AND idx > ?3",
    )?;
    let mut previous = -1;
    for (segment, last) in kept {
        between.execute([thread, previous, *segment])?;
        behind.execute([thread, *segment, *last])?;
        previous = *segment;
    }
    between.execute([thread, previous, i64::MAX])?;
    Ok(())
}

/// See [`Storage::sweep_threads`](crate::Storage::sweep_threads).
pub(super) fn sweep(
    desk: &mut Desk<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<Swept, StorageError> {
    let mut swept = Swept::default();
    for _ in 0..limit {
        let Some(next) = next_to_expire(desk.conn)?.filter(|next| next.due <= now) else {
            break;
        };
        let thread = next.thread;
        match next.strategy {
            TtlStrategy::Delete => {
                swept.gone.push(delete(desk, thread)?);
            }
            TtlStrategy::KeepLatest => {
                keep_latest(desk, thread)?;
                desk.conn
                    .prepare_cached("UPDATE thread SET swept_at = ?2 WHERE id = ?1")?
                    .execute(params![thread, now.as_micros()])?;
                swept.trimmed += 1;
            }
        }
    }
    swept.next_due = next_to_expire(desk.conn)?.map(|next| next.due);
    Ok(swept)
}

/// The thread at rest whose time comes first.
struct NextToExpire {
    thread: i64,
    strategy: TtlStrategy,
    due: Timestamp,
}

/// The conditions are those of the index, in its words.
fn next_to_expire(conn: &Connection) -> Result<Option<NextToExpire>, StorageError> {
    let found = conn
        .prepare_cached(
            "SELECT id, ttl_strategy, updated_at + ttl FROM thread INDEXED BY thread_expiry \
             WHERE ttl IS NOT NULL AND status <> 1 AND (swept_at IS NULL OR swept_at < updated_at) \
             ORDER BY updated_at + ttl LIMIT 1",
        )?
        .query_row([], |row| {
            Ok(NextToExpire {
                thread: row.get(0)?,
                strategy: coded(row, 1)?,
                due: time(row, 2)?,
            })
        })
        .optional()?;
    Ok(found)
}
