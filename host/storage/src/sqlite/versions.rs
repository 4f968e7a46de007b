//! What changes assistants, and the versions that each change leaves.

use rusqlite::{Connection, OptionalExtension, Row, params};
use selvedge_model::assistant::Assistant;
use selvedge_model::cancel::CancelRequest;
use selvedge_model::{AssistantId, Scope, Timestamp};

use super::assistants::{bytes_of, read, same_content};
use super::cancel::{self, Ending};
use super::codec::{id, json, time};
use super::contains::contains;
use super::scope::{only, owner, readable, within};
use super::threads::merged;
use super::weight::Weight;
use super::writer::Desk;
use crate::StorageError;
use crate::types::{AssistantPatch, Cancelled, Insert, LastWords, VersionQuery};

/// Who made a version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Caller,
    Configuration,
}

/// See [`Storage::ensure_assistants`](crate::Storage::ensure_assistants).
pub(super) fn ensure(desk: &Desk<'_>, defaults: Vec<Assistant>) -> Result<(), StorageError> {
    for mut wanted in defaults {
        if let Some(stored) = read(desk.conn, &Scope::Host, wanted.assistant_id)? {
            let configured = newest_configured(desk.conn, wanted.assistant_id)?;
            if configured.is_some_and(|configured| same_content(&configured, &wanted)) {
                continue;
            }
            wanted.created_at = stored.created_at;
            wanted.version = next_version(desk.conn, wanted.assistant_id)?;
        }
        put(desk.conn, &Scope::Host, &wanted)?;
        make_system(desk.conn, wanted.assistant_id)?;
        add_version(desk.conn, &wanted, Origin::Configuration)?;
    }
    Ok(())
}

/// See [`Storage::create_assistant`](crate::Storage::create_assistant).
pub(super) fn create(
    desk: &Desk<'_>,
    scope: &Scope,
    assistant: Assistant,
) -> Result<Insert<Assistant>, StorageError> {
    if let Some(stored) = read(desk.conn, scope, assistant.assistant_id)? {
        return Ok(Insert::Exists(stored));
    }
    if read(desk.conn, &Scope::Host, assistant.assistant_id)?.is_some() {
        return Ok(Insert::Taken);
    }
    let assistant = Assistant {
        version: 1,
        ..assistant
    };
    put(desk.conn, scope, &assistant)?;
    add_version(desk.conn, &assistant, Origin::Caller)?;
    Ok(Insert::Created(assistant))
}

/// See [`Storage::update_assistant`](crate::Storage::update_assistant).
pub(super) fn update(
    desk: &Desk<'_>,
    scope: &Scope,
    assistant: AssistantId,
    patch: AssistantPatch,
    now: Timestamp,
) -> Result<Option<Assistant>, StorageError> {
    let Some(stored) = to_change(desk.conn, scope, assistant)? else {
        return Ok(None);
    };
    let metadata = match &patch.metadata {
        Some(added) => merged(&stored.metadata, added),
        None => stored.metadata,
    };
    let updated = Assistant {
        assistant_id: stored.assistant_id,
        graph_id: patch.graph_id.unwrap_or(stored.graph_id),
        config: patch.config.unwrap_or(stored.config),
        context: patch.context.unwrap_or(stored.context),
        metadata,
        name: patch.name.unwrap_or(stored.name),
        created_at: stored.created_at,
        updated_at: now,
        version: next_version(desk.conn, assistant)?,
        description: patch.description.unwrap_or(stored.description),
    };
    put(desk.conn, scope, &updated)?;
    add_version(desk.conn, &updated, Origin::Caller)?;
    Ok(Some(updated))
}

/// See [`Storage::set_latest`](crate::Storage::set_latest).
pub(super) fn set_latest(
    desk: &Desk<'_>,
    scope: &Scope,
    assistant: AssistantId,
    version: i64,
    now: Timestamp,
) -> Result<Option<Assistant>, StorageError> {
    let Some(stored) = to_change(desk.conn, scope, assistant)? else {
        return Ok(None);
    };
    let found = desk
        .conn
        .prepare_cached(&format!(
            "SELECT {VERSION_COLUMNS} FROM assistant a JOIN assistant_version v ON v.assistant = a.id \
             WHERE a.uuid = ?1 AND v.version = ?2"
        ))?
        .query_row(params![assistant.0.as_bytes(), version], from_row)
        .optional()?;
    let Some(chosen) = found else {
        return Ok(None);
    };
    let latest = Assistant {
        created_at: stored.created_at,
        updated_at: now,
        ..chosen
    };
    put(desk.conn, scope, &latest)?;
    Ok(Some(latest))
}

/// See [`Storage::delete_assistant`](crate::Storage::delete_assistant).
pub(super) fn delete(
    desk: &mut Desk<'_>,
    scope: &Scope,
    assistant: AssistantId,
    request: &CancelRequest,
    last_words: &LastWords,
    now: Timestamp,
) -> Result<Option<Cancelled>, StorageError> {
    let deleted = desk
        .conn
        .prepare_cached(&format!(
            "DELETE FROM assistant WHERE uuid = ?1 AND {}",
            within(scope, "owner", 2)
        ))?
        .execute(params![assistant.0.as_bytes(), only(scope)])?;
    if deleted == 0 {
        return Ok(None);
    }
    let ending = Ending {
        request,
        last_words,
        now,
    };
    cancel::of_assistant(desk, assistant.0.as_bytes(), ending).map(Some)
}

/// See [`Reads::assistant_versions`](crate::Reads::assistant_versions). A walk along the versions of one assistant,
/// newest first, until the page is full.
pub(super) fn list(
    conn: &Connection,
    scope: &Scope,
    query: &VersionQuery,
) -> Result<Vec<Assistant>, StorageError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {VERSION_COLUMNS} FROM assistant a JOIN assistant_version v ON v.assistant = a.id \
         WHERE a.uuid = ?1 AND {} ORDER BY v.version DESC",
        readable(scope, "a", 2)
    ))?;
    let wanted = query.metadata.as_ref().map(|wanted| wanted.to_value());
    let mut rows = statement.query(params![query.assistant_id.0.as_bytes(), only(scope)])?;
    let (mut skip, mut weight) = (query.offset, Weight::default());
    let mut found = Vec::new();
    while found.len() < query.limit as usize {
        let Some(row) = rows.next()? else {
            break;
        };
        let version = from_row(row)?;
        if let Some(wanted) = &wanted
            && !contains(&version.metadata.to_value(), wanted)
        {
            continue;
        }
        if skip > 0 {
            skip -= 1;
        } else {
            weight.add(bytes_of(&version))?;
            found.push(version);
        }
    }
    Ok(found)
}

const VERSION_COLUMNS: &str = "a.uuid, v.graph_id, v.config, v.context, v.metadata, v.name, v.created_at, v.version, \
     v.description";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Assistant> {
    Ok(Assistant {
        assistant_id: id(row, 0)?,
        graph_id: row.get(1)?,
        config: json(row, 2)?,
        context: json(row, 3)?,
        metadata: json(row, 4)?,
        name: row.get(5)?,
        created_at: time(row, 6)?,
        updated_at: time(row, 6)?,
        version: row.get(7)?,
        description: row.get(8)?,
    })
}

/// What the configuration said last. Callers may have changed the assistant since, and keep their changes until the
/// configuration says something else.
fn newest_configured(
    conn: &Connection,
    assistant: AssistantId,
) -> Result<Option<Assistant>, StorageError> {
    let found = conn
        .prepare_cached(&format!(
            "SELECT {VERSION_COLUMNS} FROM assistant a JOIN assistant_version v ON v.assistant = a.id \
             WHERE a.uuid = ?1 AND v.configured = 1 ORDER BY v.version DESC LIMIT 1"
        ))?
        .query_row([assistant.0.as_bytes()], from_row)
        .optional()?;
    Ok(found)
}

fn next_version(conn: &Connection, assistant: AssistantId) -> Result<i64, StorageError> {
    let next = conn
        .prepare_cached(
            "SELECT ifnull(max(v.version), 0) + 1 FROM assistant a JOIN assistant_version v ON v.assistant = a.id \
             WHERE a.uuid = ?1",
        )?
        .query_row([assistant.0.as_bytes()], |row| row.get(0))?;
    Ok(next)
}

fn add_version(
    conn: &Connection,
    assistant: &Assistant,
    origin: Origin,
) -> Result<(), StorageError> {
    conn.prepare_cached(
        "INSERT INTO assistant_version (assistant, version, graph_id, name, description, config, context, metadata, \
         created_at, configured) SELECT id, version, graph_id, name, description, config, context, metadata, \
         updated_at, ?2 FROM assistant WHERE uuid = ?1",
    )?
    .execute(params![
        assistant.assistant_id.0.as_bytes(),
        origin == Origin::Configuration
    ])?;
    Ok(())
}

/// An assistant that may be changed: not one of the configuration's, unless by an operator.
fn to_change(
    conn: &Connection,
    scope: &Scope,
    assistant: AssistantId,
) -> Result<Option<Assistant>, StorageError> {
    let may_be_changed = conn
        .prepare_cached(&format!(
            "SELECT 1 FROM assistant WHERE uuid = ?1 AND {}",
            within(scope, "owner", 2)
        ))?
        .exists(params![assistant.0.as_bytes(), only(scope)])?;
    match may_be_changed {
        true => read(conn, scope, assistant),
        false => Ok(None),
    }
}

/// Makes an assistant everybody's to read and run, whosever it was.
fn make_system(conn: &Connection, assistant: AssistantId) -> Result<(), StorageError> {
    conn.prepare_cached("UPDATE assistant SET system = 1, owner = NULL WHERE uuid = ?1")?
        .execute([assistant.0.as_bytes()])?;
    Ok(())
}

/// Makes an assistant be as given. One that there is stays whose it is.
fn put(conn: &Connection, scope: &Scope, assistant: &Assistant) -> Result<(), StorageError> {
    conn.prepare_cached(
        "INSERT INTO assistant (uuid, graph_id, config, context, metadata, name, created_at, updated_at, version, \
         description, owner) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
         ON CONFLICT (uuid) DO UPDATE SET graph_id = ?2, config = ?3, context = ?4, metadata = ?5, name = ?6, \
         created_at = ?7, updated_at = ?8, version = ?9, description = ?10",
    )?
    .execute(params![
        assistant.assistant_id.0.as_bytes(),
        assistant.graph_id,
        assistant.config.as_str(),
        assistant.context.as_str(),
        assistant.metadata.as_str(),
        assistant.name,
        assistant.created_at.as_micros(),
        assistant.updated_at.as_micros(),
        assistant.version,
        assistant.description,
        owner(scope),
    ])?;
    Ok(())
}
