//! Crons to be created, changed and found.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use selvedge_model::cron::{CatchUp, OnRunCompleted};
use selvedge_model::{AssistantId, CronId, ThreadId, Timestamp};
use selvedge_runtime::{AssistantRef, CronPatch, NewCron};
use selvedge_storage::{CronFilter, CronQuery, CronSort};

use super::searches::{descending, selection};
use super::{Fields, ObjectBody, PathIds, Selection, new_run, parse_id, stream_modes};
use crate::error::{ApiError, ApiResult};
use crate::routes::Edge;

/// The members of a cron that `select` may name.
const OF_CRONS: [&str; 16] = [
    "cron_id",
    "assistant_id",
    "thread_id",
    "on_run_completed",
    "end_time",
    "schedule",
    "timezone",
    "created_at",
    "updated_at",
    "user_id",
    "payload",
    "next_run_date",
    "metadata",
    "enabled",
    "catch_up",
    "last_error",
];

/// The body of `POST …/runs/crons`, on a thread or without one.
pub(crate) struct CreateCron(pub(crate) NewCron);

impl FromRequest<Arc<Edge>> for CreateCron {
    type Rejection = ApiError;

    async fn from_request(request: Request, edge: &Arc<Edge>) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let path = PathIds::from_request_parts(&mut parts, edge).await?;
        let thread = path.thread_if_any()?;
        let request = Request::from_parts(parts, body);
        let ObjectBody(fields) = ObjectBody::from_request(request, edge).await?;
        let assistant = AssistantRef::parse(&fields.required_string("assistant_id")?);
        let schedule = fields.required_string("schedule")?;
        check_run(&fields, thread.is_some())?;
        Ok(Self(NewCron {
            assistant,
            thread,
            schedule,
            timezone: fields.string("timezone")?,
            end_time: end_time(&fields)?,
            on_run_completed: match thread {
                None => on_run_completed(&fields)?.unwrap_or_default(),
                // Means nothing there, and is not even looked at, as in LangGraph.
                Some(_) => OnRunCompleted::default(),
            },
            enabled: fields.boolean("enabled")?.unwrap_or(true),
            catch_up: catch_up(&fields)?.unwrap_or_default(),
            metadata: fields.object("metadata")?,
            body: fields.whole(),
        }))
    }
}

/// `PATCH /runs/crons/{cron_id}`.
pub(crate) struct PatchCron {
    pub(crate) id: CronId,
    pub(crate) patch: CronPatch,
}

impl FromRequest<Arc<Edge>> for PatchCron {
    type Rejection = ApiError;

    async fn from_request(request: Request, edge: &Arc<Edge>) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let path = PathIds::from_request_parts(&mut parts, edge).await?;
        let id = path.cron()?;
        let request = Request::from_parts(parts, body);
        let ObjectBody(fields) = ObjectBody::from_request(request, edge).await?;
        if fields.names().next().is_none() {
            return Err(ApiError::bad_request("Request body cannot be empty"));
        }
        // Only an end can be taken away; a `null` that changes nothing would look as if it did.
        let mut nulls = fields.names().filter(|name| fields.is_null(name));
        if let Some(name) = nulls.find(|name| *name != "end_time") {
            return Err(ApiError::invalid(format!("{name}: null is not allowed")));
        }
        check_run(&fields, true)?;
        let patch = CronPatch {
            schedule: fields.string("schedule")?,
            timezone: fields.string("timezone")?,
            // Here `null` says something: it takes the end away.
            end_time: match fields.names().any(|name| name == "end_time") {
                true => Some(end_time(&fields)?),
                false => None,
            },
            on_run_completed: on_run_completed(&fields)?,
            enabled: fields.boolean("enabled")?,
            catch_up: catch_up(&fields)?,
            metadata: fields.object_if_any("metadata")?,
            body: fields.whole(),
        };
        Ok(Self { id, patch })
    }
}

/// A page of crons.
pub(crate) struct SearchCrons {
    pub(crate) query: CronQuery,
    pub(crate) select: Selection,
}

impl SearchCrons {
    pub(crate) fn read(fields: &Fields) -> ApiResult<Self> {
        let sort = [
            ("cron_id", CronSort::CronId),
            ("assistant_id", CronSort::AssistantId),
            ("thread_id", CronSort::ThreadId),
            ("next_run_date", CronSort::NextRunDate),
            ("end_time", CronSort::EndTime),
            ("created_at", CronSort::CreatedAt),
            ("updated_at", CronSort::UpdatedAt),
        ];
        Ok(Self {
            query: CronQuery {
                filter: cron_filter(fields)?,
                sort_by: fields.word("sort_by", &sort)?.unwrap_or_default(),
                descending: descending(fields)?,
                limit: fields.limit()?,
                offset: fields.offset()?,
            },
            select: selection(fields, &OF_CRONS)?,
        })
    }
}

/// Which crons.
pub(crate) fn cron_filter(fields: &Fields) -> ApiResult<CronFilter> {
    let assistant: Option<ApiResult<AssistantId>> = fields
        .string("assistant_id")?
        .map(|text| parse_id(&text, "assistant"));
    let thread: Option<ApiResult<ThreadId>> = fields
        .string("thread_id")?
        .map(|text| parse_id(&text, "thread"));
    Ok(CronFilter {
        assistant_id: assistant.transpose()?,
        thread_id: thread.transpose()?,
        enabled: fields.boolean("enabled")?,
        metadata: fields.object_if_any("metadata")?,
    })
}

/// Refuses what no run could be made of; the members themselves are kept as they were sent.
fn check_run(fields: &Fields, on_thread: bool) -> ApiResult<()> {
    fields.object("metadata")?;
    fields.object("context")?;
    new_run::run_config(fields)?;
    new_run::webhook(fields)?;
    new_run::breakpoints(fields, "interrupt_before")?;
    new_run::breakpoints(fields, "interrupt_after")?;
    stream_modes::of_body(fields)?;
    fields.boolean("stream_subgraphs")?;
    fields.boolean("stream_resumable")?;
    new_run::durability(fields)?;
    if on_thread {
        new_run::multitask_strategy(fields)?;
    }
    Ok(())
}

/// A date and time; one without an offset is meant in UTC.
fn end_time(fields: &Fields) -> ApiResult<Option<Timestamp>> {
    let Some(text) = fields.string("end_time")? else {
        return Ok(None);
    };
    let time = text.parse().or_else(|_| format!("{text}Z").parse());
    time.map(Some).map_err(|_| {
        ApiError::invalid(format!(
            "Invalid end_time: '{text:.100}'. Use an ISO 8601 date and time (e.g. '2030-01-01T00:00:00Z')."
        ))
    })
}

fn on_run_completed(fields: &Fields) -> ApiResult<Option<OnRunCompleted>> {
    let words = [
        ("delete", OnRunCompleted::Delete),
        ("keep", OnRunCompleted::Keep),
    ];
    fields.word("on_run_completed", &words)
}

fn catch_up(fields: &Fields) -> ApiResult<Option<CatchUp>> {
    let words = [
        ("one", CatchUp::One),
        ("all", CatchUp::All),
        ("none", CatchUp::None),
    ];
    fields.word("catch_up", &words)
}
