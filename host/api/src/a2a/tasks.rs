//! `tasks/get`, `tasks/cancel` and `ListTasks`.

use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::{Json, ThreadId};
use selvedge_runtime::cancel::CancelOne;
use selvedge_runtime::hub::Ending;
use selvedge_storage::{ThreadFilter, ThreadQuery, ThreadSort, Values};

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

pub(super) fn task_id(params: &Fields) -> RpcResult<TaskId> {
    let id = params.string("id")?;
    let id = id.ok_or_else(|| RpcError::invalid("Missing required parameter: id (task_id)"))?;
    id.parse().map_err(|()| RpcError::no_task(&id))
}

pub(super) async fn get(desk: &Desk, params: &Fields) -> RpcResult<Json> {
    let (id, length) = (task_id(params)?, history_length(params)?);
    Ok(existing(desk, id).await?.shown(desk, length))
}

pub(super) async fn cancel(desk: &Desk, params: &Fields) -> RpcResult<Json> {
    let id = task_id(params)?;
    let task = existing(desk, id).await?;
    let wish = CancelRequest {
        action: CancelAction::Interrupt,
        message: "interrupt requested via A2A".to_owned(),
    };
    let (scope, run) = (&desk.caller.scope, task.run.run_id);
    let runtime = &desk.edge.runtime;
    match runtime
        .cancel_run(scope, Some(id.thread), run, wish)
        .await?
    {
        CancelOne::Cancelled(stream) => match stream.ended().await {
            Ending::Finished(finished) => {
                let task = existing(desk, id).await?.left_by(&finished);
                Ok(task.shown(desk, None))
            }
            Ending::Released => Err(RpcError::internal("The server is shutting down")),
        },
        CancelOne::Ended => Err(RpcError::not_cancelable()),
        CancelOne::Missing => Err(RpcError::no_task(&id.to_string())),
    }
}

async fn existing(desk: &Desk, id: TaskId) -> RpcResult<Task> {
    let task = Task::read(desk, id).await?;
    task.ok_or_else(|| RpcError::no_task(&id.to_string()))
}

/// The assistant's tasks, in the conversations that were touched last, newest first in each.
pub(super) async fn list(desk: &Desk, params: &Fields) -> RpcResult<Json> {
    let (default, min, max) = PAGE;
    let size = params.integer("pageSize", default, min, max)? as usize;
    let length = history_length(params)?;
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
    let mut page = Vec::new();
    for thread in conversations(desk, params).await? {
        let Some(conversation) = Conversation::read(desk, thread).await? else {
            continue;
        };
        for id in conversation.tasks(desk) {
            let task = conversation.task(desk, id);
            let Some(task) = task.filter(|task| wanted.is_none_or(|state| state == task.state))
            else {
                continue;
            };
            if total >= offset && page.len() < size {
                page.push(task.listed(desk, length, with_artifacts));
            }
            total += 1;
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
