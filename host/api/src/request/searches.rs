//! Which assistants and threads to find, in which order, and what to show of them.

use selvedge_model::ThreadId;
use selvedge_model::thread::ThreadStatus;
use selvedge_storage::{
    AssistantQuery, AssistantSort, ThreadFilter, ThreadQuery, ThreadSort, Values,
};

use super::{Extract, Fields, Selection};
use crate::error::{ApiError, ApiResult};

/// The members of an assistant that `select` may name.
const OF_ASSISTANTS: [&str; 10] = [
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "created_at",
    "updated_at",
    "metadata",
    "version",
];

/// The members of a thread that `select` may name.
pub(super) const OF_THREADS: [&str; 9] = [
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "config",
    "status",
    "values",
    "interrupts",
];

/// A page of assistants.
pub(crate) struct SearchAssistants {
    pub(crate) query: AssistantQuery,
    pub(crate) select: Selection,
}

impl SearchAssistants {
    pub(crate) fn read(fields: &Fields) -> ApiResult<Self> {
        let sort = [
            ("assistant_id", AssistantSort::AssistantId),
            ("created_at", AssistantSort::CreatedAt),
            ("updated_at", AssistantSort::UpdatedAt),
            ("name", AssistantSort::Name),
            ("graph_id", AssistantSort::GraphId),
        ];
        Ok(Self {
            query: AssistantQuery {
                metadata: fields.object_if_any("metadata")?,
                graph_id: fields.string("graph_id")?,
                name: fields.string("name")?,
                sort_by: fields.word("sort_by", &sort)?.unwrap_or_default(),
                descending: descending(fields)?,
                limit: fields.limit()?,
                offset: fields.offset()?,
            },
            select: selection(fields, &OF_ASSISTANTS)?,
        })
    }
}

/// A page of threads.
pub(crate) struct SearchThreads {
    pub(crate) query: ThreadQuery,
    pub(crate) select: Selection,
    pub(crate) extract: Extract,
}

impl SearchThreads {
    pub(crate) fn read(fields: &Fields) -> ApiResult<Self> {
        let sort = [
            ("thread_id", ThreadSort::ThreadId),
            ("status", ThreadSort::Status),
            ("created_at", ThreadSort::CreatedAt),
            ("updated_at", ThreadSort::UpdatedAt),
            ("state_updated_at", ThreadSort::StateUpdatedAt),
        ];
        let select = selection(fields, &OF_THREADS)?;
        let extract = Extract::read(fields)?;
        let values = match select.shows("values") || extract.reads_values() {
            true => Values::Include,
            false => Values::Skip,
        };
        Ok(Self {
            query: ThreadQuery {
                filter: thread_filter(fields)?,
                sort_by: fields.word("sort_by", &sort)?.unwrap_or_default(),
                descending: descending(fields)?,
                limit: fields.limit()?,
                offset: fields.offset()?,
                values,
            },
            select,
            extract,
        })
    }
}

/// Which threads.
pub(crate) fn thread_filter(fields: &Fields) -> ApiResult<ThreadFilter> {
    let statuses = [
        ("idle", ThreadStatus::Idle),
        ("busy", ThreadStatus::Busy),
        ("interrupted", ThreadStatus::Interrupted),
        ("error", ThreadStatus::Error),
    ];
    let id = |text: String| -> ApiResult<ThreadId> {
        let refusal = |_| ApiError::bad_request(format!("Invalid thread ID {text}"));
        text.parse().map_err(refusal)
    };
    let ids = fields.strings("ids")?;
    Ok(ThreadFilter {
        ids: ids
            .map(|ids| ids.into_iter().map(id).collect())
            .transpose()?,
        metadata: fields.object_if_any("metadata")?,
        values: fields.object_if_any("values")?,
        status: fields.word("status", &statuses)?,
    })
}

pub(super) fn descending(fields: &Fields) -> ApiResult<bool> {
    let order = fields.word("sort_order", &[("asc", false), ("desc", true)])?;
    Ok(order.unwrap_or(true))
}

pub(super) fn selection(fields: &Fields, known: &[&str]) -> ApiResult<Selection> {
    Selection::new(fields.strings("select")?, known).map_err(|unknown| {
        let quoted = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            names.join(", ")
        };
        let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
        ApiError::invalid(format!(
            "{} is not one of {}",
            quoted(&unknown),
            quoted(known)
        ))
    })
}
