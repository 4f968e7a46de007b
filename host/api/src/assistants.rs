//! Assistants: create, get, change, delete, and their versions.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use selvedge_model::assistant::Assistant;
use selvedge_model::{AssistantId, Json};
use selvedge_runtime::NewAssistant;
use selvedge_storage::{AssistantPatch, Insert, VersionQuery};
use uuid::Uuid;

use crate::error::{ApiError, ApiResult};
use crate::request::{Fields, ObjectBody, PathIds, Query, Selection, parse_id, run_config};
use crate::routes::Edge;
use crate::who::Who;

/// The members of a version: an assistant has one more, the time of its last change.
const OF_A_VERSION: [&str; 9] = [
    "assistant_id",
    "graph_id",
    "config",
    "context",
    "metadata",
    "name",
    "created_at",
    "version",
    "description",
];

pub(crate) async fn create(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let id = match fields.string("assistant_id")? {
        Some(text) => parse_id(&text, "assistant")?,
        None => AssistantId::from(Uuid::new_v4()),
    };
    let keep_existing = fields.word("if_exists", &[("raise", false), ("do_nothing", true)])?;
    let new = NewAssistant {
        assistant_id: id,
        graph_id: fields.required_string("graph_id")?,
        config: config(&fields)?,
        context: fields.object_if_any("context")?,
        metadata: fields.object("metadata")?,
        name: fields
            .string("name")?
            .unwrap_or_else(|| "Untitled".to_owned()),
        description: fields.string("description")?,
    };
    match edge.runtime.create_assistant(&caller.scope, new).await? {
        Insert::Created(assistant) => Ok(JsonBody(assistant).into_response()),
        Insert::Exists(assistant) if keep_existing == Some(true) => {
            Ok(JsonBody(assistant).into_response())
        }
        Insert::Exists(_) | Insert::Taken => Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("Assistant {id} already exists"),
        )),
    }
}

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
) -> ApiResult<Response> {
    let assistant = edge
        .reads
        .assistant(&caller.scope, path.assistant()?)
        .await?;
    let assistant = assistant.ok_or_else(|| ApiError::not_found("Not Found"))?;
    Ok(JsonBody(assistant).into_response())
}

pub(crate) async fn patch(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let id = path.assistant()?;
    let patch = AssistantPatch {
        graph_id: fields.string("graph_id")?,
        config: config(&fields)?,
        context: fields.object_if_any("context")?,
        metadata: fields.object_if_any("metadata")?,
        name: fields.string("name")?,
        // Here `null` says something: it takes the description away.
        description: match fields.names().any(|name| name == "description") {
            true => Some(fields.string("description")?),
            false => None,
        },
    };
    let updated = edge
        .runtime
        .update_assistant(&caller.scope, id, patch)
        .await?;
    Ok(JsonBody(updated.ok_or_else(|| missing(id))?).into_response())
}

pub(crate) async fn delete(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    query: Query,
) -> ApiResult<Response> {
    let id = path.assistant()?;
    let threads = query.flag("delete_threads");
    match edge
        .runtime
        .delete_assistant(&caller.scope, id, threads)
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(ApiError::not_found(format!(
            "Assistant with ID {id} not found"
        ))),
    }
}

pub(crate) async fn versions(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<Response> {
    let id = path.assistant()?;
    let query = VersionQuery {
        assistant_id: id,
        metadata: fields.object_if_any("metadata")?,
        limit: fields.limit()?,
        offset: fields.offset()?,
    };
    let found = edge.reads.assistant_versions(&caller.scope, query).await?;
    if found.is_empty() && edge.reads.assistant(&caller.scope, id).await?.is_none() {
        return Err(missing(id));
    }
    let select = Selection::all_of(&OF_A_VERSION);
    let shown: Vec<_> = found.iter().map(|version| select.of(version)).collect();
    Ok(JsonBody(shown).into_response())
}

pub(crate) async fn set_latest(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    ObjectBody(fields): ObjectBody,
) -> ApiResult<JsonBody<Assistant>> {
    let id = path.assistant()?;
    let version: i64 = fields
        .typed("version", "\"integer\"")?
        .ok_or_else(|| ApiError::invalid("\"version\" is a required property"))?;
    let latest = edge.runtime.set_latest(&caller.scope, id, version).await?;
    latest.map(JsonBody).ok_or_else(|| {
        ApiError::not_found(format!("Version {version} not found for assistant {id}"))
    })
}

fn missing(id: AssistantId) -> ApiError {
    ApiError::not_found(format!("Assistant {id} not found"))
}

fn config(fields: &Fields) -> ApiResult<Option<Json>> {
    fields
        .json("config")
        .map(|_| run_config(fields))
        .transpose()
}
