//! Reading assistants.

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::assistant::Assistant;
use selvedge_model::{AssistantId, Scope};

use super::codec::{id, json, time};
use super::contains::contains;
use super::scope::{only, readable};
use super::weight::Weight;
use crate::StorageError;
use crate::types::{AssistantQuery, AssistantSort, Page};

const COLUMNS: &str =
    "uuid, graph_id, config, context, metadata, name, created_at, updated_at, version, description";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Assistant> {
    Ok(Assistant {
        assistant_id: id(row, 0)?,
        graph_id: row.get(1)?,
        config: json(row, 2)?,
        context: json(row, 3)?,
        metadata: json(row, 4)?,
        name: row.get(5)?,
        created_at: time(row, 6)?,
        updated_at: time(row, 7)?,
        version: row.get(8)?,
        description: row.get(9)?,
    })
}

/// One assistant that may be read and run.
pub(super) fn read(
    conn: &Connection,
    scope: &Scope,
    assistant: AssistantId,
) -> Result<Option<Assistant>, StorageError> {
    let found = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM assistant WHERE uuid = ?1 AND {}",
            readable(scope, "assistant", 2)
        ))?
        .query_row(params![assistant.0.as_bytes(), only(scope)], from_row)
        .optional()?;
    Ok(found)
}

/// Whether two say the same but for when they say it.
pub(super) fn same_content(stored: &Assistant, wanted: &Assistant) -> bool {
    let wanted = Assistant {
        created_at: stored.created_at,
        updated_at: stored.updated_at,
        version: stored.version,
        ..wanted.clone()
    };
    *stored == wanted
}

/// Those of a graph that may be read and run.
fn condition(scope: &Scope) -> String {
    let readable = readable(scope, "assistant", 2);
    format!("(?1 IS NULL OR graph_id = ?1) AND {readable}")
}

/// Assistants that match. Names in any case and containment are beyond SQLite's own functions for text that is not
/// ASCII, so rows are matched here, in order, until the page is full.
pub(super) fn search(
    conn: &Connection,
    scope: &Scope,
    query: &AssistantQuery,
) -> Result<Page<Assistant>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM assistant WHERE {} ORDER BY {}",
        condition(scope),
        order(query)
    ))?;
    let matches = matcher(query);
    let mut rows = statement.query(params![query.graph_id, only(scope)])?;
    let (mut skip, mut weight) = (query.offset, Weight::default());
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let assistant = from_row(row)?;
        if !matches(&assistant) {
            continue;
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        if found.len() >= query.limit as usize {
            return Ok(Page {
                rows: found,
                more: true,
            });
        }
        weight.add(bytes_of(&assistant))?;
        found.push(assistant);
    }
    Ok(Page {
        rows: found,
        more: false,
    })
}

/// What the parts without a bound weigh.
pub(super) fn bytes_of(assistant: &Assistant) -> usize {
    assistant.config.len() + assistant.context.len() + assistant.metadata.len()
}

/// How many match; order, limit and offset do not count.
pub(super) fn count(
    conn: &Connection,
    scope: &Scope,
    query: &AssistantQuery,
) -> Result<u64, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM assistant WHERE {}",
        condition(scope)
    ))?;
    let matches = matcher(query);
    let mut rows = statement.query(params![query.graph_id, only(scope)])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += u64::from(matches(&from_row(row)?));
    }
    Ok(count)
}

fn matcher(query: &AssistantQuery) -> impl Fn(&Assistant) -> bool {
    let name = query.name.as_ref().map(|name| name.to_lowercase());
    let metadata = query.metadata.as_ref().map(|metadata| metadata.to_value());
    move |assistant| {
        name.as_ref()
            .is_none_or(|name| assistant.name.to_lowercase().contains(name))
            && metadata
                .as_ref()
                .is_none_or(|wanted| contains(&assistant.metadata.to_value(), wanted))
    }
}

/// Ties are broken by age, so that pages do not overlap. Names stand as in a dictionary, as far as they are ASCII.
fn order(query: &AssistantQuery) -> String {
    let column = match query.sort_by {
        AssistantSort::AssistantId => "uuid",
        AssistantSort::CreatedAt => "created_at",
        AssistantSort::UpdatedAt => "updated_at",
        AssistantSort::Name => "name COLLATE NOCASE",
        AssistantSort::GraphId => "graph_id",
    };
    let direction = if query.descending { "DESC" } else { "ASC" };
    format!("{column} {direction}, id {direction}")
}
