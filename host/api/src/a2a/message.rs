//! A message that an agent is sent, and what becomes of it: the input of a run, or the answer to what one asked.

use selvedge_model::{Json, ThreadId};
use uuid::Uuid;

use super::desk::Desk;
use super::dialect::Role;
use super::parts::{self, Part, object};
use super::rpc::{RpcError, RpcResult};
use super::task::TaskId;
use crate::request::Fields;

/// Where a message says which task it began, for those who look at the state later. LangGraph has it there too.
pub(super) const MARK: &str = "a2a";
pub(super) const START: &str = "task_start_id";

/// The member of a graph's input in which conversations are held.
const MESSAGES: &str = "messages";

/// A message, and how its sender wants to be answered.
pub(super) struct Incoming {
    pub(super) id: String,
    /// The conversation that it belongs to.
    pub(super) context: Option<ThreadId>,
    /// The task that it goes on with.
    pub(super) task: Option<TaskId>,
    role: Role,
    parts: Vec<Part>,
    /// At most so many messages of the conversation are wanted back.
    pub(super) history: Option<usize>,
    /// Whether the sender wants to know how the task ends.
    pub(super) waits: bool,
}

impl Incoming {
    pub(super) fn read(params: &Fields) -> RpcResult<Self> {
        let message = params.json("message").and_then(Fields::of);
        let message =
            message.ok_or_else(|| RpcError::invalid("Missing or invalid 'message' in params"))?;
        let parts = message.json("parts").and_then(Json::items);
        let parts = parts
            .filter(|parts| !parts.is_empty())
            .ok_or_else(|| RpcError::invalid("Message must contain at least one part"))?;
        let id = message
            .string("messageId")?
            .filter(|id| !id.is_empty())
            .ok_or_else(|| RpcError::invalid("Missing required 'messageId' in message"))?;
        let role = message.string("role")?.unwrap_or_default();
        let wishes = params.fields("configuration")?;
        let wants_push = ["pushNotificationConfig", "taskPushNotificationConfig"];
        if wants_push.iter().any(|name| wishes.json(name).is_some()) {
            return Err(RpcError::no_push());
        }
        let returns = wishes.boolean("returnImmediately")?.unwrap_or(false);
        let blocking = wishes.boolean("blocking")?.unwrap_or(true);
        let (context, task) = place(&message)?;
        Ok(Self {
            id,
            context,
            task,
            role: Role::parse(&role)
                .ok_or_else(|| RpcError::invalid("The role of a message is user or agent"))?,
            parts: parts.iter().map(Part::read).collect::<RpcResult<_>>()?,
            history: history_length(&wishes)?,
            waits: blocking && !returns,
        })
    }

    /// The input of a run: data is its members, everything else a message in `messages`.
    pub(super) fn input(&self, desk: &Desk, start: Uuid) -> RpcResult<Json> {
        let mut input = indexmap::IndexMap::new();
        let mut said = Vec::new();
        for part in &self.parts {
            match part {
                Part::Data(data) => input.extend(data.members().ok_or_else(|| {
                    RpcError::invalid(
                        "The data of a part must be an object: it is the graph's input",
                    )
                })?),
                part => said.push(part),
            }
        }
        if !said.is_empty() {
            desk.must_converse()?;
            let message = self.as_said(&said, start);
            if input
                .insert(MESSAGES.to_owned(), Json::array([&message]))
                .is_some()
            {
                return Err(RpcError::invalid(
                    "Data gives 'messages' already: leave out the other parts",
                ));
            }
        }
        Ok(Json::object(&input))
    }

    fn as_said(&self, said: &[&Part], start: Uuid) -> Json {
        let role = match self.role {
            Role::User => "user",
            Role::Agent => "assistant",
        };
        object(&[
            ("role", Some(Json::string(role))),
            ("content", Some(parts::content(said))),
            ("id", Some(Json::string(&self.id))),
            (
                "additional_kwargs",
                Some(mark(&[(START, &start.to_string())])),
            ),
        ])
    }

    /// The answer to an interrupt: the lone data or text, or all of them.
    pub(super) fn answer(&self) -> Json {
        let said: Vec<Json> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Json::string(text),
                Part::Data(data) => data.clone(),
                file @ Part::File(_) => parts::content(&[file]),
            })
            .collect();
        match said.as_slice() {
            [one] => one.clone(),
            all => Json::array(all),
        }
    }

    /// As its sender sees it again.
    pub(super) fn shown(&self, desk: &Desk, task: TaskId) -> Json {
        shown(
            desk,
            self.role,
            &self.parts,
            &self.id,
            task.thread,
            Some(task),
        )
    }
}

/// A message as the protocol has it.
pub(super) fn shown(
    desk: &Desk,
    role: Role,
    parts: &[Part],
    id: &str,
    context: ThreadId,
    task: Option<TaskId>,
) -> Json {
    let parts: Vec<Json> = parts.iter().map(|part| part.shown(desk.dialect)).collect();
    object(&[
        ("kind", desk.dialect.kind("message").map(Json::string)),
        ("role", Some(Json::string(desk.dialect.role(role)))),
        ("parts", Some(Json::array(&parts))),
        ("messageId", Some(Json::string(id))),
        ("taskId", task.map(|task| Json::string(&task.to_string()))),
        ("contextId", Some(Json::string(&context.to_string()))),
    ])
}

/// `{"a2a": {…}}`
pub(super) fn mark(members: &[(&str, &str)]) -> Json {
    let members: Vec<(&str, Json)> = members
        .iter()
        .map(|(name, value)| (*name, Json::string(value)))
        .collect();
    let inside = Json::object(members.iter().map(|(name, value)| (*name, value)));
    Json::object([(MARK, &inside)])
}

/// A member of `{"a2a": {…}}`, where there is one.
pub(super) fn marked(json: &Json, name: &str) -> Option<String> {
    let fields = Fields::of(json)?;
    fields.fields(MARK).ok()?.string(name).ok()?
}

/// The conversation and the task that a message names. A task says in which conversation it is.
fn place(message: &Fields) -> RpcResult<(Option<ThreadId>, Option<TaskId>)> {
    let text = |name: &str| -> RpcResult<Option<String>> {
        Ok(message.string(name)?.filter(|text| !text.is_empty()))
    };
    let context = text("contextId")?;
    let context: Option<ThreadId> = context
        .map(|id| id.parse())
        .transpose()
        .map_err(|_| RpcError::invalid("Failed to create run: Invalid thread ID"))?;
    let Some(task) = text("taskId")? else {
        return Ok((context, None));
    };
    let id: TaskId = task.parse().map_err(|()| RpcError::no_task(&task))?;
    match context {
        Some(context) if context != id.thread => {
            Err(RpcError::invalid("The task belongs to another context"))
        }
        _ => Ok((Some(id.thread), Some(id))),
    }
}

/// `historyLength`: all of it when nothing is said.
pub(super) fn history_length(fields: &Fields) -> RpcResult<Option<usize>> {
    let length = fields.integer("historyLength", 0, 0, u32::MAX)?;
    Ok(fields.json("historyLength").map(|_| length as usize))
}
