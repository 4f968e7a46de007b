//! The vectors of the store's items: which are to be made, and those that were made. What they are compared with is in
//! `nearest`.

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::Json;
use selvedge_model::item::IndexedParts;

use super::codec::{json, optional_document};
use crate::StorageError;
use crate::types::{IndexTicket, IndexedItem, PendingItem, PendingItems};

/// What the items of one answer may weigh together; a single one may weigh anything.
const MAX_PENDING_BYTES: usize = 4 << 20;

/// What stands in the column `paths`.
pub(super) fn paths(parts: &IndexedParts) -> Option<String> {
    match parts {
        IndexedParts::AsConfigured => None,
        IndexedParts::Nothing => Some("[]".to_owned()),
        IndexedParts::Paths(paths) => Some(Json::written(paths).as_str().to_owned()),
    }
}

fn parts(row: &Row<'_>, column: usize) -> Result<IndexedParts, StorageError> {
    let paths: Option<Vec<String>> = optional_document(row, column)?;
    Ok(paths.map_or(IndexedParts::AsConfigured, IndexedParts::Paths))
}

/// Notes that an item has a new value. Where there was never an index there is nothing to note.
pub(super) fn was_put(
    conn: &Connection,
    item: i64,
    parts: &IndexedParts,
) -> Result<Option<IndexTicket>, StorageError> {
    if *parts == IndexedParts::Nothing {
        for table in ["item_pending", "item_vector"] {
            conn.prepare_cached(&format!("DELETE FROM {table} WHERE item = ?1"))?
                .execute([item])?;
        }
        return Ok(None);
    }
    let ticket = conn
        .prepare_cached(
            "INSERT OR REPLACE INTO item_pending (item) SELECT ?1 FROM item_index RETURNING ticket",
        )?
        .query_row([item], |row| row.get(0))
        .optional()?;
    Ok(ticket.map(IndexTicket))
}

/// See [`Storage::open_index`](crate::Storage::open_index).
pub(super) fn open(conn: &Connection, identity: &str) -> Result<u64, StorageError> {
    let known: Option<String> = conn
        .query_row("SELECT identity FROM item_index", [], |row| row.get(0))
        .optional()?;
    if known.as_deref() == Some(identity) {
        conn.execute("UPDATE item_pending SET refused = 0 WHERE refused", [])?;
    } else {
        conn.execute("DELETE FROM item_index", [])?;
        conn.execute("INSERT INTO item_index (identity) VALUES (?1)", [identity])?;
        conn.execute(
            "INSERT OR REPLACE INTO item_pending (item) SELECT id FROM store_item WHERE paths IS NOT '[]'",
            [],
        )?;
    }
    Ok(count_pending(conn)?.waiting)
}

/// See [`Reads::pending_items`](crate::Reads::pending_items).
pub(super) fn pending(
    conn: &Connection,
    after: IndexTicket,
    limit: u32,
) -> Result<Vec<PendingItem>, StorageError> {
    let mut statement = conn.prepare_cached(
        "SELECT p.ticket, i.value, i.paths FROM item_pending p JOIN store_item i ON i.id = p.item \
         WHERE p.ticket > ?1 AND NOT p.refused ORDER BY p.ticket LIMIT ?2",
    )?;
    let mut rows = statement.query(params![after.0, limit])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let value = json(row, 1)?;
        bytes += value.len();
        if bytes > MAX_PENDING_BYTES && !found.is_empty() {
            break;
        }
        found.push(PendingItem {
            ticket: IndexTicket(row.get(0)?),
            value,
            parts: parts(row, 2)?,
        });
    }
    Ok(found)
}

/// See [`Reads::count_pending_items`](crate::Reads::count_pending_items).
pub(super) fn count_pending(conn: &Connection) -> Result<PendingItems, StorageError> {
    let (all, refused): (i64, i64) = conn
        .prepare_cached("SELECT count(*), count(*) FILTER (WHERE refused) FROM item_pending")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(PendingItems {
        waiting: (all - refused).unsigned_abs(),
        refused: refused.unsigned_abs(),
    })
}

/// See [`Storage::index_items`](crate::Storage::index_items). Whoever has put or deleted an item meanwhile has taken its
/// ticket away.
pub(super) fn write(conn: &Connection, items: &[IndexedItem]) -> Result<(), StorageError> {
    for IndexedItem { ticket, vectors } in items {
        match vectors {
            Some(vectors) => keep(conn, *ticket, vectors)?,
            None => {
                conn.prepare_cached("UPDATE item_pending SET refused = 1 WHERE ticket = ?1")?
                    .execute([ticket.0])?;
            }
        }
    }
    Ok(())
}

fn keep(conn: &Connection, ticket: IndexTicket, vectors: &[Vec<f32>]) -> Result<(), StorageError> {
    let item: Option<i64> = conn
        .prepare_cached("DELETE FROM item_pending WHERE ticket = ?1 RETURNING item")?
        .query_row([ticket.0], |row| row.get(0))
        .optional()?;
    let Some(item) = item else { return Ok(()) };
    if vectors.is_empty() {
        conn.prepare_cached("DELETE FROM item_vector WHERE item = ?1")?
            .execute([item])?;
        return Ok(());
    }
    let numbers = vectors.iter().flatten();
    let bytes: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
    conn.prepare_cached("INSERT OR REPLACE INTO item_vector (item, vectors) VALUES (?1, ?2)")?
        .execute(params![item, bytes])?;
    Ok(())
}

/// What vectors weigh in the writer's queue.
pub(super) fn weight(items: &[IndexedItem]) -> usize {
    let vectors = items.iter().filter_map(|item| item.vectors.as_ref());
    let vectors = vectors.flatten();
    vectors.map(|vector| size_of_val(vector.as_slice())).sum()
}
