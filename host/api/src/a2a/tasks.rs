//! `tasks/get`, `tasks/cancel` and `ListTasks`.

use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::{Json, ThreadId};
use selvedge_runtime::cancel::CancelMany;
use selvedge_runtime::hub::Ending;
use selvedge_runtime::runs::Followed;
use selvedge_storage::{ThreadFilter, ThreadQuery, ThreadSort, Values, WhichRuns};

use super::desk::Desk;
use super::dialect::State;
use super::message::history_length;
use super::rpc::{RpcError, RpcResult};
use super::task::{Conversation, Task, TaskId};
use crate::request::Fields;

/// The protocol's bounds and default for the tasks on one page.
const PAGE: (u32, u32, u32) = (50, 1, 100);
/// How many of an assistant's conversations are looked through for its tasks: those that were touched last.
const MOST_CONVERSATIONS: u32 = 100;
/// A page ends with the task with which it weighs so many bytes, however few it has by then.
const MOST_BYTES: usize = 1 << 20;

pub(super) fn task_id(params: &Fields) -> RpcResult<TaskId> {
    let id = params.string("id")?;
    let id = id.ok_or_else(|| RpcError::invalid("Missing required parameter: id (task_id)"))?;
    id.parse().map_err(|()| RpcError::no_task(&id))
}

pub(super) async fn get(desk: &Desk, params: &Fields) -> RpcResult<Json> {
    let (id, length) = (task_id(params)?, history_length(params)?);
    Ok(existing(desk, id).await?.shown(desk, length))
}

/// Ends all runs of the task that have not ended, so that nothing more comes of it.
pub(super) async fn cancel(desk: &Desk, params: &Fields) -> RpcResult<Json> {
    let id = task_id(params)?;
    let conversation = Conversation::read(desk, id.thread).await?;
    let missing = || RpcError::no_task(&id.to_string());
    let conversation = conversation.ok_or_else(missing)?;
    conversation.task(desk, id).ok_or_else(missing)?;
    let ids = conversation.unended(desk, id);
    let (scope, runtime) = (&desk.caller.scope, &desk.edge.runtime);
    let mut ends = Vec::new();
    for run in &ids {
        let followed = runtime.follow(scope, Some(id.thread), *run, false).await?;
        if let Some(Followed::Live(_, stream)) = followed {
            ends.push(stream);
        }
    }
    let which = WhichRuns::Named {
        thread: Some(id.thread),
        ids,
    };
    let wish = CancelRequest {
        action: CancelAction::Interrupt,
        message: "interrupt requested via A2A".to_owned(),
    };
    if runtime.cancel(scope, which, wish).await? != CancelMany::Cancelled {
        return Err(RpcError::not_cancelable());
    }
    for end in ends {
        if matches!(end.ended().await, Ending::Released) {
            return Err(RpcError::internal("The server is shutting down"));
        }
    }
    Ok(existing(desk, id).await?.shown(desk, None))
}

async fn existing(desk: &Desk, id: TaskId) -> RpcResult<Task> {
    let task = Task::read(desk, id).await?;
    task.ok_or_else(|| RpcError::no_task(&id.to_string()))
}

/// The assistant's tasks, in the conversations that were touched last, newest first in each.
pub(super) async fn list(desk: &Desk, params: &Fields) -> RpcResult<Json> {
    let (default, min, max) = PAGE;
    let size = params.integer("pageSize", default, min, max)? as usize;
    let length = history_length(params)?.unwrap_or(0);
    let token = params.string("pageToken")?.unwrap_or_default();
    let offset: usize = match token.as_str() {
        "" => 0,
        token => token
            .parse()
            .map_err(|_| RpcError::invalid("Invalid pageToken"))?,
    };
    let status = params.string("status")?;
    let wanted = match status.as_deref() {
        None | Some("" | "TASK_STATE_UNSPECIFIED") => None,
        Some(word) => {
            let state = State::parse(word);
            Some(state.ok_or_else(|| RpcError::invalid(format!("Unknown status: {word}")))?)
        }
    };
    let with_artifacts = params.boolean("includeArtifacts")?.unwrap_or(false);
    let mut total = 0;
    let mut bytes = 0;
    let mut page = Vec::new();
    for thread in conversations(desk, params).await? {
        let Some(mut conversation) = Conversation::read(desk, thread).await? else {
            continue;
        };
        let mut has_values = length == 0 && !with_artifacts;
        for id in conversation.tasks(desk) {
            let is_wanted = |task: &Task| wanted.is_none_or(|state| state == task.state);
            let Some(mut task) = conversation.task(desk, id).filter(is_wanted) else {
                continue;
            };
            total += 1;
            if total <= offset || page.len() >= size || bytes >= MOST_BYTES {
                continue;
            }
            if !has_values {
                conversation.read_values(desk).await?;
                has_values = true;
                task = conversation.task(desk, id).unwrap_or(task);
            }
            let task = task.listed(desk, length, with_artifacts);
            bytes += task.len();
            page.push(task);
        }
    }
    let next = offset + page.len();
    let token = match next < total {
        true => next.to_string(),
        false => String::new(),
    };
    Ok(Json::object([
        ("tasks", &Json::array(&page)),
        ("totalSize", &Json::written(&total)),
        ("pageSize", &Json::written(&page.len())),
        ("nextPageToken", &Json::string(&token)),
    ]))
}

async fn conversations(desk: &Desk, params: &Fields) -> RpcResult<Vec<ThreadId>> {
    if let Some(context) = params.string("contextId")?.filter(|id| !id.is_empty()) {
        return Ok(context.parse().into_iter().collect());
    }
    let assistant = Json::string(&desk.assistant.assistant_id.to_string());
    let query = ThreadQuery {
        filter: ThreadFilter {
            metadata: Some(Json::object([("assistant_id", &assistant)])),
            ..ThreadFilter::default()
        },
        sort_by: ThreadSort::UpdatedAt,
        descending: true,
        limit: MOST_CONVERSATIONS,
        offset: 0,
        values: Values::Skip,
    };
    let runtime = &desk.edge.runtime;
    let found = runtime.search_threads(&desk.caller.scope, query).await?;
    Ok(found.rows.iter().map(|thread| thread.thread_id).collect())
}
