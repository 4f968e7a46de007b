//! Which checkpoints of a thread to show, and how its state is to change.

use selvedge_model::{CheckpointId, Json, ThreadId};
use selvedge_runtime::state::{At, Returned, Update};
use selvedge_storage::HistoryQuery;

use super::body::shortened;
use super::{Fields, Query, command, parse_id};
use crate::error::{ApiError, ApiResult};

/// How many checkpoints a request without a `limit` gets; LangGraph's server differs here from its documentation.
const DEFAULT_LIMIT: u32 = 1;
const LARGEST_LIMIT: u32 = 1_000;

/// A part of a thread's history.
pub(crate) struct History {
    pub(crate) query: HistoryQuery,
}

impl History {
    pub(crate) fn of_query(thread_id: ThreadId, query: &Query) -> ApiResult<Self> {
        let limit = match query.get("limit") {
            Some(text) if text.parse::<i64>().is_err() => {
                return Err(ApiError::invalid(format!("Invalid limit {text}")));
            }
            _ => query.integer("limit", DEFAULT_LIMIT, 1..=LARGEST_LIMIT)?,
        };
        let before = query.get("before").filter(|id| !id.is_empty());
        Ok(Self {
            query: HistoryQuery {
                thread_id,
                namespace: String::new(),
                before: before.map(|id| parse_id(id, "checkpoint")).transpose()?,
                metadata: None,
                limit,
            },
        })
    }

    pub(crate) fn of_body(thread_id: ThreadId, fields: &Fields) -> ApiResult<Self> {
        let checkpoint = fields.fields("checkpoint")?;
        Ok(Self {
            query: HistoryQuery {
                thread_id,
                namespace: checkpoint.string("checkpoint_ns")?.unwrap_or_default(),
                before: before(fields)?,
                metadata: fields
                    .json("metadata")
                    .map(|_| fields.object("metadata"))
                    .transpose()?,
                limit: fields.integer("limit", DEFAULT_LIMIT, 1, LARGEST_LIMIT)?,
            },
        })
    }
}

/// A checkpoint, its id, or a configuration that names it: the clients send all of them.
fn before(fields: &Fields) -> ApiResult<Option<CheckpointId>> {
    let Some(given) = fields.json("before") else {
        return Ok(None);
    };
    let id = match Fields::of(given) {
        None => fields.string("before")?,
        Some(checkpoint) => match checkpoint.string("checkpoint_id")? {
            Some(id) => Some(id),
            None => checkpoint.fields("configurable")?.string("checkpoint_id")?,
        },
    };
    id.map(|id| parse_id(&id, "checkpoint")).transpose()
}

/// `checkpoint` of a body that must have one.
pub(crate) fn required_checkpoint(fields: &Fields) -> ApiResult<At> {
    if fields.json("checkpoint").is_none() {
        return Err(ApiError::invalid("\"checkpoint\" is a required property"));
    }
    named_checkpoint(&fields.fields("checkpoint")?)
}

/// A checkpoint as clients name it. With its namespace, its id says which; those of the graphs around it say no more.
fn named_checkpoint(checkpoint: &Fields) -> ApiResult<At> {
    checkpoint.fields("checkpoint_map")?;
    let id = checkpoint.string("checkpoint_id")?;
    Ok(At {
        namespace: checkpoint.string("checkpoint_ns")?.unwrap_or_default(),
        checkpoint: id.map(|id| parse_id(&id, "checkpoint")).transpose()?,
    })
}

/// A change of a thread's state.
pub(crate) struct StateChange {
    pub(crate) at: At,
    pub(crate) update: Update,
}

impl StateChange {
    pub(crate) fn read(fields: &Fields) -> ApiResult<Self> {
        let short = fields.string("checkpoint_id")?;
        let mut at = named_checkpoint(&fields.fields("checkpoint")?)?;
        if at.checkpoint.is_none() {
            at.checkpoint = short.map(|id| parse_id(&id, "checkpoint")).transpose()?;
        }
        Ok(Self {
            at,
            update: Update {
                returned: Returned::Values(values(fields)?),
                as_node: fields.string("as_node")?,
            },
        })
    }
}

/// What the node is to have returned: an object, several, or nothing.
fn values(fields: &Fields) -> ApiResult<Json> {
    match fields.json("values") {
        None => Ok(Json::null()),
        Some(values) if values.is_object() || values.is_array() => Ok(values.clone()),
        Some(values) => Err(ApiError::invalid(format!(
            "values: {} is not of type \"object\" or \"array\"",
            shortened(values.as_str())
        ))),
    }
}

/// `supersteps` of a new thread: the updates of each.
pub(crate) fn supersteps(fields: &Fields) -> ApiResult<Vec<Vec<Update>>> {
    let steps = objects(fields, "supersteps")?;
    let updates_of = |step: &Fields| {
        let updates = objects(step, "updates")?;
        updates.iter().map(update_of_step).collect()
    };
    steps.iter().map(updates_of).collect()
}

/// A command takes the place of values.
fn update_of_step(update: &Fields) -> ApiResult<Update> {
    let values = values(update)?;
    Ok(Update {
        returned: match command::of_body(update)? {
            Some(command) => Returned::Command(command),
            None => Returned::Values(values),
        },
        as_node: Some(update.required_string("as_node")?),
    })
}

fn objects(fields: &Fields, name: &str) -> ApiResult<Vec<Fields>> {
    let items: Vec<Json> = fields
        .typed(name, "\"array\" of objects")?
        .unwrap_or_default();
    let object = |item: &Json| {
        Fields::of(item).ok_or_else(|| {
            ApiError::invalid(format!(
                "{name}: {} is not of type \"object\"",
                shortened(item.as_str())
            ))
        })
    };
    items.iter().map(object).collect()
}
