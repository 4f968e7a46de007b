//! Items of the store.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::item::{FoundItem, Item};
use selvedge_model::{Json, Scope, Timestamp};

use super::codec::{json, micros, time};
use super::item_index;
use super::namespaces::{behind, decode, encode};
use super::nearest;
use super::weight::Weight;
use crate::StorageError;
use crate::types::{IndexTicket, ItemQuery, LabelPattern, NamespaceQuery, Page, PutItem};

pub(super) const COLUMNS: &str = "namespace, key, value, created_at, updated_at, ttl";

pub(super) fn from_row(row: &Row<'_>) -> Result<Item, StorageError> {
    let ttl: Option<i64> = row.get(5)?;
    let namespace: Vec<u8> = row.get(0)?;
    Ok(Item {
        namespace: decode(&namespace)?,
        key: row.get(1)?,
        value: json(row, 2)?,
        created_at: time(row, 3)?,
        updated_at: time(row, 4)?,
        ttl: ttl.map(|ttl| Duration::from_micros(ttl.unsigned_abs())),
    })
}

/// What an item weighs in the writer's queue.
pub(super) fn weight(item: &PutItem) -> usize {
    let labels: usize = item.namespace.iter().map(String::len).sum();
    labels + item.key.len() + item.value.len()
}

/// See [`Storage::put_item`](crate::Storage::put_item). One whose time has come is not there any more, so it does not
/// give its age to the next.
pub(super) fn put(
    conn: &Connection,
    scope: &Scope,
    item: &PutItem,
) -> Result<Option<IndexTicket>, StorageError> {
    let values = params![
        encode(scope, &item.namespace),
        item.key,
        item.value.as_str(),
        item.now.as_micros(),
        item.ttl.map(micros),
        item_index::paths(&item.parts),
    ];
    let id = conn
        .prepare_cached(
            "INSERT INTO store_item (namespace, key, value, created_at, updated_at, ttl, expires_at, paths) \
             VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?4 + ?5, ?6) ON CONFLICT (namespace, key) DO UPDATE SET \
             value = ?3, created_at = iif(expires_at <= ?4, ?4, created_at), updated_at = ?4, ttl = ?5, \
             expires_at = ?4 + ?5, paths = ?6 RETURNING id",
        )?
        .query_row(values, |row| row.get(0))?;
    item_index::was_put(conn, id, &item.parts)
}

/// See [`Reads::item`](crate::Reads::item).
pub(super) fn read(
    conn: &Connection,
    scope: &Scope,
    namespace: &[String],
    key: &str,
    now: Timestamp,
) -> Result<Option<Item>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM store_item WHERE namespace = ?1 AND key = ?2 \
         AND (expires_at IS NULL OR expires_at > ?3)"
    ))?;
    let mut rows = statement.query(params![encode(scope, namespace), key, now.as_micros()])?;
    rows.next()?.map(from_row).transpose()
}

/// See [`Storage::refresh_items`](crate::Storage::refresh_items).
pub(super) fn refresh(
    conn: &Connection,
    scope: &Scope,
    items: &[(Vec<String>, String)],
    now: Timestamp,
) -> Result<(), StorageError> {
    let mut statement = conn.prepare_cached(
        "UPDATE store_item SET expires_at = max(expires_at, ?3 + ttl) \
         WHERE namespace = ?1 AND key = ?2 AND ttl IS NOT NULL AND expires_at > ?3",
    )?;
    for (namespace, key) in items {
        statement.execute(params![encode(scope, namespace), key, now.as_micros()])?;
    }
    Ok(())
}

/// See [`Storage::delete_item`](crate::Storage::delete_item).
pub(super) fn delete(
    conn: &Connection,
    scope: &Scope,
    namespace: &[String],
    key: &str,
) -> Result<bool, StorageError> {
    let deleted = conn
        .prepare_cached("DELETE FROM store_item WHERE namespace = ?1 AND key = ?2")?
        .execute(params![encode(scope, namespace), key])?;
    Ok(deleted == 1)
}

/// See [`Reads::search_items`](crate::Reads::search_items).
pub(super) fn search(
    conn: &Connection,
    scope: &Scope,
    query: &ItemQuery,
) -> Result<Page<FoundItem>, StorageError> {
    match &query.near {
        Some(near) => nearest::search(conn, scope, query, near),
        None => search_in_order(conn, scope, query),
    }
}

/// Walks over what lies under the prefix until the page is full; only what passes the filter is kept.
fn search_in_order(
    conn: &Connection,
    scope: &Scope,
    query: &ItemQuery,
) -> Result<Page<FoundItem>, StorageError> {
    let prefix = encode(scope, &query.prefix);
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM store_item WHERE namespace >= ?1 AND namespace < ?2 \
         AND (expires_at IS NULL OR expires_at > ?3) ORDER BY namespace, key"
    ))?;
    let mut rows = statement.query(params![prefix, behind(&prefix), query.now.as_micros()])?;
    let mut found = Page {
        rows: Vec::new(),
        more: false,
    };
    let (mut skip, mut weight) = (query.offset, Weight::default());
    while let Some(row) = rows.next()? {
        let value: Json = json(row, 2)?;
        if !query.filter.matches(&value) {
            continue;
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        if found.rows.len() >= query.limit as usize {
            found.more = true;
            break;
        }
        weight.add(value.len())?;
        found.rows.push(FoundItem::unscored(from_row(row)?));
    }
    Ok(found)
}

/// See [`Reads::list_namespaces`](crate::Reads::list_namespaces). Each step is a look-up of the next namespace in the
/// index, so that the cost is that of the namespaces and not of the items in them.
pub(super) fn list(
    conn: &Connection,
    scope: &Scope,
    query: &NamespaceQuery,
) -> Result<Vec<Vec<String>>, StorageError> {
    let fixed: Vec<&str> = query.prefix.iter().map_while(exact).collect();
    let under = encode(scope, &fixed);
    let end = behind(&under);
    let mut next = conn.prepare_cached(
        "SELECT namespace FROM store_item WHERE namespace >= ?1 AND namespace < ?2 \
         AND (expires_at IS NULL OR expires_at > ?3) ORDER BY namespace LIMIT 1",
    )?;
    let mut from = under;
    let mut skip = query.offset;
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut last: Option<Vec<String>> = None;
    while found.len() < query.limit as usize {
        let namespace: Option<Vec<u8>> = next
            .query_row(params![from, end, query.now.as_micros()], |row| row.get(0))
            .optional()?;
        let Some(encoded) = namespace else {
            break;
        };
        let mut labels = decode(&encoded)?;
        // Behind this namespace, and before what lies under it.
        from = [encoded.as_slice(), &[0]].concat();
        if !matches(query, &labels) {
            continue;
        }
        if let Some(depth) = query.max_depth {
            labels.truncate(depth as usize);
        }
        if last.as_ref() == Some(&labels) {
            continue;
        }
        last = Some(labels.clone());
        if skip > 0 {
            skip -= 1;
        } else {
            found.push(labels);
        }
    }
    Ok(found)
}

fn exact(pattern: &LabelPattern) -> Option<&str> {
    match pattern {
        LabelPattern::Exactly(label) => Some(label),
        LabelPattern::Any => None,
    }
}

fn matches(query: &NamespaceQuery, labels: &[String]) -> bool {
    let fit = |patterns: &[LabelPattern], labels: &[String]| {
        patterns
            .iter()
            .zip(labels)
            .all(|(pattern, label)| pattern.matches(label))
    };
    let Some(tail) = labels.len().checked_sub(query.suffix.len()) else {
        return false;
    };
    query.prefix.len() <= labels.len()
        && fit(&query.prefix, labels)
        && fit(&query.suffix, &labels[tail..])
}

/// See [`Storage::sweep_items`](crate::Storage::sweep_items).
pub(super) fn sweep(conn: &Connection, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
    let deleted = conn
        .prepare_cached(
            "DELETE FROM store_item WHERE id IN (SELECT id FROM store_item INDEXED BY store_item_expiry \
             WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        )?
        .execute(params![now.as_micros(), limit])?;
    Ok(deleted as u64)
}
